"""MEXC, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import mexc_markets, mexc_names
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.mexc import MexcFace


def make(key: Key, now: float, *, funded: bool) -> Face:
    """10,000 USDT in the spot wallet, and none in the one of perpetual contracts."""
    exchange = Exchange(
        mexc_markets.instruments(),
        mexc_markets.prices(),
        asset_prices=mexc_markets.asset_prices(),
        wallet=mexc_names.SPOT_WALLET,
        order_id=mexc_names.order_number,
    )
    if funded:
        exchange.flow("USDT", Decimal(10_000), now)
    return MexcFace(exchange, key)
