"""Whether the readings of the accounts say the same, one after another.

A venue that leaves half of an account out of a reply gives a reading like any other. So what losses are measured
from is taken only while the last readings agree: READINGS of them in a row, the first and the last `hold_s` apart.

What agrees is what was read, not what it is worth: every reading tells what it moved at constant prices, and these
sums, venue by venue, may differ by WITHIN of the equity in all. A trade moves its fee, far below that. A withdrawal,
a deposit, or a row that was missing moves more: then the next readings have to agree among themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.model.units import EXACT, ONE, ZERO

# One wild reply in a row, and a second one after it, are fewer.
READINGS = 3
WITHIN = Decimal("0.002")
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class _Reading:
    """What all readings until then have moved, by venue, and when this one was complete. number: of its stretch."""

    number: int
    drift: Mapping[str, Decimal]
    mono: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand now. stretch: the number of the stretch of like readings that they go on with, if with any.

    holds: whether that stretch is as long as it must be.
    """

    stretch: int | None
    holds: bool


class Agreement:
    """Amounts are in the reference currency. hold_s: how far apart the first and the last reading must be.

    begun_mono: what is requested from then on belongs to the reading under way; the last one was complete then.
    count: how many readings agree so far. taken: how many there were.
    """

    def __init__(self, hold_s: float) -> None:
        self.begun_mono = NEVER
        self.count = self.taken = 0
        self._hold_s = hold_s
        self._stretches = 0
        self._drift: dict[str, Decimal] = {}
        self._first: _Reading | None = None
        self._agreed: _Reading | None = None
        self._standing: Standing | None = None

    def moved(self, venue: str, amount: Decimal) -> None:
        """A reading, whole or a row of a stream, moved the worth of `venue` by `amount` at constant prices."""
        if amount:
            self._drift[venue] = EXACT.add(self._drift.get(venue, ZERO), amount)
            self._standing = None

    def read(self, equity: Decimal, now_mono: float) -> None:
        """Every account was read whole, all of it requested since the last reading."""
        self.taken += 1
        first, drift = self._first, dict(self._drift)
        if first is None or not _are_near(first.drift, drift, equity):
            self._stretches += 1
            first, self.count = _Reading(self._stretches, drift, now_mono), 0
        self._first, self.count = first, self.count + 1
        if self.count >= READINGS and now_mono - first.mono >= self._hold_s:
            self._agreed = _Reading(self._number(first.number, drift, equity), drift, now_mono)
        self.begun_mono, self._standing = now_mono, None

    def doubt(self, equity: Decimal) -> None:
        """Every account was read whole, in the middle of something: no reading counts, but the stretch may be over."""
        if self._first is not None and not _are_near(self._first.drift, self._drift, equity):
            self._first, self.count, self._standing = None, 0, None

    def standing(self, equity: Decimal) -> Standing:
        """Whether what is known now goes on with what readings said."""
        if self._standing is None:
            self._standing = self._stand(equity)
        return self._standing

    def restart(self, now_mono: float) -> None:
        """Only what is requested from now on counts."""
        self.begun_mono, self.count, self.taken = now_mono, 0, 0
        self._first = self._agreed = self._standing = None

    def text(self) -> str:
        """How far it is, in words."""
        return f"{self.count} readings agree, {READINGS} in a row over {self._hold_s:g} s are needed"

    def _stand(self, equity: Decimal) -> Standing:
        for reading, holds in ((self._agreed, True), (self._first, False)):
            if reading is not None and _are_near(reading.drift, self._drift, equity):
                return Standing(reading.number, holds)
        return Standing(None, False)

    def _number(self, number: int, drift: Mapping[str, Decimal], equity: Decimal) -> int:
        """Fees add up: a stretch that begins near the end of the last one goes on with it."""
        last = self._agreed
        return number if last is None or not _are_near(last.drift, drift, equity) else last.number


def _are_near(one: Mapping[str, Decimal], other: Mapping[str, Decimal], equity: Decimal) -> bool:
    """An account of next to nothing may differ by one unit of the reference currency."""
    apart = sum((abs(one.get(venue, ZERO) - other.get(venue, ZERO)) for venue in {*one, *other}), ZERO)
    return apart <= max(abs(equity) * WITHIN, ONE)
