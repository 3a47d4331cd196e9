"""Deribit's raw rows, read exactly or refused whole; what its file says of errors, keys and clocks."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import KeyPowers, Market
from adapters.cancel_plans import CancelBy
from adapters.envelopes import wrong_with
from adapters.failures import ClockOff, HttpReply, OrderGone, failure
from adapters.venue import VenueSettings
from adapters.venues import deribit_dialect as deribit
from adapters.venues.deribit import CODES, REPLIES, SCOPE, VENUE
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import Kind, OrdersSeen, PricesSeen

D = Decimal
INVERSE: dict[str, Any] = {
    "id": "BTC-PERPETUAL",
    "symbol": "BTC/USD:BTC",
    "base": "BTC",
    "quote": "USD",
    "settle": "BTC",
    "inverse": True,
    "spot": False,
}
LINEAR: dict[str, Any] = {
    "id": "BTC_USDC-PERPETUAL",
    "symbol": "BTC/USDC:USDC",
    "base": "BTC",
    "quote": "USDC",
    "settle": "USDC",
    "inverse": False,
    "spot": False,
}
PAIR: dict[str, Any] = {"id": "BTC_USDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "spot": True}
ROW: dict[str, Any] = {
    "instrument_name": "BTC-PERPETUAL",
    "kind": "future",
    "direction": "buy",
    "size": 50.0,
    "mark_price": 7476.65,
    "average_price": 7440.18,
    "floating_profit_loss": 0,
    "total_profit_loss": 0.000032781,
}
ORDER: dict[str, Any] = {
    "order_id": "ETH-SLTB-1",
    "instrument_name": "BTC-PERPETUAL",
    "direction": "sell",
    "order_type": "stop_market",
    "order_state": "untriggered",
    "amount": 10.0,
    "label": "",
    "reduce_only": True,
}


class Client:
    """As much of ccxt's as is asked here."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.markets = {market["symbol"]: market for market in (INVERSE, LINEAR, PAIR)}
        self.markets_by_id = {market["id"]: [market] for market in self.markets.values()}
        self.apiKey = "KEY"
        self.ordered: Any = None

    def milliseconds(self) -> int:
        return 1_000_000

    async def fetch_time(self, _: Any = None) -> int:
        return 940_000

    async def fetch_markets(self, _: Any = None) -> Any:
        return [{"symbol": "a", "contract": True, "contractSize": 10}, {"symbol": "b", "contract": False}]

    async def create_order(self, *args: Any) -> Any:
        self.ordered = args

    async def privateGetListApiKeys(self) -> Any:  # noqa: N802 - ccxt's name
        return {"result": [{"client_id": "OTHER", "max_scope": "wallet:read_write"}, {"client_id": self.apiKey}]}

    def safe_currency_code(self, code: str) -> str:
        return code


@pytest.fixture
def dialect() -> deribit.DeribitDialect:
    account = VenueSettings("d", "deribit", frozenset({Market.SPOT, Market.PERP}))
    return deribit.DeribitDialect(account, Client())


def frame(channel: str, data: Any) -> Any:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


# --- money ---------------------------------------------------------------------------------------


def test_a_balance_is_cash_and_what_was_realised_since() -> None:
    """As an account was seen to say it: the sum, with 0.05921555 floating and -0.0086 of options, is its equity."""
    row = {"currency": "BTC", "balance": 302.60065765, "futures_session_rpl": -0.03258105, "equity": 302.61869214}
    amounts = deribit.parse_balances({"result": {"summaries": [row]}})
    assert amounts == {"BTC": D("302.56807660")}
    assert amounts["BTC"] + D("0.05921555") - D("0.0086") == pytest.approx(D("302.61869214"), abs=D("2e-8"))
    for odd in ([row, row], [row | {"balance": None}], [row | {"futures_session_rpl": "NaN"}]):
        with pytest.raises(MalformedReply):
            deribit.parse_balances({"result": {"summaries": odd}})


