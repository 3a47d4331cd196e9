"""Kraken Futures, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import krakenfutures_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.krakenfutures import KrakenFuturesFace, order_uid


def make(key: Key, now: float, *, funded: bool) -> Face:
    """Futures: 4,000 USDT in the multi-collateral wallet."""
    exchange = Exchange(
        krakenfutures_markets.instruments(),
        krakenfutures_markets.prices(),
        asset_prices=krakenfutures_markets.asset_prices(),
        wallet=krakenfutures_markets.FLEX,
        order_id=order_uid,
    )
    if funded:
        exchange.flow("USDT", Decimal(4000), now)
    return KrakenFuturesFace(exchange, key)
