"""OKX's books of orders: what lists each, and what cancels it.

A listing shows a hundred, the newest first; `after` asks for older ones. Algo orders are listed by their type, and only
conditional and oco may be asked for together; trading bots by theirs. No call cancels everything: every cancel names
its orders, of any markets together, and answers each by a code of its own (51400: it is gone).

The reference lists cancel-algos alone for all algo orders, but its own sample leaves iceberg, twap and trailing orders
out, and on the demo environment trailing ones were cancelled by cancel-advance-algos: both are sent. Bots are
stopped with stopType 2, which keeps what they hold: it sells nothing.
https://www.okx.com/docs-v5/en/#order-book-trading
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market, ScopeKind
from adapters.cancel_plans import Cancel, CancelBy, Listing, Named, OrderFields, Row, ScopePlan, after_last, own_scope

PAGE_ROWS = 100
GONE = frozenset({"51400", "51401", "51402", "51405", "51410", "51603", "51293", "51291"})
"""Cancelled, filled, being cancelled, unknown, a bot that has stopped: there is nothing left to cancel."""

_ALL = SPOT_MARKETS | PERP_MARKETS
_AT = ("data",)
_CLOSES = frozenset({("long", "sell"), ("short", "buy")})
_NEWEST = "9223372036854775807"
_KEEP = "2"


def _reduces(row: Row) -> bool:
    """Marked so; or it can only close a leg, where an account holds both."""
    return row.get("reduceOnly") == "true" or (row.get("posSide"), row.get("side")) in _CLOSES


ORDER = OrderFields(
    order_id="ordId",
    symbol="instId",
    order_type="ordType",
    client_order_id=("clOrdId",),
    quantity="sz",
    filled="accFillSz",
    price=("px",),
    reduces=_reduces,
)
_ALGO = OrderFields(
    order_id="algoId",
    symbol="instId",
    order_type="ordType",
    client_order_id=("algoClOrdId", "clOrdId"),
    quantity="sz",
    price=("ordPx", "slOrdPx", "tpOrdPx"),
    trigger_price=("triggerPx", "slTriggerPx", "tpTriggerPx", "activePx"),
    reduces=_reduces,
)
_SPREAD = OrderFields(
    order_id="ordId", symbol="sprdId", order_type="ordType", client_order_id=("clOrdId",), quantity="sz", price=("px",)
)
# What recurring purchases and signals trade is a list; their type stands for it.
_BOT = OrderFields(order_id="algoId", symbol="instId", order_type="algoOrdType", client_order_id=("algoClOrdId",))
_BOT_OF_MANY = OrderFields(
    order_id="algoId", symbol="instType", order_type="algoOrdType", client_order_id=("algoClOrdId",)
)


def refused(reply: Any) -> str | None:
    """What a batch says was not done, although it calls itself a success: an order that is gone is no refusal."""
    failed = [row for row in reply["data"] if row["sCode"] not in {"0", *GONE}]
    return f"{len(failed)} refused, the first: {failed[0]['sCode']} {failed[0].get('sMsg')}" if failed else None


def _each(order_id: str, **more: str) -> Callable[[Sequence[Named]], Any]:
    return lambda orders: [{"instId": each.market_id, order_id: each.order_id, **more} for each in orders]


def _ids(orders: Sequence[Named]) -> Any:
    return [{"algoId": each.order_id} for each in orders]


def _batch(call: str, rows: int, names: Callable[[Sequence[Named]], Any]) -> Cancel:
    return Cancel(call=call, by=CancelBy.BATCH, names=names, rows=rows, mixes=True, refused=refused)


_CANCEL_ALGOS = _batch("privatePostTradeCancelAlgos", 10, _each("algoId"))
_CANCEL_ADVANCED = _batch("privatePostTradeCancelAdvanceAlgos", 10, _each("algoId"))
_NARROW = (_CANCEL_ALGOS,)
_BOTH = (_CANCEL_ALGOS, _CANCEL_ADVANCED)


def _algo(kind: ScopeKind, cancels: Sequence[Cancel], *types: str, markets: frozenset[Market] = _ALL) -> ScopePlan:
    """Algo orders of these types: what places orders itself is a strategy."""
    name = ",".join(types)
    listing = Listing(
        call="privateGetTradeOrdersAlgoPending",
        fields=_ALGO,
        params=MappingProxyType({"ordType": name, "limit": str(PAGE_ROWS)}),
        at=_AT,
        page_rows=PAGE_ROWS,
        next_page=after_last("after", "algoId", PAGE_ROWS),
        agrees=MappingProxyType({"ordType": frozenset(types)}),
    )
    return own_scope(f"algo {name}", markets, kind, listing=listing, cancels=cancels)


def _bots(
    name: str,
    call: str,
    stop: Cancel,
    params: Mapping[str, str],
    *,
    fields: OrderFields = _BOT,
    markets: frozenset[Market] = _ALL,
) -> ScopePlan:
    """Trading bots of one kind. Their orders are in no other listing, and go with them."""
    listing = Listing(
        call=call,
        fields=fields,
        params=MappingProxyType({"limit": str(PAGE_ROWS), **params}),
        at=_AT,
        page_rows=PAGE_ROWS,
        next_page=after_last("after", "algoId", PAGE_ROWS),
    )
    return own_scope(f"bots {name}", markets, ScopeKind.STRATEGY, listing=listing, cancels=(stop,))


def _grid(kind: str, markets: frozenset[Market]) -> ScopePlan:
    names = _each("algoId", algoOrdType=kind, stopType=_KEEP)
    stop = _batch("privatePostTradingBotGridStopOrderAlgo", 10, names)
    call = "privateGetTradingBotGridOrdersAlgoPending"
    return _bots(kind, call, stop, {"algoOrdType": kind}, markets=markets)


def _dca(kind: str, markets: frozenset[Market]) -> ScopePlan:
    stop = Cancel(
        call="privatePostTradingBotDcaStop",
        by=CancelBy.ORDER,
        params=MappingProxyType({"algoOrdType": kind, "stopType": _KEEP}),
        names=lambda orders: {"algoId": orders[0].order_id},
        refused=refused,
    )
    return _bots(kind, "privateGetTradingBotDcaOngoingList", stop, {"algoOrdType": kind}, markets=markets)


def _plain() -> ScopePlan:
    listing = Listing(
        call="privateGetTradeOrdersPending",
        fields=ORDER,
        params=MappingProxyType({"limit": str(PAGE_ROWS)}),
        at=_AT,
        page_rows=PAGE_ROWS,
        next_page=after_last("after", "ordId", PAGE_ROWS),
    )
    cancel = _batch("privatePostTradeCancelBatchOrders", 20, _each("ordId"))
    return own_scope("plain", _ALL, ScopeKind.PLAIN, listing=listing, cancels=(cancel,))


def _spreads() -> ScopePlan:
    """Orders for a spread of two instruments: in a listing of their own, and the only ones that one call cancels."""
    listing = Listing(
        call="privateGetSprdOrdersPending",
        fields=_SPREAD,
        params=MappingProxyType({"limit": str(PAGE_ROWS)}),
        at=_AT,
        page_rows=PAGE_ROWS,
        next_page=after_last("endId", "ordId", PAGE_ROWS),
    )
    single = Cancel(
        call="privatePostSprdCancelOrder",
        by=CancelBy.ORDER,
        names=lambda orders: {"ordId": orders[0].order_id},
        refused=refused,
    )
    everything = Cancel(call="privatePostSprdMassCancel", by=CancelBy.ALL)
    return own_scope("spreads", _ALL, ScopeKind.PLAIN, listing=listing, cancels=(everything,), single=single)


SCOPES: tuple[ScopePlan, ...] = (
    _algo(ScopeKind.STRATEGY, _BOTH, "twap"),
    _algo(ScopeKind.STRATEGY, _BOTH, "iceberg"),
    _algo(ScopeKind.STRATEGY, _BOTH, "smart_iceberg"),
    _algo(ScopeKind.STRATEGY, _NARROW, "chase", markets=PERP_MARKETS),
    _grid("grid", _ALL),
    _grid("moon_grid", _ALL),
    _grid("contract_grid", PERP_MARKETS),
    _dca("spot_dca", _ALL),
    _dca("contract_dca", PERP_MARKETS),
    _bots(
        "recurring",
        "privateGetTradingBotRecurringOrdersAlgoPending",
        _batch("privatePostTradingBotRecurringStopOrderAlgo", 10, _ids),
        {},
        fields=_BOT_OF_MANY,
    ),
    _bots(
        "signal",
        "privateGetTradingBotSignalOrdersAlgoPending",
        _batch("privatePostTradingBotSignalStopOrderAlgo", 10, _ids),
        # The reference calls `after` required: older than any is all of them.
        {"algoOrdType": "contract", "after": _NEWEST},
        fields=_BOT_OF_MANY,
        markets=PERP_MARKETS,
    ),
    _algo(ScopeKind.TRIGGER, _NARROW, "conditional", "oco"),
    _algo(ScopeKind.TRIGGER, _NARROW, "trigger"),
    _algo(ScopeKind.TRIGGER, _BOTH, "move_order_stop"),
    _plain(),
    _spreads(),
)
