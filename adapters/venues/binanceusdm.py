"""Binance's futures in dollars, and what those in coins have in common with them.

Two books, and no call reaches both: plain orders, and conditional ones, which become plain when they are triggered.
A strategy (TWAP, VP) is in neither: the venue runs it, and it places orders again after every cancel.
https://developers.binance.com/docs/derivatives/usds-margined-futures, .../algo/future-algo
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, ScopeKind
from adapters.budget import Pool
from adapters.cancel_plans import Cancel, CancelBy, Listing, OrderFields, Row, ScopePlan, by_id, by_market, own_scope
from adapters.cancel_probes import Probe
from adapters.dead_man import DeadMan
from adapters.envelopes import FILLED_ROWS, TEXT, Check, each, has, is_a, is_number, listing
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit, KeyPowers
from adapters.venue import Venue
from adapters.venues.binanceusdm_dialect import CONDITIONAL, PLAIN, STRATEGIES, BinanceFuturesDialect
from risk_daemon.errors import MalformedReply
from risk_daemon.model.units import finite

OPTIONS = MappingProxyType(
    {
        # Without these a key that lacks wallet permission cannot even load markets.
        "fetchCurrencies": False,
        "fetchMargins": False,
        # The venue's clock is read with the market list: a timestamp of ours that is a minute off is refused.
        "adjustForTimeDifference": True,
    }
)

# --- replies -------------------------------------------------------------------------------------------

_ID = is_a(int, str, filled=True)
_PLAIN_ROWS = each(has(orderId=_ID, symbol=TEXT, side=TEXT), list)
_STRATEGY_ROWS = listing("orders", each(has(algoId=_ID, symbol=TEXT), list))


def _open_orders(value: Any) -> str | None:
    """Two addresses end in this word: a list is of plain orders, an object of strategies; each is read as its own."""
    if isinstance(value, list):
        return _PLAIN_ROWS(value)
    return has(total=is_number)(value) or _STRATEGY_ROWS(value)


def _done(value: Any) -> str | None:
    """A cancel of a whole symbol: a code of 200 in the body, and nothing else is a success."""
    wrong = has(code=_ID)(value)
    return wrong or (None if str(value["code"]) == "200" else f"has the code {value['code']!r}")


_MARK: Mapping[str, Check] = {"symbol": TEXT, "markPrice": is_number}
REPLIES: Mapping[str, Check] = MappingProxyType(
    {
        "openOrders": _open_orders,
        "openAlgoOrders": each(has(algoId=_ID, symbol=TEXT, side=TEXT), list),
        "allOpenOrders": _done,
        "algoOpenOrders": _done,
        "order": is_a(dict, filled=True),
        "algoOrder": has(algoId=_ID),
        "balance": each(has(asset=TEXT, balance=is_number), list, filled=True),
        "positionRisk": each(has(symbol=TEXT, positionAmt=is_number, entryPrice=is_number, positionSide=TEXT), list),
        "premiumIndex": each(has(**_MARK), list, filled=True),
        "assetIndex": each(has(symbol=TEXT, index=is_number), list, filled=True),
        "income": each(has(incomeType=TEXT, income=is_number, asset=TEXT, time=is_number, tranId=_ID), list),
        "exchangeInfo": has(symbols=FILLED_ROWS),
        "time": has(serverTime=is_number),
        "listenKey": is_a(dict),
        "countdownCancelAll": has(symbol=TEXT, countdownTime=is_number),
        "dual": has(dualSidePosition=is_a(bool)),
        "apiRestrictions": has(enableReading=is_a(bool), enableWithdrawals=is_a(bool)),
        "info": has(isPortfolioMarginRetailEnabled=is_a(bool)),
        "": is_a(dict, list, filled=True),
    }
)

CODES = Codes(
    at="code",
    # Overloaded, timed out with nobody knowing what was done, shutting down, a time outside of its window, maintenance.
    later=frozenset({"-1000", "-1001", "-1003", "-1006", "-1007", "-1008", "-1015", "-1016", "-1021", "-5028", "1"}),
    refused=frozenset({"-1002", "-1022", "-1109", "-2014", "-2015", "-2017"}),
    gone=frozenset({"-2011", "-2013", "-20124"}),
    # A firewall, which counts calls as well: "can indicate a rate limit violation".
    ban_statuses=frozenset({403}),
)

# --- limits --------------------------------------------------------------------------------------------

# An address has 2,400 a minute, both halves together, whosever keys: what a reply tells counts the bots' calls too.
WEIGHTS = Pool(
    2_400.0,
    40.0,
    for_urgent=300.0,
    for_sweep=600.0,
    costs={
        **dict.fromkeys(("balance", "positionRisk"), 5.0),
        **dict.fromkeys(("premiumIndex", "assetIndex", "countdownCancelAll"), 10.0),
        "income": 30.0,
    },
    public=True,
    header="X-MBX-USED-WEIGHT-1M",
)
# Listings of a sweep that finds orders again and again would fill that within seconds, and what is refused then is
# every cancel, and at last the address. So they keep to a share: of any minute 700 and 60 x 24; then they wait.
LISTINGS = Pool(
    700.0,
    24.0,
    for_urgent=100.0,
    for_sweep=400.0,
    endpoints=frozenset({"openOrders", "openAlgoOrders"}),
    default=40.0,
    strict=True,
)
# Each address of /sapi has 12,000 a minute of its own: never near it.
SAPI = Pool(
    12_000.0,
    200.0,
    endpoints=frozenset(
        {"algo/futures/openOrders", "algo/futures/order", "account/apiRestrictions", "account/info"},
    ),
)

# --- orders --------------------------------------------------------------------------------------------


def _reduces(row: Row) -> bool:
    """Marked so, or closing whatever there is, or the side that can only reduce one of a hedged account's two."""
    if row.get("reduceOnly") is True or row.get("closePosition") is True:
        return True
    return (row.get("positionSide"), row.get("side")) in {("LONG", "SELL"), ("SHORT", "BUY")}


