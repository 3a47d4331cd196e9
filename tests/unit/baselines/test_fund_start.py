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
    assert not start.settle(Decimal(100), 50.0)
    start.begin(*SEAT)
    assert start.is_waiting
    assert start.of(*SEAT) is None
    assert start.settle(Decimal(100), 50.0)
    assert not start.settle(Decimal(90), 50.0)
    assert not start.begin(*SEAT)
    assert start.of(*SEAT) == 100


def test_flows_move_it_by_their_amount() -> None:
    start = begun()
    start.pay(Decimal(5))
    assert start.money is None
    start.settle(Decimal(100), 50.0)
    start.pay(Decimal(50))
    start.pay(Decimal(-20))
    assert start.of(*SEAT) == 130


def test_it_is_of_one_seat_of_one_founding() -> None:
    start = begun()
    start.settle(Decimal(100), 50.0)
    assert start.of("f00d", "b.00000002") is None
    assert start.of("beef", "b.00000001") is None
    assert start.begin("beef", "b.00000001")
    assert start.is_waiting
    assert start.of(*SEAT) is None


def test_it_comes_back_as_it_was_and_a_state_from_before_has_none() -> None:
    start, again = begun(), FundStart()
    again.restore(json.loads(json.dumps(start.snapshot())))
    assert again.is_waiting
    start.settle(Decimal("100.5"), 50.0)
    again.restore(json.loads(json.dumps(start.snapshot())))
    assert again.of(*SEAT) == Decimal("100.5")
    empty = FundStart()
    empty.restore(None)
    assert (empty.is_waiting, empty.money) == (False, None)


def test_what_is_dated_before_the_readings_that_it_was_taken_from_is_no_news() -> None:
    start = begun()
    assert not start.is_since(60.0)
    start.settle(Decimal(100), 50.0)
    assert (start.is_since(49.9), start.is_since(50.0)) == (False, True)
    again = FundStart()
    again.restore(json.loads(json.dumps(start.snapshot())))
    assert (again.is_since(49.9), again.is_since(50.0)) == (False, True)
    of_an_older_version = FundStart()
    of_an_older_version.restore({"founding": "f00d", "seat": "b.00000001", "money": "100"})
    assert of_an_older_version.is_since(0.0), "it does not say, and too high a start trips early"
