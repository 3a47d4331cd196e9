"""Binance's futures, raw rows: read exactly or refused whole."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Market
from adapters.venue import VenueSettings
from adapters.venues import binanceusdm
from adapters.venues.binanceusdm_dialect import (
    COINM,
    KEY_EVERY_MS,
    BinanceFuturesDialect,
    parse_balances,
    parse_position,
)
from risk_daemon.errors import MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import Kind, OrdersSeen, Position, Price, PricesSeen

D = Decimal


def market(base: str, quote: str, **rest: Any) -> dict[str, Any]:
    symbol = f"{base}/{quote}:{quote}"
    same = {"id": f"{base}{quote}", "symbol": symbol, "base": base, "quote": quote, "settle": quote}
    return same | {"contractSize": 1.0, "inverse": False, "swap": True, "spot": False, "active": True, **rest}


CLASSIC = {"isPortfolioMarginRetailEnabled": False}
BTC, ETH = market("BTC", "USDT"), market("ETH", "USDT")
COIN = market("BTC", "USD", id="BTCUSD_PERP", symbol="BTC/USD:BTC", settle="BTC", contractSize=100.0, inverse=True)


class Client:
    """Answers each call with what is given by its name; an exception is raised."""

    def __init__(self, *markets: dict[str, Any], **answers: Any) -> None:
        self.markets = {each["symbol"]: each for each in markets}
        self.markets_by_id = {each["id"]: [each] for each in markets}
        self.answers = answers
        self.asked: list[str] = []
        self.now_ms = 1_700_000_000_000
        self.urls = {"api": {"ws": {"linear": "wss://f.example/ws", "inverse": "wss://d.example/ws"}}}

    def milliseconds(self) -> int:
        return self.now_ms

    def market_id(self, symbol: str) -> str:
        return str(self.markets[symbol]["id"])

    def __getattr__(self, name: str) -> Any:
        async def answer(*_: Any) -> Any:
            self.asked.append(name)
            value = self.answers[name]
            if isinstance(value, Exception):
                raise value
            return value

        return answer


def dialect(client: Client, **rest: Any) -> BinanceFuturesDialect:
    return BinanceFuturesDialect(VenueSettings("b", "binanceusdm", frozenset({Market.PERP})), client, **rest)


def held(amount: str, entry: str = "50000", side: str = "BOTH", symbol: str = "BTCUSDT") -> dict[str, Any]:
    return {"symbol": symbol, "positionSide": side, "positionAmt": amount, "entryPrice": entry}


def mark(symbol: str, price: str, index: str) -> dict[str, Any]:
    return {"symbol": symbol, "markPrice": price, "indexPrice": index}


# --- rows ----------------------------------------------------------------------------------------------


def test_a_balance_is_told_once_and_nothing_is_nothing() -> None:
    rows = [{"asset": "USDT", "balance": "-5.5"}, {"asset": "BNB", "balance": "0"}]
    assert parse_balances(rows) == {"USDT": D("-5.5")}
    for odd in (
        [*rows, rows[0]],
        [{"asset": "USDT"}],
        [{"asset": "", "balance": "1"}],
        [{"asset": "X", "balance": ""}],
    ):
        with pytest.raises(MalformedReply):
            parse_balances(odd)


@pytest.mark.parametrize(
    "odd", [held("1", "0"), held("-1", side="LONG"), held("1", side="SHORT"), held("1", side="NEW"), held("NaN")]
)
def test_an_odd_position_is_no_position(odd: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        parse_position(odd, BTC)


def test_a_position_of_nothing_is_none_and_one_of_an_unknown_contract_is_refused() -> None:
    assert parse_position(held("0.000", "0.0"), None) is None
    with pytest.raises(MalformedReply):
        parse_position(held("1"), None)
    assert parse_position(held("-3", symbol="BTCUSD_PERP"), COIN) == Position(
        symbol="BTC/USD:BTC",
        quantity=D(-3),
        entry=D(50000),
        settle="BTC",
        underlying="BTC",
        contract_size=D(100),
        inverse=True,
    )


@pytest.mark.parametrize(
    ("row", "reduces"),
    [
        ({"reduceOnly": True, "side": "BUY", "positionSide": "BOTH"}, True),
        ({"reduceOnly": False, "closePosition": True}, True),
        ({"reduceOnly": False, "side": "SELL", "positionSide": "LONG"}, True),
        ({"reduceOnly": False, "side": "BUY", "positionSide": "LONG"}, False),
        ({"reduceOnly": False, "side": "SELL", "positionSide": "BOTH"}, False),
    ],
)
def test_what_can_only_reduce_is_known_by_its_flags_or_its_side(row: dict[str, Any], reduces: bool) -> None:
    assert binanceusdm._reduces(row) is reduces


async def test_an_account_of_portfolio_margin_is_refused_and_others_are_asked_once() -> None:
    client = Client(BTC, fapiPrivateV3GetBalance=[], sapiGetAccountInfo={"isPortfolioMarginRetailEnabled": True})
    with pytest.raises(VenueRejected, match="portfolio margin"):
        await dialect(client).balances()
    client.answers["sapiGetAccountInfo"] = CLASSIC
    reader = dialect(client)
    assert (await reader.balances(), await reader.balances()) == ({}, {})
    assert client.asked.count("sapiGetAccountInfo") == 2


async def test_a_time_that_is_refused_has_the_venues_clock_read_again() -> None:
    client = Client(BTC, fapiPrivateV3GetBalance=[], sapiGetAccountInfo=VenueUnavailable("-1021 outside"))
    client.answers["load_time_difference"] = 60_000
    with pytest.raises(VenueUnavailable):
        await dialect(client).balances()
    assert client.asked == ["sapiGetAccountInfo", "load_time_difference"]


# --- prices --------------------------------------------------------------------------------------------


async def test_each_leg_has_its_mark_and_an_asset_its_index() -> None:
    client = Client(
        BTC,
        ETH,
        fapiPrivateV3GetPositionRisk=[held("2", side="LONG"), held("-1", side="SHORT")],
        fapiPublicGetPremiumIndex=[mark("BTCUSDT", "61000", "60900"), mark("ETHUSDT", "3000", "2990")],
    )
    reader = dialect(client)
    assert [row.symbol for row in await reader.positions()] == ["BTC/USDT:USDT", "BTC/USDT:USDT short"]
    found = await reader.prices(frozenset({"ETH", "USDT"}))
    assert {price.symbol: (price.value, price.converts) for price in found} == {
        "BTC/USDT:USDT": (D(61000), False),
        "BTC/USDT:USDT short": (D(61000), False),
        "BTC/USDT": (D(60900), True),
        "ETH/USDT": (D(2990), True),
    }
    assert "fapiPublicGetAssetIndex" not in client.asked


async def test_a_position_that_stands_twice_is_none_of_twice_the_size() -> None:
    with pytest.raises(MalformedReply, match="twice"):
        await dialect(Client(BTC, fapiPrivateV3GetPositionRisk=[held("2"), held("2")])).positions()


async def test_what_has_no_perpetual_is_valued_as_collateral() -> None:
    client = Client(
        BTC,
        fapiPublicGetPremiumIndex=[mark("BTCUSDT", "61000", "60900")],
        fapiPublicGetAssetIndex=[{"symbol": "BFUSDUSD", "index": "0.99"}, {"symbol": "USDTUSD", "index": "1.01"}],
    )
    found = await dialect(client).prices(frozenset({"BFUSD", "USDT"}))
    assert Price("BFUSD/USD", "BFUSD", "USD", D("0.99")) in found
    assert Price("USDT/USD", "USDT", "USD", D("1.01")) in found


async def test_coins_are_valued_in_dollars_and_dollars_in_the_reference() -> None:
    client = Client(
        COIN,
        dapiPublicGetPremiumIndex=[mark("BTCUSD_PERP", "61000", "60900")],
        fapiPublicGetAssetIndex=[{"symbol": "USDTUSD", "index": "1.01"}],
    )
    found = await dialect(client, half=COINM).prices(frozenset({"BTC"}))
    assert {price.symbol: price.value for price in found} == {"BTC/USD": D(60900), "USDT/USD": D("1.01")}


# --- streams -------------------------------------------------------------------------------------------


async def test_marks_confirm_once_each_that_is_wanted_came() -> None:
    reader = dialect(Client(BTC, ETH, fapiPublicGetPremiumIndex=[mark("BTCUSDT", "1", "1"), mark("ETHUSDT", "1", "1")]))
    await reader.prices(frozenset({"BTC", "ETH"}))
    reader.stream_began(Kind.PRICES)
    for name, confirms in (("BTCUSDT", False), ("ETHUSDT", True)):
        (seen,) = reader.read_frames(Kind.PRICES, [{"s": name, "p": "2", "i": "3"}], 1.0) or ()
        assert isinstance(seen, PricesSeen)
        assert [price.value for price in seen.prices] == [3]
        assert reader.is_confirming(Kind.PRICES) is confirms


def test_orders_are_told_of_by_both_kinds_of_frames() -> None:
    plain = {
        "e": "ORDER_TRADE_UPDATE",
        "o": {"s": "BTCUSDT", "i": 7, "c": "bot-1", "S": "SELL", "o": "LIMIT", "q": "2"},
    }
    algo = {"e": "ALGO_UPDATE", "o": {"s": "GONEUSDT", "aid": 9, "caid": "x", "S": "BUY", "o": "STOP", "q": "1"}}
    plain["o"] |= {"z": "0.5", "R": False, "X": "PARTIALLY_FILLED"}  # type: ignore[operator]
    algo["o"] |= {"X": "CANCELED", "cp": True}  # type: ignore[operator]
    (seen,) = dialect(Client(BTC)).read_frames(Kind.ORDERS, [plain, algo], 1.0) or ()
    assert isinstance(seen, OrdersSeen)
    (opened,), (ended,) = seen.orders, seen.ended
    assert (opened.order_id, opened.symbol, opened.side, opened.remaining, opened.scope) == (
        "7",
        "BTC/USDT:USDT",
        OrderSide.SELL,
        D("1.5"),
        "plain",
    )
    assert (ended.order_id, ended.symbol, ended.reduce_only, ended.scope) == ("9", "GONEUSDT", True, "conditional")


async def test_the_listen_key_is_renewed_with_the_readings() -> None:
    answers: dict[str, Any] = {"fapiPrivatePostListenKey": {"listenKey": "K"}}
    answers |= {"fapiPrivateV3GetBalance": [{"asset": "USDT", "balance": "1"}], "sapiGetAccountInfo": CLASSIC}
    client = Client(BTC, **answers, fapiPrivatePutListenKey=VenueUnavailable("not now"))
    reader = dialect(client)
    await reader.balances()
    assert (await reader.open_wire("account")).url == "wss://f.example/private/ws?listenKey=K"
    assert (await reader.open_wire("marks")).url == "wss://f.example/market/ws"
    client.now_ms += KEY_EVERY_MS
    for answer in (VenueUnavailable("not now"), {"listenKey": "K"}, {"listenKey": "K"}):
        client.answers["fapiPrivatePutListenKey"] = answer
        assert await reader.balances() == {"USDT": 1}
    assert client.asked.count("fapiPrivatePutListenKey") == 2


async def test_coins_have_one_address_for_all_streams() -> None:
    reader = dialect(Client(COIN, dapiPrivatePostListenKey={"listenKey": "K"}), half=COINM)
    assert (await reader.open_wire("account")).url == "wss://d.example/ws/K"
    assert (await reader.open_wire("marks")).url == "wss://d.example/ws"


# --- replies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "good", "odd"),
    [
        ("openOrders", [], {}),
        ("openOrders", {"total": 0, "orders": []}, {"total": 1, "orders": []}),
        ("openOrders", {"total": 0, "orders": []}, {"orders": []}),
        ("openOrders", [], [{"symbol": "BTCUSDT"}]),
        ("openAlgoOrders", [], {"total": 0, "orders": []}),
        ("allOpenOrders", {"code": 200, "msg": "done"}, {"code": -2011, "msg": "no"}),
        ("algoOpenOrders", {"code": "200", "msg": "done"}, {}),
        ("balance", [{"asset": "USDT", "balance": "0"}], []),
        ("premiumIndex", [{"symbol": "X", "markPrice": "1"}], {"symbol": "X", "markPrice": "1"}),
        ("income", [], {"code": 200}),
    ],
)
def test_a_reply_is_held_against_what_it_must_look_like(endpoint: str, good: Any, odd: Any) -> None:
    check = binanceusdm.REPLIES[endpoint]
    assert check(good) is None
    assert check(odd) is not None


def test_a_switch_says_whether_it_is_armed() -> None:
    switch = binanceusdm.dead_man("fapi")
    assert switch.params(30.0, "BTCUSDT") == {"symbol": "BTCUSDT", "countdownTime": 30_000}
    assert switch.says({"symbol": "BTCUSDT", "countdownTime": "30000"}) is True
    assert switch.says({"symbol": "BTCUSDT", "countdownTime": "0"}) is False


def test_what_a_strategys_stop_says_is_read() -> None:
    assert binanceusdm._not_stopped({"algoId": 1, "success": True, "code": 0, "msg": "OK"}) is None
    assert binanceusdm._not_stopped({"algoId": 1, "success": False, "code": 1, "msg": "no"}) is not None
    with pytest.raises(MalformedReply):
        binanceusdm._powers({"enableReading": True})
