"""Gate, a classic account's spot: plain orders, price-triggered ones, and those that follow the volume (POV).

By its documentation, and tried against no server: https://www.gate.com/docs/developers/apiv4/en/. Left out, because
half of them would be worse:

* Contracts: each settle coin has a wallet of its own, and ccxt reads that of one.
* Margin: its wallets are not read here, nor what was borrowed.
* A unified account: it has one wallet with debts, which ccxt's spot balance does not show. So the mode is asked before
  plain orders are listed, for which the key must be allowed to read the unified account, and another one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from adapters.base import Market, ScopeKind
from adapters.cancel_plans import (
    EACH,
    Cancel,
    CancelBy,
    Listing,
    Named,
    OrderFields,
    Parts,
    Row,
    by_id,
    by_number,
    own_scope,
)
from adapters.dead_man import DeadMan
from adapters.envelopes import ROWS, TEXT, Check, both, each, has, is_a
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.venue import Venue
from risk_daemon.errors import VenueRejected

SPOT = frozenset({Market.SPOT})
CLASSIC = "classic accounts"
_PAGE = 100
_BATCH = 20


def _no_label(reply: Any) -> str | None:
    """A refusal is an object with a label."""
    return f"is refused: {str(reply['label'])[:80]}" if isinstance(reply, dict) and reply.get("label") else None


def _no_count(group: Any) -> str | None:
    """A pair of which orders are counted shows them."""
    counted = group["orders"] or group.get("total") in (None, 0, "0")
    return None if counted else f"counts {group['total']!r} orders and shows none"


REPLIES: Mapping[str, Check] = MappingProxyType(
    {
        "open_orders": each(both(has(currency_pair=TEXT, orders=ROWS), _no_count), list),
        "unified_mode": has(mode=TEXT),
        "": both(is_a(dict, list), _no_label),
    }
)

# Labels: https://www.gate.com/docs/developers/apiv4/en/
CODES = Codes(
    at="label",
    later=frozenset({"TOO_FAST", "TOO_MANY_REQUESTS", "INTERNAL", "SERVER_ERROR", "TOO_BUSY"}),
    refused=frozenset(
        {"INVALID_CREDENTIALS", "INVALID_KEY", "IP_FORBIDDEN", "INVALID_SIGNATURE", "MISSING_REQUIRED_HEADER"}
        | {"AUTHENTICATION_FAILED", "READ_ONLY", "FORBIDDEN", "ACCOUNT_LOCKED", "SUB_ACCOUNT_LOCKED"}
    ),
    gone=frozenset({"ORDER_NOT_FOUND", "ORDER_CLOSED", "ORDER_CANCELLED"}),
    clock=frozenset({"REQUEST_EXPIRED"}),
)


def read_mode(reply: Any) -> Sequence[Mapping[str, Any]]:
    """unified/unified_mode: one part, the spot account, of a classic account; of a unified one there is none here."""
    mode = reply["mode"]
    if mode != "classic":
        raise VenueRejected(f"the account is unified ({mode}): its debts and orders are not read by this file")
    return [{"account": "spot"}]


def _next_offset(_reply: Any, rows: Sequence[Row], number: int) -> Mapping[str, Any] | None:
    return {"offset": number * _PAGE} if len(rows) >= _PAGE else None


def _rows_refused(reply: Any) -> str | None:
    """Each row says whether it was cancelled."""
    if not isinstance(reply, list) or not all(isinstance(row, dict) for row in reply):
        return "no word of its orders"
    wrong = [row for row in reply if row.get("succeeded") is not True and str(row.get("label")) not in CODES.gone]
    return f"{len(wrong)} of {len(reply)} orders refused, such as {str(wrong[0])[:120]}" if wrong else None


def _ids(orders: Sequence[Named]) -> Any:
    return [{"currency_pair": order.market_id, "id": order.order_id} for order in orders]


SCOPES = (
    # An order of this kind places limit orders for up to seven days. By the addresses that ccxt has,
    # and the fields that other clients read: the documentation at hand is older.
    own_scope(
        "pov",
        SPOT,
        ScopeKind.STRATEGY,
        listing=Listing(
            call="privateSpotGetPovOrders",
            fields=OrderFields(order_id="id", symbol="currency_pair", client_order_id=("text",)),
            params={"status": "open", "limit": _PAGE},
            page_rows=_PAGE,
            next_page=by_number("page", _PAGE),
            spot=True,
        ),
        cancels=(Cancel(call="privateSpotDeletePovOrdersOrderId", by=CancelBy.ORDER, names=by_id("order_id")),),
    ),
    # Side and amount of these stand one level deeper, and are not told.
    own_scope(
        "triggers",
        SPOT,
        ScopeKind.TRIGGER,
        listing=Listing(
            call="privateSpotGetPriceOrders",
            fields=OrderFields(order_id="id", symbol="market"),
            params={"status": "open", "account": "normal", "limit": _PAGE},
            page_rows=_PAGE,
            next_page=_next_offset,
            spot=True,
        ),
        cancels=(Cancel(call="privateSpotDeletePriceOrders", by=CancelBy.ALL, params={"account": "normal"}),),
        single=Cancel(call="privateSpotDeletePriceOrdersOrderId", by=CancelBy.ORDER, names=by_id("order_id")),
    ),
    # A group for each pair, each with pages of its own: while the pages together are full, there may be more.
    own_scope(
        "plain",
        SPOT,
        ScopeKind.PLAIN,
        listing=Listing(
            call="privateSpotGetOpenOrders",
            fields=OrderFields(
                order_id="id",
                symbol="currency_pair",
                client_order_id=("text",),
                quantity="left",
                whole="amount",
            ),
            params={"limit": _PAGE},
            at=(EACH, "orders"),
            page_rows=_PAGE,
            next_page=by_number("page", _PAGE),
            each=CLASSIC,
            agrees={"account": frozenset({"spot"})},
            spot=True,
        ),
        # Without a pair: every one.
        cancels=(
            Cancel(call="privateSpotDeleteOrders", by=CancelBy.ALL, params={"account": "spot"}, refused=_rows_refused),
        ),
        single=Cancel(
            call="privateSpotPostCancelBatchOrders",
            by=CancelBy.BATCH,
            names=_ids,
            rows=_BATCH,
            mixes=True,
            refused=_rows_refused,
        ),
    ),
)

VENUE = Venue(
    exchange="gate",
    scopes=SCOPES,
    parts=MappingProxyType({CLASSIC: Parts(call="privateUnifiedGetUnifiedMode", reads=read_mode)}),
    replies=REPLIES,
    codes=CODES,
    lane_width=16,
    dead_men=(
        DeadMan(
            call="privateSpotPostCountdownCancelAll",
            # 0 ends it; without a pair it is of all of them.
            params=lambda timeout_s, _symbol: {"timeout": int(timeout_s)},
            markets=SPOT,
            least_s=5.0,
            # None is documented: an hour is long enough for anybody.
            most_s=3_600.0,
            covers="plain spot orders of the whole account",
            leaves="contracts, which have their own; of price-triggered orders and POV the documentation says nothing",
        ),
    ),
    unprovable=(
        "all of it was read from the documentation, and tried against no server",
        "bots of Gate's own (grid, DCA, arbitrage, copy trading) and recurring purchases: no call lists them",
        "orders of a margin account are not looked at, nor those of contracts and options",
        "whether POV orders that are being cancelled are listed as open, the documentation does not say",
    ),
    fills=FillSource(calls=(FillCall(markets=SPOT, params={"type": "spot"}),)),
)
