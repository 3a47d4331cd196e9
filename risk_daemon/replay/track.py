"""What is replayed: prices over time, what is held, and where nothing is known.

A price holds until the next one of its instrument. Where the next one comes late (later than LATE times as usual
in that file), it holds for as long as usual and no longer: what was not written down is not known, and is a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import median

from risk_daemon.model.account import Price

LATE = 1.5
ALONE_S = 60.0  # how long a value holds that is the only one


@dataclass(frozen=True, slots=True)
class Frame:
    """From `wall` on (Unix seconds), these prices hold, by instrument. None: from then on it is not known."""

    wall: float
    prices: Mapping[str, Price | None]


@dataclass(frozen=True, slots=True)
class Gap:
    """What was not known, and from when to when, in Unix seconds."""

    what: str
    since_wall: float
    until_wall: float


@dataclass(frozen=True, slots=True)
class Logged:
    """A trip or freeze that stands in the log itself."""

    wall: float
    breaker: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """frames: by rising time. until_wall: where the last value ends. holdings: what is valued by the prices.

    usual_s: how far apart values usually are. is_book: `holdings` are what somebody holds, and no curve of equity.
    """

    name: str
    frames: Sequence[Frame]
    until_wall: float
    holdings: Mapping[str, Decimal]
    usual_s: float
    gaps: tuple[Gap, ...] = ()
    logged: tuple[Logged, ...] = ()
    is_book: bool = False


@dataclass(frozen=True, slots=True)
class Moves:
    """The prices of one instrument: (Unix seconds, price), by rising time."""

    name: str
    rows: Sequence[tuple[float, Price]]

    @property
    def usual_s(self) -> float:
        """How far apart its rows usually are."""
        walls = [wall for wall, _ in self.rows]
        return median([after - before for before, after in pairwise(walls)] or [ALONE_S])


def woven(name: str, moves: Iterable[Moves], holdings: Mapping[str, Decimal], *, is_book: bool = False) -> Track:
    """All of them together."""
    found = list(moves)
    frames: dict[float, dict[str, Price | None]] = {}
    gaps: list[Gap] = []
    until_wall = 0.0
    for one in found:
        for wall, price in one.rows:
            frames.setdefault(wall, {})[one.name] = price
        for gap in _gaps(one):
            gaps.append(gap)
            frames.setdefault(gap.since_wall, {}).setdefault(one.name, None)
        until_wall = max(until_wall, one.rows[-1][0] + one.usual_s)
    ordered = [Frame(wall, frames[wall]) for wall in sorted(frames)]
    ordered_gaps = tuple(sorted(gaps, key=lambda gap: gap.since_wall))
    usual_s = max(one.usual_s for one in found)
    return Track(
        name=name,
        frames=ordered,
        until_wall=until_wall,
        holdings=holdings,
        usual_s=usual_s,
        gaps=ordered_gaps,
        is_book=is_book,
    )


def _gaps(moves: Moves) -> Iterable[Gap]:
    usual_s = moves.usual_s
    for (wall, _), (next_wall, _) in pairwise(moves.rows):
        if next_wall - wall > usual_s * LATE:
            yield Gap(moves.name, wall + usual_s, next_wall)
