"""What wardens are asked to allow, in words, and what is done when they did: at a running daemon or without one.

Nobody enrolled: whoever may use the daemon's socket or its state does it, as before. A register that can't be read is
somebody enrolled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from risk_daemon.auth.desk import CarryOut, Desk, Opened
from risk_daemon.auth.override import Purpose
from risk_daemon.auth.wardens import BreakGlass, Register, Rules
from risk_daemon.config.load import Settings
from risk_daemon.engine.requests import CURRENT
from risk_daemon.errors import RiskDaemonError, UsageError
from risk_daemon.model.clock import Clock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.events import DisableRequested, ReleaseRequested, ResetRequested
from risk_daemon.model.status import Status
from risk_daemon.state.files import utc_text

SENTENCE = "I have lost every key and want all wardens to be forgotten"
GLASS_LASTS_S = 86_400.0

Resuming = ResetRequested | ReleaseRequested | DisableRequested
Facts = tuple[tuple[str, str], ...]

_RESUMED = "The trip is over. The gate opens, and bots may send orders again, once a guard runs and sees everything."
_KEEP = "Losses are measured from where they were before."
_CURRENT = "Losses are measured from what the accounts are worth now: what was lost is forgotten."


def rules_of(settings: Settings) -> Rules:
    """What the configuration asks for."""
    return Rules(quorum=settings.warden.quorum, break_glass_after_s=settings.warden.break_glass_after)


# --- in words ----------------------------------------------------------------------------------------


def purpose_of(event: Resuming) -> Purpose:
    match event:
        case ResetRequested():
            return Purpose.RESET
        case ReleaseRequested():
            return Purpose.RELEASE
        case DisableRequested():
            return Purpose.DISABLE


def bound(event: Resuming, status: Status) -> Resuming:
    """Of the trip or halt that is there now: whoever agrees has seen that one, and agrees to no other."""
    match event:
        case ResetRequested():
            return replace(event, trip_id=status.lock.trip_id)
        case ReleaseRequested():
            since = [halt.since_wall for halt in status.halts if (halt.venue, halt.bot) == (event.venue, event.bot)]
            return replace(event, since_wall=since[0] if since else None)
        case DisableRequested():
            return event


def facts_of(event: Resuming, status: Status) -> Facts:
    """How things stand, for those who are to agree."""
    if isinstance(event, ReleaseRequested):
        halts = [halt for halt in status.halts if (halt.venue, halt.bot) == (event.venue, event.bot)]
        return tuple(("Halt", f"of {_scope(event)}, by {halt.operator}: {halt.reason}") for halt in halts)
    worth = (("Equity", f"{status.equity or 'unknown'} {status.reference_currency}"),)
    if isinstance(event, DisableRequested):
        return (("State", status.state), *worth)
    return (*_of_trip(status), *worth)


def _of_trip(status: Status) -> Facts:
    lock = status.lock
    found = [
        ("Trip", lock.trip_id or "unknown"),
        ("Why", lock.reason or lock.cause or "unknown"),
        ("Since", lock.since or "unknown"),
    ]
    if lock.until:
        found.append(("Ends by itself", lock.until))
    found.append(("Every cancel is proven", "yes" if lock.proven is True else "NO"))
    swept = {} if status.last_sweep is None else status.last_sweep.venues
    for name, venue in swept.items():
        told = "proven empty" if venue.proven is True else f"NOT proven: {venue.unproven_reason or 'unknown'}"
        found.append((name, f"{told}, {venue.cancelled or 0} orders cancelled"))
    return tuple(found)


def changes_of(event: Resuming) -> tuple[str, ...]:
    """What will be different."""
    match event:
        case ResetRequested():
            return (_RESUMED, _CURRENT if event.rebaseline == CURRENT else _KEEP)
        case ReleaseRequested():
            return (f"New orders of {_scope(event)} are allowed again.",)
        case DisableRequested():
            return (f"For {lasting(event.duration_s)} no loss will stop trading; losses are only told.",)


def carried_out_by(event: Resuming, by: str) -> Resuming:
    """The same event, by those who agreed and the one who asked."""
    return replace(event, operator=f"{by} (asked by {event.operator})")


def lasting(seconds: float) -> str:
    """A span of time for people, rounded up."""
    for unit_s, unit in ((3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{ceil(seconds / unit_s * 10) / 10:g} {unit}"
    return f"{max(1, ceil(seconds))} s"


def _scope(event: ReleaseRequested) -> str:
    if event.bot is None and event.venue is None:
        return "everything"
    return f"bot {event.bot}" if event.bot else f"venue {event.venue}"


# --- wardens themselves ------------------------------------------------------------------------------


class WardenAffairs:
    """Who is a warden: enrolling, revoking, and the day all keys are lost."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    async def enroll(self, name: str, asked_by: str) -> Opened:
        """Ask those who are, if anybody is, and then the new one. Raises UsageError, OverrideRefused, StateError."""
        return await self._desk.open(
            Purpose.ENROLL,
            asked_by=asked_by,
            reason=f"{name} is to be a warden",
            carry_out=_nothing,
            changes=(f"{name} may agree to whatever needs wardens, from now on.",),
            enrolls=name,
        )

    async def revoke(self, name: str, reason: str, asked_by: str) -> Opened:
        """Ask to take one off the list. Raises UsageError, OverrideRefused, StateError."""
        register = await asyncio.to_thread(self._desk.store.read)
        left = len(register.revoked(name).wardens)
        quorum = register.rules_with(self._desk.configured).quorum
        change = f"{name} is no warden any more; {left} are left."
        if left == 0:
            change = f"{name} was the last: from then on whoever may use this machine's socket may resume."
        elif left < quorum:
            change += f" That is fewer than the {quorum} who must agree: nothing can be resumed until others are."

        async def carry_out(_by: str) -> tuple[bool, str]:
            await asyncio.to_thread(self._desk.store.change, lambda known: known.revoked(name))
            return True, f"{name} is no warden any more"

        return await self._desk.open(
            Purpose.REVOKE, asked_by=asked_by, reason=reason, carry_out=carry_out, changes=(change,)
        )

    async def progress(self) -> Mapping[str, Any] | None:
        """See Desk."""
        return await self._desk.progress()

    async def withdraw(self, attempt: str, who: str) -> None:
        """See Desk."""
        await self._desk.withdraw(attempt, who)

    # --- the glass -----------------------------------------------------------------------------------

    async def break_glass(self, asked_by: str, sentence: str, *, is_root: bool) -> Mapping[str, Any]:
        """Begin to forget every warden, or do so once the waiting is over. Raises UsageError, StateError.

        Told before it counts: what can't be told is not done. A register that is gone is forgotten in the same way.
        """
        if not is_root:
            raise UsageError("only root may break the glass")
        if sentence != SENTENCE:
            raise UsageError(f"not confirmed, nothing was changed: the sentence is `{SENTENCE}`")
        now, store = self._clock.now(), self._desk.store
        register = await asyncio.to_thread(store.read_what_is_left)
        if not register.is_guarded and not await asyncio.to_thread(store.is_remembered):
            raise UsageError("no warden is enrolled: there is nothing to break")
        glass = register.break_glass
        if glass is None or now.wall > glass.due_wall + GLASS_LASTS_S:
            return await self._begin(register, asked_by)
        if now.wall < glass.due_wall:
            left = lasting(glass.due_wall - now.wall)
            raise UsageError(f"it must wait until {utc_text(glass.due_wall)}, for another {left}: ask again then")
        await self._forget(register, asked_by)
        return {"begun": False, "done": True, "due": utc_text(glass.due_wall)}

    async def _forget(self, register: Register, asked_by: str) -> None:
        """It is told before, and told again where it came to nothing. Raises UsageError, StateError."""
        await self._tell_glass(EventName.BREAK_GLASS_ENDED, asked_by, "forgotten", wardens=list(register.wardens))
        try:
            store = self._desk.store
            await asyncio.to_thread(store.change_what_is_left, lambda known: None if known == register else known)
            if (await asyncio.to_thread(store.read)).is_guarded:
                raise UsageError("something changed meanwhile: ask again")
        except RiskDaemonError as error:
            outcome = f"NOT forgotten: {error}"
            await self._tell_glass(EventName.BREAK_GLASS_ENDED, asked_by, outcome)
            raise

    async def stop_break_glass(self, asked_by: str) -> Mapping[str, Any]:
        """Leave the glass whole. Raises UsageError where nobody breaks it, StateError."""
        register = await asyncio.to_thread(self._desk.store.read_what_is_left)
        if register.break_glass is None:
            raise UsageError("no glass is being broken")
        await asyncio.to_thread(self._desk.store.change_what_is_left, lambda known: replace(known, break_glass=None))
        await self._tell_glass(EventName.BREAK_GLASS_ENDED, asked_by, "stopped")
        return {"begun": False, "done": False, "due": None}

    async def _begin(self, register: Register, asked_by: str) -> Mapping[str, Any]:
        now = self._clock.now()
        wait_s = register.rules_with(self._desk.configured).break_glass_after_s
        glass = BreakGlass(asked_by=asked_by, asked_wall=now.wall, due_wall=now.wall + wait_s)
        due = utc_text(glass.due_wall)
        await self._tell_glass(EventName.BREAK_GLASS_BEGUN, asked_by, "waiting", due=due)
        await asyncio.to_thread(self._desk.store.change_what_is_left, lambda known: replace(known, break_glass=glass))
        return {"begun": True, "done": False, "due": due}

    async def _tell_glass(self, name: EventName, who: str, outcome: str, **more: Any) -> None:
        await self._desk.tell(RiskEvent(name, {"who": who, "outcome": outcome, **more}))


async def _nothing(_by: str) -> tuple[bool, str]:
    return False, "nobody was enrolled"


def outcome_of(said: Mapping[str, Any]) -> tuple[bool, str]:
    """What a command came to, for those who agreed to it."""
    return said.get("accepted") is True, str(said.get("reason") or "no reason was given")


async def ask_for(
    desk: Desk, event: Resuming, status: Status, carry_out: Callable[[Resuming], Awaitable[Mapping[str, Any]]]
) -> Opened:
    """Ask the wardens for what `event` wants, of the trip or halt that is there now. Raises OverrideRefused."""
    wanted = bound(event, status)

    async def do(by: str) -> tuple[bool, str]:
        return outcome_of(await carry_out(carried_out_by(wanted, by)))

    does: CarryOut = do
    return await desk.open(
        purpose_of(wanted),
        asked_by=wanted.operator,
        reason=wanted.reason,
        carry_out=does,
        facts=facts_of(wanted, status),
        changes=changes_of(wanted),
    )
