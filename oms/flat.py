"""Whether the positions of a venue are closed, and what to order for those that are not.

Pure. Only a well-formed listing of positions is evidence, and only if it was requested when no order of ours could
still be working, and long enough after the last one for the venue's books to show it. One listing without a position
is no proof: two are, `settle` apart. What is too small to be ordered is a residual: named, and no obstacle.

An order never exceeds what the last such listing showed, and there is never a second one as long as the first may
still be working: then nothing can be sold twice, and no position can flip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal, localcontext

from adapters.base import Lot
from risk_daemon.errors import check
from risk_daemon.model.account import Position, Source
from risk_daemon.model.events import PositionsSeen
from risk_daemon.model.units import EXACT, ZERO, plain

LotOf = Callable[[Position], Lot | str]
"""What sizes a position's market takes, or why nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseOrder:
    """An order to send: a market order of this size against the position."""

    position: Position
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLeg:
    """A position that was open. size: the most that was seen of it; residual: what is left. Both without sign."""

    position: Position
    size: Decimal
    residual: Decimal

    @property
    def side(self) -> str:
        return "long" if self.position.quantity > 0 else "short"


def positions_fault(seen: object, venue: str, *, asked_mono: float, received_mono: float) -> str | None:
    """Why an adapter's answer is no listing of all positions, requested between then and now; None if it is."""
    if not isinstance(seen, PositionsSeen):
        return f"the answer is a {type(seen).__name__}, not a listing of positions"
    if seen.venue != venue or seen.source is not Source.REST or not seen.complete:
        return "the answer is no whole listing of the venue's positions"
    if not asked_mono <= seen.requested_mono <= received_mono:  # NaN is refused too
        return "the positions were requested at another time than they were asked for"
    if any(not position.quantity.is_finite() for position in seen.positions):
        return "a position has no size"
    return None


def order_size(live: Decimal, lot: Lot) -> Decimal:
    """The size of one order against a position of this size: floored to the step; 0 if it is too small for any."""
    with localcontext(EXACT) as context:
        context.rounding = ROUND_FLOOR
        size = abs(live) if lot.largest is None else min(abs(live), lot.largest)
        size -= size % lot.step
    return size if size >= lot.smallest else ZERO


class FlatProof:
    """What the listings of one venue prove.

    settle_s: how long its books may lag behind an order that it answered; flight_s: how long one that it did not
    answer may be on its way.
    """

    def __init__(self, *, settle_s: float, flight_s: float) -> None:
        self.is_flat = False
        self.is_working = False
        self.not_before_mono = -math.inf
        self.due_mono = -math.inf
        self.blocked: tuple[str, ...] = ()
        self._settle_s = settle_s
        self._flight_s = flight_s
        self._first_flat_mono: float | None = None
        self._legs: dict[tuple[str, bool], ClosedLeg] = {}

    @property
    def legs(self) -> tuple[ClosedLeg, ...]:
        """Every position that was seen, and what is left of it."""
        return tuple(self._legs.values())

    @property
    def open_legs(self) -> tuple[ClosedLeg, ...]:
        """Those of which something is left, dust included."""
        return tuple(leg for leg in self._legs.values() if leg.residual)

    # --- orders ------------------------------------------------------------------------------------

    def ordering(self) -> None:
        """An order is being sent: from now on one may be working."""
        self.is_working = True
        self._forget()

    def answered(self, now_mono: float, *, is_certain: bool) -> None:
        """The call ended. is_certain: the venue took it; else it may still arrive."""
        wait_s = self._settle_s if is_certain else max(self._settle_s, self._flight_s)
        self.not_before_mono = max(self.not_before_mono, now_mono + wait_s)

    def no_order_left(self, requested_mono: float) -> None:
        """Every order scope was listed empty, the first of these listings requested then."""
        if requested_mono >= self.not_before_mono:
            self.is_working = False

    # --- listings ----------------------------------------------------------------------------------

    def listed(self, positions: Sequence[Position], requested_mono: float, lot_of: LotOf) -> tuple[CloseOrder, ...]:
        """Take a listing; what to order now. Raises InvariantError while an order may be working."""
        check(not self.is_working, "positions were looked at while an order may be working: they prove nothing")
        if requested_mono < self.not_before_mono:
            return ()
        live = [position for position in positions if position.quantity]
        self._note(live)
        orders, self.blocked = _orders(live, lot_of)
        if orders or self.blocked:
            self._forget()
        elif self._first_flat_mono is None:
            self._first_flat_mono, self.due_mono = requested_mono, requested_mono + self._settle_s
        elif requested_mono - self._first_flat_mono >= self._settle_s:
            self.is_flat = True
        return orders

    def failed(self) -> None:
        """A look failed: what was seen before it does not count any more."""
        self._forget()

    def _forget(self) -> None:
        self.is_flat, self._first_flat_mono, self.due_mono = False, None, -math.inf

    def _note(self, live: Sequence[Position]) -> None:
        left = {(position.symbol, position.quantity > 0): position for position in live}
        for key, leg in self._legs.items():
            if key not in left:
                self._legs[key] = replace(leg, residual=ZERO)
        for key, position in left.items():
            size, known = abs(position.quantity), self._legs.get(key)
            most = size if known is None else max(size, known.size)
            self._legs[key] = ClosedLeg(position=position, size=most, residual=size)


def _orders(live: Sequence[Position], lot_of: LotOf) -> tuple[tuple[CloseOrder, ...], tuple[str, ...]]:
    """What to send, and what keeps the others from being closed."""
    orders, blocked = [], []
    for position in live:
        lot = lot_of(position)
        if isinstance(lot, str):
            blocked.append(f"{position.symbol} {plain(position.quantity)}: {lot}")
        elif quantity := order_size(position.quantity, lot):
            orders.append(CloseOrder(position=position, quantity=quantity))
    return tuple(orders), tuple(blocked)
