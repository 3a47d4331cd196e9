"""What follows from a position alone: its profit at a mark, and its form in files."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from risk_daemon.model.events import Position
from risk_daemon.model.units import EXACT, ONE, ZERO, finite, fixed, plain


def cost(position: Position | None) -> Decimal:
    """Quantity times entry price: what tells two states of a position apart."""
    return ZERO if position is None else EXACT.multiply(position.quantity, position.entry)


def unrealized(position: Position, mark: Decimal) -> tuple[Decimal, Decimal]:
    """Unrealised profit and notional of a position, both in its settle asset.

    Linear: quantity x size x (mark - entry). Inverse: quantity x size x (1/entry - 1/mark).
    """
    size = EXACT.multiply(position.quantity, position.contract_size)
    if position.inverse:
        change = EXACT.subtract(EXACT.divide(ONE, position.entry), EXACT.divide(ONE, mark))
        return fixed(EXACT.multiply(size, change)), fixed(EXACT.divide(abs(size), mark))
    profit = EXACT.multiply(size, EXACT.subtract(mark, position.entry))
    return fixed(profit), fixed(EXACT.multiply(abs(size), mark))


def position_to_json(position: Position) -> dict[str, Any]:
    """A position as JSON-able data."""
    return {
        "symbol": position.symbol,
        "quantity": plain(position.quantity),
        "entry": plain(position.entry),
        "settle": position.settle,
        "underlying": position.underlying,
        "contract_size": plain(position.contract_size),
        "inverse": position.inverse,
    }


def position_from_json(data: Mapping[str, Any]) -> Position:
    """The reverse of `position_to_json`."""
    return Position(
        symbol=data["symbol"],
        quantity=finite(data["quantity"]),
        entry=finite(data["entry"]),
        settle=data["settle"],
        underlying=data["underlying"],
        contract_size=finite(data["contract_size"]),
        inverse=data["inverse"],
    )
