"""The last orders, fills and errors that people are shown."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.model.account import Fill, OrderSide, OrderStatus, Source
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    ErrorKind,
    ErrorReported,
    FillsSeen,
    Input,
    Order,
    OrderReported,
    OrdersListed,
    OrdersSeen,
    Tick,
    VenueLost,
)
from risk_daemon.runtime.recent import KEEP, Recent


def order(order_id: str, venue: str = "kraken", **fields: Any) -> Order:
    given = {"scope": "spot", "symbol": "BTC/USDT", "side": OrderSide.BUY, "order_type": "limit", **fields}
    return Order(venue=venue, order_id=order_id, **given)


def fill(fill_id: str, wall: float, order_id: str = "1") -> Fill:
    return Fill(
        venue="kraken",
        fill_id=fill_id,
        order_id=order_id,
        symbol="BTC/USDT",
        side=OrderSide.SELL,
        quantity=Decimal("0.10"),
        price=Decimal(60_000),
        wall=wall,
        fee=Decimal("1.5"),
        fee_asset="USDT",
    )


def filled(*fills: Fill) -> FillsSeen:
    return FillsSeen("kraken", 0.0, Source.STREAM, fills)


def after(*events: Input) -> Recent:
    """Told one after another, a second apart."""
    recent = Recent()
    for second, event in enumerate(events):
        recent.note(event, Instant(mono=100.0 + second, wall=float(second)))
    return recent


def noted(*events: Input) -> dict[str, Any]:
    return after(*events).document()


def test_before_anybody_told_of_fills_they_are_not_known_and_then_there_may_be_none() -> None:
    assert noted() == {"orders": [], "fills": None, "errors": []}
    assert noted(filled())["fills"] == []


def test_orders_say_who_told_of_them() -> None:
    sent = OrderReported("kraken", "BTC/USDT", OrderSide.SELL, "alpha", "1")
    told = noted(sent, OrdersSeen("kraken", 0.0, (order("2"),)))
    by = [
        (row["time_wall"], row["told_by"], row["bot"], row["side"], row["order_id"], row["status"])
        for row in told["orders"]
    ]
    assert by == [(0.0, "bot", "alpha", "sell", "1", "sent"), (1.0, "venue", None, "buy", "2", "open")]


@pytest.mark.parametrize("bot_first", [True, False])
def test_what_a_bot_and_the_venue_tell_of_is_one_order_with_both_their_words(bot_first: bool) -> None:
    sent = OrderReported("kraken", "BTC/USDT", OrderSide.BUY, "alpha", client_order_id="c-1")
    shown = OrdersSeen(
        "kraken",
        0.0,
        (order("7", client_order_id="c-1", quantity=Decimal("0.50"), price=Decimal(50_000), remaining=Decimal("0.2")),),
    )
    events = (sent, shown) if bot_first else (shown, sent)
    [row] = noted(*events)["orders"]
    assert (row["bot"], row["told_by"], row["order_id"]) == ("alpha", "venue", "7")
    assert (row["quantity"], row["remaining"], row["price"], row["status"]) == ("0.5", "0.2", "50000", "open")


def test_an_order_that_is_amended_or_ends_stays_one_row() -> None:
    first, other = order("1", quantity=Decimal(2)), order("1", "other")
    amended = OrdersSeen("kraken", 1.0, (order("1", remaining=Decimal(1)), other))
    ended = OrdersSeen("kraken", 2.0, (), ended=(order("1", status=OrderStatus.FILLED), other))
    rows = noted(OrdersSeen("kraken", 0.0, (first,)), amended, ended)["orders"]
    assert [(row["venue"], row["status"], row["quantity"], row["remaining"]) for row in rows] == [
        ("kraken", "filled", "2", "1"),
        ("other", "ended", None, None),
    ]


def test_what_a_later_listing_does_not_show_has_ended_and_an_earlier_one_says_nothing() -> None:
    seen = OrdersSeen("kraken", 5.0, (order("1"),))
    assert [row["status"] for row in noted(seen, OrdersListed("kraken", "spot", 4.0, ()))["orders"]] == ["open"]
    assert [row["status"] for row in noted(seen, OrdersListed("kraken", "perp", 6.0, ()))["orders"]] == ["open"]
    assert [row["status"] for row in noted(seen, OrdersListed("kraken", "spot", 6.0, ()))["orders"]] == ["ended"]


def test_a_listing_from_before_does_not_bring_an_ended_order_back() -> None:
    ended = OrdersSeen("kraken", 5.0, (), ended=(order("1", status=OrderStatus.CANCELLED),))
    assert [row["status"] for row in noted(ended, OrdersListed("kraken", "spot", 4.0, (order("1"),)))["orders"]] == [
        "cancelled"
    ]


def test_fills_are_in_the_order_of_the_venues_clock_once_each_with_the_bot_of_their_order() -> None:
    sent = OrderReported("kraken", "BTC/USDT", OrderSide.SELL, "alpha", "1")
    rows = noted(sent, filled(fill("b", 20.0)), filled(fill("a", 10.0, "9"), fill("b", 20.0)))["fills"]
    assert [(row["fill_id"], row["bot"], row["quantity"], row["fee"]) for row in rows] == [
        ("a", None, "0.1", "1.5"),
        ("b", "alpha", "0.1", "1.5"),
    ]


def test_errors_are_those_of_bots_and_of_venues() -> None:
    told = noted(ErrorReported(ErrorKind.EXPECTED, "alpha", "kraken", "no funds"), Tick(), VenueLost("kraken", "503"))
    assert told["errors"] == [
        {"time_wall": 0.0, "kind": "expected", "bot": "alpha", "venue": "kraken", "detail": "no funds"},
        {"time_wall": 2.0, "kind": "venue_lost", "bot": None, "venue": "kraken", "detail": "503"},
    ]


def test_only_the_last_ones_are_kept_as_json() -> None:
    orders = [OrdersSeen("kraken", 0.0, (order(str(number)),)) for number in range(KEEP + 5)]
    told = noted(*orders, *[filled(fill(str(number), float(number))) for number in range(KEEP + 5)])
    assert [row["order_id"] for row in told["orders"]] == [str(number) for number in range(5, KEEP + 5)]
    assert [row["fill_id"] for row in told["fills"]] == [str(number) for number in range(5, KEEP + 5)]
    assert json.loads(json.dumps(told)) == told


def test_an_order_of_a_row_that_was_dropped_is_a_new_one() -> None:
    orders = [OrdersSeen("kraken", 0.0, (order(str(number)),)) for number in (*range(KEEP + 1), 0)]
    assert noted(*orders)["orders"][-1]["order_id"] == "0"


def test_a_restart_keeps_what_was_shown_and_what_was_open_is_looked_at_again() -> None:
    before = after(
        OrderReported("kraken", "BTC/USDT", OrderSide.BUY, "alpha", "1"),
        OrdersSeen("kraken", 50.0, (order("1"), order("2"))),
        filled(fill("a", 10.0)),
        ErrorReported(ErrorKind.BROKER, "alpha", "kraken", "503"),
    )
    restarted = Recent()
    restarted.restore(json.loads(json.dumps(before.snapshot())))
    assert restarted.document() == before.document()
    restarted.note(OrdersListed("kraken", "spot", 3.0, (order("1"),)), Instant(mono=3.0, wall=99.0))
    assert [(row["order_id"], row["status"], row["bot"]) for row in restarted.document()["orders"]] == [
        ("1", "open", "alpha"),
        ("2", "ended", None),
    ]


@pytest.mark.parametrize("saved", [{}, {"orders": 3}, {"orders": [None], "errors": [], "fills": []}])
def test_what_was_damaged_is_not_shown_and_refuses_nothing(saved: Any) -> None:
    recent = Recent()
    recent.restore(saved)
    assert recent.document()["orders"] == []


def test_open_orders_are_shown_with_their_bot() -> None:
    recent = after(OrderReported("kraken", "BTC/USDT", OrderSide.BUY, "alpha", "1"))
    shown = recent.open_orders([order("1", price=Decimal(5)), order("2")])
    assert [(row["order_id"], row["bot"], row["price"]) for row in shown] == [("1", "alpha", "5"), ("2", None, None)]


def test_a_fill_of_another_year_does_not_stand_before_all_that_comes() -> None:
    told = noted(filled(fill("ahead", 1e14), fill("now", 2.0)))
    assert [row["fill_id"] for row in told["fills"]] == ["now"]


def test_a_fill_without_a_time_that_was_kept_ends_nothing() -> None:
    saved = after(filled(fill("a", 1.0))).snapshot()
    saved["fills"] = [{**saved["fills"][0], "time_wall": None}]
    recent = Recent()
    recent.restore(saved)
    recent.note(filled(fill("b", 2.0)), Instant(mono=1.0, wall=2.0))
    assert [row["fill_id"] for row in recent.document()["fills"]] == ["b"]
