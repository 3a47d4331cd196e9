"""Kraken, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import kraken_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.kraken import KrakenFace
from adapters.simulated.wire.kraken_names import venue_id


def make(key: Key, now: float, *, funded: bool) -> Face:
    """Spot and margin: 6,000 USDT."""
    exchange = Exchange(
        kraken_markets.pairs(),
        kraken_markets.prices(),
        asset_prices={code: asset.usd for code, asset in kraken_markets.assets().items()},
        order_id=lambda number: venue_id("O", number),
    )
    if funded:
        exchange.flow("USDT", Decimal(6000), now)
    return KrakenFace(exchange, key)
