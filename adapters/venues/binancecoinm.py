"""Binance's futures in coins: orders as ccxt lists them."""

from __future__ import annotations

from adapters.venue import Venue, Wallet

VENUE = Venue(
    exchange="binancecoinm",
    lane_width=32,
    wallet=Wallet(("assets",), "asset", "walletBalance"),
)
