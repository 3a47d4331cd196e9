"""Binance spot and cross margin."""

from __future__ import annotations

from types import MappingProxyType

from adapters.base import Market
from adapters.cancel_plans import CancelBy, scope
from adapters.venue import Venue

OPTIONS = MappingProxyType(
    {
        "fetchOpenOrders": {"warnWithoutSymbol": False},
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        # Without these a key that lacks wallet permission cannot even load markets.
        "fetchCurrencies": False,
        "fetchMargins": False,
    }
)

_ONLY_SPOT_MARKETS = {"fetchMarkets": {"types": ["spot"]}}
"""Else ccxt loads the lists of futures as well, from hosts that may be blocked where spot is not."""

_SPOT, _MARGIN = {"type": "spot"}, {"marginMode": "cross"}

VENUE = Venue(
    exchange="binance",
    lane_width=32,
    options=MappingProxyType({**OPTIONS, **_ONLY_SPOT_MARKETS}),
    scopes=(
        scope("spot", frozenset({Market.SPOT}), CancelBy.SYMBOL, _SPOT, listing=_SPOT),
        scope("cross margin", frozenset({Market.MARGIN}), CancelBy.SYMBOL, _MARGIN, listing=_MARGIN),
    ),
    deposits_reach_spot=True,
)
