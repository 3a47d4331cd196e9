"""The last orders and errors that people are shown."""

from __future__ import annotations

import json
from typing import Any

from risk_daemon.app.recent import KEEP, Recent
from risk_daemon.model.events import ErrorKind, ErrorReported, Order, OrderReported, OrdersSeen, Tick


def order(order_id: str, venue: str = "kraken") -> Order:
    return Order(venue=venue, scope="spot", order_id=order_id, symbol="BTC/USDT", side="buy", order_type="limit")


def noted(*events: Any) -> dict[str, Any]:
    recent = Recent()
    for wall, event in enumerate(events):
        recent.note(event, float(wall))
    return recent.document()


def test_nothing_is_known_of_fills() -> None:
    assert noted() == {"orders": [], "fills": None, "errors": []}


def test_orders_say_who_told_of_them() -> None:
    told = noted(OrderReported("kraken", "BTC/USDT", "sell", "alpha", "1"), OrdersSeen("kraken", 0.0, (order("2"),)))
    by = [(row["time_wall"], row["told_by"], row["bot"], row["side"], row["order_id"]) for row in told["orders"]]
    assert by == [(0.0, "bot", "alpha", "sell", "1"), (1.0, "venue", None, "buy", "2")]


def test_an_order_that_a_stream_tells_of_again_is_one_order() -> None:
    amended = OrdersSeen("kraken", 0.0, (order("1"),), ended=(order("1"), order("1", "other")))
    assert [(row["venue"], row["order_id"]) for row in noted(amended, amended)["orders"]] == [
        ("kraken", "1"),
        ("other", "1"),
    ]


def test_errors_have_their_kind_and_the_bots_own_words() -> None:
    [row] = noted(ErrorReported(ErrorKind.EXPECTED, "alpha", "kraken", "no funds"), Tick())["errors"]
    assert row == {"time_wall": 0.0, "kind": "expected", "bot": "alpha", "venue": "kraken", "detail": "no funds"}


def test_only_the_last_ones_are_kept_as_json() -> None:
    told = noted(*[OrdersSeen("kraken", 0.0, (order(str(number)),)) for number in range(KEEP + 5)])
    assert [row["order_id"] for row in told["orders"]] == [str(number) for number in range(5, KEEP + 5)]
    assert json.loads(json.dumps(told)) == told
