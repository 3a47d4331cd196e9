"""The highest baseline value of the last days, for any number of days up to the longest asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from risk_daemon.model.clock import Instant
from risk_daemon.model.units import finite, plain

BUCKET_S = 3600.0
DAY_S = 86400.0
# A peak is taken to leave the last days by so much early: sums of seconds are rounded.
LEAVING_S = 0.01


class Peaks:
    """Values that may yet be the highest: each is lower than the one before it, one an hour at most.

    lookback_days: the longest that will be asked for; None for ever. How long a peak is remembered is measured
    on the monotonic clock, so a clock jump neither forgets nor invents one. entries: of (bucket's end, value).
    """

    def __init__(self, lookback_days: float | None) -> None:
        self._lookback_days = lookback_days
        self.entries: tuple[tuple[float, Decimal], ...] = ()
        self._origin: Instant | None = None
        self._newest: Decimal | None = None
        self._again_mono = 0.0

    def look_back(self, lookback_days: float | None) -> None:
        """So long from now on; what was forgotten already stays so."""
        self._lookback_days, self._newest = lookback_days, None

    def highest(self) -> Decimal | None:
        """The highest of all that is remembered."""
        return self.entries[0][1] if self.entries else None

    def within(self, lookback_days: float, now: Instant) -> Decimal | None:
        """The highest of the last days; after a long sleep the last one known, until there is a new one."""
        oldest = self._steady(now) - lookback_days * DAY_S
        for at, value in self.entries:
            if at >= oldest:
                return value
        return self.entries[-1][1] if self.entries else None

    def until_mono(self, lookback_days: float, now: Instant) -> float:
        """A moment up to which time alone does not change `within`: just before the peak leaves the last days."""
        steady = self._steady(now)
        oldest = steady - lookback_days * DAY_S
        stays_s = next((at - oldest for at, _ in self.entries if at >= oldest), float("inf"))
        return now.mono + stays_s - LEAVING_S

    def add(self, value: Decimal, now: Instant) -> bool:
        """Take a value in. Returns whether the highest of all changed."""
        if value == self._newest and now.mono < self._again_mono:
            return False
        before, steady = self.highest(), self._steady(now)
        bucket = steady - steady % BUCKET_S + BUCKET_S
        self._forget_before(steady)
        entries = self.entries
        if not entries or entries[-1] != (bucket, value):
            higher = len(entries)
            while higher and entries[higher - 1][1] <= value:
                higher -= 1
            is_told = higher > 0 and entries[higher - 1][0] == bucket
            self.entries = entries[:higher] if is_told else (*entries[:higher], (bucket, value))
        self._newest, self._again_mono = value, self._until_mono(bucket, steady, now)
        return self.highest() != before

    def map(self, change: Callable[[Decimal], Decimal]) -> None:
        """A flow moved everything by `change`."""
        self.entries, self._newest = tuple((at, change(value)) for at, value in self.entries), None

    def clear(self) -> None:
        """Forget them all."""
        self.entries, self._newest = (), None

    def _until_mono(self, bucket: float, steady: float, now: Instant) -> float:
        """Until when the same value once more changes nothing: the hour, and the oldest entry's last days, go on."""
        leaves = bucket
        if self._lookback_days is not None:
            leaves = min(bucket, self.entries[0][0] + self._lookback_days * DAY_S)
        return now.mono + leaves - steady - LEAVING_S

    def _forget_before(self, steady: float) -> None:
        if self._lookback_days is None:
            return
        oldest = steady - self._lookback_days * DAY_S
        while self.entries and self.entries[0][0] < oldest:
            self.entries = self.entries[1:]

    def _steady(self, now: Instant) -> float:
        """Wall seconds that don't jump: the wall clock when we started, plus what passed since."""
        if self._origin is None:
            self._origin = now
        return self._origin.wall + (now.mono - self._origin.mono)

    def snapshot(self) -> list[list[float | str]]:
        return [[at, plain(value)] for at, value in self.entries]

    def restore(self, entries: Sequence[Sequence[float | str]]) -> None:
        self.entries, self._newest = tuple((float(at), finite(value)) for at, value in entries), None
