"""OKX's raw rows, read exactly or refused whole."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.base import Market
from adapters.cancel_plans import plan_for
from adapters.key_audit import KeyPowers
from adapters.venue import VenueSettings
from adapters.venues import okx, okx_dialect, okx_orders
from adapters.venues.okx_dialect import OkxDialect, parse_balances, parse_marks, parse_positions, parse_tickers
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import Kind, OrdersSeen, PricesSeen

D = Decimal
COMMON = {"base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT", "active": True}
SPOT = COMMON | {"id": "BTC-USDT", "symbol": "BTC/USDT", "spot": True, "settle": None, "contractSize": None}
SWAP = COMMON | {
    "id": "BTC-USDT-SWAP",
    "symbol": "BTC/USDT:USDT",
    "spot": False,
    "settle": "USDT",
    "contractSize": 0.01,
}
INVERSE = COMMON | {
    "id": "BTC-USD-SWAP",
    "symbol": "BTC/USD:BTC",
    "quote": "USD",
    "spot": False,
    "settle": "BTC",
    "contractSize": 100,
    "inverse": True,
}
MARKETS: dict[str, dict[str, Any]] = {str(market["id"]): market for market in (SPOT, SWAP, INVERSE)}


def market_of(name: str, spot: bool) -> dict[str, Any] | None:
    market = MARKETS.get(name)
    return market if market is not None and market["spot"] is spot else None


def dialect() -> OkxDialect:
    client = SimpleNamespace(
        markets={market["symbol"]: market for market in MARKETS.values()},
        markets_by_id={name: [market] for name, market in MARKETS.items()},
    )
    settings = VenueSettings("okx", "okx", frozenset({Market.SPOT, Market.PERP}))
    return OkxDialect(settings, client)


# --- balances ------------------------------------------------------------------------------------------


def account(*details: dict[str, Any], equity: str = "1") -> dict[str, Any]:
    return {"code": "0", "data": [{"totalEq": equity, "details": list(details)}]}


def coin(**changes: Any) -> dict[str, Any]:
    return {"ccy": "USDT", "cashBal": "4850.435", "stgyEq": "150", "isoEq": "", "isoUpl": "", "liab": "0"} | changes


def test_what_lies_in_bots_and_isolated_margin_is_owned_and_profit_is_not() -> None:
    assert parse_balances(account(coin())) == {"USDT": D("5000.435")}
    assert parse_balances(account(coin(cashBal="900", stgyEq="0", isoEq="90", isoUpl="-10"))) == {"USDT": D(1000)}


def test_a_debt_is_in_the_cash_already() -> None:
    assert parse_balances(account(coin(ccy="BTC", cashBal="-0.4", stgyEq="0", liab="0.4"))) == {"BTC": D("-0.4")}


def test_an_empty_account_is_empty_only_without_equity() -> None:
    assert parse_balances(account(equity="0")) == {}
    with pytest.raises(MalformedReply):
        parse_balances(account())


@pytest.mark.parametrize(
    "reply",
    [
        {"data": []},
        account(coin(cashBal="")),
        account(coin(stgyEq=None)),
        account({name: value for name, value in coin().items() if name != "isoEq"}),
        account(coin(), coin()),
        account(coin(ccy="")),
    ],
)
def test_an_odd_balance_refuses_all(reply: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        parse_balances(reply)


# --- positions -----------------------------------------------------------------------------------------


def held(**changes: Any) -> dict[str, Any]:
    row = {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "posSide": "net", "pos": "-5", "avgPx": "60000", "posCcy": ""}
    return row | changes


def test_the_side_is_in_the_size_or_in_the_leg_or_in_the_coin() -> None:
    rows = [
        held(),
        held(instId="BTC-USD-SWAP", pos="7"),
        held(instType="MARGIN", instId="BTC-USDT", pos="30000", posCcy="USDT", liab="-0.5"),
        held(pos="0"),
    ]
    found = {row.symbol: row for row in parse_positions({"data": rows}, market_of)}
    assert {symbol: row.quantity for symbol, row in found.items()} == {
        "BTC/USDT:USDT": -5,
        "BTC/USD:BTC": 7,
        "BTC/USDT": D("-0.5"),
    }
    assert (found["BTC/USD:BTC"].inverse, found["BTC/USD:BTC"].contract_size) == (True, 100)
    assert (found["BTC/USDT"].settle, found["BTC/USDT"].contract_size) == ("USDT", 1)
    legs = parse_positions({"data": [held(posSide="long", pos="2"), held(posSide="short", pos="3")]}, market_of)
    assert sorted(row.quantity for row in legs) == [-3, 2]


def test_a_position_that_stands_twice_is_none_of_twice_the_size() -> None:
    """In profit it would hide a loss; an isolated one beside one that is not is another."""
    rows = [held(posId="1"), held(posId="2", mgnMode="isolated")]
    (both,) = parse_positions({"data": rows}, market_of)
    assert both.quantity == -10
    with pytest.raises(MalformedReply, match="twice"):
        parse_positions({"data": [*rows, rows[0]]}, market_of)


@pytest.mark.parametrize(
    "row",
    [
        held(instId="DOGE-USDT-SWAP"),
        held(instType="OPTION"),
        held(instType="EVENTS"),
        held(posSide="long"),
        held(posSide="up"),
        held(avgPx=""),
        held(avgPx="0"),
        held(pos="x"),
        held(instType="MARGIN", instId="BTC-USDT", pos="1", posCcy="ETH"),
        held(instType="MARGIN", instId="BTC-USDT", pos="-1", posCcy="BTC"),
    ],
)
def test_a_position_that_can_not_be_valued_refuses_all(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        parse_positions({"data": [held(), row]}, market_of)


# --- prices --------------------------------------------------------------------------------------------


def test_pairs_are_read_at_their_middle_and_instruments_at_their_mark() -> None:
    wanted = frozenset({"BTC/USDT", "BTC/USDT:USDT"})
    tickers = [
        {"instId": "BTC-USDT", "bidPx": "59999", "askPx": "60001"},
        {"instId": "NEW-USDT", "bidPx": "1", "askPx": "2"},
    ]
    (pair,) = parse_tickers(tickers, wanted, market_of).values()
    assert (pair.value, pair.converts) == (60000, True)
    marks = [{"instId": "BTC-USDT-SWAP", "markPx": "60010"}, {"instId": "BTC-USD-SWAP", "markPx": "60000"}]
    (mark,) = parse_marks(marks, wanted, market_of).values()
    assert (mark.symbol, mark.value, mark.converts) == ("BTC/USDT:USDT", 60010, False)


def test_a_quote_with_one_side_is_no_price() -> None:
    rows = [{"instId": "BTC-USDT", "bidPx": "", "askPx": "60001"}]
    assert parse_tickers(rows, frozenset({"BTC/USDT"}), market_of) == {}


# --- orders --------------------------------------------------------------------------------------------


def test_every_book_has_a_scope_and_what_places_orders_comes_first() -> None:
    everything = frozenset(Market)
    plans = plan_for("okx", okx.VENUE.scopes, everything, {})
    kinds = [plan.scope.kind.value for plan in plans]
    assert kinds == sorted(kinds, key=["strategy", "trigger", "plain"].index)
    asked = [plan.calls.listing.params.get("ordType") for plan in plans if plan.calls]
    types = {each for kind in asked if kind for each in kind.split(",")}
    assert types == {"conditional", "oco", "trigger", "move_order_stop", "iceberg", "smart_iceberg", "twap", "chase"}
    assert len(plans) == 16
    only_spot = plan_for("okx", okx.VENUE.scopes, frozenset({Market.SPOT}), {})
    missing = {plan.scope.name for plan in plans} - {plan.scope.name for plan in only_spot}
    assert missing == {"algo chase", "bots contract_grid", "bots contract_dca", "bots signal"}


def test_an_order_that_is_gone_is_no_refusal_and_one_that_is_not_is_one() -> None:
    rows = [{"sCode": "0"}, {"sCode": "51400"}]
    assert okx_orders.refused({"data": rows}) is None
    wrong = okx_orders.refused({"data": [*rows, {"sCode": "51404", "sMsg": "in the auction"}]})
    assert wrong is not None
    assert "51404" in wrong


@pytest.mark.parametrize(
    ("row", "reduces"),
    [
        ({"reduceOnly": "true", "posSide": "net", "side": "sell"}, True),
        ({"reduceOnly": "false", "posSide": "net", "side": "sell"}, False),
        ({"reduceOnly": "false", "posSide": "long", "side": "sell"}, True),
        ({"reduceOnly": "false", "posSide": "short", "side": "sell"}, False),
    ],
)
def test_what_only_reduces(row: dict[str, str], reduces: bool) -> None:
    assert okx_orders.ORDER.reduces(row) is reduces


# --- the key -------------------------------------------------------------------------------------------


def test_a_key_tells_what_it_may() -> None:
    row = {"perm": "withdraw, read_only,trade", "ip": "10.0.0.1,10.0.0.2"}
    powers = KeyPowers(may_read=True, may_cancel=True, may_withdraw=True, is_bound=True)
    assert okx.read_powers({"data": [row]}) == powers
    powers = KeyPowers(may_read=True, may_cancel=False, may_withdraw=False, is_bound=False)
    assert okx.read_powers({"data": [{"perm": "read_only", "ip": ""}]}) == powers
    assert okx.read_powers({"data": [{"perm": "read_only,all", "ip": ""}]}).may_withdraw is None
    for rows in ([], [{"ip": ""}], [{"perm": "trade"}], [row, row]):
        with pytest.raises(MalformedReply):
            okx.read_powers({"data": rows})


def test_a_switch_says_whether_it_is_armed() -> None:
    (switch,) = okx.VENUE.dead_men
    assert switch.says({"data": [{"triggerTime": "1587971460"}]}) is True
    assert switch.says({"data": [{"triggerTime": "0"}]}) is False


# --- streams -------------------------------------------------------------------------------------------


def frame(event: str | None, *rows: dict[str, Any], channel: str = "account") -> dict[str, Any]:
    told = {"arg": {"channel": channel}, "data": list(rows)}
    return told if event is None else told | {"eventType": event}


def test_a_balance_that_is_repeated_is_no_news_and_an_event_is() -> None:
    reading = dialect()
    told = [frame("snapshot", {"details": [coin()]})]
    assert reading.read_frames(Kind.BALANCES, told, 0.0) == ()
    assert reading.read_frames(Kind.BALANCES, told, 1.0) is None
    assert reading.read_frames(Kind.BALANCES, [frame("snapshot", {"details": [coin(cashBal="1")]})], 2.0) == ()
    assert reading.read_frames(Kind.BALANCES, [frame("event_update", {"details": [coin(cashBal="1")]})], 3.0) == ()
    assert reading.read_frames(Kind.BALANCES, [frame(None, {"details": [coin(cashBal="1")]})], 4.0) == ()


def test_a_position_moves_with_its_size_not_with_its_profit() -> None:
    reading = dialect()
    row = {"posId": "1", "pos": "2", "avgPx": "60000", "upl": "1"}
    assert reading.read_frames(Kind.POSITIONS, [frame("snapshot", row)], 0.0) == ()
    assert reading.read_frames(Kind.POSITIONS, [frame("snapshot", row | {"upl": "9"})], 1.0) is None
    assert reading.read_frames(Kind.POSITIONS, [frame("snapshot", row | {"pos": "3"})], 2.0) == ()


def test_orders_that_open_and_end() -> None:
    row = {"ordId": "7", "instId": "BTC-USDT", "side": "buy", "sz": "2", "accFillSz": "0.5", "state": "live"}
    gone = row | {"ordId": "8", "instId": "GONE-USDT", "state": "mmp_canceled", "accFillSz": ""}
    seen = dialect().read_frames(Kind.ORDERS, [frame(None, row, gone, channel="orders")], 0.0)
    assert seen is not None
    (told,) = seen
    assert isinstance(told, OrdersSeen)
    (order,), (ended,) = told.orders, told.ended
    assert (order.symbol, order.side, order.remaining) == ("BTC/USDT", OrderSide.BUY, D("1.5"))
    assert ended.symbol == "GONE-USDT"


def test_prices_of_both_channels() -> None:
    reading = dialect()
    reading._price_symbols = reading._position_symbols = frozenset({"BTC/USDT:USDT"})
    frames = [frame(None, {"instId": "BTC-USDT-SWAP", "markPx": "59000"}, channel="mark-price")]
    seen = reading.read_frames(Kind.PRICES, frames, 0.0)
    assert seen is not None
    assert isinstance(seen[0], PricesSeen)
    assert reading.is_confirming(Kind.PRICES)
    assert not reading.is_confirming(Kind.BALANCES)


def test_a_fingerprint_needs_its_names() -> None:
    with pytest.raises(MalformedReply):
        okx_dialect.fingerprint(Kind.POSITIONS, frame("snapshot", {"pos": "1"}))
