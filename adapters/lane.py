"""The order in which the calls of one API key leave.

A key has one lane. Where its signature counts a nonce up, signed calls go strictly one after another,
because one that is not above the last is refused; where it holds a time, many may be under way. An urgent
call goes before all ordinary ones, and where the lane is full it pushes one of them aside, instead of
waiting for it to time out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.clock import Clock

T = TypeVar("T")


_LEISURE = -1


class Urgency(Enum):
    """How a call travels: whether it pushes others aside, and whether the rate limiter holds it.

    A refresh of a venue's own switch goes before ordinary business, and lets what is under way end. One that is overdue
    does not, and no limit holds it back: else a sweep that asks as much as it may would let the switch fire.
    What is asked at leisure gives way to all of them, even when it is under way.
    """

    LEISURE = "leisure"
    ORDINARY = "ordinary"
    REFRESH = "refresh"
    URGENT = "urgent"
    OVERDUE = "overdue"
    PACED = "paced"
    SWEEP = "sweep"

    @property
    def rank(self) -> int:
        """The sweep goes before what is read to confirm a breach, that before a refresh, and ordinary business last."""
        ranks = {Urgency.LEISURE: _LEISURE, Urgency.ORDINARY: 0, Urgency.REFRESH: 1}
        return ranks.get(self, 2 if self in (Urgency.URGENT, Urgency.OVERDUE) else 3)

    @property
    def goes_first(self) -> bool:
        return self not in (Urgency.LEISURE, Urgency.ORDINARY, Urgency.REFRESH)

    @property
    def is_paced(self) -> bool:
        return self in (Urgency.LEISURE, Urgency.ORDINARY, Urgency.PACED)


_URGENCY: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.ORDINARY)


def current_urgency() -> Urgency:
    """The urgency of the call that is being made."""
    return _URGENCY.get()


@contextmanager
def travelling(urgency: Urgency) -> Iterator[None]:
    """Every call begun inside travels with this urgency, however deep inside a library it is made."""
    token = _URGENCY.set(urgency)
    try:
        yield
    finally:
        _URGENCY.reset(token)


class PushedAside(VenueUnavailable):
    """An urgent call took the lane. Nothing is wrong with the venue: ask again."""


@dataclass(eq=False, slots=True)
class _Turn:
    rank: int
    granted: asyncio.Future[None]
    task: asyncio.Task[Any] | None = None
    is_pushed_aside: bool = False


class SignedLane:
    """Runs as many calls at once as it is wide, the highest rank first; a higher one pushes aside a call in flight."""

    def __init__(self, width: int = 1) -> None:
        self._width = width
        self._holders: list[_Turn] = []
        self._waiting: list[_Turn] = []

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]], *, rank: int, pushes: bool = True) -> T:
        """The result of `call`. Raises PushedAside if a higher call took its place, else what `call` raises.

        pushes: whether it takes the place of a lower one that is under way, or waits for its end; of one at leisure,
        every call takes it.
        """
        turn = self._enter(rank, pushes)
        try:
            await turn.granted
            if turn.is_pushed_aside:
                raise PushedAside("pushed aside by an urgent call")
            task: asyncio.Task[T] = asyncio.get_running_loop().create_task(call())
            turn.task = task
            await asyncio.wait({task})
            if task.cancelled():
                raise _why_cancelled(turn)
            return task.result()
        except asyncio.CancelledError:
            if turn.task is not None:
                turn.task.cancel()
            raise
        finally:
            self._leave(turn)

    def _enter(self, rank: int, pushes: bool) -> _Turn:
        turn = _Turn(rank, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        if len(self._holders) >= self._width:
            lowest = min(reversed(self._holders), key=lambda holder: holder.rank)  # of equals, the last that began
            if lowest.rank < rank and (pushes or lowest.rank == _LEISURE):
                self._push_aside(lowest)
        self._grant_next()
        return turn

    def _push_aside(self, holder: _Turn) -> None:
        holder.is_pushed_aside = True
        if holder.task is not None:
            holder.task.cancel()
        self._holders.remove(holder)

    def _grant_next(self) -> None:
        while len(self._holders) < self._width and self._waiting:
            turn = max(self._waiting, key=lambda waiting: waiting.rank)  # of equals, the first
            self._waiting.remove(turn)
            # One that gave up in this very moment has had no chance to leave the queue yet.
            if not turn.granted.done():
                self._holders.append(turn)
                turn.granted.set_result(None)

    def _leave(self, turn: _Turn) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        if turn in self._holders:
            self._holders.remove(turn)
        self._grant_next()


def _why_cancelled(turn: _Turn) -> VenueUnavailable:
    if turn.is_pushed_aside:
        return PushedAside("pushed aside by an urgent call")
    return VenueUnavailable("the call was cancelled inside the client")


class Pacer:
    """A rate limiter that forgets those who gave up waiting.

    Each call takes its own time, and `burst_s` worth of calls may leave at once after a pause.
    """

    def __init__(self, clock: Clock, burst_s: float) -> None:
        self._clock = clock
        self._burst_s = burst_s
        self._paid_until = 0.0
        self._turn = asyncio.Lock()

    async def wait(self, cost_s: float) -> None:
        """Return when a call that takes this long of the pace may leave."""
        async with self._turn:
            delay = self._paid_until - self._burst_s - self._clock.now().mono
            if delay > 0:
                await asyncio.sleep(delay)
            now = self._clock.now().mono
            self._paid_until = max(self._paid_until, now) + cost_s