def test_a_position_that_was_settled_counts_from_what_is_floating() -> None:
    position = deribit.parse_position(ROW, INVERSE)
    assert position is not None
    assert (position.quantity, position.inverse, position.contract_size, position.settle) == (D(50), True, D(1), "BTC")
    assert position.entry == pytest.approx(D("7476.65"))
    fresh = deribit.parse_position(ROW | {"floating_profit_loss": 0.000032781}, INVERSE)
    assert fresh is not None
    assert fresh.entry == D("7440.18")


def test_so_does_a_linear_one_and_a_short() -> None:
    row = ROW | {"direction": "sell", "size": -2.0, "mark_price": 60_000, "average_price": 65_000}
    position = deribit.parse_position(row | {"floating_profit_loss": 500, "total_profit_loss": 10_000}, LINEAR)
    assert position is not None
    assert (position.quantity, position.entry, position.settle) == (D(-2), D(60_250), "USDC")
    assert deribit.parse_position(ROW | {"size": 0.0, "direction": "zero"}, None) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"direction": "sell"},
        {"size": "x"},
        {"average_price": 0, "total_profit_loss": 0},
        {"mark_price": 0},
        {"floating_profit_loss": None},
        {"floating_profit_loss": -1},
        {"kind": "option"},
    ],
)
def test_an_odd_position_spoils_the_reply(odd: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        deribit.parse_position(ROW | odd, INVERSE)


def test_a_position_in_a_market_that_nobody_knows_is_not_left_out() -> None:
    with pytest.raises(MalformedReply):
        deribit.parse_position(ROW, None)


def test_pairs_have_mids_and_contracts_have_marks() -> None:
    row = {"best_bid_price": 99, "best_ask_price": 101, "mark_price": 7.5}
    pair, mark = deribit.parse_price(row, PAIR), deribit.parse_price(row, INVERSE)
    assert pair is not None
    assert mark is not None
    assert (pair.value, pair.converts, mark.value, mark.converts) == (D(100), True, D("7.5"), False)
    for none in (None, 0, 0.0):
        assert deribit.parse_price(row | {"best_ask_price": none}, PAIR) is None
    assert deribit.parse_price({"mark_price": 0}, INVERSE) is None


# --- what its file says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "becomes"),
    [
        (10028, VenueUnavailable),
        (10041, VenueUnavailable),
        (13004, VenueRejected),
        (13021, VenueRejected),
        (13009, ClockOff),
        (10004, OrderGone),
    ],
)
def test_codes_stand_within_the_error(code: int, becomes: type[VenueError]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "error": {"code": code, "message": "x"}})
    assert type(failure(RuntimeError("x"), HttpReply("GET", "https://x/y", 400, {}, body), (), CODES)) is becomes


@pytest.mark.parametrize(
    "odd",
    [{}, {"result": []}, {"jsonrpc": "2.0"}, {"jsonrpc": "2.0", "result": {}}, {"jsonrpc": "2.0", "result": [{}]}, []],
)
def test_what_is_no_listing_is_refused(odd: Any) -> None:
    url = "https://www.deribit.com/api/v2/private/get_open_orders"
    assert wrong_with(REPLIES, url, odd) is not None
    assert wrong_with(REPLIES, url, {"jsonrpc": "2.0", "result": []}) is None


def test_one_listing_and_one_cancel_reach_everything() -> None:
    assert (SCOPE.cancel_by, VENUE.scopes, VENUE.dead_men) == (CancelBy.ALL, (SCOPE,), ())
    assert SCOPE.calls is not None
    assert dict(SCOPE.calls.listing.params) == {}, "a kind or a type would leave the others out"


def test_a_key_is_read_by_its_scope() -> None:
    row = {"client_id": "KEY", "max_scope": "account:read trade:read_write wallet:none", "ip_whitelist": ["10.0.0.1"]}
    assert deribit.read_powers(row) == KeyPowers(may_read=True, may_cancel=True, may_withdraw=False, is_bound=True)
    wide = row | {"max_scope": "trade:read, wallet:read_write", "ip_whitelist": []}
    assert deribit.read_powers(wide) == KeyPowers(may_read=False, may_cancel=False, may_withdraw=True, is_bound=False)
    assert deribit.read_powers(None) == KeyPowers()
    for unknown in ("", "account:read all"):
        assert deribit.read_powers(row | {"max_scope": unknown}).may_withdraw is None
    with pytest.raises(MalformedReply):
        deribit.read_powers(row | {"max_scope": None})


