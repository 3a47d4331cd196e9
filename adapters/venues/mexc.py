"""MEXC spot."""

from __future__ import annotations

from adapters.base import Market
from adapters.cancel_plans import CancelBy, scope
from adapters.venue import Venue

_SPOT = {"type": "spot"}

VENUE = Venue(
    exchange="mexc",
    lane_width=16,
    scopes=(scope("spot", frozenset({Market.SPOT}), CancelBy.ORDER, _SPOT, listing=_SPOT),),
    deposits_reach_spot=True,
)
