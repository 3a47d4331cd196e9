"""Kraken spot and margin."""

from __future__ import annotations

from types import MappingProxyType

from adapters.base import SPOT_MARKETS
from adapters.budget import Pool
from adapters.cancel_plans import CancelBy, scope
from adapters.cancel_probes import Probe
from adapters.dead_man import DeadMan
from adapters.envelopes import TEXT, Check, each, equals, has, is_a, is_number, listing
from adapters.fills import FillCall, FillSource
from adapters.venue import Venue
from adapters.venues.kraken_dialect import KrakenDialect


def _says(result: Check) -> Check:
    return has(error=equals([]), result=result)


REPLIES = MappingProxyType(
    {
        "OpenOrders": _says(listing("open", each(has(descr=is_a(dict)), dict))),
        "BalanceEx": _says(each(has(balance=is_number), dict, filled=True)),
        "OpenPositions": _says(each(has(pair=TEXT, vol=is_number, cost=is_number), list, dict)),
        "TradeBalance": _says(has(m=is_number, c=is_number)),
        "Ledgers": _says(has(ledger=each(has(type=TEXT, asset=TEXT, amount=is_number), dict), count=is_number)),
        "Ticker": _says(is_a(dict, filled=True)),
        "Assets": _says(is_a(dict, filled=True)),
        "AssetPairs": _says(is_a(dict, filled=True)),
        "CancelAll": _says(has(count=is_number)),
        "CancelAllOrdersAfter": _says(has(triggerTime=TEXT)),
        "GetWebSocketsToken": _says(has(token=TEXT)),
        "": _says(is_a(dict, list)),
    }
)

# https://docs.kraken.com/exchange/guides/rest/ratelimits: the smallest tier, because no reply tells which it is.
COUNTER = Pool(
    15.0,
    0.33,
    for_urgent=3.0,
    for_sweep=3.0,
    costs={
        **dict.fromkeys(("Ledgers", "QueryLedgers", "TradesHistory", "QueryTrades", "ClosedOrders"), 2.0),
        **dict.fromkeys(("AddOrder", "AmendOrder", "EditOrder", "CancelOrder"), 0.0),
    },
)

# https://docs.kraken.com/api-reference/trading/cancel-all-orders-after-x: seconds; of 0 it answers triggerTime "0".
DEAD_MAN = DeadMan(
    call="privatePostCancelAllOrdersAfter",
    params=lambda timeout_s, _: {"timeout": int(timeout_s)},
    markets=SPOT_MARKETS,
    least_s=1,
    most_s=86_400,
    covers="all open orders of the account, spot and margin; the documentation names no kind that is spared",
    leaves="positions and holdings, and every order placed after it fired: it fires once, then it is off until it is"
    " armed again; after the venue's own maintenance it fires at once",
    says=lambda reply: reply["result"]["triggerTime"] != "0",
)

VENUE = Venue(
    exchange="kraken",
    dialect=lambda account, client: KrakenDialect(account.name, account.markets, account.reference_currency, client),
    # OpenOrders shows spot and margin, plain and trigger; CancelAll reaches the whole account.
    scopes=(scope("account", SPOT_MARKETS, CancelBy.ALL),),
    replies=REPLIES,
    pools=(COUNTER,),
    burst_s=36.0,
    # Needs "Create & modify orders" or "Cancel & close orders": docs.kraken.com/api-reference/trading/cancel-order
    probe=Probe("privatePostCancelOrder", {"txid": "OAAAAA-AAAAA-AAAAAA"}),
    dead_men=(DEAD_MAN,),
    # A position is closed by an order with leverage, of any size: without one it would sell the spot holding.
    # https://support.kraken.com/hc/en-us/articles/202966956-What-is-closing-a-position-and-how-do-I-do-it-
    reduce_params=MappingProxyType({"reduceOnly": True, "leverage": "2"}),
    closes_margin=True,
    client_id_length=18,  # of free text: docs.kraken.com/api-reference/trading/add-order
    fills=FillSource(calls=(FillCall(markets=SPOT_MARKETS),), is_streamed=True),
)
