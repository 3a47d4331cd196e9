"""MEXC's raw rows, read exactly or refused whole; what its file says of keys, batches and protective orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.base import PERP_MARKETS, ScopeKind
from adapters.cancel_plans import Named
from adapters.envelopes import wrong_with
from adapters.venues import mexc_dialect as mexc
from adapters.venues.mexc import REPLIES, SCOPES, VENUE, read_powers
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderSide

D = Decimal
BTC = {"id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT"}
PERP = {"id": "BTC_USDT", "symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT"}
PLANS = {plan.scope.name: plan for plan in SCOPES}


def test_what_orders_hold_is_held() -> None:
    rows = [{"asset": "USDT", "free": "88.12", "locked": "1.88"}, {"asset": "BTC", "free": "0.1", "locked": "0"}]
    assert mexc.parse_spot({"balances": rows}) == {"USDT": D(90), "BTC": D("0.1")}
    for odd in ({"free": "NaN"}, {"locked": None}, {"asset": ""}):
        with pytest.raises(MalformedReply):
            mexc.parse_spot({"balances": [*rows, rows[0] | odd]})
    with pytest.raises(MalformedReply, match="twice"):
        mexc.parse_spot({"balances": [*rows, rows[0]]})


def test_profit_that_is_not_realised_is_no_balance() -> None:
    row = {"currency": "USDT", "equity": 105.3, "unrealized": 5.1, "positionMargin": 20, "availableBalance": 70}
    assert mexc.parse_contract_wallet({"data": [row]}) == {"USDT": D("100.2")}
    with pytest.raises(MalformedReply, match="twice"):
        mexc.parse_contract_wallet({"data": [row, row]})
    loss = row | {"unrealized": -4.7, "equity": 95.5}
    assert mexc.parse_contract_wallet({"data": [loss]}) == {"USDT": D("100.2")}
    with pytest.raises(MalformedReply):
        mexc.parse_contract_wallet({"data": [row | {"unrealized": None}]})


def test_prices_are_mids_of_pairs_and_fair_prices_of_contracts() -> None:
    rows = [
        {"symbol": "BTCUSDT", "bidPrice": "99", "askPrice": "101"},
        {"symbol": "NOPEUSDT", "bidPrice": "x", "askPrice": None},
    ]
    (price,) = mexc.parse_prices(rows, {"BTCUSDT": BTC})
    assert (price.symbol, price.value, price.converts) == ("BTC/USDT", D(100), True)
    for bid, ask in (("", "101"), (None, "101"), ("0", "101"), ("102", "101")):
        assert mexc.parse_prices([{"symbol": "BTCUSDT", "bidPrice": bid, "askPrice": ask}], {"BTCUSDT": BTC}) == ()
    (mark,) = mexc.parse_marks([{"symbol": "BTC_USDT", "fairPrice": 60000.5}], {"BTC_USDT": PERP})
    assert (mark.symbol, mark.value, mark.converts) == ("BTC/USDT:USDT", D("60000.5"), False)
    assert mexc.parse_marks([{"symbol": "BTC_USDT", "fairPrice": 0}], {"BTC_USDT": PERP}) == ()


def test_a_book_has_no_more_orders_than_all_have() -> None:
    counts = {"sumCount": 6, "limitOrderCount": 1, "planOrderCount": 2, "stopOrderCount": 3, "trackOrderCount": 0}
    assert [mexc.parse_count({"data": counts}, book) for book in mexc.BOOKS] == [1, 2, 3, 0]
    with pytest.raises(MalformedReply):
        mexc.parse_count({"data": counts | {"sumCount": 1}}, "plan")
    with pytest.raises(MalformedReply):
        mexc.parse_count({"data": counts | {"planOrderCount": None}}, "plan")


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("order/list/open_orders", {"success": False, "code": 0, "data": []}),
        ("order/list/open_orders", {"success": True, "code": 0}),
        ("order/list/open_orders", {"success": True, "code": 602, "data": []}),
        ("order/list/open_orders", []),
        ("planorder/list/orders", {"success": True, "code": 0, "data": [{"symbol": "BTC_USDT"}]}),
        ("account/assets", {"success": True, "code": 0, "data": []}),
        ("openOrders", {}),
        ("openOrders", {"code": 200, "msg": "success"}),
        ("account", {"balances": {}}),
        ("order/all", {"code": 700007, "msg": "No permission"}),
        ("something/else", {"code": 510, "message": "Requests are too frequent"}),
        ("something/else", {}),
        ("capital/transfer", []),
        ("capital/transfer", [{"rows": []}]),
    ],
)
def test_what_is_no_answer_of_either_house(path: str, reply: Any) -> None:
    assert wrong_with(REPLIES, f"https://api.mexc.com/{path}?x=1", reply) is not None


def test_transfers_may_stand_in_a_list() -> None:
    for reply in ({"rows": [], "total": 0}, [{"rows": [], "total": 0}]):
        assert wrong_with(REPLIES, "https://api.mexc.com/api/v3/capital/transfer", reply) is None


def test_scopes_that_can_become_limit_orders_come_first() -> None:
    kinds = [plan.scope.kind for plan in SCOPES if plan.scope.markets == PERP_MARKETS]
    assert kinds == [ScopeKind.TRIGGER] * 3 + [ScopeKind.PLAIN]
    assert all(plan.calls is not None and plan.calls.listing.counted for plan in SCOPES[:4])


def test_sides_and_what_only_reduces() -> None:
    limit, stop = PLANS["limit"].calls, PLANS["stop"].calls
    assert limit is not None
    assert stop is not None
    fields = limit.listing.fields
    assert fields.sides is not None
    assert [fields.sides[side] for side in "1234"] == [
        OrderSide.BUY,
        OrderSide.BUY,
        OrderSide.SELL,
        OrderSide.SELL,
    ]
    assert [fields.reduces({"side": side}) for side in (1, 2, 3, 4)] == [False, True, False, True]
    assert fields.reduces({"side": 3, "reduceOnly": True})
    protects = stop.listing.fields.reduces
    assert protects({"stopLossReverse": 2, "takeProfitReverse": 2})
    assert not protects({"stopLossReverse": 1, "takeProfitReverse": 2}), "it opens the opposite position"
    assert not stop.listing.shows({"isFinished": 1})
    assert stop.listing.shows({"isFinished": 0})
    assert stop.listing.shows({})


def test_rows_of_a_batch_that_were_refused() -> None:
    calls = PLANS["limit"].calls
    assert calls is not None
    rows = [{"orderId": "1", "errorCode": code} for code in (0, 2040, 2041)]
    assert calls.single.refused({"data": rows}) is None
    assert "1 of 4" in str(calls.single.refused({"data": [*rows, {"orderId": "2", "errorCode": 704}]}))
    assert calls.single.refused({}) is not None
    assert calls.single.names([Named(market_id="BTC_USDT", order_id="7")]) == ["7"]


def test_what_the_venue_tells_of_a_key() -> None:
    words = "CONTRACT_ACCOUNT_READ,SPOT_ACCOUNT_READ,SPOT_DEAL_WRITE"
    powers = read_powers({"permissions": words, "ipWhiteList": ""})
    assert (powers.may_read, powers.may_cancel, powers.may_withdraw, powers.is_bound) == (True, True, False, False)
    powers = read_powers({"permissions": "SPOT_WITHDRAW_WRITE", "ipWhiteList": "1.2.3.4"})
    assert (powers.may_read, powers.may_cancel, powers.may_withdraw, powers.is_bound) == (False, False, True, True)
    for words in ("SPOT_ACCOUNT_READ,ALL", "", "*"):
        assert read_powers({"permissions": words, "ipWhiteList": ""}).may_withdraw is None
    for odd in ({}, [], {"permissions": None}, {"permissions": "A", "ipWhiteList": 5}):
        with pytest.raises(MalformedReply):
            read_powers(odd)


def test_its_key_is_asked_about_by_its_own_name() -> None:
    assert VENUE.key_audit is not None
    assert VENUE.key_audit.key_param == "accessKey"
    assert VENUE.unprovable
