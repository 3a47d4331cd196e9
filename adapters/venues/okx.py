"""OKX: one trading account for all markets. Its orders stand in `okx_orders.py`.

https://www.okx.com/docs-v5/en
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market
from adapters.budget import Pool
from adapters.cancel_probes import Probe
from adapters.dead_man import DeadMan
from adapters.dialect import text
from adapters.envelopes import FILLED_ROWS, ROWS, TEXT, Check, each, equals, has, is_a, is_number
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit, KeyPowers, may_withdraw
from adapters.venue import Venue
from adapters.venues.okx_dialect import OkxDialect
from adapters.venues.okx_orders import GONE, SCOPES
from risk_daemon.errors import MalformedReply
from risk_daemon.model.units import finite


def _says(rows: Check = ROWS) -> Check:
    return has(code=equals("0"), data=rows)


def _one_of(*codes: str) -> Check:
    return lambda value: None if value in codes else f"is {value!r}, not one of {', '.join(codes)}"


# A batch may be done in part: the rows say of which.
_DONE = has(code=_one_of("0", "1", "2"), data=each(has(sCode=TEXT), list, filled=True))
_BILLS = _says(each(has(billId=TEXT, ccy=TEXT, balChg=is_number, type=TEXT, ts=is_number), list))
_LISTED_BOTS = _says(each(has(algoId=TEXT), list))

REPLIES = MappingProxyType(
    {
        "orders-pending": _says(each(has(ordId=TEXT, state=TEXT), list)),
        "orders-algo-pending": _LISTED_BOTS,
        "ongoing-list": _LISTED_BOTS,
        "balance": _says(each(has(totalEq=is_number, details=each(has(ccy=TEXT, cashBal=is_number), list)), list)),
        "positions": _says(each(has(posId=TEXT, instType=TEXT, instId=TEXT, pos=is_number, posSide=TEXT), list)),
        "tickers": _says(FILLED_ROWS),
        "mark-price": _says(each(has(instId=TEXT, markPx=is_number), list)),
        "bills": _BILLS,
        "bills-archive": _BILLS,
        "config": _says(FILLED_ROWS),
        "cancel-all-after": _says(each(has(triggerTime=is_number), list, filled=True)),
        "mass-cancel": _says(each(has(result=is_a(bool)), list, filled=True)),
        **dict.fromkeys(("cancel-order", "cancel-batch-orders", "cancel-algos", "cancel-advance-algos"), _DONE),
        **dict.fromkeys(("stop-order-algo", "stop"), _DONE),
        "": _says(),
    }
)

# Of the account, in so many seconds: the reference's "Rate Limit" of each endpoint. Bots that use the same account
# share them, where they go by user. Whether the seconds slide or are the clock's is not said: those that slide keep
# both.
POOLS = (
    Pool.window(
        20.0, 2.0, for_urgent=3.0, for_sweep=7.0, endpoints=frozenset({"trade/orders-algo-pending"}), strict=True
    ),
    Pool.window(60.0, 2.0, for_urgent=5.0, for_sweep=20.0, endpoints=frozenset({"trade/orders-pending"}), strict=True),
    *(
        Pool.window(20.0, 2.0, for_sweep=6.0, endpoints=frozenset({f"tradingBot/{listing}"}), strict=True)
        for listing in (
            "grid/orders-algo-pending",
            "dca/ongoing-list",
            "recurring/orders-algo-pending",
            "signal/orders-algo-pending",
        )
    ),
    Pool.window(10.0, 2.0, for_sweep=3.0, endpoints=frozenset({"sprd/orders-pending"}), strict=True),
    *(
        Pool.window(10.0, 2.0, for_urgent=2.0, for_sweep=3.0, endpoints=frozenset({endpoint}))
        for endpoint in ("account/balance", "account/positions")
    ),
    Pool.window(5.0, 1.0, for_urgent=2.0, endpoints=frozenset({"account/bills"})),
    Pool.window(5.0, 2.0, for_urgent=1.0, endpoints=frozenset({"account/bills-archive"})),
    Pool.window(20.0, 2.0, for_urgent=4.0, endpoints=frozenset({"market/tickers"}), public=True),
    Pool.window(10.0, 2.0, for_urgent=4.0, endpoints=frozenset({"public/mark-price"}), public=True),
    Pool.window(1.0, 1.0, endpoints=frozenset({"trade/cancel-all-after"})),
)

CODES = Codes(
    at="code",
    later=frozenset({"50001", "50004", "50005", "50011", "50013", "50026", "50040", "50061", "51149"}),
    refused=frozenset(
        {
            *("50000", "50002", "50014", "51000"),
            *(
                "50100",
                "50101",
                "50103",
                "50104",
                "50105",
                "50106",
                "50107",
                "50110",
                "50111",
                "50113",
                "50114",
                "50119",
            ),
            *("50120", "50121", "50030"),
        }
    ),
    gone=GONE,
    clock=frozenset({"50102", "50112"}),
    row_codes=("data", "sCode"),
)


def read_powers(reply: Any) -> KeyPowers:
    """account/config: what the calling key may do, and whether it is bound to addresses.

    To trade is also to move money between the accounts of the user: only a withdrawal needs more.
    """
    rows = reply["data"]
    if len(rows) != 1:
        raise MalformedReply("the account's configuration is not one row")
    granted = {word.strip() for word in text(rows[0], "perm").split(",")}
    addresses = rows[0].get("ip")
    if not isinstance(addresses, str):
        raise MalformedReply("the account's configuration lacks ip")
    return KeyPowers(
        may_read="read_only" in granted,
        may_cancel="trade" in granted,
        may_withdraw=may_withdraw(granted, {"withdraw"}, {"read_only", "trade"}),
        is_bound=bool(addresses.strip()),
    )


_FILLS = FillSource(
    calls=(
        FillCall(markets=frozenset({Market.SPOT}), params={"type": "spot"}),
        FillCall(markets=frozenset({Market.MARGIN}), params={"type": "margin"}),
        FillCall(markets=PERP_MARKETS, params={"type": "swap"}),
        FillCall(markets=PERP_MARKETS, params={"type": "future"}),
    ),
    is_streamed=True,
    by_market=True,
)

VENUE = Venue(
    exchange="okx",
    dialect=OkxDialect,
    scopes=SCOPES,
    replies=REPLIES,
    codes=CODES,
    lane_width=16,
    pools=POOLS,
    burst_s=6.0,
    # "the order has been filled, canceled or does not exist" is 51400, a key that may not trade is told 50120.
    probe=Probe("privatePostTradeCancelOrder", {"instId": "BTC-USDT", "ordId": "1"}),
    dead_men=(
        DeadMan(
            call="privatePostTradeCancelAllAfter",
            params=lambda timeout_s, _: {"timeOut": str(int(timeout_s))},
            markets=SPOT_MARKETS | PERP_MARKETS,
            least_s=10.0,
            most_s=120.0,
            covers="plain orders of the whole account, options included",
            leaves="spread orders; whether algo orders and trading bots are reached, the documentation does not say",
            says=lambda reply: finite(reply["data"][0]["triggerTime"]) > 0,
        ),
    ),
    key_audit=KeyAudit(call="privateGetAccountConfig", reads=read_powers),
    unprovable=(
        "quotes of block trades (RFQ) are not listed",
        "copy trading: what a lead trader's followers place is theirs, and what this account copies is not stopped",
        "bots on marketplaces (arbitrage, smart portfolio) have no listing: while money lies in one, stgyEq shows it",
    ),
    fills=_FILLS,
)
