"""The one queue in front of the engine. Bounded; nothing in it is lost.

Unread stream frames of the same venue and kind are merged row by row, the newest row wins: what a
slow moment costs is rows that were overtaken anyway. Everything else keeps its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from risk_daemon.engine.decision import Decision
from risk_daemon.errors import RiskDaemonError, check
from risk_daemon.model.events import BalancesSeen, Input, PricesSeen, Source, StreamConfirmed

CAPACITY = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """An operator's event, with somebody who waits for what is decided on it.

    first: is told of the decision in the same turn, before anything of it is carried out; it must not raise.
    """

    event: Input
    decision: asyncio.Future[Decision]
    first: Callable[[Decision], None] | None = None

    def answer(self, decision: Decision) -> None:
        """Tell whoever waits; nobody may, any more."""
        if not self.decision.done():
            self.decision.set_result(decision)

    def refuse(self, why: RiskDaemonError) -> None:
        """It will have no turn."""
        if not self.decision.done():
            self.decision.set_exception(why)


Taken = Input | Command


class Inbox:
    """`put` from anywhere in the loop's thread; one reader."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._slots: deque[list[Taken]] = deque()
        self._mergeable: dict[tuple[type, str, object], list[Taken]] = {}
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, event: Taken) -> None:
        """Take one event. Raises InvariantError when full: the reader is dead or far too slow."""
        key = _merge_key(event)
        if key is not None and key in self._mergeable:
            slot = self._mergeable[key]
            slot[0] = _merged(slot[0], event)
            return
        check(len(self._slots) < self._capacity, f"the inbox is full: {self._capacity} events are waiting")
        slot = [event]
        self._slots.append(slot)
        if key is not None:
            self._mergeable[key] = slot
        self._ready.set()

    def take(self) -> Taken | None:
        """The oldest event, or None."""
        if not self._slots:
            return None
        event = self._slots.popleft()[0]
        key = _merge_key(event)
        if key is not None:
            self._mergeable.pop(key, None)
        if not self._slots:
            self._ready.clear()
        return event

    def nudge(self) -> None:
        """Wake the reader though there is no event."""
        self._ready.set()

    async def wait(self, timeout_s: float) -> None:
        """Until there is an event, a nudge, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            return


def _merge_key(event: Taken) -> tuple[type, str, object] | None:
    match event:
        case PricesSeen(source=Source.STREAM):
            return (PricesSeen, event.venue, None)
        case BalancesSeen(source=Source.STREAM, complete=False):
            return (BalancesSeen, event.venue, None)
        case StreamConfirmed():
            return (StreamConfirmed, event.venue, event.kind)
        case _:
            return None


def _merged(old: Taken, new: Taken) -> Taken:
    match old, new:
        case PricesSeen(), PricesSeen():
            rows = {price.symbol: price for price in old.prices} | {price.symbol: price for price in new.prices}
            return replace(new, prices=tuple(rows.values()))
        case BalancesSeen(), BalancesSeen():
            return replace(new, amounts={**old.amounts, **new.amounts})
        case _:
            return new
