"""Bybit's raw rows, read exactly or refused whole; which calls its scopes are, and what a frame says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Market
from adapters.cancel_plans import Named
from adapters.key_audit import KeyPowers
from adapters.venue import VenueSettings
from adapters.venues import bybit
from adapters.venues.bybit_dialect import LINEAR_COINS, STRATEGY_PARTS, BybitDialect, parse_position, parse_wallet
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Kind, OrdersSeen, PricesSeen

D = Decimal


def market(symbol: str, wire_id: str, *, inverse: bool = False) -> dict[str, Any]:
    pair, _, settle = symbol.partition(":")
    base, quote = pair.split("/")
    rest = {"linear": bool(settle) and not inverse, "inverse": inverse, "spot": not settle, "active": True}
    return {"id": wire_id, "symbol": symbol, "base": base, "quote": quote, "settle": settle, "contractSize": 1, **rest}


SPOT, LINEAR = market("BTC/USDT", "BTCUSDT"), market("BTC/USDT:USDT", "BTCUSDT")
USDC, INVERSE = market("BTC/USDC:USDC", "BTCPERP"), market("BTC/USD:BTC", "BTCUSD", inverse=True)
ALL = (SPOT, LINEAR, USDC, INVERSE)


class Client:
    """As much of a ccxt client as a dialect needs that is not asked anything."""

    def __init__(self) -> None:
        self.has: dict[str, Any] = {}
        self.markets = {each["symbol"]: each for each in ALL}
        self.markets_by_id = {"BTCUSDT": [SPOT, LINEAR], "BTCPERP": [USDC], "BTCUSD": [INVERSE]}

    def safe_currency_code(self, coin: str) -> str:
        return coin


def dialect(*markets: Market) -> BybitDialect:
    return BybitDialect(VenueSettings("bybit", "bybit", frozenset(markets or Market)), Client())


def wallet(*coins: Any) -> dict[str, Any]:
    return {"result": {"list": [{"accountType": "UNIFIED", "coin": list(coins)}]}}


def coin(name: str, held: Any, owed: Any = "0") -> dict[str, Any]:
    return {"coin": name, "walletBalance": held, "spotBorrow": owed, "equity": "9", "unrealisedPnl": "5"}


def test_a_wallet_is_what_is_held_less_what_is_owed_without_profit() -> None:
    assert parse_wallet(wallet(coin("USDT", "6000", "1000"), coin("BTC", "-0.5"))) == {
        "USDT": D(5000),
        "BTC": D("-0.5"),
    }


def test_a_wallet_without_a_word_on_spot_is_read_where_nothing_at_all_is_owed() -> None:
    reply = wallet({"coin": "ETH", "walletBalance": "2.5", "borrowAmount": "0.000000000000000000"})
    assert bybit.REPLIES["wallet-balance"]({"retCode": 0, **reply}) is None
    assert parse_wallet(reply) == {"ETH": D("2.5")}


@pytest.mark.parametrize(
    "reply",
    [
        {"result": {"list": []}},
        {"result": {"list": [{"accountType": "UNIFIED", "totalWalletBalance": "0.01", "coin": []}]}},
        wallet(coin("USDT", "")),
        wallet(coin("USDT", "1", None)),
        wallet(coin("USDT", "1"), coin("USDT", "1")),
        wallet({"coin": "USDT", "walletBalance": "1"}),
        wallet({"coin": "USDT", "walletBalance": "1", "borrowAmount": ""}),
        wallet({"coin": "USDT", "walletBalance": "1", "borrowAmount": "0.5"}),
        wallet({"coin": "USDT", "walletBalance": "1", "borrowAmount": "0", "spotBorrow": ""}),
    ],
)
def test_a_wallet_that_lacks_something_is_refused(reply: Any) -> None:
    with pytest.raises(MalformedReply):
        parse_wallet(reply)


def position(**fields: Any) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "side": "Sell", "size": "0.5", "avgPrice": "61000", "sessionAvgPrice": "", **fields}


def test_positions_are_signed_and_what_was_settled_counts_from_its_session() -> None:
    short = parse_position(position(), LINEAR)
    assert short is not None
    assert (short.quantity, short.entry, short.settle, short.contract_size) == (D("-0.5"), D(61000), "USDT", D(1))
    settled = parse_position(position(sessionAvgPrice="60500"), USDC)
    assert settled is not None
    assert settled.entry == D(60500)
    same = parse_position(position(sessionAvgPrice="60500"), LINEAR)
    assert same is not None
    assert same.entry == D(61000), "only contracts in USDC are settled"
    assert parse_position(position(size="0", side="", avgPrice="0"), LINEAR) is None


@pytest.mark.parametrize("wrong", [{"side": ""}, {"size": "-1"}, {"avgPrice": "0"}, {"avgPrice": ""}, {"size": None}])
def test_a_position_that_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        parse_position(position(**wrong), LINEAR)


async def test_positions_end_with_a_page_that_says_so() -> None:
    asked: list[Any] = []

    def reader(**pages: Any) -> BybitDialect:
        """pages: {the cursor that asks for one: its rows, the next cursor}."""

        async def listing(query: dict[str, Any]) -> Any:
            rows, cursor = pages[query.get("cursor", "first")] if query.get("settleCoin") == "USDT" else ([], "")
            asked.append(query.get("cursor"))
            return {"result": {"category": query["category"], "list": rows, "nextPageCursor": cursor}}

        made = dialect()
        made._client.privateGetV5PositionList = listing
        return made

    row = position(positionIdx=0)
    assert len(await reader(first=([row], "more"), more=([], "")).positions()) == 1
    assert "more" in asked
    assert await reader(first=([], "")).positions() == ()
    contradicting: list[dict[str, Any]] = [{"first": ([], "more")}, {"first": ([row], "more"), "more": ([], "more")}]
    for pages in contradicting:
        with pytest.raises(MalformedReply, match="says that there are more"):
            await reader(**pages).positions()


# --- scopes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["0", "-1", "1"])
async def test_an_option_that_is_held_has_no_value_and_hides_no_loss(size: str) -> None:
    reader = dialect()

    async def page(query: Any) -> Any:
        held = {"symbol": "BTC-30JUN26-60000-C-USDT", "size": size, "side": "Sell", "avgPrice": "100"}
        rows = [held] if query["category"] == "option" else []
        return {"result": {"category": query["category"], "list": rows, "nextPageCursor": ""}}

    reader._client.privateGetV5PositionList = page
    if size == "0":
        assert await reader.positions() == ()
        return
    with pytest.raises(MalformedReply, match="unknown market"):
        await reader.positions()


async def test_no_position_on_a_page_that_leads_to_another_is_no_answer() -> None:
    reader = dialect()

    async def page(query: Any) -> Any:
        return {"result": {"category": query["category"], "list": [], "nextPageCursor": "x"}}

    reader._client.privateGetV5PositionList = page
    with pytest.raises(MalformedReply, match="there are more"):
        await reader.positions()


async def test_strategies_are_asked_for_by_what_lives_and_what_is_guarded() -> None:
    whole = await dialect(Market.SPOT, Market.PERP).parts(STRATEGY_PARTS)
    assert [part["status"] for part in whole] == ["2", "5", "6"]
    spot = await dialect(Market.SPOT).parts(STRATEGY_PARTS)
    assert {part["category"] for part in spot} == {"UTA_SPOT"}
    perp = await dialect(Market.PERP).parts(STRATEGY_PARTS)
    assert "UTA_SPOT" not in {part["category"] for part in perp}
    assert len(perp) == 18


async def test_linear_contracts_are_listed_by_each_settle_coin() -> None:
    asked = dialect()
    assert await asked.parts(LINEAR_COINS) == [{"settleCoin": "USDC"}, {"settleCoin": "USDT"}]
    with pytest.raises(MalformedReply):
        await asked.parts("something else")


def test_an_order_of_spot_is_named_with_its_filter() -> None:
    single = next(plan for plan in bybit.SCOPES if plan.scope.name == "spot").calls
    assert single is not None
    for told, wanted in (("Limit", "Order"), ("UNKNOWN", "Order"), ("Stop", "StopOrder"), ("OcoOrder", "OcoOrder")):
        named = single.single.names([Named(market_id="BTCUSDT", order_id="7", order_type=told)])
        assert named == {"symbol": "BTCUSDT", "orderId": "7", "orderFilter": wanted}


def test_a_page_of_another_category_or_that_contradicts_itself_is_no_listing() -> None:
    listing = next(plan for plan in bybit.SCOPES if plan.scope.name == "linear").calls
    assert listing is not None
    following = listing.listing.next_page
    assert following is not None
    page = {"result": {"category": "linear", "nextPageCursor": "a%3A1"}}
    assert following(page, [{"orderId": "7"}], 1) == {"cursor": "a%3A1"}
    assert following({"result": {"category": "linear", "nextPageCursor": ""}}, [], 1) is None
    with pytest.raises(MalformedReply, match="says that there are more"):
        following(page, [], 1)
    with pytest.raises(MalformedReply, match="spot"):
        following({"result": {"category": "spot", "nextPageCursor": ""}}, [], 1)


@pytest.mark.parametrize(("success", "is_done"), [("1", True), ("0", False)])
def test_a_cancel_that_calls_itself_failed_is_one(success: str, is_done: bool) -> None:
    cancels = [cancel for plan in bybit.SCOPES if plan.calls is not None for cancel in plan.calls.cancels]
    alls = [cancel for cancel in cancels if cancel.call.endswith("CancelAll")]
    assert len(alls) == 10
    assert all((cancel.refused({"result": {"success": success}}) is None) is is_done for cancel in alls)


def test_a_key_is_asked_in_each_category_that_it_may_be_barred_from() -> None:
    probes = [bybit.VENUE.probe, bybit.VENUE.perp_probe]
    assert [probe and probe.params["category"] for probe in probes] == ["spot", "linear"]


def test_a_key_is_read_for_what_it_may() -> None:
    def told(read_only: Any, wallet: Any, ips: list[str]) -> KeyPowers:
        return bybit.read_powers({"result": {"readOnly": read_only, "permissions": {"Wallet": wallet}, "ips": ips}})

    safe = told(0, ["AccountTransfer"], ["1.2.3.4"])
    assert safe == KeyPowers(may_read=True, may_cancel=True, may_withdraw=False, is_bound=True)
    open_to_all = told(1, ["Withdraw"], ["*"])
    assert open_to_all == KeyPowers(may_read=True, may_cancel=False, may_withdraw=True, is_bound=False)
    with pytest.raises(MalformedReply):
        told(None, [], [])
    with pytest.raises(MalformedReply):
        told(0, None, [])


# --- frames --------------------------------------------------------------------------------------------


def order(status: str, **fields: Any) -> dict[str, Any]:
    row = {"category": "linear", "symbol": "BTCUSDT", "orderId": "7", "side": "Buy", "orderStatus": status}
    return {"topic": "order", "data": [row | {"orderType": "Limit", "orderLinkId": "bot-1", **fields}]}


def test_frames_of_orders_tell_what_is_open_and_what_was() -> None:
    (seen,) = dialect().read_frames(Kind.ORDERS, [order("Untriggered", stopOrderType="Stop")], 1.0) or ()
    assert isinstance(seen, OrdersSeen)
    assert [(row.symbol, row.order_type, row.client_order_id) for row in seen.orders] == [
        ("BTC/USDT:USDT", "Stop", "bot-1")
    ]
    assert not seen.is_snapshot
    (gone,) = dialect().read_frames(Kind.ORDERS, [order("New"), order("Deactivated")], 1.0) or ()
    assert isinstance(gone, OrdersSeen)
    assert (gone.orders, [row.order_id for row in gone.ended]) == ((), ["7"])


def test_the_same_name_is_another_market_on_spot() -> None:
    (seen,) = dialect().read_frames(Kind.ORDERS, [order("New", category="spot")], 1.0) or ()
    assert isinstance(seen, OrdersSeen)
    assert (seen.orders[0].symbol, seen.orders[0].scope) == ("BTC/USDT", "spot")


def told_position(size: str, entry: str = "60000") -> dict[str, Any]:
    return {"topic": "position", "data": [position(size=size, entryPrice=entry, positionIdx=0)]}


def test_a_position_is_read_again_only_when_it_changed() -> None:
    reader = dialect()
    asked = [reader.read_frames(Kind.POSITIONS, [told_position(size)], 1.0) for size in ("1", "1", "2", "0", "0")]
    assert asked == [(), None, (), (), None]
    assert reader.read_frames(Kind.BALANCES, [{"topic": "wallet", "data": []}], 1.0) == ()


def test_tickers_tell_marks_of_which_later_frames_have_only_what_changed() -> None:
    reader = dialect()
    reader._position_symbols = reader._price_symbols = frozenset({"BTC/USDT:USDT"})
    whole = {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": {"markPrice": "60000", "indexPrice": "60010"}}
    part = {"topic": "tickers.BTCUSDT", "type": "delta", "data": {"bid1Price": "59000"}}
    assert values(reader, whole) == {"BTC/USDT:USDT": D(60000)}
    assert values(reader, part) == {"BTC/USDT:USDT": D(60000)}
    assert reader.is_confirming(Kind.PRICES)
    assert not reader.is_confirming(Kind.BALANCES)


def test_each_category_has_a_socket_for_its_prices() -> None:
    reader = dialect()
    assert reader.line_of(Kind.PRICES) == ("spot", "linear", "inverse")
    assert (reader.line_of(Kind.ORDERS), dialect(Market.SPOT).line_of(Kind.PRICES)) == ("private", "spot")
    assert [reader._topic(line, "BTC/USDT:USDT") for line in ("spot", "linear")] == [None, "tickers.BTCUSDT"]
    assert reader._topic("spot", "BTC/USDT") == "orderbook.1.BTCUSDT"


def test_spot_is_told_by_the_first_level_of_its_book() -> None:
    level = {"topic": "orderbook.1.BTCUSDT", "data": {"s": "BTCUSDT", "b": [["59990", "1"]], "a": [["60010", "1"]]}}
    assert values(dialect(Market.SPOT), level) == {"BTC/USDT": D(60000)}
    empty = {"topic": "orderbook.1.BTCUSDT", "data": {"s": "BTCUSDT", "b": [], "a": []}}
    assert dialect(Market.SPOT).read_frames(Kind.PRICES, [empty], 1.0) is None


def values(reader: BybitDialect, frame: dict[str, Any]) -> dict[str, Decimal]:
    (seen,) = reader.read_frames(Kind.PRICES, [frame], 1.0) or ()
    assert isinstance(seen, PricesSeen)
    return {price.symbol: price.value for price in seen.prices}
