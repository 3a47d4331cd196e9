"""The highest baseline value of the last days, for any number of days up to the longest asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal

from risk_daemon.model.clock import Instant
from risk_daemon.model.units import finite, plain

BUCKET_S = 3600.0
DAY_S = 86400.0


class Peaks:
    """Values that may yet be the highest: each is lower than the one before it, one an hour at most.

    lookback_days: the longest that will be asked for; None for ever. How long a peak is remembered is measured
    on the monotonic clock, so a clock jump neither forgets nor invents one.
    """

    def __init__(self, lookback_days: float | None) -> None:
        self._lookback_days = lookback_days
        self._entries: deque[tuple[float, Decimal]] = deque()
        self._origin: Instant | None = None

    def highest(self) -> Decimal | None:
        """The highest of all that is remembered."""
        return self._entries[0][1] if self._entries else None

    def within(self, lookback_days: float, now: Instant) -> Decimal | None:
        """The highest of the last days; after a long sleep the last one known, until there is a new one."""
        oldest = self._steady(now) - lookback_days * DAY_S
        last = self._entries[-1][1] if self._entries else None
        return next((value for at, value in self._entries if at >= oldest), last)

    def add(self, value: Decimal, now: Instant) -> bool:
        """Take a value in. Returns whether the highest of all changed."""
        before, steady = self.highest(), self._steady(now)
        bucket = steady - steady % BUCKET_S + BUCKET_S
        self._forget_before(steady)
        while self._entries and self._entries[-1][1] <= value:
            self._entries.pop()
        if not self._entries or self._entries[-1][0] != bucket:
            self._entries.append((bucket, value))
        return self.highest() != before

    def map(self, change: Callable[[Decimal], Decimal]) -> None:
        """A flow moved everything by `change`."""
        self._entries = deque((at, change(value)) for at, value in self._entries)

    def clear(self) -> None:
        """Forget them all."""
        self._entries.clear()

    def _forget_before(self, steady: float) -> None:
        if self._lookback_days is None:
            return
        oldest = steady - self._lookback_days * DAY_S
        while self._entries and self._entries[0][0] < oldest:
            self._entries.popleft()

    def _steady(self, now: Instant) -> float:
        """Wall seconds that don't jump: the wall clock when we started, plus what passed since."""
        if self._origin is None:
            self._origin = now
        return self._origin.wall + (now.mono - self._origin.mono)

    def snapshot(self) -> list[list[float | str]]:
        return [[at, plain(value)] for at, value in self._entries]

    def restore(self, entries: Sequence[Sequence[float | str]]) -> None:
        self._entries = deque((float(at), finite(value)) for at, value in entries)
