"""An event loop whose time jumps to the next thing that is due, and the clock that goes with it.

One handle is run at a time, so that a run can be cut off between any two. Nothing scheduled is an error,
not a hang. No sockets, no threads.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import Protocol

from risk_daemon.model.clock import Instant

# Nothing takes no time: a wait that rounding makes too short for a step would go on for ever.
TICK_S = 1e-9


class Killed(BaseException):
    """The process was killed: nothing of it runs any more."""


class NothingScheduled(Exception):
    """Everybody waits and nobody will ever wake them."""


class Timeline:
    """True time, the machine's time since boot, and its wall clock, which may be wrong. A Clock."""

    def __init__(self, mono: float = 1_000.0, true: float = 1_700_000_000.0) -> None:
        self.mono = mono
        self.true_ahead = true - mono
        self.wall_ahead = true - mono

    @property
    def true(self) -> float:
        """Unix seconds as an atomic clock has them."""
        return self.mono + self.true_ahead

    def now(self) -> Instant:
        return Instant(self.mono, self.mono + self.wall_ahead)

    def jump(self, seconds: float) -> None:
        """Set the machine's wall clock forward or back."""
        self.wall_ahead += seconds

    def reboot(self, mono: float = 20.0) -> None:
        """Time since boot starts anew; true time goes on."""
        step = self.mono - mono
        self.mono, self.true_ahead, self.wall_ahead = mono, self.true_ahead + step, self.wall_ahead + step


class Surroundings(Protocol):
    """The rest of the world: it has an agenda of its own."""

    def next_due_mono(self) -> float | None: ...

    def advance(self) -> None:
        """Do what is due at the timeline's present moment."""
        ...


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks one by one; when none is ready, time jumps."""

    def __init__(self, timeline: Timeline, world: Surroundings) -> None:
        super().__init__()
        self._timeline = timeline
        self._world = world
        self._handles_left: int | None = None
        self.handles_run = 0

    def time(self) -> float:
        return self._timeline.mono

    def kill_after(self, handles: int) -> None:
        """Raise Killed out of the loop when that many more callbacks have run. An earlier date stands."""
        if self._handles_left is None:
            self._handles_left = handles

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if not ready:
            self._jump()
        if self._handles_left is not None:
            if self._handles_left <= 0:
                raise Killed
            self._handles_left -= 1
        if ready:
            handle = ready.popleft()
            self.handles_run += 1
            if not handle._cancelled:
                handle._run()

    def _jump(self) -> None:
        timers = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        due = self._world.next_due_mono()
        if timers and (due is None or timers[0]._when < due):
            self._timeline.mono = max(self._timeline.mono + TICK_S, timers[0]._when)
            while timers and timers[0]._when <= self._timeline.mono:
                timer = heapq.heappop(timers)
                timer._scheduled = False
                self._ready.append(timer)  # type: ignore[attr-defined]
        elif due is not None:
            self._timeline.mono = max(self._timeline.mono + TICK_S, due)
            self._world.advance()
        else:
            raise NothingScheduled("every task waits, and nothing is scheduled")

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody has to be woken."""


def bury(loop: VirtualLoop) -> None:
    """End what is left of a loop that will not run again. The caller has made its effects harmless."""
    buried: set[asyncio.Task[object]] = set()
    asyncio._set_running_loop(loop)  # what unwinds may start tasks: they are buried too
    try:
        while tasks := asyncio.all_tasks(loop) - buried:
            for task in tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task)
            buried |= tasks
    finally:
        asyncio._set_running_loop(None)
    loop._ready.clear()  # type: ignore[attr-defined]
    loop._scheduled.clear()  # type: ignore[attr-defined]
    loop.close()


def _close(task: asyncio.Task[object]) -> None:
    """Unwind a suspended coroutine; its `finally` blocks may object, but can't wait for anything."""
    coroutine = task.get_coro()
    for _ in range(50):
        try:
            coroutine.close()  # type: ignore[union-attr]
        except BaseException:
            continue  # whatever a dying coroutine says, nobody hears it
        return
