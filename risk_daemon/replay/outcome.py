"""What a replay found: when each rule spoke, at what equity, and what became of the equity afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from risk_daemon.model.units import plain
from risk_daemon.replay.track import Gap, Logged


class Deed(StrEnum):
    """What a rule may do. The names are those of the JSON document."""

    WARNED = "warned"
    VETOED = "vetoed"
    FROZE = "froze"
    TRIPPED = "tripped"


STOPS = (Deed.FROZE, Deed.TRIPPED)


@dataclass(frozen=True, slots=True)
class Mark:
    """One deed of a rule. equity: what was judged then; None: not known."""

    rule: str
    deed: Deed
    wall: float
    equity: Decimal | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """The equity at one moment: what it likely was, and the interval it lay in."""

    wall: float
    value: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What selling everything at a mark would have saved against holding on; below zero: what it would have cost."""

    to_lowest: Decimal
    to_end: Decimal


@dataclass(slots=True, kw_only=True)
class Outcome:
    """rules: those that were judged, in the order of the configuration. unjudged: rules that such data says nothing of.

    marks: the first of each deed of each rule. trip: the one that would have ended the daemon. freezes: how often it
    froze. levels: below which equity a rule would trip, whenever that changed: (Unix seconds, equity).
    """

    name: str
    profile: str
    reference: str
    rules: tuple[str, ...]
    unjudged: Mapping[str, str] = field(default_factory=dict)
    capital: Decimal | None = None
    holdings: Mapping[str, Decimal] = field(default_factory=dict)
    marks: dict[tuple[str, Deed], Mark] = field(default_factory=dict)
    trip: Mark | None = None
    freezes: int = 0
    points: list[Point] = field(default_factory=list)
    levels: dict[str, list[tuple[float, Decimal]]] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    logged: Sequence[Logged] = ()

    def note(self, mark: Mark) -> None:
        """The first of its kind counts; of freezes, all that came before a trip."""
        self.marks.setdefault((mark.rule, mark.deed), mark)
        if self.trip is None and mark.deed is Deed.TRIPPED:
            self.trip = mark
        if self.trip is None and mark.deed is Deed.FROZE:
            self.freezes += 1

    def mark(self, rule: str, deed: Deed) -> Mark | None:
        """When that rule first did that."""
        return self.marks.get((rule, deed))

    def firsts(self, deed: Deed) -> Mark | None:
        """The first of all rules that did that."""
        done = [mark for mark in self.marks.values() if mark.deed is deed]
        return min(done, key=lambda mark: mark.wall, default=None)

    def stop_of(self, rule: str) -> Mark | None:
        """When that rule first stopped trading."""
        done = [mark for deed in STOPS if (mark := self.mark(rule, deed)) is not None]
        return min(done, key=lambda mark: mark.wall, default=None)

    def first_stop(self) -> Mark | None:
        """The first of all rules that stopped trading."""
        done = [mark for mark in self.marks.values() if mark.deed in STOPS]
        return min(done, key=lambda mark: mark.wall, default=None)

    def saved(self, mark: Mark) -> Saved | None:
        """Against holding on; None where the equity is not known."""
        after = [point.value for point in self.points if point.wall >= mark.wall]
        if mark.equity is None or not after:
            return None
        return Saved(to_lowest=mark.equity - min(after), to_end=mark.equity - after[-1])

    def worst_fall(self) -> Decimal:
        """The largest part of any peak that was lost after it."""
        peak, worst = Decimal(0), Decimal(0)
        for point in self.points:
            peak = max(peak, point.value)
            worst = max(worst, (peak - point.value) / peak if peak > 0 else worst)
        return worst

    def document(self) -> dict[str, Any]:
        """`{"rules": {NAME: {"warned": time, ...}}, "trip": {...}}`; null is what did not happen."""
        rules = {name: {deed.value: _time(self.mark(name, deed)) for deed in Deed} for name in self.rules}
        return {"rules": rules, "trip": self._trip_document()}

    def _trip_document(self) -> dict[str, Any] | None:
        trip = self.trip
        if trip is None:
            return None
        saved = self.saved(trip)
        return {
            "rule": trip.rule,
            "time": _time(trip),
            "equity": None if trip.equity is None else money(trip.equity),
            "reason": trip.reason,
            "saved_to_lowest": None if saved is None else money(saved.to_lowest),
            "saved_to_end": None if saved is None else money(saved.to_end),
        }


def money(amount: Decimal) -> str:
    """Rounded to what is told of money."""
    return plain(amount.quantize(Decimal("0.00000001")))


def _time(mark: Mark | None) -> str | None:
    return None if mark is None else iso(mark.wall)


def iso(wall: float) -> str:
    """`2025-02-03T01:00:00Z`; with fractions of a second only where there are any."""
    moment = datetime.fromtimestamp(round(wall, 6), UTC)
    return moment.isoformat().removesuffix("+00:00") + "Z"
