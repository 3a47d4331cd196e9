"""What happened since the start, for whoever scrapes. Counting is an addition; nothing here waits, writes or locks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from risk_daemon.model.events import ErrorReported, EventName, OrderReported, RiskEvent

# Seconds. A turn takes tens of microseconds; one of a tenth of a second would keep every bot waiting.
TURN_BOUNDS_S = (2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 1e-1, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """How long things took. reached: how many took at most so many seconds, infinity last. sum_s: all together."""

    reached: Mapping[float, int]
    sum_s: float


class Durations:
    """Counts durations by their size."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self._sum_s += seconds

    def buckets(self) -> Buckets:
        """As it is now, and so it stays."""
        reached = dict(zip((*self._bounds_s, float("inf")), accumulate(self._counts), strict=True))
        return Buckets(reached=reached, sum_s=self._sum_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The counters at one moment. What was never met has no entry.

    answers: of the gate to orders that were asked about, `allowed` or the reason of a veto. told_vetoes: those that
    bots read in the memory map, by reason. orders: that bots reported as sent, by venue and bot. errors: that were
    reported, by kind, venue and bot. events: in the log, by name. sweep_s: how long the last sweep took that ended.
    """

    answers: Mapping[str, int]
    told_vetoes: Mapping[str, int]
    orders: Mapping[tuple[str, str], int]
    errors: Mapping[tuple[str, str, str], int]
    events: Mapping[str, int]
    turns: Buckets
    sweep_s: float | None


@dataclass(slots=True)
class Counters:
    """Kept by one daemon, in its loop's thread."""

    answers: Counter[str] = field(default_factory=Counter)
    told_vetoes: Counter[str] = field(default_factory=Counter)
    turns: Durations = field(default_factory=lambda: Durations(TURN_BOUNDS_S))
    _orders: Counter[tuple[str, str]] = field(default_factory=Counter)
    _errors: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _events: Counter[str] = field(default_factory=Counter)
    _sweep_s: float | None = None

    def reported(self, event: OrderReported | ErrorReported) -> None:
        """A bot told of an order or an error, or something else told of one."""
        if isinstance(event, OrderReported):
            self._orders[event.venue, event.bot or ""] += 1
        else:
            self._errors[event.kind.value, event.venue or "", event.bot or ""] += 1

    def wrote(self, records: Iterable[RiskEvent], _wall: float) -> None:
        """Events went to the log."""
        for record in records:
            self._events[record.name.value] += 1
            if record.name is EventName.SWEEP_FINISHED:
                self._sweep_s = record.fields.get("elapsed_s")

    def counted(self) -> Counted:
        """As it is now, and so it stays."""
        return Counted(
            answers=dict(self.answers),
            told_vetoes=dict(self.told_vetoes),
            orders=dict(self._orders),
            errors=dict(self._errors),
            events=dict(self._events),
            turns=self.turns.buckets(),
            sweep_s=self._sweep_s,
        )
