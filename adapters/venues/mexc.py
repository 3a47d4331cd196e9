"""MEXC spot and perpetual contracts: two houses under one key, each with its own signing, errors and limits.

www.mexc.com/api-docs/spot-v3, www.mexc.com/api-docs/futures
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, Market, ScopeKind
from adapters.budget import Pool
from adapters.cancel_plans import (
    Cancel,
    CancelBy,
    Listing,
    Named,
    OrderFields,
    Row,
    Windows,
    by_id,
    by_market,
    by_number,
    own_scope,
)
from adapters.cancel_probes import Probe
from adapters.envelopes import FILLED_ROWS, ROWS, TEXT, Check, both, each, equals, has, is_a, is_number
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit, KeyPowers, may_withdraw
from adapters.venue import Venue
from adapters.venues.mexc_dialect import BOOKS, MexcDialect
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import Order

SPOT = frozenset({Market.SPOT})
_DAY_S = 86_400.0


# --- replies -------------------------------------------------------------------------------------


def _says(data: Check | None = None) -> Check:
    """The contract house: success in two fields, whatever the status. Cancels answer without data."""
    says = has(success=equals(True), code=equals(0))
    return says if data is None else both(says, has(data=data))


def _no_refusal(reply: Any) -> str | None:
    """Both houses refuse in the body of what may be a 200."""
    code = reply.get("code", 0) if isinstance(reply, dict) else 0
    return None if code in (0, 200) and reply != {} else f"is a refusal or nothing: {str(reply)[:60]}"


def _transfers(reply: Any) -> str | None:
    """An object; the documentation shows it as the only row of a list."""
    return has(rows=ROWS, total=is_number)(reply[0] if isinstance(reply, list) and len(reply) == 1 else reply)


_SYMBOL = has(symbol=TEXT)
REPLIES: Mapping[str, Check] = MappingProxyType(
    {
        "openOrders": each(has(orderId=TEXT, symbol=TEXT), list),
        "open_orders": _says(each(_SYMBOL, list)),
        "orders": _says(each(both(_SYMBOL, has(state=is_number)), list)),
        "open_order_total_count": _says(has(**{f"{book}OrderCount": is_number for book in BOOKS})),
        "open_positions": _says(each(both(_SYMBOL, has(holdVol=is_number, positionType=is_number)), list)),
        # A row of each coin that contracts settle in: none at all is no answer.
        "assets": _says(each(has(currency=TEXT, equity=is_number, unrealized=is_number), list, filled=True)),
        "account": has(balances=each(has(asset=TEXT, free=is_number, locked=is_number), list)),
        "order": has(symbol=TEXT, orderId=TEXT),
        "all": has(code=equals(200)),
        "cancel": _says(),
        "cancel_all": _says(),
        "bookTicker": each(_SYMBOL, list, filled=True),
        "ticker": _says(each(both(_SYMBOL, has(fairPrice=is_number)), list, filled=True)),
        "exchangeInfo": has(symbols=FILLED_ROWS),
        "detail": _says(FILLED_ROWS),
        "time": has(serverTime=is_number),
        "hisrec": each(has(coin=TEXT, amount=is_number, status=is_number), list),
        "history": each(has(id=TEXT, coin=TEXT, amount=is_number, status=is_number), list),
        "transfer": _transfers,
        "transfer_record": _says(has(resultList=ROWS, totalCount=is_number)),
        "userDataStream": has(listenKey=TEXT),
        "apiKeyInfo": has(accessKey=TEXT, permissions=TEXT),
        "": both(is_a(dict, list), _no_refusal),
    }
)

CODES = Codes(
    at="code",
    later=frozenset(
        # 510: too many calls, with status 200. 500, 604, 801, 11444: maintenance.
        {"429", "510", "500", "501", "503", "504", "604", "801", "11444"}
    ),
    refused=frozenset(
        {"10072", "700001", "700002", "700005", "700006", "700007", "401", "402", "403", "406", "511", "602"}
        | {"701", "702", "703", "704"}
    ),
    gone=frozenset({"-2011", "2040", "5002"}),
    clock=frozenset({"700003", "513"}),
)

# --- orders --------------------------------------------------------------------------------------

_SIDES = MappingProxyType(
    # 1 opens a long, 2 closes a short, 3 opens a short, 4 closes a long.
    {"1": OrderSide.BUY, "2": OrderSide.BUY, "3": OrderSide.SELL, "4": OrderSide.SELL}
)
_CLOSING = frozenset({"2", "4"})
_STOPS_OF = MappingProxyType({"1": OrderSide.SELL, "2": OrderSide.BUY})
_PLAIN_TYPES = frozenset({"LIMIT", "LIMIT_MAKER", "MARKET", "IMMEDIATE_OR_CANCEL", "FILL_OR_KILL"})
_PAGE = 100
_BATCH = 50
# A trigger order lives for up to ten years; a listing shows 90 days of them, and seven unless it is asked.
_WINDOWS = Windows(start="start_time", end="end_time", span_s=90 * _DAY_S, back_s=3_653 * _DAY_S)
# What a row of a batch may say of an order that is not there or can't be cancelled any more.
_DONE = frozenset({"0", "2040", "2041"})


def _closes(row: Row) -> bool:
    return str(row.get("side")) in _CLOSING or row.get("reduceOnly") is True


def _protects(row: Row) -> bool:
    """A stop of a position closes it, unless it is to open the opposite one."""
    return not any(str(row.get(name)) == "1" for name in ("stopLossReverse", "takeProfitReverse"))


def _is_plain(order: Order) -> bool:
    return order.order_type in _PLAIN_TYPES


def _rows_refused(reply: Any) -> str | None:
    """A batch that succeeds may hold rows that did not."""
    rows = reply.get("data")
    if not isinstance(rows, list):
        return "no word of its orders"
    wrong = [row for row in rows if not isinstance(row, dict) or str(row.get("errorCode")) not in _DONE]
    return f"{len(wrong)} of {len(rows)} orders refused, such as {str(wrong[0])[:120]}" if wrong else None


def _plan_ids(orders: Sequence[Named]) -> Any:
    return [{"symbol": each.market_id, "orderId": each.order_id} for each in orders]


def _stop_ids(orders: Sequence[Named]) -> Any:
    return [{"stopPlanOrderId": int(each.order_id)} for each in orders]


def _track_id(orders: Sequence[Named]) -> Any:
    return {"symbol": orders[0].market_id, "trackOrderId": int(orders[0].order_id)}


def _limit_ids(orders: Sequence[Named]) -> Any:
    return [each.order_id for each in orders]


def _by_ids(
    call: str, names: Callable[[Sequence[Named]], Any], refused: Callable[[Any], str | None] = lambda _: None
) -> Cancel:
    """For what has survived the cancel of its whole book: the page still calls that "(Maintenance)" in April 2026."""
    return Cancel(
        call=call, by=CancelBy.BATCH, names=names, rows=_BATCH, mixes=True, refused=refused, spares=lambda _: True
    )


def _contract_fields(order_id: str, **fields: Any) -> OrderFields:
    return OrderFields(
        order_id=order_id,
        **{"order_type": "orderType", "sides": _SIDES, "quantity": "vol", "reduces": _closes, **fields},
    )


SCOPES = (
    own_scope(
        "plan",
        PERP_MARKETS,
        ScopeKind.TRIGGER,
        listing=Listing(
            call="contractPrivateGetPlanorderListOrders",
            fields=_contract_fields("id", trigger_price=("triggerPrice",)),
            params={"states": 1, "page_size": _PAGE},
            at=("data",),
            page_rows=_PAGE,
            next_page=by_number("page_num", _PAGE),
            windows=_WINDOWS,
            agrees={"state": frozenset({"1"})},
            spot=False,
            counted="plan",
        ),
        cancels=(
            Cancel(call="contractPrivatePostPlanorderCancelAll", by=CancelBy.ALL),
            _by_ids("contractPrivatePostPlanorderCancel", _plan_ids),
        ),
    ),
    own_scope(
        "stop",
        PERP_MARKETS,
        ScopeKind.TRIGGER,
        # This list has neither windows nor pages, and shows some that are finished.
        listing=Listing(
            call="contractPrivateGetStoporderOpenOrders",
            fields=_contract_fields(
                "id",
                side="positionType",
                sides=_STOPS_OF,
                reduces=_protects,
                trigger_price=("stopLossPrice", "takeProfitPrice"),
            ),
            at=("data",),
            spot=False,
            counted="stop",
            shows=lambda row: str(row.get("isFinished")) != "1",
        ),
        cancels=(
            Cancel(call="contractPrivatePostStoporderCancelAll", by=CancelBy.ALL),
            _by_ids("contractPrivatePostStoporderCancel", _stop_ids),
        ),
    ),
    own_scope(
        "track",
        PERP_MARKETS,
        ScopeKind.TRIGGER,
        listing=Listing(
            call="contractPrivateGetTrackorderListOrders",
            fields=_contract_fields("id", trigger_price=("activePrice",)),
            params={"states": "0,1", "pageSize": _PAGE},
            at=("data",),
            page_rows=_PAGE,
            next_page=by_number("pageIndex", _PAGE),
            windows=_WINDOWS,
            agrees={"state": frozenset({"0", "1"})},
            spot=False,
            counted="track",
        ),
        # No call cancels them all.
        cancels=(Cancel(call="contractPrivatePostTrackorderCancel", by=CancelBy.ORDER, names=_track_id),),
    ),
    own_scope(
        "limit",
        PERP_MARKETS,
        ScopeKind.PLAIN,
        listing=Listing(
            call="contractPrivateGetOrderListOpenOrders",
            fields=_contract_fields("orderId", client_order_id=("externalOid",), filled="dealVol"),
            params={"page_size": _PAGE},
            at=("data",),
            page_rows=_PAGE,
            next_page=by_number("page_num", _PAGE),
            spot=False,
            counted="limit",
        ),
        # A symbol of "" is every contract.
        cancels=(
            Cancel(call="contractPrivatePostOrderCancelAll", by=CancelBy.ALL, params={"symbol": ""}),
            _by_ids("contractPrivatePostOrderCancel", _limit_ids, _rows_refused),
        ),
    ),
    own_scope(
        "spot",
        SPOT,
        ScopeKind.PLAIN,
        listing=Listing(
            call="spotPrivateGetOpenOrders",
            fields=OrderFields(
                client_order_id=("clientOrderId",),
                quantity="origQty",
                filled="executedQty",
                trigger_price=("stopPrice",),
            ),
            spot=True,
        ),
        # The first is of 2026, and the documentation is silent on whether it takes what waits for a price; the second
        # takes a pair, order lists and all. Twelve calls a second are all there are, shared with the bots.
        cancels=(
            Cancel(call="spotPrivateDeleteOrderAll", by=CancelBy.ALL),
            Cancel(call="spotPrivateDeleteOpenOrders", by=CancelBy.SYMBOL, names=by_market("symbol"), spares=_is_plain),
        ),
        single=Cancel(call="spotPrivateDeleteOrder", by=CancelBy.ORDER, names=by_id("orderId", "symbol")),
    ),
)

# --- the rest ------------------------------------------------------------------------------------


_A_POWER = re.compile(r"[A-Z]+_(ACCOUNT|DEAL|TRANSFER|WITHDRAW)_(READ|WRITE)$")


def read_powers(reply: Any) -> KeyPowers:
    """apiKeyInfo: what the key may do, in words. Raises MalformedReply for an odd reply."""
    words = reply.get("permissions") if isinstance(reply, dict) else None
    addresses = reply.get("ipWhiteList") if isinstance(reply, dict) else None
    if not isinstance(words, str) or not (addresses is None or isinstance(addresses, str)):
        raise MalformedReply("the venue's word on the key is odd")
    may = frozenset(word.strip() for word in words.split(","))
    grants = [word for word in may if word.endswith("WITHDRAW_WRITE")]
    return KeyPowers(
        may_read=any(word.endswith("ACCOUNT_READ") for word in may),
        may_cancel=any(word.endswith("DEAL_WRITE") for word in may),
        may_withdraw=may_withdraw(may, grants, [*filter(_A_POWER.match, may)]),
        is_bound=bool(addresses),
    )


def _contract_pool(endpoint: str) -> Pool:
    """Twenty calls in two seconds of each endpoint."""
    return Pool.window(20.0, 2.0, for_urgent=5.0, for_sweep=8.0, endpoints=frozenset({endpoint}))


_CONTRACT_ENDPOINTS = (
    "account/assets",
    "account/transfer_record",
    "position/open_positions",
    "order/list/open_orders",
    "stoporder/open_orders",
    "order/open_order_total_count",
)
"""The lists with windows are not among them: a walk through ten years of those keeps ccxt's pace."""
# Measured by others: half of ten a second were refused, none of 2.5.
_TICKERS = Pool(5.0, 2.5, endpoints=frozenset({"ticker"}), public=True)
# 500 in ten seconds, of an address; 300 by what others saw. Cancels have a count of their own.
_WEIGHTS = MappingProxyType(
    {
        "account": 10.0,
        "openOrders": 3.0,
        "capital/deposit/hisrec": 1.0,
        "capital/withdraw/history": 1.0,
        "capital/transfer": 1.0,
        "apiKeyInfo": 1.0,
        "userDataStream": 1.0,
    }
)
_SPOT = Pool.window(300.0, 10.0, for_urgent=60.0, for_sweep=100.0, endpoints=frozenset(_WEIGHTS), costs=_WEIGHTS)

