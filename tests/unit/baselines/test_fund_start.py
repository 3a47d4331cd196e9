"""What a member's loss in a fund is measured from: taken once, moved by flows alone."""

from __future__ import annotations

import json
from decimal import Decimal

from risk_daemon.baselines.fund_start import FundStart

SEAT = ("f00d", "b.00000001")


def begun() -> FundStart:
    start = FundStart()
    assert start.begin(*SEAT)
    return start


def test_it_is_taken_once_it_is_wanted_and_never_again() -> None:
    start = FundStart()
    assert not start.is_waiting
    assert not start.settle(Decimal(100))
    start.begin(*SEAT)
    assert start.is_waiting
    assert start.of(*SEAT) is None
    assert start.settle(Decimal(100))
    assert not start.settle(Decimal(90))
    assert not start.begin(*SEAT)
    assert start.of(*SEAT) == 100


def test_flows_move_it_by_their_amount() -> None:
    start = begun()
    start.pay(Decimal(5))
    assert start.money is None
    start.settle(Decimal(100))
    start.pay(Decimal(50))
    start.pay(Decimal(-20))
    assert start.of(*SEAT) == 130


def test_it_is_of_one_seat_of_one_founding() -> None:
    start = begun()
    start.settle(Decimal(100))
    assert start.of("f00d", "b.00000002") is None
    assert start.of("beef", "b.00000001") is None
    assert start.begin("beef", "b.00000001")
    assert start.is_waiting
    assert start.of(*SEAT) is None


def test_it_comes_back_as_it_was_and_a_state_from_before_has_none() -> None:
    start, again = begun(), FundStart()
    again.restore(json.loads(json.dumps(start.snapshot())))
    assert again.is_waiting
    start.settle(Decimal("100.5"))
    again.restore(json.loads(json.dumps(start.snapshot())))
    assert again.of(*SEAT) == Decimal("100.5")
    empty = FundStart()
    empty.restore(None)
    assert (empty.is_waiting, empty.money) == (False, None)
