"""The venue's own truth as JSON: what tests and drills compare everything else with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import ZERO, OpenOrder


def state(exchange: Exchange) -> dict[str, Any]:
    """Everything that is true of the account, JSON-able: Decimals as strings, times as Unix seconds."""
    wallets = _wallets(exchange)
    orders = exchange.orders.values()
    truth = {
        "holdings": wallets[exchange.wallet],
        "wallets": wallets,
        "debts": exchange.debts,
        "positions": {symbol: asdict(position) for symbol, position in exchange.positions.items()},
        "open_orders": {
            kind: [order_view(order) for order in orders if order.kind == kind]
            for kind in sorted({order.kind for order in orders})
        },
        "open_order_count": len(orders),
        "cancelled_orders": [
            {**order_view(gone.order), "cancelled_wall": gone.wall, "how": gone.how} for gone in exchange.cancelled
        ],
        "fills": [
            {**order_view(fill.order), "fill_price": fill.price, "fill_quantity": fill.quantity, "wall": fill.wall}
            for fill in exchange.fills
        ],
        "flows": [asdict(row) for row in exchange.flows],
        "ledger": [asdict(row) for row in exchange.ledger],
        "dead_man_due_wall": exchange.dead_man_due,
        "bots": [asdict(bot) for bot in exchange.bots.values()],
    }
    return dict(plain(truth))


def order_view(order: OpenOrder) -> dict[str, Any]:
    """One order, flat."""
    return {
        "order_id": order.order_id,
        "kind": order.kind,
        **asdict(order.draft),
        "filled": order.filled,
        "placed_wall": order.placed_wall,
    }


def plain(value: Any) -> Any:
    """Decimals as strings, all the way down."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def _wallets(exchange: Exchange) -> dict[str, dict[str, dict[str, Decimal]]]:
    held = exchange.held()
    return {
        name: {
            asset: {"total": total, "held": held.get(asset, ZERO) if name == exchange.wallet else ZERO}
            for asset, total in wallet.items()
        }
        for name, wallet in exchange.wallets.items()
    }
