"""Binance's futures in coins: orders as ccxt lists them."""

from __future__ import annotations

from adapters.venue import Venue, Wallet

VENUE = Venue(exchange="binancecoinm", wallet=Wallet(("assets",), "asset", "walletBalance"))