def _not_stopped(reply: Any) -> str | None:
    return None if isinstance(reply, dict) and reply.get("success") is True else f"not stopped: {str(reply)[:120]}"


def books(api: str) -> tuple[ScopePlan, ...]:
    """The scopes of both books. What was conditional may be plain a moment later, and never the other way round."""
    conditional = OrderFields(
        order_id="algoId",
        order_type="orderType",
        client_order_id=("clientAlgoId",),
        quantity="quantity",
        trigger_price=("triggerPrice", "activatePrice"),
        reduces=_reduces,
    )
    plain = OrderFields(
        client_order_id=("clientOrderId",),
        quantity="origQty",
        filled="executedQty",
        trigger_price=("stopPrice",),
        reduces=_reduces,
    )
    private = f"{api}Private"
    return (
        own_scope(
            CONDITIONAL,
            PERP_MARKETS,
            ScopeKind.TRIGGER,
            listing=Listing(call=f"{private}GetOpenAlgoOrders", fields=conditional, spot=False),
            cancels=(Cancel(call=f"{private}DeleteAlgoOpenOrders", by=CancelBy.SYMBOL, names=by_market("symbol")),),
            single=Cancel(call=f"{private}DeleteAlgoOrder", by=CancelBy.ORDER, names=by_id("algoId")),
        ),
        own_scope(
            PLAIN,
            PERP_MARKETS,
            ScopeKind.PLAIN,
            listing=Listing(call=f"{private}GetOpenOrders", fields=plain, spot=False),
            cancels=(Cancel(call=f"{private}DeleteAllOpenOrders", by=CancelBy.SYMBOL, names=by_market("symbol")),),
            single=Cancel(call=f"{private}DeleteOrder", by=CancelBy.ORDER, names=by_id("orderId", "symbol")),
        ),
    )


_TWAP = own_scope(
    STRATEGIES,
    PERP_MARKETS,
    ScopeKind.STRATEGY,
    listing=Listing(
        call="sapiGetAlgoFuturesOpenOrders",
        fields=OrderFields(order_id="algoId", order_type="algoType", client_order_id=("clientAlgoId",)),
        at=("orders",),
        spot=False,
    ),
    cancels=(
        Cancel(call="sapiDeleteAlgoFuturesOrder", by=CancelBy.ORDER, names=by_id("algoId"), refused=_not_stopped),
    ),
)


def dead_man(api: str) -> DeadMan:
    """A switch for each symbol. No limit is documented, and no call that tells whether it is armed."""
    return DeadMan(
        call=f"{api}PrivatePostCountdownCancelAll",
        params=lambda timeout_s, market: {"symbol": market, "countdownTime": int(timeout_s * 1000)},
        markets=PERP_MARKETS,
        least_s=5.0,
        most_s=3_600.0,
        covers="plain orders of the symbol it is armed for",
        leaves="conditional orders (the documentation does not say), strategies, symbols that it is not armed for",
        by_market=True,
        says=lambda reply: finite(reply["countdownTime"]) > 0,
    )


def _powers(reply: Any) -> KeyPowers:
    words = ("enableReading", "enableFutures", "enableWithdrawals", "ipRestrict")
    said = [reply.get(word) for word in words] if isinstance(reply, dict) else []
    if len(said) != len(words) or not all(isinstance(each_of, bool) for each_of in said):
        raise MalformedReply("what the venue tells of the key is not whole")
    return KeyPowers(may_read=said[0], may_cancel=said[1], may_withdraw=said[2], is_bound=said[3])


KEY_AUDIT = KeyAudit(call="sapiGetAccountApiRestrictions", reads=_powers)

_BOTS = "trading bots of Binance's own site (grid, DCA, arbitrage, copy trading): no call of a key lists them"

FILLS = FillSource(calls=(FillCall(markets=PERP_MARKETS, by_symbol=True),), is_streamed=True, by_market=True)

VENUE = Venue(
    exchange="binanceusdm",
    lane_width=32,
    options=OPTIONS,
    dialect=BinanceFuturesDialect,
    scopes=(_TWAP, *books("fapi")),
    replies=REPLIES,
    pools=(SAPI, LISTINGS, WEIGHTS),
    probe=Probe("fapiPrivateDeleteOrder", {"symbol": "BTCUSDT", "orderId": "1"}),
    codes=CODES,
    dead_men=(dead_man("fapi"),),
    key_audit=KEY_AUDIT,
    unprovable=(_BOTS,),
    fills=FILLS,
)
