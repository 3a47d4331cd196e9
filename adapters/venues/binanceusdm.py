"""Binance's futures in dollars."""

from __future__ import annotations

from adapters.base import PERP_MARKETS
from adapters.cancel_plans import CancelBy, scope
from adapters.venue import Venue, Wallet
from adapters.venues.binance import OPTIONS

_TRIGGER = {"trigger": True}

VENUE = Venue(
    exchange="binanceusdm",
    lane_width=32,
    options=OPTIONS,
    scopes=(
        scope("plain", PERP_MARKETS, CancelBy.SYMBOL),
        scope("conditional", PERP_MARKETS, CancelBy.SYMBOL, _TRIGGER, listing=_TRIGGER),
    ),
    wallet=Wallet(("assets",), "asset", "walletBalance"),
    marks_apart=True,
)
