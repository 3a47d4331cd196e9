"""End a proven trip while no daemon runs. Nothing is cancelled: what is open now was placed since."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from risk_daemon.app.alerting_stopped import telling
from risk_daemon.app.cancel import count_orders
from risk_daemon.app.composition import Site, flows_since, is_simulated, open_journal, own_state, restored_engine
from risk_daemon.app.in_force import in_force, limits_of, looser_than_before
from risk_daemon.app.init import feeds_now, read_everything
from risk_daemon.app.override_stopped import Told, are_wardens_enrolled, followed, page_of, writes_to
from risk_daemon.app.overrides import Facts, changes_of, facts_of, outcome_of
from risk_daemon.app.twins import Visit, visit
from risk_daemon.auth.override import Purpose
from risk_daemon.config.load import Settings
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.requests import CURRENT
from risk_daemon.gate.restraints import Cause, GateState
from risk_daemon.model.events import ResetRequested
from risk_daemon.runtime.ports import Journal
from risk_daemon.runtime.status import status_of
from risk_daemon.state.directory import LOST, Paths
from risk_daemon.state.latch import LATCH, latch_document, latch_of, trip_left
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.file import FileLock
from risk_daemon.state.lock.memory_map import shut as shut_gate
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.risk_file import RiskFile
from risk_daemon.state.store.sqlite import SqliteStore


async def reset_stopped(
    settings: Settings,
    *,
    reason: str,
    rebaseline: str,
    operator: str,
    told: Told | None = None,
    dry_run: bool = False,
) -> Mapping[str, Any]:
    """End a proven trip. Lists what is open on the venues, cancels nothing, records the reset.

    dry_run: only say whether it would be ended now; nobody is asked, and nothing is written down.
    told: hears where wardens are asked, if any are enrolled; without it that is refused. Raises StateError where it
    can't be known whether any are.
    """
    async with AsyncExitStack() as stack:
        is_guarded = are_wardens_enrolled(settings)
        state_dir = stack.enter_context(own_state(settings, create=is_simulated(settings) and not is_guarded))
        store = SqliteStore.open(state_dir.paths.database)
        stack.push_async_callback(store.close)
        documents = dict(await store.load())
        site = await stack.enter_async_context(Site(settings))
        latch = latch_of(documents, site.clock.now(), trip_left(state_dir.paths))
        if latch is None or not latch["proven"]:
            return _refused("nothing to reset: trading is not locked" if latch is None else _unproven(latch))
        if rebaseline != CURRENT and documents.get(LOST):
            return _refused(f"{documents[LOST]['reason']}: only `current` is left")
        peers = await stack.enter_async_context(visit(settings, site.clock))
        end = _EndOfTrip(settings, site, state_dir.paths, store, documents, latch, peers)
        event = ResetRequested(reason, operator, rebaseline, str(latch["trip_id"]))
        if dry_run:
            return await end.looked(event)
        if is_guarded and told is None:
            return _refused("wardens must agree, and there is nobody to tell where")
        if is_guarded and told is not None:
            return await end.by_wardens(event, told, stack)
        return await end.at_once(event, stack)


class _EndOfTrip:
    """One trip that is over, once it may be."""

    def __init__(
        self,
        settings: Settings,
        site: Site,
        paths: Paths,
        store: SqliteStore,
        documents: Mapping[str, Any],
        latch: Mapping[str, Any],
        peers: Visit | None,
    ) -> None:
        self._settings = settings
        self._site = site
        self._paths = paths
        self._store = store
        self._documents = documents
        self._latch = latch
        self._peers = peers
        self._result: Mapping[str, Any] | None = None

    async def looked(self, event: ResetRequested) -> Mapping[str, Any]:
        """Whether it may be over."""
        engine, open_orders = await self._looked()
        refusal = engine.why_not(event, self._site.clock.now())
        if refusal is not None:
            return _refused(refusal, open_orders)
        return {"accepted": True, "reason": "nothing was done yet", "open_orders": open_orders}

    async def at_once(self, event: ResetRequested, stack: AsyncExitStack) -> Mapping[str, Any]:
        """Nobody else is asked."""
        engine, open_orders = await self._looked()
        refusal = engine.why_not(event, self._site.clock.now())
        if refusal is not None:
            return _refused(refusal, open_orders)
        return await self._end(event, engine, open_orders, await self._journal(stack))

    async def by_wardens(self, event: ResetRequested, told: Told, stack: AsyncExitStack) -> Mapping[str, Any]:
        """They see what is there now; what counts is what is there when they have agreed."""
        engine, open_orders = await self._looked()
        now = self._site.clock.now()
        refusal = engine.why_not(event, now)
        if refusal is not None:
            return _refused(refusal, open_orders)
        journal = await self._journal(stack)

        async def carry_out(by: str) -> tuple[bool, str]:
            engine, open_orders = await self._looked()
            self._result = await self._end(
                replace(event, operator=f"{by} (asked by {event.operator})"), engine, open_orders, journal
            )
            return outcome_of(self._result)

        desk = await stack.enter_async_context(page_of(self._settings, writes_to(journal)))
        status = status_of(engine, now, {}, GateState(locked=True, cause=Cause.STARTING))
        opened = await desk.open(
            Purpose.RESET,
            asked_by=event.operator,
            reason=event.reason,
            carry_out=carry_out,
            facts=(*facts_of(event, status), *_orders_left(open_orders)),
            changes=(*changes_of(event), *self._of_the_file()),
        )
        view = await followed(desk, opened, told)
        await self._store.save({ANCHOR: journal.anchor()})
        return self._result or _refused(str(view["end"]["told"]), open_orders)

    def _of_the_file(self) -> tuple[str, ...]:
        """The trip is ended by the file as it is now: what of it no warden has seen, for those who are to agree."""
        file, looser = self._settings.file, looser_than_before(self._settings, self._documents)
        if looser is None:
            limits = "; ".join(limits_of(self._settings))
            unknown = "It is not known what was in force before, so it may be looser in any way"
            return (f"{unknown}: from now on it is {file}, {limits}.",)
        return tuple(f"{file} is looser than what was in force before: {one}." for one in looser)

    async def _journal(self, stack: AsyncExitStack) -> Journal:
        journal = await open_journal(self._paths, self._store, self._documents)
        stack.push_async_callback(journal.close)
        return await stack.enter_async_context(telling(self._settings, journal))

    async def _looked(self) -> tuple[Engine, Mapping[str, Any]]:
        """An engine that has read everything, and what is open. The peers last: what they say is soon old.

        Raises StartUnavailable.
        """
        engine = restored_engine(self._settings, self._site.adapters, self._documents, self._latch)
        await read_everything(self._settings, self._site, engine, flows_since(self._documents))
        adapters = self._site.adapters
        open_orders = {name: await count_orders(self._settings, adapter) for name, adapter in adapters.items()}
        if self._peers is not None:
            await self._peers.look(engine)
        return engine, open_orders

    async def _end(
        self, event: ResetRequested, engine: Engine, open_orders: Mapping[str, Any], journal: Journal
    ) -> Mapping[str, Any]:
        """The store speaks last: until it says so, the trip is not over."""
        settings, paths, store, now = self._settings, self._paths, self._store, self._site.clock.now()
        decision = engine.process(event, now)
        answer = decision.answer
        if answer is None or not answer.accepted:
            return _refused("refused" if answer is None else answer.reason, open_orders)
        shut_until_started = LockRecord(locked=True, cause=Cause.STARTING, since_wall=now.wall)
        shut_gate(paths.gate, shut_until_started)
        await FileLock(paths.lock).write(shut_until_started, now)
        ended = {LATCH: latch_document(None, now), LOST: {}}
        is_lost = looser_than_before(settings, self._documents) is None
        known = in_force(settings) if is_lost else {}
        await store.save({**ended, **known, **engine.snapshot(), "feeds": feeds_now(self._site, now)})
        await journal.append(decision.records, now.wall, durable=True)
        await store.save({ANCHOR: journal.anchor()})
        starting = GateState(locked=True, cause=Cause.STARTING, since_wall=now.wall)
        RiskFile(paths.risk).write(status_of(engine, now, {}, starting).document(), now, force=True)
        return {"accepted": True, "reason": answer.reason + await self._told(engine), "open_orders": open_orders}

    async def _told(self, engine: Engine) -> str:
        """The peers hear that this trip is over, or a person that they did not."""
        unheard = None if self._peers is None else await self._peers.tell(engine)
        return "" if unheard is None else f". The peers could not be told ({unheard}): they are when the guard runs"


def _refused(why: str, open_orders: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    return {"accepted": False, "reason": why, "open_orders": open_orders or {}}


def _orders_left(open_orders: Mapping[str, Any]) -> Facts:
    return tuple((f"Open orders on {venue}", str(count)) for venue, count in open_orders.items())


def _unproven(latch: Mapping[str, Any]) -> str:
    return f"trip {latch['trip_id']} is not proven yet: start the daemon (risk-daemon run) so that it finishes first"
