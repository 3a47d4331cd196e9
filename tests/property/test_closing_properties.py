"""Whatever a venue does with closing orders: never more than is live, never a flip, and flat only when it is.

The venue is honest in its listings, once what it answered has settled, and does what it likes with orders: fills,
fills in part, rests, rejects, hides the answer, or carries one out late. The driver obeys the proof as the shell does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Lot
from oms.flat import FlatProof, order_size
from risk_daemon.model.account import Position

D = Decimal
ZERO = D(0)
SETTLE_S, FLIGHT_S = 2.0, 5.0

amounts = st.decimals("-1000", "1000", places=5, allow_nan=False).filter(bool)
lots = st.builds(
    lambda step, least, most: Lot(
        step=step, smallest=step * least, largest=None if most is None else max(step * most, D(10))
    ),
    st.sampled_from([D("0.0001"), D("0.01"), D("0.5"), D(1), D(7)]),
    st.integers(0, 5),
    st.none() | st.integers(1, 200),
)
fates = st.sampled_from(["fills", "half", "rests", "rejected", "lost", "late"])


@given(amounts, lots)
def test_an_order_never_exceeds_what_is_live_and_is_a_multiple_of_the_step(live: Decimal, lot: Lot) -> None:
    size = order_size(live, lot)
    assert 0 <= size <= abs(live)
    assert size % lot.step == 0
    assert size == 0 or size >= lot.smallest
    assert lot.largest is None or size <= lot.largest
    if size == 0:
        assert abs(live) < max(lot.smallest, lot.step)


@dataclass
class Venue:
    """Without reduce-only: whatever arrives is carried out whole, so an order too many would flip the position."""

    live: Decimal
    now: float = 0.0
    resting: Decimal = ZERO
    under_way: list[tuple[float, Decimal]] = field(default_factory=list)

    def order(self, size: Decimal, fate: str) -> bool:
        """Whether the venue took it."""
        match fate:
            case "fills":
                self._fill(size)
            case "half":
                self._fill(size / 2)
            case "rests":
                self.resting += size
            case "lost":
                self._fill(size)
            case "late":
                self.under_way.append((self.now + FLIGHT_S / 2, size))
        return fate not in ("rejected", "lost", "late")

    def wait_until(self, at: float) -> None:
        self.now = max(self.now, at)
        for due, size in [one for one in self.under_way if one[0] <= self.now]:
            self.under_way.remove((due, size))
            self._fill(size)

    def cancel(self, filled_first: bool) -> None:
        if filled_first:
            self._fill(self.resting)
        self.resting = D(0)

    def _fill(self, size: Decimal) -> None:
        before = self.live
        self.live -= size if self.live > 0 else -size
        assert before * self.live >= 0, f"flipped from {before} to {self.live}"

    @property
    def positions(self) -> tuple[Position, ...]:
        if not self.live:
            return ()
        return (Position(symbol="X", quantity=self.live, entry=D(1), settle="USD", underlying="X"),)


@given(amounts, lots, st.lists(st.tuples(fates, st.booleans()), max_size=12))
def test_it_ends_flat_and_never_flips(live: Decimal, lot: Lot, fortunes: list[tuple[str, bool]]) -> None:
    venue, proof, left = Venue(live), FlatProof(settle_s=SETTLE_S, flight_s=FLIGHT_S), iter(fortunes)
    for _ in range(20_000):
        venue.wait_until(max(proof.not_before_mono, proof.due_mono, venue.now + 0.1))
        if proof.is_flat:
            break
        if proof.is_working:
            fate, filled_first = next(left, ("fills", False))
            if venue.resting:
                venue.cancel(filled_first)
                proof.answered(venue.now, is_certain=True)
            else:
                proof.no_order_left(venue.now)
            continue
        for order in proof.listed(venue.positions, venue.now, lambda _: lot):
            fate, _ = next(left, ("fills", False))
            proof.ordering()
            proof.answered(venue.now, is_certain=venue.order(order.quantity, fate))
    assert proof.is_flat
    assert order_size(venue.live, lot) == 0
    assert not venue.resting
    assert not venue.under_way
    assert [leg.residual for leg in proof.open_legs] == ([abs(venue.live)] if venue.live else [])
