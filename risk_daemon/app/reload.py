"""Another configuration for a daemon that runs: the file is checked whole, and then taken at once or refused.

What is in force is written into the store before it acts: a guard that is killed in between starts with the same
file, and finds there what the file says. See in_force.py for what only wardens may loosen, config/reloading.py for what
needs a new start, and engine/reconfiguration.py for what the engine refuses, and when.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from risk_daemon.alerts.manager import AlertManager
from risk_daemon.alerts.threads import Busy, Threads
from risk_daemon.app.alerts import changed_settings, open_alerts, refuse_unusable
from risk_daemon.app.composition import Opened, engine_settings
from risk_daemon.app.hearers import Hearers
from risk_daemon.app.in_force import in_force, refuse_looser
from risk_daemon.app.rules import build_rule
from risk_daemon.breakers.base import Verdict
from risk_daemon.config.load import Settings, effective, load
from risk_daemon.config.loosening import loosened
from risk_daemon.config.regular_file import read_regular
from risk_daemon.config.reloading import Change, changes
from risk_daemon.engine.decision import Decision
from risk_daemon.engine.reconfiguration import Reconfiguration
from risk_daemon.errors import ConfigError, RecordError, RiskDaemonError
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.state.worker import Run

SIGNAL = "SIGHUP"
_WITHIN_S = 30.0
_STAYS = "Nothing was changed: the configuration from before stays in force."
_IS_TAKEN = "The new configuration is in force all the same."
_LOG = structlog.get_logger(__name__)


class ReloadRefused(ConfigError):
    """The file can't be taken, or not now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A file that could be taken now. acts: what it finds breached as things stand. digest: of what was read."""

    settings: Settings
    changes: tuple[Change, ...] = ()
    event: Reconfiguration | None = None
    acts: tuple[Verdict, ...] = ()
    digest: str

    def document(self, *, taken: bool) -> dict[str, Any]:
        """As the caller is told."""
        event = self.event
        return {
            "accepted": True,
            "taken": taken,
            "file": str(self.settings.file.absolute()),
            "digest": self.digest,
            "changes": [change.document() for change in self.changes],
            "looser": [] if event is None else list(event.looser),
            "acts_at_once": [_breach(verdict) for verdict in self.acts],
        }


def _breach(verdict: Verdict) -> dict[str, Any]:
    return {"breaker": verdict.breaker, "action": verdict.action.name.lower(), "reason": verdict.reason}