def test_the_client_counts_signs_and_names_as_the_venue_does() -> None:
    client: Any = Client()
    deribit.adjust(client)
    rows = asyncio.run(client.fetch_markets())
    assert [row.get("contractSize") for row in rows] == [1, None]
    assert client.milliseconds() == 940_000
    assert asyncio.run(client.load_time_difference()) == 60_000
    asyncio.run(client.load_time_difference())
    assert client.milliseconds() == 940_000, "the correction is not corrected again"
    asyncio.run(client.create_order("a", "market", "sell", "1", None, {"reduceOnly": True, "clientOrderId": "x1"}))
    assert client.ordered[-1] == {"reduceOnly": True, "label": "x1"}
    assert asyncio.run(client.own_key()) == {"client_id": "KEY"}
    client.apiKey = "NONE"
    client.privateGetListApiKeys = Client().privateGetListApiKeys
    assert asyncio.run(client.own_key()) is None


# --- streams -------------------------------------------------------------------------------------


def test_cash_that_stays_is_no_news_and_a_trade_is(dialect: deribit.DeribitDialect) -> None:
    told = frame("user.portfolio.btc", {"currency": "BTC", "balance": 1.5, "equity": 2})
    assert dialect.read_frames(Kind.BALANCES, [told], 1.0) == ()
    assert dialect.read_frames(Kind.BALANCES, [told], 1.0) is None
    changes = {"trades": [], "positions": [], "orders": [ORDER]}
    assert dialect.read_frames(Kind.BALANCES, [frame("user.changes.any.any.raw", changes)], 1.0) is None
    traded = frame("user.changes.any.any.raw", changes | {"trades": [{"trade_id": "1"}]})
    assert dialect.read_frames(Kind.BALANCES, [traded], 1.0) == (), "what it realised is no cash yet"
    assert dialect.read_frames(Kind.POSITIONS, [traded], 1.0) == ()


def test_orders_are_told_open_and_ended(dialect: deribit.DeribitDialect) -> None:
    rows = [ORDER, ORDER | {"order_id": "2", "order_state": "open", "label": "bot-1"}]
    (seen,) = dialect.read_frames(Kind.ORDERS, [frame("user.changes.any.any.raw", {"orders": rows})], 1.0) or ()
    assert isinstance(seen, OrdersSeen)
    assert [(order.order_id, order.client_order_id, order.side) for order in seen.orders] == [
        ("ETH-SLTB-1", None, OrderSide.SELL),
        ("2", "bot-1", OrderSide.SELL),
    ]
    gone = frame("user.changes.any.any.raw", {"orders": [ORDER | {"order_state": "cancelled"}]})
    (seen,) = dialect.read_frames(Kind.ORDERS, [gone], 1.0) or ()
    assert isinstance(seen, OrdersSeen)
    assert seen.orders == ()
    nothing = frame("user.changes.any.any.raw", {"orders": [], "trades": [], "positions": []})
    assert dialect.read_frames(Kind.ORDERS, [nothing], 1.0) is None


def test_prices_confirm_once_each_came(dialect: deribit.DeribitDialect) -> None:
    dialect._price_symbols = frozenset({"BTC/USDT"})
    row = {"instrument_name": "BTC_USDT", "best_bid_price": 99, "best_ask_price": 101}
    assert not dialect.is_confirming(Kind.PRICES)
    (seen,) = dialect.read_frames(Kind.PRICES, [frame("ticker.BTC_USDT.100ms", row)], 1.0) or ()
    assert isinstance(seen, PricesSeen)
    assert seen.prices[0].value == D(100)
    assert dialect.is_confirming(Kind.PRICES)
    other = row | {"instrument_name": "BTC-PERPETUAL"}
    assert dialect.read_frames(Kind.PRICES, [frame("ticker.BTC-PERPETUAL.100ms", other)], 1.0) is None
