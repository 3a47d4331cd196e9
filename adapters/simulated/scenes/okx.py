"""OKX, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import okx_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.okx import OkxFace
from adapters.simulated.wire.okx_books import order_id


def make(key: Key, now: float, *, funded: bool) -> Face:
    """Spot, margin, swaps and futures in one trading account: 5,000 USDT that came from the funding account."""
    exchange = Exchange(
        okx_markets.instruments(),
        okx_markets.prices(),
        asset_prices=okx_markets.asset_prices(),
        wallet=okx_markets.TRADING,
        order_id=order_id,
    )
    exchange.wallets[okx_markets.FUNDING] = {}
    if funded:
        exchange.flow("USDT", Decimal(5000), now, wallet=okx_markets.FUNDING)
        exchange.transfer("USDT", Decimal(5000), now, source=okx_markets.FUNDING, target=okx_markets.TRADING)
    return OkxFace(exchange, key)
