"""OKX: plain orders in one listing, algo orders by their type."""

from __future__ import annotations

from types import MappingProxyType

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market
from adapters.cancel_plans import CancelBy, ScopePlan, scope
from adapters.venue import Venue, Wallet

_ALL_MARKETS = SPOT_MARKETS | PERP_MARKETS


def _algo(order_types: str, markets: frozenset[Market] = _ALL_MARKETS) -> ScopePlan:
    """Algo orders are listed by their type; only conditional and oco may be asked for together."""
    params = MappingProxyType({"trigger": True, "ordType": order_types})
    return scope(f"algo {order_types}", markets, CancelBy.BATCH, params, listing=params, page_rows=100, batch_rows=10)


VENUE = Venue(
    exchange="okx",
    lane_width=16,
    scopes=(
        scope("plain", _ALL_MARKETS, CancelBy.BATCH, page_rows=100, batch_rows=20),
        *map(_algo, ("conditional,oco", "trigger", "move_order_stop", "iceberg", "smart_iceberg", "twap")),
        _algo("chase", PERP_MARKETS),
    ),
    wallet=Wallet(("data", "0", "details"), "ccy", "cashBal"),
    shares_wallet=True,
)
