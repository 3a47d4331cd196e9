"""Bitget, a classic account's spot: plain orders, take profit and stop loss, and trigger orders.

By its documentation (v2), and tried against no server. Left out, because half of them would be worse:

* Contracts: no field of their wallet is without unrealised profit (`accountEquity` has it, `available` lacks margins),
  and the lists of their orders show the last three months alone.
* Margin: its wallets are not read here, nor what was borrowed.
* A unified account: its orders have other calls (v3); those of here are refused there.

Its dead man's switch is of unified accounts that Bitget has approved for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from adapters.base import Market, ScopeKind
from adapters.cancel_plans import (
    Cancel,
    CancelBy,
    Listing,
    Named,
    OrderFields,
    Row,
    after_last,
    by_id,
    by_market,
    own_scope,
)
from adapters.envelopes import Check, equals, has
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit, KeyPowers, may_withdraw
from adapters.venue import Venue
from risk_daemon.errors import MalformedReply

SPOT = frozenset({Market.SPOT})
_PAGE = 100
_BATCH = 50

REPLIES: Mapping[str, Check] = MappingProxyType({"": has(code=equals("00000"))})

# https://www.bitget.com/api-doc/spot/error-code/restapi
CODES = Codes(
    at="code",
    later=frozenset({"429", "40015", "41114", "45043", "45129", "50031", "59044", "70228", "80002"}),
    refused=frozenset(
        {"22010", "40001", "40002", "40003", "40006", "40009", "40011", "40012", "40014", "40018", "40025", "40031"}
        | {"40036", "40037", "40038", "40040", "40041", "40085", "40103", "40104", "40301"}
    ),
    gone=frozenset({"22001", "31007", "31054", "40109", "40768", "43001", "43004", "43020", "43025", "45057"}),
    clock=frozenset({"40004", "40005", "40008", "40078"}),
)


def _next_plans(reply: Any, rows: Sequence[Row], _number: int) -> Mapping[str, Any] | None:
    """Whether there are more is told; a full page is not believed to be the last."""
    if not isinstance(reply["data"].get("nextFlag"), bool):
        raise MalformedReply("a page that does not say whether there are more")
    if not reply["data"].get("nextFlag") and len(rows) < _PAGE:
        return None
    if not rows:
        raise MalformedReply("a page without orders that says that there are more")
    return {"idLessThan": rows[-1]["orderId"]}


def _rows_refused(reply: Any) -> str | None:
    """A batch that succeeds may hold orders that were not cancelled."""
    failed = reply["data"].get("failureList") if isinstance(reply.get("data"), dict) else None
    if not isinstance(failed, list):
        return "no word of its orders"
    return f"{len(failed)} orders refused, such as {str(failed[0])[:120]}" if failed else None


def _not_done(reply: Any) -> str | None:
    result = reply["data"].get("result") if isinstance(reply.get("data"), dict) else None
    return None if result == "success" else f"its result is {result!r}"


def _ids(orders: Sequence[Named]) -> Any:
    return {"symbol": orders[0].market_id, "orderList": [{"orderId": each.order_id} for each in orders]}


def _unfilled(kind: str, fields: OrderFields) -> Listing:
    """https://www.bitget.com/api-doc/spot/trade/Get-Unfilled-Orders"""
    return Listing(
        call="privateSpotGetV2SpotTradeUnfilledOrders",
        fields=fields,
        params={"tpslType": kind, "limit": _PAGE},
        at=("data",),
        page_rows=_PAGE,
        next_page=after_last("idLessThan", "orderId", _PAGE),
        agrees={"tpslType": frozenset({kind})},
        spot=True,
    )


_FIELDS = OrderFields(
    order_type="orderType",
    client_order_id=("clientOid",),
    whole="size",
    price=("executePrice",),
    trigger_price=("triggerPrice",),
)
_PLAIN = OrderFields(
    order_type="orderType",
    client_order_id=("clientOid",),
    quantity="size",
    filled="baseVolume",
    price=("priceAvg",),
    trigger_price=("triggerPrice",),
)

SCOPES = (
    # https://www.bitget.com/api-doc/spot/plan/Get-Current-Plan-Order and .../Batch-Cancel-Plan-Order
    own_scope(
        "plan",
        SPOT,
        ScopeKind.TRIGGER,
        listing=Listing(
            call="privateSpotGetV2SpotTradeCurrentPlanOrder",
            fields=_FIELDS,
            params={"limit": _PAGE},
            at=("data", "orderList"),
            page_rows=_PAGE,
            next_page=_next_plans,
            spot=True,
        ),
        # Without a list of symbols: every one.
        cancels=(
            Cancel(call="privateSpotPostV2SpotTradeBatchCancelPlanOrder", by=CancelBy.ALL, refused=_rows_refused),
        ),
        single=Cancel(
            call="privateSpotPostV2SpotTradeCancelPlanOrder",
            by=CancelBy.ORDER,
            names=by_id("orderId"),
            refused=_not_done,
        ),
    ),
    # No call for more than one is documented to reach these.
    own_scope(
        "tpsl",
        SPOT,
        ScopeKind.TRIGGER,
        listing=_unfilled("tpsl", _FIELDS),
        cancels=(
            Cancel(
                call="privateSpotPostV2SpotTradeCancelOrder",
                by=CancelBy.ORDER,
                params={"tpslType": "tpsl"},
                names=by_id("orderId", "symbol"),
            ),
        ),
    ),
    # The cancel of a symbol is done later than it is acknowledged.
    own_scope(
        "plain",
        SPOT,
        ScopeKind.PLAIN,
        listing=_unfilled("normal", _PLAIN),
        cancels=(
            Cancel(call="privateSpotPostV2SpotTradeCancelSymbolOrder", by=CancelBy.SYMBOL, names=by_market("symbol")),
        ),
        single=Cancel(
            call="privateSpotPostV2SpotTradeBatchCancelOrder",
            by=CancelBy.BATCH,
            names=_ids,
            rows=_BATCH,
            refused=_rows_refused,
        ),
    ),
)


def read_powers(reply: Any) -> KeyPowers:
    """What the key may do, in words of four letters; the example of the page has whole ones.

    https://www.bitget.com/api-doc/spot/account/Get-Account-Info
    """
    told = reply.get("data") if isinstance(reply, dict) else None
    words = told.get("authorities") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise MalformedReply("the venue's word on the key is odd")
    may_read = not {"stor", "stow", "readonly", "trade"}.isdisjoint(words)
    return KeyPowers(
        may_read=may_read,
        may_cancel=not {"stow", "trade"}.isdisjoint(words),
        # There are many words: of those that do not even tell who may ask this, none is understood.
        may_withdraw=may_withdraw(words, {"wwow", "withdraw"}, words if may_read else ()),
        is_bound=bool(told.get("ips")),
    )


VENUE = Venue(
    exchange="bitget",
    options=MappingProxyType({"adjustForTimeDifference": True}),
    scopes=SCOPES,
    replies=REPLIES,
    codes=CODES,
    lane_width=16,
    key_audit=KeyAudit(call="privateSpotGetV2SpotAccountInfo", reads=read_powers),
    unprovable=(
        "all of it was read from the documentation, and tried against no server",
        "bots of Bitget's own (grid, DCA, copy trading) and recurring purchases: no call lists them",
        "orders older than 90 days: the documentation is silent on whether the lists show them",
        "orders of a margin account are not looked at, nor those of contracts",
    ),
    fills=FillSource(calls=(FillCall(markets=SPOT, by_symbol=True),)),
)
