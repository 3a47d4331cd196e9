"""Binance spot and margin, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.wire import binance_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.binance import SpotFace
from adapters.simulated.wire.binance_wallets import ISOLATED, SpotAndMargin


def make(key: Key, now: float, *, funded: bool) -> Face:
    """Spot and margin: 5,000 USDT in the spot wallet; one isolated pair is enabled and empty."""
    exchange = SpotAndMargin(
        binance_markets.pairs(),
        binance_markets.prices(),
        asset_prices=binance_markets.asset_prices(),
        order_id=lambda number: str(1_000_000 + number),
    )
    exchange.wallets[ISOLATED + "BTCUSDT"] = {}
    if funded:
        exchange.flow("USDT", Decimal(5000), now)
    return SpotFace(exchange, key)
