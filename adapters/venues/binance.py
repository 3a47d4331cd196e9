"""Binance spot, cross and isolated margin, with orders of the venue's own algorithms.

https://developers.binance.com/docs/binance-spot-api-docs, https://developers.binance.com/docs/margin_trading
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from adapters.base import Market, ScopeKind
from adapters.budget import Pool
from adapters.cancel_plans import Cancel, CancelBy, Listing, OrderFields, by_id, by_market, own_scope
from adapters.cancel_probes import Probe
from adapters.dialect import optional_text
from adapters.envelopes import FILLED_ROWS, ROWS, TEXT, Check, each, has, is_a, is_number, listing
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit, KeyPowers
from adapters.venue import Venue
from adapters.venues.binance_dialect import CROSS, ISOLATED, PAIRS, SPOT, BinanceDialect
from risk_daemon.errors import MalformedReply

OPTIONS = MappingProxyType(
    {
        "fetchOpenOrders": {"warnWithoutSymbol": False},
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        # Without these a key that lacks wallet permission cannot even load markets.
        "fetchCurrencies": False,
        "fetchMargins": False,
    }
)

_SPOT_OPTIONS = {
    # Else ccxt loads the lists of futures as well, from hosts that may be blocked where spot is not.
    "fetchMarkets": {"types": ["spot"]},
    # The venue's clock is read along with the markets.
    "adjustForTimeDifference": True,
}

# --- what replies look like -----------------------------------------------------------------------------

_ORDER = has(symbol=TEXT, orderId=is_number)
_LIST = has(symbol=TEXT, orderListId=is_number, orderReports=each(_ORDER, list, filled=True))
_ALGO = has(algoId=is_number, symbol=TEXT)


def _either(*checks: Check) -> Check:
    """Good by one of them; what is wrong by the last."""

    def check(value: Any) -> str | None:
        wrong: str | None = "no check"
        for one in checks:
            wrong = one(value)
            if wrong is None:
                return None
        return wrong

    return check


_MARGIN_ASSETS = each(has(asset=TEXT, free=is_number, borrowed=is_number), list, filled=True)
_PAIR = has(symbol=TEXT, baseAsset=is_a(dict, filled=True), quoteAsset=is_a(dict, filled=True))
# Spot's, the cross account's and the isolated one's: the paths end alike, and the dialect says which it wants.
_ACCOUNT = _either(
    has(balances=each(has(asset=TEXT, free=is_number, locked=is_number), list)),
    has(userAssets=_MARGIN_ASSETS),
    has(assets=each(_PAIR, list)),
)
_PAGED = has(rows=ROWS, total=is_number)

REPLIES = MappingProxyType(
    {
        # Orders of spot and margin, what a cancel of them tells, and orders of algorithms.
        "openOrders": _either(listing("orders", each(_ALGO, list)), each(_either(_LIST, _ORDER), list)),
        "order": _either(_ORDER, has(algoId=is_number, success=is_a(bool))),
        "account": _ACCOUNT,
        "get-funding-asset": each(has(asset=TEXT, free=is_number), list),
        "position": _PAGED,
        "bookTicker": each(has(symbol=TEXT, bidPrice=is_number, askPrice=is_number), list, filled=True),
        "exchangeInfo": has(symbols=FILLED_ROWS),
        "time": has(serverTime=is_number),
        "hisrec": each(has(id=TEXT, coin=TEXT, amount=is_number), list),
        "history": each(has(id=TEXT, coin=TEXT, amount=is_number), list),
        "transfer": has(total=is_number),
        "assetDividend": _PAGED,
        "subUserHistory": each(has(tranId=is_number, asset=TEXT, qty=is_number), list),
        "list": has(subAccounts=each(has(email=TEXT), list)),
        "universalTransfer": has(result=each(has(tranId=is_number, asset=TEXT, amount=is_number), list)),
        "userListenToken": has(token=TEXT),
        "apiRestrictions": has(ipRestrict=is_a(bool), enableReading=is_a(bool)),
        "": is_a(dict, list, filled=True),
    }
)

# --- orders ---------------------------------------------------------------------------------------------

_SPOT_ONLY, _MARGIN_ONLY = frozenset({Market.SPOT}), frozenset({Market.MARGIN})
_FIELDS = OrderFields(
    client_order_id=("clientOrderId",), quantity="origQty", filled="executedQty", trigger_price=("stopPrice",)
)
_ISOLATED = MappingProxyType({"isIsolated": "TRUE"})


def _algo_refused(reply: Any) -> str | None:
    return None if reply.get("success") is True else f"{optional_text(reply, 'msg')}"


ALGO = own_scope(
    "spot algo",
    _SPOT_ONLY,
    ScopeKind.STRATEGY,
    listing=Listing(
        call="sapiGetAlgoSpotOpenOrders",
        fields=OrderFields(
            order_id="algoId",
            order_type="algoType",
            client_order_id=("clientAlgoId",),
            quantity="totalQty",
            filled="executedQty",
        ),
        at=("orders",),
        spot=True,
    ),
    cancels=[
        Cancel(call="sapiDeleteAlgoSpotOrder", by=CancelBy.ORDER, names=by_id("algoId"), refused=_algo_refused),
    ],
)
# Stops, order lists and plain orders are rows of one listing; a cancel by symbol reaches them all.
ORDERS = own_scope(
    SPOT,
    _SPOT_ONLY,
    ScopeKind.PLAIN,
    listing=Listing(call="privateGetOpenOrders", fields=_FIELDS, spot=True),
    cancels=[Cancel(call="privateDeleteOpenOrders", by=CancelBy.SYMBOL, names=by_market("symbol"))],
    single=Cancel(call="privateDeleteOrder", by=CancelBy.ORDER, names=by_id("orderId", "symbol")),
)
CROSS_ORDERS = own_scope(
    CROSS,
    _MARGIN_ONLY,
    ScopeKind.PLAIN,
    listing=Listing(
        call="sapiGetMarginOpenOrders", fields=_FIELDS, agrees={"isIsolated": frozenset({"False"})}, spot=True
    ),
    cancels=[Cancel(call="sapiDeleteMarginOpenOrders", by=CancelBy.SYMBOL, names=by_market("symbol"))],
    single=Cancel(call="sapiDeleteMarginOrder", by=CancelBy.ORDER, names=by_id("orderId", "symbol")),
)
# Listed pair by pair, and only the isolated account tells which pairs there are.
ISOLATED_ORDERS = own_scope(
    ISOLATED,
    _MARGIN_ONLY,
    ScopeKind.PLAIN,
    listing=Listing(
        call="sapiGetMarginOpenOrders",
        fields=_FIELDS,
        params=_ISOLATED,
        agrees={"isIsolated": frozenset({"True"})},
        each=PAIRS,
        spot=True,
    ),
    cancels=[
        Cancel(call="sapiDeleteMarginOpenOrders", by=CancelBy.SYMBOL, params=_ISOLATED, names=by_market("symbol")),
    ],
    single=Cancel(call="sapiDeleteMarginOrder", by=CancelBy.ORDER, params=_ISOLATED, names=by_id("orderId", "symbol")),
)

# --- limits ---------------------------------------------------------------------------------------------

# A minute's weight of an address, whoever asks from it; the reply tells how much is used.
ADDRESS = Pool(
    6_000.0,
    100.0,
    for_urgent=600.0,
    for_sweep=1_200.0,
    endpoints=frozenset({"account", "openOrders", "order", "time", "exchangeInfo", "ticker/bookTicker"}),
    costs={"account": 20.0, "openOrders": 80.0, "exchangeInfo": 20.0, "ticker/bookTicker": 4.0},
    public=True,
    header="X-MBX-USED-WEIGHT-1M",
)
# Ten a minute, of the account: no other call of ours tells this weight.
WITHDRAWALS = Pool(
    180_000.0,
    3_000.0,
    for_urgent=72_000.0,
    endpoints=frozenset({"capital/withdraw/history"}),
    default=18_000.0,
    header="X-SAPI-USED-UID-WEIGHT-1M",
    window_s=60.0,
)
# The documentation counts one call for each symbol that trades; how many that are it does not say: a thousand.
MARGIN_LISTINGS = Pool(
    12_000.0,
    200.0,
    for_urgent=1_000.0,
    for_sweep=6_000.0,
    endpoints=frozenset({"margin/openOrders"}),
    default=1_000.0,
    narrow={"symbol": 10.0},
)
EARN, LOCKED_EARN = (
    Pool(12_000.0, 200.0, for_urgent=2_000.0, endpoints=frozenset({f"simple-earn/{kind}/position"}), default=150.0)
    for kind in ("flexible", "locked")
)
# Each of the others has a minute's weight of its own; here they share one.
WALLETS = Pool(
    12_000.0,
    200.0,
    for_urgent=2_000.0,
    for_sweep=2_000.0,
    costs={"margin/account": 10.0, "margin/isolated/account": 10.0, "asset/assetDividend": 10.0},
)

# https://developers.binance.com/docs/binance-spot-api-docs/errors. -2011 is left to its words: it also says that
# the account may cancel nothing. 403 is a firewall's, which may mean too many calls.
CODES = Codes(
    at="code",
    later=frozenset({"-1000", "-1001", "-1003", "-1006", "-1007", "-1008", "-1015", "-1016", "-1034"}),
    refused=frozenset({"-1002", "-1022", "-2008", "-2014", "-2015"}),
    gone=frozenset({"-2013", "-20124"}),
    clock=frozenset({"-1021"}),
    ban_statuses=frozenset({403}),
)


def _powers(reply: Any) -> KeyPowers:
    told = {name: reply.get(name) for name in ("enableReading", "enableSpotAndMarginTrading", "enableWithdrawals")}
    if not all(isinstance(value, bool) for value in (*told.values(), reply.get("ipRestrict"))):
        raise MalformedReply("the key's permissions are not told")
    return KeyPowers(
        may_read=told["enableReading"],
        may_cancel=told["enableSpotAndMarginTrading"],
        may_withdraw=told["enableWithdrawals"],
        is_bound=reply["ipRestrict"],
    )


_FILLS = FillSource(
    calls=(
        FillCall(markets=_SPOT_ONLY, params={"type": "spot"}, by_symbol=True),
        FillCall(markets=frozenset({Market.MARGIN}), params={"type": "margin"}, by_symbol=True),
    ),
    is_streamed=True,
    by_market=True,
)

VENUE = Venue(
    exchange="binance",
    lane_width=32,
    options=MappingProxyType({**OPTIONS, **_SPOT_OPTIONS}),
    dialect=BinanceDialect,
    scopes=(ALGO, ORDERS, CROSS_ORDERS, ISOLATED_ORDERS),
    replies=REPLIES,
    pools=(ADDRESS, WITHDRAWALS, MARGIN_LISTINGS, EARN, LOCKED_EARN, WALLETS),
    probe=Probe("privateDeleteOrder", {"symbol": "BTCUSDT", "origClientOrderId": "risk-daemon-probe"}),
    codes=CODES,
    key_audit=KeyAudit(call="sapiGetAccountApiRestrictions", reads=_powers),
    unprovable=(
        # https://developers.binance.com/docs/convert/Introduction: else -1002, whatever the key may do.
        "limit orders of Convert: its addresses answer those alone whom Binance has approved for it",
        "trading bots of the website (grid, DCA, rebalancing, copy trading) place orders, and no call lists them",
        "recurring purchases (Auto-Invest) and dual investments buy by themselves and are not read",
        "an account in portfolio margin keeps its margin orders behind other addresses, which are not asked",
    ),
    fills=_FILLS,
)
