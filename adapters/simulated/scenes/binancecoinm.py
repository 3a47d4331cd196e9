"""Binance COIN-M futures, simulated."""

from __future__ import annotations

from decimal import Decimal

from adapters.simulated.scenes.binanceusdm import make_half
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.binanceusdm_rows import COINM


def make(key: Key, now: float, *, funded: bool) -> Face:
    """Futures that settle in coins: 0.1 BTC."""
    return make_half(COINM, key, now, {"BTC": Decimal("0.1")} if funded else {})
