"""MEXC, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import mexc_markets, mexc_names
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.mexc import MexcFace


def make(key: Key, now: float, *, funded: bool) -> Face:
    """Spot: 6,000 USDT; perpetual contracts: 4,000 USDT in a wallet of their own."""
    exchange = Exchange(
        mexc_markets.instruments(),
        mexc_markets.prices(),
        asset_prices=mexc_markets.asset_prices(),
        wallet=mexc_names.SPOT_WALLET,
        order_id=mexc_names.order_number,
    )
    if funded:
        exchange.flow("USDT", Decimal(10_000), now)
        exchange.transfer("USDT", Decimal(4000), now, source=mexc_names.SPOT_WALLET, target=mexc_names.CONTRACT_WALLET)
    return MexcFace(exchange, key)
