"""Deribit: perpetuals, futures, options and spot in one account, with one wallet for each currency.

https://docs.deribit.com: api-reference for the calls, articles/errors for the codes, articles/rate-limits
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from adapters.base import Market, ScopeKind
from adapters.budget import Pool
from adapters.cancel_plans import Cancel, CancelBy, Listing, OrderFields, by_id, own_scope
from adapters.cancel_probes import Probe
from adapters.envelopes import FILLED_ROWS, ROWS, TEXT, Check, each, equals, has, is_a, is_number
from adapters.failures import Codes
from adapters.fills import FillCall, FillSource
from adapters.key_audit import KeyAudit
from adapters.venue import Venue
from adapters.venues.deribit_dialect import DeribitDialect, read_powers

MARKETS = frozenset({Market.SPOT, Market.PERP})


def _says(result: Check) -> Check:
    """JSON-RPC: a result, or an error instead."""
    return has(jsonrpc=equals("2.0"), result=result)


def _anything(_: Any) -> str | None:
    return None


REPLIES: Mapping[str, Check] = MappingProxyType(
    {
        "get_open_orders": _says(each(has(order_id=TEXT, instrument_name=TEXT, amount=is_number), list)),
        "cancel": _says(has(order_id=TEXT)),
        "cancel_all": _says(is_number),
        "get_positions": _says(each(has(instrument_name=TEXT, kind=TEXT, size=is_number), list)),
        # A row of each currency of the exchange, held or not: none at all is no answer.
        "get_account_summaries": _says(
            has(summaries=each(has(currency=TEXT, balance=is_number, futures_session_rpl=is_number), list, filled=True))
        ),
        "get_transaction_log": _says(has(logs=ROWS, continuation=_anything)),
        # Where an account has security keys set up, it asks for one instead.
        "list_api_keys": _says(is_a(list)),
        "ticker": _says(has(instrument_name=TEXT, mark_price=is_number)),
        "get_instruments": _says(FILLED_ROWS),
        "get_currencies": _says(FILLED_ROWS),
        "get_time": _says(is_number),
        "": _says(is_a(dict, list, str, int, float)),
    }
)

CODES = Codes(
    at="error.code",
    # 10028, 10047, 10066: too many calls. 10040, 10041: retry, settlement. 11051: maintenance. The last: slow, or off.
    later=frozenset(
        {"10028", "10040", "10041", "10047", "10066", "11051", "11094", "13025", "13028", "13503", "13888"}
    ),
    refused=frozenset({"10000", "11042", "11098", "12005", "13004", "13007", "13012", "13021", "13403"}),
    gone=frozenset({"10004", "10010", "11008", "11044"}),
    # A bad signature or one that is older than a minute; a key that is not known is 13004.
    clock=frozenset({"13009"}),
)

# `type` is all and `kind` is every kind, unless they are given: orders, triggers and quotes of all currencies, options
# and combos among them. No page and no limit is documented.
SCOPE = own_scope(
    "account",
    MARKETS,
    ScopeKind.PLAIN,
    listing=Listing(
        call="privateGetGetOpenOrders",
        fields=OrderFields(
            order_id="order_id",
            symbol="instrument_name",
            side="direction",
            order_type="order_type",
            client_order_id=("label",),
            quantity="amount",
            filled="filled_amount",
            trigger_price=("trigger_price", "stop_price"),
            reduces=lambda row: row.get("reduce_only") is True,
        ),
        at=("result",),
    ),
    cancels=(Cancel(call="privateGetCancelAll", by=CancelBy.ALL),),
    single=Cancel(call="privateGetCancel", by=CancelBy.ORDER, names=by_id("order_id")),
)

# A call costs 500 of 50,000 credits, and 10,000 a second come back; the log 10,000 of 80,000. What goes to the matching
# engine is counted apart: 20 at once and five a second in the lowest tier.
LOG = Pool(8.0, 1.0, for_urgent=2.0, endpoints=frozenset({"get_transaction_log"}))
ENGINE = Pool(20.0, 5.0, endpoints=frozenset({"cancel", "cancel_all", "buy", "sell"}))
OTHERS = Pool(100.0, 20.0, for_urgent=20.0, for_sweep=30.0)

VENUE = Venue(
    exchange="deribit",
    dialect=DeribitDialect,
    scopes=(SCOPE,),
    replies=REPLIES,
    codes=CODES,
    lane_width=8,
    pools=(LOG, ENGINE, OTHERS),
    probe=Probe("privateGetCancel", {"order_id": "ETH-1"}),
    key_audit=KeyAudit(call="own_key", reads=read_powers),
    unprovable=(
        "quotes and triggers of block RFQs, and block trades that wait for approval, are not looked at",
        "with cross collateral the exchange itself places spot orders to restore a balance, which no call stops",
    ),
    client_id_length=64,
    fills=FillSource(calls=(FillCall(markets=frozenset(Market), by_symbol=True),), is_streamed=True),
)
