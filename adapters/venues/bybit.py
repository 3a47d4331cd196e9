"""Bybit, a unified account (v5): spot, contracts settled in USDT and USDC, inverse ones, options, spreads.

The listing of a category shows every kind of order in it, conditional ones too; what reaches them is written beside
each cancel. https://bybit-exchange.github.io/docs/v5/order/open-order and .../order/cancel-all
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS, ScopeKind
from adapters.budget import Pool
from adapters.cancel_plans import (
    Cancel,
    CancelBy,
    Listing,
    Named,
    NextPage,
    OrderFields,
    Row,
    by_id,
    by_market,
    own_scope,
)
from adapters.cancel_probes import Probe
from adapters.envelopes import FILLED_ROWS, ROWS, TEXT, Check, each, equals, has, is_a, is_number
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit, KeyPowers
from adapters.venue import Venue
from adapters.venues.bybit_dialect import LINEAR_COINS, STRATEGY_PARTS, BybitDialect
from risk_daemon.errors import MalformedReply

# --- what replies look like ------------------------------------------------------------------------


def _says(**result: Check) -> Check:
    return has(retCode=equals(0), result=has(**result))


_COIN = has(coin=TEXT, walletBalance=is_number)
_WALLET = has(accountType=equals("UNIFIED"), coin=each(_COIN, list))

REPLIES: Mapping[str, Check] = MappingProxyType(
    {
        "realtime": _says(list=each(has(orderId=TEXT, symbol=TEXT), list)),
        "execution/list": _says(list=each(has(symbol=TEXT, execId=TEXT), list)),
        # Both of positions and of strategies.
        "list": _says(list=each(has(symbol=TEXT, size=is_a(str)), list)),
        "cancel-all": _says(list=ROWS),
        "wallet-balance": _says(list=each(_WALLET, list, filled=True)),
        "tickers": _says(category=TEXT, list=FILLED_ROWS),
        "transaction-log": _says(list=ROWS, nextPageCursor=is_a(str)),
        "instruments-info": _says(list=ROWS),
        "query-api": _says(permissions=is_a(dict), ips=ROWS),
        "": has(retCode=equals(0)),
    }
)

CODES = Codes(
    at="retCode",
    later=frozenset({"10000", "10006", "10016", "10018", "429", "30035", "110079", "170007", "170191", "3100198"}),
    refused=frozenset({"10003", "10004", "10005", "10007", "10008", "10009", "10010", "10024", "33004", "-2015"}),
    gone=frozenset({"110001", "110008", "110010", "170139", "170142", "170143", "170190", "170213", "60065"}),
    clock=frozenset({"10002"}),
    ban_statuses=frozenset({403}),
)

# --- how orders are listed -------------------------------------------------------------------------

_PAGE = 50


def _is_reducing(row: Row) -> bool:
    return row.get("reduceOnly") is True


def _fields(*order_type: str) -> OrderFields:
    return OrderFields(
        client_order_id=("orderLinkId",),
        order_type=order_type,
        quantity="qty",
        filled="cumExecQty",
        trigger_price=("triggerPrice",),
        reduces=_is_reducing,
    )


def _to_the_end(category: str | None = None, cursor: str = "nextPageCursor") -> NextPage:
    """A cursor is told even after the last row: the end is a page without one, and that says nothing of others."""

    def next_page(reply: Any, rows: Sequence[Row], _number: int) -> Mapping[str, Any] | None:
        result = reply["result"]
        if category is not None and result.get("category") != category:
            raise MalformedReply(f"a listing of {result.get('category')!r}, where {category} was asked for")
        more = result.get(cursor)
        if more and not rows:
            raise MalformedReply("a page without orders that says that there are more")
        return {"cursor": more} if more else None

    return next_page


def _listing(category: str, *, is_spot: bool, part: str | None = None) -> Listing:
    return Listing(
        call="privateGetV5OrderRealtime",
        fields=_fields(*(("stopOrderType", "orderType") if is_spot else ("orderType",))),
        params={"category": category, "limit": _PAGE},
        at=("result", "list"),
        page_rows=_PAGE,
        next_page=_to_the_end(category),
        each=part,
        spot=is_spot,
    )


# --- how they are cancelled ------------------------------------------------------------------------

_FILTERS = ("Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
"""Kinds of orders on spot: a cancel takes one at a time, the listing shows all of them."""


def _filter_of(order_type: str) -> str:
    """The filter that an order stands under, by what its row says of what it waits for."""
    return order_type if order_type in _FILTERS else {"Stop": "StopOrder"}.get(order_type, "Order")


def _with_filter(orders: Sequence[Named]) -> dict[str, str]:
    """The documentation lets no OCO order be named, nor a two-sided one: such a cancel is refused."""
    order = orders[0]
    return {"symbol": order.market_id, "orderId": order.order_id, "orderFilter": _filter_of(order.order_type)}


def _failed(reply: Any) -> str | None:
    """The field that is "0" where nothing was done, inside a reply that is none of an error."""
    success = reply["result"].get("success", "1")
    return None if str(success) == "1" else f"it says success {success!r}"


def _all(category: str, *, part: str | None = None, **params: Any) -> Cancel:
    return Cancel(
        call="privatePostV5OrderCancelAll",
        by=CancelBy.ALL,
        params={"category": category, **params},
        each=part,
        refused=_failed,
    )


def _one(category: str) -> Cancel:
    return Cancel(
        call="privatePostV5OrderCancel",
        by=CancelBy.ORDER,
        params={"category": category},
        names=by_id("orderId", "symbol"),
    )


SCOPES = (
    own_scope(
        "strategies",
        SPOT_MARKETS | PERP_MARKETS,
        ScopeKind.STRATEGY,
        listing=Listing(
            call="privateGetV5StrategyList",
            fields=OrderFields(
                order_id="strategyId",
                order_type="strategyType",
                quantity="size",
                filled="executedSize",
                reduces=_is_reducing,
            ),
            params={"pageSize": _PAGE},
            at=("result", "list"),
            page_rows=_PAGE,
            next_page=_to_the_end(cursor="nextCursor"),
            each=STRATEGY_PARTS,
        ),
        cancels=[Cancel(call="privatePostV5StrategyStop", by=CancelBy.ORDER, names=by_id("strategyId"))],
    ),
    own_scope(
        "spot",
        SPOT_MARKETS,
        ScopeKind.PLAIN,
        listing=_listing("spot", is_spot=True),
        cancels=[_all("spot", orderFilter=kind) for kind in _FILTERS],
        single=Cancel(
            call="privatePostV5OrderCancel", by=CancelBy.ORDER, params={"category": "spot"}, names=_with_filter
        ),
    ),
    # Of all orders of a settle coin the venue picks 500 at random; conditional ones and protection are among them.
    own_scope(
        "linear",
        PERP_MARKETS,
        ScopeKind.PLAIN,
        listing=_listing("linear", is_spot=False, part=LINEAR_COINS),
        cancels=[_all("linear", part=LINEAR_COINS)],
        single=_one("linear"),
    ),
    # Needs a symbol, or a settle coin, which is each contract's own. A base coin, it is written, is taken for the whole
    # category: if it were not, that call would reach fewer orders, all of them ours to cancel; and each symbol follows.
    own_scope(
        "inverse",
        PERP_MARKETS,
        ScopeKind.PLAIN,
        listing=_listing("inverse", is_spot=False),
        cancels=[
            _all("inverse", baseCoin="BTC"),
            Cancel(
                call="privatePostV5OrderCancelAll",
                by=CancelBy.SYMBOL,
                params={"category": "inverse"},
                names=by_market("symbol"),
                refused=_failed,
            ),
        ],
        single=_one("inverse"),
    ),
    own_scope(
        "options",
        PERP_MARKETS,
        ScopeKind.PLAIN,
        listing=_listing("option", is_spot=False),
        cancels=[_all("option")],
        single=_one("option"),
    ),
    # Legs of a combination stand in the listings above, and go only with it.
    own_scope(
        "spreads",
        PERP_MARKETS,
        ScopeKind.PLAIN,
        listing=Listing(
            call="privateGetV5SpreadOrderRealtime",
            fields=_fields("orderType"),
            params={"limit": _PAGE},
            at=("result", "list"),
            page_rows=_PAGE,
            next_page=_to_the_end(),
        ),
        cancels=[
            Cancel(
                call="privatePostV5SpreadOrderCancelAll", by=CancelBy.ALL, params={"cancelAll": True}, refused=_failed
            )
        ],
        single=Cancel(call="privatePostV5SpreadOrderCancel", by=CancelBy.ORDER, names=by_id("orderId")),
    ),
)

# --- the key ---------------------------------------------------------------------------------------


def read_powers(reply: Any) -> KeyPowers:
    """query-api: which permission gates which cancel is not documented; one that may only read may cancel nothing."""
    told = reply["result"]
    read_only, wallet = told.get("readOnly"), told["permissions"].get("Wallet")
    if read_only not in (0, 1) or not isinstance(wallet, list):
        raise MalformedReply("the key's permissions can't be read")
    return KeyPowers(
        may_read=True,
        may_cancel=read_only == 0,
        may_withdraw="Withdraw" in wallet,
        is_bound=bool(told["ips"]) and "*" not in told["ips"],
    )


_FILLS = FillSource(
    calls=(
        FillCall(markets=SPOT_MARKETS, params={"type": "spot"}),
        FillCall(markets=PERP_MARKETS, params={"type": "swap", "subType": "linear"}),
        FillCall(markets=PERP_MARKETS, params={"type": "swap", "subType": "inverse"}),
    ),
    is_streamed=True,
)

VENUE = Venue(
    exchange="bybit",
    options={
        "fetchMarkets": {"types": ["spot", "linear", "inverse"]},
        "adjustForTimeDifference": True,
        # ccxt would ask once, and take a page that is no answer for "classic" ever after. Only unified ones are read.
        "enableUnifiedAccount": True,
        "enableUnifiedMargin": False,
        "unifiedMarginStatus": 6,
    },
    dialect=BybitDialect,
    scopes=SCOPES,
    replies=REPLIES,
    lane_width=16,
    # https://bybit-exchange.github.io/docs/v5/rate-limit: each endpoint has its own count of a
    # rolling second and user. Single
    # cancels are left to the pace.
    pools=(
        Pool.window(50.0, 1.0, for_urgent=10.0, for_sweep=25.0, endpoints=frozenset({"v5/order/realtime"})),
        Pool.window(25.0, 1.0, for_urgent=10.0, endpoints=frozenset({"v5/account/transaction-log"})),
    ),
    burst_s=1.0,
    probe=Probe("privatePostV5OrderCancel", {"category": "spot", "symbol": "BTCUSDT", "orderId": "1"}),
    perp_probe=Probe(
        "privatePostV5OrderCancel",
        {"category": "linear", "symbol": "BTCUSDT", "orderId": "00000000-0000-0000-0000-000000000000"},
    ),
    codes=CODES,
    client_id_length=36,
    key_audit=KeyAudit(call="privateGetV5UserQueryApi", reads=read_powers),
    unprovable=(
        "bots of Bybit's own (grid, DCA, martingale, combo) and copy trading: no call lists them, and they place again",
        "orders for spreads, some of which trade spot, are looked at only where contracts are guarded",
        "quotes for requests (RFQ) and orders of sub-accounts: they are not looked at",
    ),
    fills=_FILLS,
)
