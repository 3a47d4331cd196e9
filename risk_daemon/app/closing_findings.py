"""What `check` says of closing positions: which a trip would close, what would be left of them, what would be held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from adapters.base import Lot, PositionCloser, VenueAdapter
from oms.flat import order_size
from risk_daemon.app.findings import Finding, Level
from risk_daemon.errors import VenueError
from risk_daemon.model.account import Position
from risk_daemon.model.units import EXACT, ZERO, plain

Lots = Mapping[str, Lot | str]
"""What sizes the markets of positions take, or why nobody knows, by the position's symbol."""


def lots_of(adapter: VenueAdapter, positions: Sequence[Position]) -> Lots:
    """Of each position of a venue."""
    return {position.symbol: _lot(adapter, position.symbol) for position in positions}


def _lot(adapter: VenueAdapter, symbol: str) -> Lot | str:
    if not isinstance(adapter, PositionCloser):
        return "this adapter can't close positions"
    try:
        return adapter.lot(symbol)
    except VenueError as error:
        return str(error)


def closings(venue: str, positions: Sequence[Position], lots: Lots) -> list[Finding]:
    """A sentence for each position."""
    return [_closing(venue, position, lots.get(position.symbol, "not known")) for position in positions]


def _closing(venue: str, position: Position, lot: Lot | str) -> Finding:
    named = f"the position {position.symbol} ({plain(position.quantity)})"
    if isinstance(lot, str):
        return Finding(Level.WARNING, venue, f"a trip could not close {named}, and would end with 4: {lot}")
    live = abs(position.quantity)
    if not order_size(live, lot):
        return Finding(Level.WARNING, venue, f"a trip would leave {named}: it is too small to be ordered")
    residual = live % lot.step
    rest = f"; {plain(residual)} would be left, too small to be ordered" if residual else ""
    return Finding(Level.NOTE, venue, f"a trip would close {named}, at whatever price a market order finds{rest}")


def remaining(positions: Sequence[Position], held: Mapping[str, Mapping[str, Decimal]]) -> list[Finding]:
    """The delta that closing would leave: what is held of the underlyings of positions, and is not sold."""
    return [
        Finding(Level.WARNING, "closing", sentence)
        for asset in sorted({position.underlying for position in positions})
        if (sentence := _left(asset, held)) is not None
    ]


def _left(asset: str, held: Mapping[str, Mapping[str, Decimal]]) -> str | None:
    by_venue = {venue: amounts[asset] for venue, amounts in held.items() if amounts.get(asset)}
    if not by_venue:
        return None
    total = ZERO
    for amount in by_venue.values():
        total = EXACT.add(total, amount)
    return f"closing would leave {plain(total)} {asset} ({', '.join(by_venue)}): spot is not sold"
