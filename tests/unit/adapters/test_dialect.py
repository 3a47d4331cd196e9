"""What every dialect has at hand: numbers that are only shown, and orders told of row after row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters import dialect
from adapters.dialect import OrdersTold, told_number, told_size
from risk_daemon.model.account import Order, OrderSide, OrderStatus


def order(order_id: str, symbol: str = "BTC/USD") -> Order:
    return Order(
        venue="v", scope="s", order_id=order_id, symbol=symbol, side=OrderSide.BUY, order_type="limit", remaining=None
    )


@pytest.mark.parametrize("row", [{}, None, [], "text", {"a": None}, {"a": "x", "b": []}])
def test_a_number_that_is_not_told_is_none(row: Any) -> None:
    assert told_number(row, "a", "b") is None
    assert told_size(row, "a", "b") is None


def test_of_several_fields_the_first_that_says_something_counts() -> None:
    row = {"a": "", "b": "0", "c": "-1", "d": 0.5}
    assert told_number(row, "a", "b", "c", "d") == 0
    assert told_size(row, "a", "b", "c", "d") == Decimal("0.5")


def test_an_order_that_ended_tells_how() -> None:
    told = OrdersTold()
    told.is_open(order("1"))
    told.has_ended("1", status=OrderStatus.FILLED)
    told.has_ended("2", order("2"))
    told.has_ended("3", status=OrderStatus.FILLED)
    assert told.open == ()
    assert [(each.order_id, each.status) for each in told.ended] == [
        ("1", OrderStatus.FILLED),
        ("2", OrderStatus.ENDED),
    ]


def test_a_row_that_only_names_an_order_is_of_what_earlier_frames_told() -> None:
    known: dict[str, Order] = {}
    OrdersTold(known).is_open(order("1", "ETH/USD"))
    later = OrdersTold(known)
    later.has_ended("1", status=OrderStatus.CANCELLED)
    assert [(each.symbol, each.status) for each in later.ended] == [("ETH/USD", OrderStatus.CANCELLED)]
    assert not known


def test_only_so_many_orders_are_remembered_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "KNOWN_ORDERS", 2)
    known: dict[str, Order] = {}
    told = OrdersTold(known)
    for order_id in ("1", "2", "1", "3"):
        told.is_open(order(order_id))
    assert list(known) == ["1", "3"]
    assert len(told.open) == 3
