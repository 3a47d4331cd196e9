"""Time as a value. The only module of the core that reads a clock.

Two readings travel together, because they answer different questions: `mono` measures how long
something took and never jumps; `wall` names days and dates, and may jump.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instant:
    """One reading of the clock.

    mono: seconds since boot, running on through suspend. For ages, deadlines and intervals.
    wall: Unix seconds (UTC). For days, dates and what is written down; never for intervals.
    """

    mono: float
    wall: float


class Clock(Protocol):
    """Gives the current instant."""

    def now(self) -> Instant: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Instant:
        return Instant(mono=time.clock_gettime(time.CLOCK_BOOTTIME), wall=time.time())


def boot_usec() -> int:
    """Microseconds since boot as service managers count them: without suspends. See sd_notify(3)."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000


class ManualClock:
    """A clock that moves only when told to: for tests and for replaying history."""

    def __init__(self, mono: float = 1_000.0, wall: float = 1_700_000_000.0) -> None:
        self._instant = Instant(mono, wall)

    def now(self) -> Instant:
        return self._instant

    def advance(self, seconds: float) -> Instant:
        """Let `seconds` pass on both readings."""
        self._instant = Instant(self._instant.mono + seconds, self._instant.wall + seconds)
        return self._instant

    def jump(self, seconds: float) -> Instant:
        """Set the wall clock forward or back, as an operator or NTP would."""
        self._instant = Instant(self._instant.mono, self._instant.wall + seconds)
        return self._instant
