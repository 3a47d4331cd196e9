"""Binance's wallets, prices and order events, read from raw fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Market
from adapters.registry import venue_of
from adapters.venue import VenueSettings
from adapters.venues.binance_dialect import (
    PAIRS,
    BinanceDialect,
    isolated_legs,
    parse_funding,
    parse_margin,
    parse_order_events,
    parse_spot,
)
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.account import Kind
from risk_daemon.model.events import OrdersSeen, PricesSeen

D = Decimal
SPOT, MARGIN = frozenset({Market.SPOT}), frozenset({Market.MARGIN})


def leg(asset: str, free: str, borrowed: str = "0") -> dict[str, str]:
    return {"asset": asset, "free": free, "locked": "1", "borrowed": borrowed, "interest": "0.5"}


def test_what_lies_in_earn_is_counted_once() -> None:
    rows = [("USDT", "5", "1"), ("LDUSDT", "9", "0"), ("LDO", "3", "0")]
    reply = {"balances": [{"asset": asset, "free": free, "locked": locked} for asset, free, locked in rows]}
    assert parse_spot(reply, {"USDT": D(9)}) == {"USDT": 6, "LDO": 3}
    assert parse_spot(reply, {}) == {"USDT": 6, "LDUSDT": 9, "LDO": 3}, "of which nothing is known it is no earn"


def test_margin_is_held_less_owed_pair_by_pair() -> None:
    assert parse_margin([leg("BTC", "2", "3")]) == {"BTC": D("-0.5")}
    pairs = {"assets": [{"baseAsset": leg("BTC", "2"), "quoteAsset": leg("USDT", "3")}] * 2}
    assert parse_margin(isolated_legs(pairs)) == {"BTC": D(5), "USDT": D(7)}
    for odd in ({"assets": [{"baseAsset": leg("BTC", "2")}]}, {"assets": None}, {}):
        with pytest.raises(MalformedReply):
            isolated_legs(odd)
    with pytest.raises(MalformedReply):
        parse_margin([{"asset": "BTC", "free": "1", "locked": "0", "borrowed": "0"}])


def test_what_is_told_twice_or_not_at_all_is_no_balance() -> None:
    row = {"asset": "USDT", "free": "5", "locked": "0"}
    with pytest.raises(MalformedReply, match="twice"):
        parse_spot({"balances": [row, row | {"free": "9000"}]}, {})
    with pytest.raises(MalformedReply, match="twice"):
        parse_funding([row | {"freeze": "0", "withdrawing": "0"}] * 2)
    pair = {"symbol": "BTCUSDT", "baseAsset": leg("BTC", "2"), "quoteAsset": leg("USDT", "3")}
    with pytest.raises(MalformedReply, match="twice"):
        isolated_legs({"assets": [pair, pair]})
    assert isolated_legs({"assets": [], "totalAssetOfBtc": "0", "totalLiabilityOfBtc": "0.00"}) == []
    with pytest.raises(MalformedReply, match="has no pair"):
        isolated_legs({"assets": [], "totalAssetOfBtc": "0", "totalLiabilityOfBtc": "0.5"})


async def test_a_wallet_of_cross_margin_has_each_asset_once() -> None:
    twice = {"userAssets": [leg("USDT", "10"), leg("USDT", "10")]}
    with pytest.raises(MalformedReply, match="twice"):
        await dialect(MARGIN, sapiGetMarginAccount=twice)[0].balances()


async def test_no_isolated_pair_where_there_is_a_debt_is_no_listing_without_orders() -> None:
    odd = {"assets": [], "totalAssetOfBtc": "0", "totalLiabilityOfBtc": "0.5"}
    with pytest.raises(MalformedReply, match="has no pair"):
        await dialect(MARGIN, sapiGetMarginIsolatedAccount=odd)[0].parts(PAIRS)


def test_all_of_the_funding_wallet_counts() -> None:
    row = {"asset": "USDT", "free": "1", "locked": "2", "freeze": "3", "withdrawing": "4"}
    assert parse_funding([row]) == {"USDT": 10}
    with pytest.raises(MalformedReply):
        parse_funding([row | {"freeze": None}])


class Client:
    """Market lists and canned replies."""

    def __init__(self, **replies: Any) -> None:
        rows = [
            {"symbol": f"{base}/USDT", "id": f"{base}USDT", "base": base, "quote": "USDT", "spot": True, "active": True}
            for base in ("BTC", "ETH")
        ]
        self.markets = {row["symbol"]: row for row in rows}
        self.markets_by_id = {row["id"]: [row] for row in rows}
        self.urls = {"api": {"ws": {"spot": "ws://s", "ws-api": {"spot": "ws://a"}}}}
        self.replies = replies
        self.asked: list[tuple[str, Any]] = []

    def market_id(self, symbol: str) -> str:
        return symbol.replace("/", "")

    def sign_params(self, _: Any) -> Any:
        return {"signature": "s"}

    def __getattr__(self, name: str) -> Any:
        async def call(query: Any = None) -> Any:
            self.asked.append((name, query))
            reply = self.replies[name]
            return reply(query) if callable(reply) else reply

        return call


NO_EARN = {"rows": [], "total": 0}
REPLIES = {
    "privateGetAccount": {"balances": [{"asset": "USDT", "free": "1", "locked": "0"}]},
    "sapiGetSimpleEarnFlexiblePosition": NO_EARN,
    "sapiGetSimpleEarnLockedPosition": {"rows": [{"asset": "AXS", "amount": "4"}], "total": 1},
    "sapiPostAssetGetFundingAsset": [],
    "sapiGetMarginAccount": {"userAssets": [leg("USDT", "10", "2")]},
    "sapiGetMarginIsolatedAccount": {
        "assets": [{"symbol": "BTCUSDT", "baseAsset": leg("BTC", "1"), "quoteAsset": leg("USDT", "0")}]
    },
    "sapiPostUserListenToken": lambda query: {"token": f"T{query.get('symbol', '')}"},
}


def dialect(markets: frozenset[Market] = SPOT, **replies: Any) -> tuple[BinanceDialect, Client]:
    client = Client(**{**REPLIES, **replies})
    return BinanceDialect(VenueSettings("v", "binance", markets), client), client


@pytest.mark.asyncio
async def test_wallets_of_what_is_guarded_are_added_up() -> None:
    assert await dialect(SPOT)[0].balances() == {"USDT": 1, "AXS": 4}
    assert await dialect(MARGIN)[0].balances() == {"USDT": D("8.5") + D("0.5"), "BTC": D("1.5")}
    both = await dialect(SPOT | MARGIN)[0].balances()
    assert both == {"USDT": 10, "AXS": 4, "BTC": D("1.5")}


@pytest.mark.asyncio
async def test_earn_is_read_to_its_end() -> None:
    def pages(query: Any) -> Any:
        rows = [{"asset": f"A{number}", "totalAmount": "1"} for number in range(150)]
        return {"rows": rows[(query["current"] - 1) * 100 : query["current"] * 100], "total": 150}

    assert len(await dialect(sapiGetSimpleEarnFlexiblePosition=pages)[0].balances()) == 152
    for odd in ({"rows": [], "total": 3}, {"rows": []}, {"total": 0}):
        with pytest.raises(MalformedReply):
            await dialect(sapiGetSimpleEarnFlexiblePosition=odd)[0].balances()


@pytest.mark.asyncio
async def test_a_wallet_that_the_account_lacks_is_told_and_one_that_fails_later_is_no_zero() -> None:
    replies: dict[str, Any] = {"refuses": True}

    def funding(_: Any) -> Any:
        if replies["refuses"]:
            raise VenueRejected("-1002 You are not authorized to execute this request.")
        return [{"asset": "USDT", "free": "5", "locked": "0", "freeze": "0", "withdrawing": "0"}]

    without, _ = dialect(sapiPostAssetGetFundingAsset=funding)
    assert await without.balances() == {"USDT": 1, "AXS": 4}
    assert any("funding" in note for note in without.notes)
    assert await without.balances() == {"USDT": 1, "AXS": 4}
    replies["refuses"] = False
    having, _ = dialect(sapiPostAssetGetFundingAsset=funding)
    assert await having.balances() == {"USDT": 6, "AXS": 4}
    replies["refuses"] = True
    with pytest.raises(VenueRejected):
        await having.balances()


@pytest.mark.asyncio
async def test_one_pair_that_is_gone_does_not_spoil_the_others() -> None:
    rows = [
        {"symbol": "BTCUSDT", "bidPrice": "9", "askPrice": "11"},
        {"symbol": "XUSDT", "bidPrice": "1", "askPrice": "1"},
    ]

    def tickers(query: Any) -> Any:
        if query is not None:
            raise VenueRejected("-1121 Invalid symbol.")
        return rows

    known, client = dialect(publicGetTickerBookTicker=tickers)
    (price,) = await known.prices(frozenset({"BTC", "ETH"}))
    assert (price.symbol, price.value) == ("BTC/USDT", 10)
    assert client.asked[0] == ("publicGetTickerBookTicker", {"symbols": '["BTCUSDT","ETHUSDT"]'})
    empty = [{"symbol": "BTCUSDT", "bidPrice": "0.0", "askPrice": "0.0"}]
    assert await dialect(publicGetTickerBookTicker=empty)[0].prices(frozenset({"BTC"})) == ()


@pytest.mark.asyncio
async def test_isolated_orders_are_asked_for_by_pair() -> None:
    known, _ = dialect(MARGIN)
    assert await known.parts(PAIRS) == [{"symbol": "BTCUSDT"}]
    with pytest.raises(MalformedReply):
        await known.parts("something else")


@pytest.mark.asyncio
async def test_each_account_has_a_subscription() -> None:
    known, _ = dialect(SPOT | MARGIN)
    wire: Any = await known.open_wire(known.line_of(Kind.ORDERS))
    assert [(account.scope, account.token) for account in wire._left] == [
        ("spot", None),
        ("cross margin", "T"),
        ("isolated margin", "TBTCUSDT"),
    ]
    assert (await known.open_wire(known.line_of(Kind.PRICES))).url == "ws://s"


REPORT = {"e": "executionReport", "s": "BTCUSDT", "i": 7, "S": "SELL", "o": "LIMIT", "q": "2", "z": "0.5", "C": ""}


def frame(number: int = 0, **event: Any) -> dict[str, Any]:
    return {"subscriptionId": number, "event": {**REPORT, "c": "mine", "X": "NEW", **event}}


def test_orders_of_events_belong_to_their_account() -> None:
    frames = [frame(), frame(1, i=8), frame(9, i=9), frame(i=10, X="CANCELED", c="the cancel's", C="mine")]
    told = parse_order_events("v", {0: "spot", 1: "cross margin"}, frames)
    assert [(order.order_id, order.scope, order.remaining) for order in told.open] == [
        ("7", "spot", D("1.5")),
        ("8", "cross margin", D("1.5")),
    ]
    assert [(order.order_id, order.client_order_id) for order in told.ended] == [("10", "mine")]


def test_frames_are_read_by_kind() -> None:
    known, _ = dialect()
    known._subscribed = {0: "spot"}
    (seen,) = known.read_frames(Kind.ORDERS, [frame(), {"event": {"e": "listStatus", "s": "X"}}], 1.0) or ()
    assert isinstance(seen, OrdersSeen)
    assert [order.symbol for order in seen.orders] == ["BTC/USDT"]
    assert known.read_frames(Kind.BALANCES, [{"event": {"e": "somethingNew"}}], 1.0) == (), "it may be a balance"
    known._price_symbols = frozenset({"BTC/USDT"})
    assert known.is_confirming(Kind.PRICES) is False
    (prices,) = known.read_frames(Kind.PRICES, [{"s": "BTCUSDT", "b": "9", "a": "11"}], 1.0) or ()
    assert isinstance(prices, PricesSeen)
    assert known.is_confirming(Kind.PRICES) is True
    assert known.is_confirming(Kind.BALANCES) is False
    assert known.read_frames(Kind.PRICES, [{"s": "NOPE", "b": "9", "a": "11"}], 1.0) is None


def test_what_its_replies_may_be() -> None:
    replies = venue_of("binance").replies or {}
    order = {"symbol": "BTCUSDT", "orderId": 1}
    good = [[], [order], [order | {"orderListId": 3, "orderReports": [order]}], {"total": 0, "orders": []}]
    assert [replies["openOrders"](value) for value in good] == [None] * 4
    odd = [{}, {"code": -1, "msg": "x"}, [1], [{}], {"total": 1, "orders": []}, "text"]
    assert all(replies["openOrders"](value) for value in odd)
    assert all(
        replies["account"](value) for value in ({}, {"balances": None}, {"userAssets": []}, [], {"assets": [{}]})
    )
    assert replies["account"]({"assets": []}) is None


def test_what_a_key_is_told_it_may() -> None:
    audit = venue_of("binance").key_audit
    assert audit is not None
    told = {"enableReading": True, "enableSpotAndMarginTrading": False, "enableWithdrawals": True, "ipRestrict": False}
    powers = audit.reads(told)
    assert (powers.may_read, powers.may_cancel, powers.may_withdraw, powers.is_bound) == (True, False, True, False)
    with pytest.raises(MalformedReply):
        audit.reads(told | {"enableWithdrawals": None})
