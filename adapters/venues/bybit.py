"""Bybit, spot only: its futures are listed by settle coin, and an inverse contract may settle in any coin."""

from __future__ import annotations

from adapters.base import SPOT_MARKETS
from adapters.cancel_plans import CancelBy, scope
from adapters.venue import Venue, Wallet

_SPOT = {"category": "spot"}

_ORDER_FILTERS = ("Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
"""Cancel-all takes one kind at a time; the listing shows all of them."""

VENUE = Venue(
    exchange="bybit",
    lane_width=16,
    scopes=(
        scope(
            "spot",
            SPOT_MARKETS,
            CancelBy.ALL,
            *(_SPOT | {"orderFilter": kind} for kind in _ORDER_FILTERS),
            listing=_SPOT,
            page_rows=50,
        ),
    ),
    wallet=Wallet(("result", "list", "0", "coin"), "coin", "walletBalance"),
    shares_wallet=True,
)
