"""Kraken Futures."""

from __future__ import annotations

from types import MappingProxyType

from adapters.base import PERP_MARKETS
from adapters.budget import Pool
from adapters.cancel_plans import CancelBy, scope
from adapters.cancel_probes import Probe
from adapters.dead_man import DeadMan
from adapters.envelopes import FILLED_ROWS, ROWS, TEXT, Check, both, each, equals, has, is_a, is_number, listing
from adapters.fills import FillCall, FillSource
from adapters.venue import Venue
from adapters.venues.krakenfutures_dialect import KrakenFuturesDialect


def _says(**fields: Check) -> Check:
    return has(result=equals("success"), **fields)


REPLIES = MappingProxyType(
    {
        "openorders": both(_says(), listing("openOrders", each(has(order_id=TEXT, symbol=TEXT), list))),
        "openpositions": both(
            _says(), listing("openPositions", each(has(symbol=TEXT, size=is_number, price=is_number), list))
        ),
        "accounts": _says(accounts=each(has(type=TEXT), dict, filled=True)),
        "tickers": _says(tickers=FILLED_ROWS),
        "instruments": _says(instruments=FILLED_ROWS),
        "cancelallorders": _says(cancelStatus=is_a(dict, filled=True)),
        "cancelallordersafter": _says(status=has(triggerTime=TEXT)),
        "account-log": has(logs=ROWS),
        "": _says(),
    }
)

# https://docs.kraken.com/exchange/guides/futures/ratelimits: the history has tokens that come back, the others may cost
# 500 every ten seconds.
HISTORY = Pool(
    100.0,
    100.0 / 600.0,
    for_urgent=30.0,
    endpoints=frozenset({"account-log", "accountlogcsv", "executions", "orders", "triggers"}),
    by_count=((25, 1.0), (50, 2.0), (1_000, 3.0), (5_000, 6.0), (100_000, 10.0)),
    default=3.0,
)
DERIVATIVES = Pool.window(
    500.0,
    10.0,
    for_urgent=100.0,
    for_sweep=200.0,
    costs={
        **dict.fromkeys(("sendorder", "editorder", "cancelorder", "batchorder"), 10.0),
        **dict.fromkeys(("cancelallorders", "cancelallordersafter", "fills"), 25.0),
    },
    default=2.0,
)

# https://docs.kraken.com/api-reference/order-management/dead-mans-switch: seconds; no longest is named, so a day, as on
# spot; of 0 it answers triggerTime "0".
DEAD_MAN = DeadMan(
    call="privatePostCancelallordersafter",
    params=lambda timeout_s, _: {"timeout": int(timeout_s)},
    markets=PERP_MARKETS,
    least_s=1,
    most_s=86_400,
    covers="all open orders of the account",
    leaves="positions, and every order placed after it fired; whether trigger orders fall is not documented",
    says=lambda reply: reply["status"]["triggerTime"] != "0",
)

VENUE = Venue(
    exchange="krakenfutures",
    dialect=lambda account, client: KrakenFuturesDialect(account.name, client),
    # openorders shows triggers too; cancelallorders without a symbol reaches them.
    scopes=(scope("account", PERP_MARKETS, CancelBy.ALL),),
    replies=REPLIES,
    pools=(HISTORY, DERIVATIVES),
    burst_s=6.0,
    # Unknown ids are answered by the status `notFound`: .../api-reference/order-management/cancel-order
    probe=Probe("privatePostCancelorder", {"order_id": "00000000-0000-0000-0000-000000000000"}),
    dead_men=(DEAD_MAN,),
    fills=FillSource(calls=(FillCall(markets=PERP_MARKETS),), is_streamed=True),
)
