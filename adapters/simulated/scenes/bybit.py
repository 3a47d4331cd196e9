"""Bybit, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import bybit_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.bybit import BybitFace
from adapters.simulated.wire.krakenfutures import order_uid


def make(key: Key, now: float, *, funded: bool) -> Face:
    """A unified account: 5,000 USDT."""
    exchange = Exchange(
        bybit_markets.instruments(),
        bybit_markets.prices(),
        asset_prices=bybit_markets.asset_prices(),
        wallet=bybit_markets.UNIFIED,
        order_id=order_uid,
    )
    if funded:
        exchange.flow("USDT", Decimal(5000), now)
    return BybitFace(exchange, key)