class Reloader:
    """settings: those in force. One reload at a time; whoever asks for one may go away, it comes to its end.

    aside: what blocks is done by it; a thread by default, and no second one while that hangs.
    """

    def __init__(
        self, daemon: Daemon, settings: Settings, opened: Opened, hearers: Hearers, *, aside: Run | None = None
    ) -> None:
        self.settings = settings
        self._daemon = daemon
        self._opened = opened
        self._hearers = hearers
        self._turn = asyncio.Lock()
        self._aside = aside or Threads("reload", at_most=1).run  # for good, where it hangs: one and no more
        self._running: set[asyncio.Task[Any]] = set()

    async def reload(
        self, by: str, *, dry_run: bool = False, acts: bool = False, digest: str | None = None
    ) -> Mapping[str, Any]:
        """Take the file, or say in `reason` why not, with `accepted` false.

        dry_run: only say what would come of it. acts: also where a limit in it is passed already. digest: only the
        file that was looked at.
        """
        return await asyncio.shield(self._spawn(self._reload(by, dry_run=dry_run, acts=acts, digest=digest)))

    def by_signal(self) -> None:
        """Take the file. A limit that is passed acts: nobody can be asked, and the file says what is to be guarded."""
        self._spawn(self._by_signal())

    async def aclose(self) -> None:
        """The daemon has ended: nothing more is taken."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _spawn(self, work: Coroutine[Any, Any, Mapping[str, Any]]) -> asyncio.Task[Mapping[str, Any]]:
        task = asyncio.get_running_loop().create_task(work, name="reload")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _by_signal(self) -> Mapping[str, Any]:
        said = await self._reload(SIGNAL, dry_run=False, acts=True, digest=None)
        if said["accepted"] and not said["taken"]:
            _LOG.info("configuration_unchanged", file=said["file"])
        return said

    async def _reload(self, by: str, *, dry_run: bool, acts: bool, digest: str | None) -> Mapping[str, Any]:
        async with self._turn:
            before = self.settings
            with nullcontext() if dry_run else self._daemon.reloading():
                try:
                    async with asyncio.timeout(_WITHIN_S):
                        plan = await self._plan(by, digest)
                    if dry_run or plan.event is None:
                        return plan.document(taken=False)
                    await self._take(plan, plan.event, acts=acts)
                    return plan.document(taken=True)
                except Exception as error:  # whatever it is, the guard goes on as it was, and says so
                    reason = f"{_sentence(error)} {_STAYS if self.settings is before else _IS_TAKEN}"
                    if not dry_run:
                        await self._note_refused(by, reason)
                    return {"accepted": False, "taken": False, "reason": reason}

    # --- looking -------------------------------------------------------------------------------------

    async def _plan(self, by: str, digest: str | None) -> Plan:
        """Raises RiskDaemonError for a file that can't be taken now; nothing is changed by it."""
        settings, read = await self._aside(_read, self.settings.file)
        if digest not in (None, read):
            raise ReloadRefused(f"{settings.file}: it changed since it was looked at: look at it again.")
        before, after = effective(self.settings), effective(settings)
        found = changes(before, after)
        if not found:
            return Plan(settings=settings, digest=read)
        _refuse_restarts(settings.file, found)
        documents = await self._opened.store.load()
        for known in (documents, {**documents, **in_force(self.settings)}):  # a start may have failed to save its own
            await self._aside(refuse_looser, settings, self._opened.paths, known)
        if self.settings.alerts != settings.alerts:
            await refuse_unusable(settings)
        event = await self._aside(self._event, settings, before["breakers"], after["breakers"])
        event = replace(event, looser=loosened(before, after))
        return self._judged(Plan(settings=settings, changes=found, event=event, digest=read), event, by)

    def _event(self, settings: Settings, before: Mapping[str, Any], after: Mapping[str, Any]) -> Reconfiguration:
        """On a thread: a rule of the user's own is imported. Raises ConfigError."""
        rules = {
            name: None if before.get(name) == after[name] else build_rule(settings, name, rule)
            for name, rule in settings.breakers.rules.items()
        }
        return Reconfiguration(settings=engine_settings(settings, self._opened.site.adapters), rules=rules, facts={})

    def _judged(self, plan: Plan, event: Reconfiguration, by: str) -> Plan:
        """With what it will do, and what is told of it. Raises ReloadRefused."""
        engine = self._opened.engine
        refusal = engine.why_not_reload(event)
        if refusal is not None:
            raise ReloadRefused(f"{plan.settings.file}: {refusal}.")
        acts = engine.passed_already(event, self._daemon.parts.clock.now())
        told = replace(plan, event=event, acts=acts).document(taken=True)
        facts = {key: told[key] for key in ("file", "changes", "looser", "acts_at_once")}
        return replace(plan, event=replace(event, facts={"by": by, **facts}), acts=acts)

    # --- taking --------------------------------------------------------------------------------------

    async def _take(self, plan: Plan, event: Reconfiguration, *, acts: bool) -> None:
        """Raises RiskDaemonError; then what was in force is so, in the store as well."""
        if plan.acts and not acts:
            passed = "; ".join(f"{one.breaker}: {one.reason}" for one in plan.acts)
            raise ReloadRefused(
                f"{plan.settings.file}: a limit in it is passed already ({passed}), so it would act at once: confirm"
                " that (`risk-daemon reload --yes`), or mend the file."
            )
        before = self.settings
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._opened.store.save(in_force(plan.settings))
            # Without a limit: it would be taken later, by an engine that is late.
            said = await self._daemon.command(event, first=partial(self._taken, plan.settings))
            if said["accepted"] is not True:
                raise ReloadRefused(f"{plan.settings.file}: {said['reason']}.")
        except Exception:
            await self._put_back()
            raise
        if before.alerts != plan.settings.alerts:
            await self._open_alerts(plan.settings)
        if self._hearers.alerts is not None:
            changed_settings(self._hearers.alerts, plan.settings)

    def _taken(self, settings: Settings, decision: Decision) -> None:
        """In the turn in which the engine takes them, before any sweep that comes of it begins."""
        if decision.answer is None or not decision.answer.accepted:
            return
        self.settings = settings
        breaker = settings.circuit_breaker
        self._daemon.parts.orders.reconfigure(
            settle_s=breaker.settle,
            order_flight_s=breaker.order_flight,
            cancel_deadline_s=breaker.cancel_deadline,
            protective_orders=breaker.protective_orders,
        )

    async def _put_back(self) -> None:
        """The store is to say what is in force. Where that fails it says the file's, which the next start takes."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._opened.store.save(in_force(self.settings))
        except (RecordError, TimeoutError) as error:
            _LOG.critical("configuration_save_failed", error=str(error) or "the store does not answer")

    async def _open_alerts(self, settings: Settings) -> None:
        """Whoever can be told is: a channel that fails now is left out, and said by the others."""

        async def open_them(stack: AsyncExitStack) -> AlertManager | None:
            alive = self._daemon.is_guarding
            return await open_alerts(settings, self._opened, stack, takes_what_it_gets=True, alive=alive)

        try:
            await self._hearers.replace(open_them)
        except Exception as error:  # whatever it is, the settings are in force
            _LOG.critical("alerts_not_opened", error=repr(error))

    # --- what is told --------------------------------------------------------------------------------

    async def _note_refused(self, by: str, reason: str) -> None:
        try:
            await self._daemon.write_down(RiskEvent(EventName.RELOAD_REFUSED, {"by": by, "reason": reason}))
        except RiskDaemonError as error:
            _LOG.error("event_log_failed", error=str(error), events=[str(EventName.RELOAD_REFUSED)], reason=reason)


def _read(file: Path) -> tuple[Settings, str]:
    """The file, checked, and its digest. Raises ConfigError, also where somebody is writing it."""
    before = _bytes(file)
    settings = load(file)
    if _bytes(file) != before:
        raise ReloadRefused(f"{file}: it changed while it was read: ask again when it is written.")
    return settings, hashlib.sha256(before).hexdigest()


def _bytes(file: Path) -> bytes:
    """What can't be read, `load` says in its sentence."""
    try:
        return read_regular(file)
    except OSError:
        return b""


def _refuse_restarts(file: Path, found: tuple[Change, ...]) -> None:
    """Raises ReloadRefused."""
    later = [change.key for change in found if change.needs_restart]
    if later:
        them = "it needs" if len(later) == 1 else "they need"
        raise ReloadRefused(f"{file}: {', '.join(later)}: {them} a new start, so nothing is taken: restart to take it.")


def _sentence(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"It took longer than {_WITHIN_S:g} s to look at it."
    if isinstance(error, Busy):
        return f"The file can't be looked at, {error}: see whether its disk answers, and every rule of your own."
    text = str(error) if isinstance(error, RiskDaemonError) else f"{type(error).__name__}: {error}"
    return text if text.endswith(".") else f"{text}."
