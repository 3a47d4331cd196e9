"""Binance USD-M futures, simulated; and what its coin-margined half shares with it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import binanceusdm_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.binanceusdm import BinanceFuturesFace
from adapters.simulated.wire.binanceusdm_rows import USDM, Half


def make(key: Key, now: float, *, funded: bool) -> Face:
    """Futures that settle in dollars: 4,000 USDT."""
    return make_half(USDM, key, now, {"USDT": Decimal(4000)} if funded else {})


def make_half(half: Half, key: Key, now: float, funds: Mapping[str, Decimal]) -> Face:
    """One of the two halves, with these funds."""
    instruments = half.listing.instruments()
    exchange = Exchange(
        instruments,
        binanceusdm_markets.prices(instruments),
        asset_prices=binanceusdm_markets.asset_prices(),
        wallet=half.wallet,
        order_id=lambda number: str(8_886_774_000 + number),
    )
    for asset, amount in funds.items():
        exchange.flow(asset, amount, now)
    return BinanceFuturesFace(exchange, key, half)
