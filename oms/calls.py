"""Calls to a venue that can't hold up anything else.

Each call runs in a task of its own. When its time is over it is cancelled and left behind: waiting for
it to agree would let one bad client stop the sweep. What it raised becomes a value with a reason.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from risk_daemon.errors import VenueUnavailable

T = TypeVar("T")

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
SHORTEST_WAIT_S = 0.001
_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave no proven answer. retry_after_s: how long the venue asked to be left alone."""

    reason: str
    retry_after_s: float = 0.0


def failure_of(error: BaseException) -> Failure:
    """An exception as a value: its class and the first line of its text."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return Failure(text[:_REASON_LENGTH], _retry_after_s(error))


def _retry_after_s(error: BaseException) -> float:
    wish_s = error.retry_after_s if isinstance(error, VenueUnavailable) else None
    return max(0.0, wish_s) if wish_s is not None and math.isfinite(wish_s) else 0.0


async def ask(call: Callable[[], Awaitable[T]], timeout_s: float) -> T | Failure:
    """Run a call for at most `timeout_s`, whatever it does with its cancellation."""

    async def run() -> T:
        return await call()

    task = asyncio.create_task(run())
    task.add_done_callback(_look_at)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        task.cancel()
        _keep_until_done(task)
    return _outcome(task, timeout_s)


def _outcome(task: asyncio.Task[T], timeout_s: float) -> T | Failure:
    if not task.done():
        return Failure(f"no answer within {timeout_s:g} s")
    if task.cancelled():
        return Failure("the call was cancelled")
    error = task.exception()
    return task.result() if error is None else failure_of(error)


_left_behind: set[asyncio.Task[object]] = set()


def _keep_until_done(task: asyncio.Task[T]) -> None:
    """The loop holds tasks only weakly: keep the ones that have not ended yet."""
    if not task.done():
        kept: asyncio.Task[object] = task
        _left_behind.add(kept)
        kept.add_done_callback(_left_behind.discard)


def _look_at(task: asyncio.Task[T]) -> None:
    """Fetch the error of a call that was left behind; its failure was counted when its time was over."""
    if not task.cancelled():
        task.exception()


class Pace:
    """When a scope may be asked again: at once after progress, else 0.25 s doubling up to 5 s."""

    def __init__(self) -> None:
        self.resume_mono = -math.inf
        self._strikes = 0
        self._busy = False

    def quiet(self) -> None:
        """A look found nothing to do."""
        self.resume_mono, self._strikes, self._busy = -math.inf, 0, False

    def found_new(self, now_mono: float) -> None:
        """Orders that no cancel was sent for yet: look again at once, but not in a tight loop."""
        self.resume_mono = now_mono + FIRST_PAUSE_S if self._busy else -math.inf
        self._strikes, self._busy = 0, True

    def struck(self, now_mono: float) -> None:
        """A look failed, or an order outlived its cancel."""
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._strikes, 16))
        self.resume_mono = now_mono + pause_s
        self._strikes += 1


class Signal:
    """Wakes everyone who waits, each time it is fired."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    def next(self) -> asyncio.Event:
        """The event of the next firing. Take it before looking at what may change."""
        return self._event


async def wait_for_event(event: asyncio.Event, at_most_s: float) -> None:
    """Wait for an event or the time, whichever comes first."""
    try:
        async with asyncio.timeout(max(at_most_s, SHORTEST_WAIT_S)):
            await event.wait()
    except TimeoutError:
        return
