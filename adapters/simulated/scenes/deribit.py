"""Deribit, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import deribit_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.deribit import DeribitFace, order_id


def make(key: Key, now: float, *, funded: bool) -> Face:
    """One account with a wallet for each currency: 4,000 USDT."""
    exchange = Exchange(
        deribit_markets.instruments(),
        deribit_markets.prices(),
        asset_prices=deribit_markets.asset_prices(),
        wallet=deribit_markets.MAIN,
        order_id=order_id,
    )
    if funded:
        exchange.flow("USDT", Decimal(4000), now)
    return DeribitFace(exchange, key)