VENUE = Venue(
    exchange="mexc",
    # Its own clock is read with the market list; a request more than some seconds off is refused.
    options=MappingProxyType({"adjustForTimeDifference": True}),
    dialect=MexcDialect,
    scopes=SCOPES,
    replies=REPLIES,
    codes=CODES,
    lane_width=16,
    pools=(*map(_contract_pool, _CONTRACT_ENDPOINTS), _TICKERS, _SPOT),
    burst_s=0.5,
    probe=Probe("spotPrivateDeleteOrder", {"symbol": "BTCUSDT", "orderId": "C02__1"}),
    perp_probe=Probe("contractPrivatePostTrackorderCancel", {"symbol": "BTC_USDT", "trackOrderId": "1"}),
    key_audit=KeyAudit(call="spotPrivateGetApiKeyInfo", reads=read_powers, key_param="accessKey"),
    # By the side of the order, as on an account with one leg: ccxt's `hedged` takes it for the side of the position.
    leg_params=MappingProxyType({"reduceOnly": True}),
    unprovable=(
        "grids, DCA bots and copy trading of the venue's own, which may place orders again, are listed by no call",
        "a chase order stands in the limit book; whether it comes again after a cancel is not documented",
    ),
    fills=FillSource(
        calls=(FillCall(markets=frozenset(Market), by_symbol=True),),
        is_streamed=True,
        sides=_SIDES,  # of contracts: ccxt takes a short that is closed for a sale
    ),
)
