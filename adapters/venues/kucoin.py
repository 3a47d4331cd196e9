"""KuCoin, a classic account's spot: orders of one price, stop orders, and pairs of which one cancels the other (OCO).

By its documentation, and tried against no server: https://www.kucoin.com/docs-new and the specification in
https://github.com/Kucoin/kucoin-universal-sdk. Left out, because half of them would be worse:

* Margin: its wallets are not read here, nor what was borrowed.
* Futures (`kucoinfutures`): one call shows the wallet of one coin, ccxt asks for one, and its equity has unrealised
  profit in it.
* A unified account: its orders have other calls, so its mode, which ccxt asks for with the balance, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from adapters.base import Market, ScopeKind
from adapters.cancel_plans import Cancel, CancelBy, Listing, OrderFields, Parts, Row, by_id, own_scope
from adapters.dead_man import DeadMan
from adapters.envelopes import TEXT, Check, both, equals, has
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit, KeyPowers, may_withdraw
from adapters.venue import Venue
from risk_daemon.errors import MalformedReply

SPOT = frozenset({Market.SPOT})
SYMBOLS = "symbols with open orders"
_PAGE = 500


def _not_unified(mode: Any) -> str | None:
    return "is UNIFIED: the orders of a unified account are not listed by this file" if mode == "UNIFIED" else None


_SAYS = has(code=equals("200000"))
REPLIES: Mapping[str, Check] = MappingProxyType(
    {"mode": both(_SAYS, has(data=has(selfAccountMode=both(TEXT, _not_unified)))), "": _SAYS}
)

# As ccxt has them; an order that is gone is told by words, beside codes of wider meaning.
CODES = Codes(
    at="code",
    later=frozenset({"429", "429000", "500", "503", "500000"}),
    refused=frozenset({"400001", "400003", "400004", "400005", "400006", "400007", "400303", "400401", "411100"}),
    clock=frozenset({"400002"}),
)


def read_symbols(reply: Any) -> Sequence[Mapping[str, Any]]:
    """hf/orders/active/symbols: every symbol with an open order."""
    data = reply.get("data")
    symbols = data.get("symbols") if isinstance(data, dict) else None
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) and symbol for symbol in symbols):
        raise MalformedReply(f"the {SYMBOLS} are no list of names")
    if data.get("symbolSize", len(symbols)) != len(symbols):
        raise MalformedReply(f"{data['symbolSize']} {SYMBOLS} are counted and {len(symbols)} named")
    return [{"symbol": symbol} for symbol in sorted(set(symbols))]


def _next_page(reply: Any, rows: Sequence[Row], number: int) -> Mapping[str, Any] | None:
    """Pages are counted, and their rows too: a count that does not fit is no listing."""
    pages, count = (reply["data"].get(name) for name in ("totalPage", "totalNum"))
    if not all(isinstance(told, int) and not isinstance(told, bool) for told in (pages, count)):
        raise MalformedReply("a listing that does not say how many pages and orders there are")
    if number < pages and rows:
        return {"currentPage": number + 1}
    if (number == 1 or not rows) and len(rows) != count:
        raise MalformedReply(f"{count} orders are counted and {len(rows)} shown")
    return None


def _symbols_failed(reply: Any) -> str | None:
    """A success names the symbols where it is none."""
    data = reply.get("data")
    failed = data.get("failedSymbols") if isinstance(data, dict) else None
    return f"{len(failed)} symbols refused, such as {str(failed[0])[:120]}" if failed else None


def _paged(call: str, **rest: Any) -> Listing:
    return Listing(call=call, at=("data", "items"), page_rows=_PAGE, next_page=_next_page, spot=True, **rest)


SCOPES = (
    own_scope(
        "oco",
        SPOT,
        ScopeKind.TRIGGER,
        # Its rows tell no side. One that was triggered stands among the plain orders too, and counts as open here.
        listing=_paged(
            "privateGetOcoOrders",
            fields=OrderFields(client_order_id=("clientOid",)),
            params={"pageSize": _PAGE},
            shows=lambda row: row.get("status") not in ("DONE", "CANCELED", "CANCELLED"),
        ),
        cancels=(Cancel(call="privateDeleteOcoOrders", by=CancelBy.ALL),),
        single=Cancel(call="privateDeleteOcoOrderOrderId", by=CancelBy.ORDER, names=by_id("orderId")),
    ),
    own_scope(
        "stop",
        SPOT,
        ScopeKind.TRIGGER,
        listing=_paged(
            "privateGetStopOrder",
            fields=OrderFields(
                order_id="id", client_order_id=("clientOid",), quantity="size", trigger_price=("stopPrice",)
            ),
            params={"tradeType": "TRADE", "pageSize": _PAGE},
            agrees={"tradeType": frozenset({"TRADE"})},
        ),
        cancels=(Cancel(call="privateDeleteStopOrderCancel", by=CancelBy.ALL, params={"tradeType": "TRADE"}),),
        single=Cancel(call="privateDeleteStopOrderOrderId", by=CancelBy.ORDER, names=by_id("orderId")),
    ),
    # A listing is of one symbol, and whole: at most 200 orders of one may be open.
    # https://www.kucoin.com/zh-hant/docs-new/rest/ua/place-order
    own_scope(
        "plain",
        SPOT,
        ScopeKind.PLAIN,
        listing=Listing(
            call="privateGetHfOrdersActive",
            fields=OrderFields(order_id="id", client_order_id=("clientOid",), quantity="size", filled="dealSize"),
            at=("data",),
            each=SYMBOLS,
            agrees={"tradeType": frozenset({"TRADE"})},
            spot=True,
            shows=lambda row: row.get("active") is not False,
        ),
        cancels=(Cancel(call="privateDeleteHfOrdersCancelAll", by=CancelBy.ALL, refused=_symbols_failed),),
        single=Cancel(call="privateDeleteHfOrdersOrderId", by=CancelBy.ORDER, names=by_id("orderId", "symbol")),
    ),
)


_NO_WITHDRAWALS = frozenset({"General", "Spot", "Margin", "Futures", "InnerTransfer", "Earn"})


def read_powers(reply: Any) -> KeyPowers:
    """user/api-key: permissions in words, beside commas. Which word stands for withdrawals, it does not say."""
    told = reply.get("data") if isinstance(reply, dict) else None
    words = told.get("permission") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(words, str):
        raise MalformedReply("the venue's word on the key is odd")
    may = frozenset(word.strip() for word in words.split(","))
    return KeyPowers(
        may_read="General" in may,
        may_cancel="Spot" in may,
        # No word of the documented ones is of withdrawals alone: one of transfers is taken for it.
        may_withdraw=may_withdraw(may, {"Transfer", "Withdrawal"}, _NO_WITHDRAWALS),
        is_bound=bool(told.get("ipWhitelist")),
    )


def _is_armed(reply: Any) -> bool:
    """An empty answer, it is documented, means that none is set."""
    data = reply.get("data")
    return isinstance(data, dict) and isinstance(data.get("timeout"), int) and data["timeout"] > 0


VENUE = Venue(
    exchange="kucoin",
    options=MappingProxyType({"adjustForTimeDifference": True}),
    scopes=SCOPES,
    parts=MappingProxyType({SYMBOLS: Parts(call="privateGetHfOrdersActiveSymbols", reads=read_symbols)}),
    replies=REPLIES,
    codes=CODES,
    lane_width=16,
    dead_men=(
        DeadMan(
            call="privatePostHfOrdersDeadCancelAll",
            # -1 unsets it; without symbols it is of all of them.
            params=lambda timeout_s, _symbol: {"timeout": int(timeout_s) or -1},
            markets=SPOT,
            least_s=5.0,
            most_s=86_400.0,
            covers="plain spot orders of the whole account",
            leaves="stop orders, OCO, margin and futures: the documentation names none of them",
            query="privateGetHfOrdersDeadCancelAllQuery",
            armed=_is_armed,
        ),
    ),
    key_audit=KeyAudit(call="privateGetUserApiKey", reads=read_powers),
    unprovable=(
        "all of it was read from the documentation, and tried against no server",
        "trading bots of KuCoin's own (grid, DCA, rebalancing) and recurring purchases: no call lists them",
        "how far back the lists of stop orders and of OCO go, the documentation does not say",
        "orders of an account of the old spot system, from before high-frequency trading: they are listed elsewhere",
        "limit orders of Convert, margin orders and orders of futures are not looked at",
    ),
    fills=FillSource(calls=(FillCall(markets=SPOT, params={"type": "spot"}),)),
)
