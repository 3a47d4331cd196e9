"""When positions are proven closed, and what may be ordered: sizes that never exceed what is live, and never twice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Lot
from oms.flat import CloseOrder, FlatProof, order_size, positions_fault
from risk_daemon.errors import InvariantError
from risk_daemon.model.account import Position, Source
from risk_daemon.model.events import PositionsSeen

D = Decimal
LOT = Lot(step=D("0.1"), smallest=D("0.2"))
SETTLE_S, FLIGHT_S = 2.0, 5.0


def position(quantity: str, symbol: str = "BTC/USD:USD") -> Position:
    return Position(symbol=symbol, quantity=D(quantity), entry=D(60_000), settle="USD", underlying="BTC")


def proof() -> FlatProof:
    return FlatProof(settle_s=SETTLE_S, flight_s=FLIGHT_S)


def sizes(orders: tuple[CloseOrder, ...]) -> list[Decimal]:
    return [order.quantity for order in orders]


# --- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "lot", "size"),
    [
        ("1.55", LOT, "1.5"),
        ("-1.55", LOT, "1.5"),
        ("1.5", LOT, "1.5"),
        ("0.2", LOT, "0.2"),
        ("0.199999", LOT, "0"),
        ("0", LOT, "0"),
        ("12345", Lot(step=D(1000), smallest=D(1000)), "12000"),
        ("12345", Lot(step=D(10), smallest=D(1), largest=D(5005)), "5000"),
        ("0.00000001", Lot(step=D("1e-8"), smallest=D(0)), "0.00000001"),
        ("9" * 28 + "." + "9" * 20, Lot(step=D("0.001"), smallest=D(1)), "9" * 28 + ".999"),
    ],
)
def test_a_size_is_floored_to_the_step(live: str, lot: Lot, size: str) -> None:
    assert order_size(D(live), lot) == D(size)


@pytest.mark.parametrize(
    ("step", "smallest", "largest"), [("0", "1", None), ("-1", "1", None), ("1", "-1", None), ("2", "1", "1")]
)
def test_a_lot_that_nothing_fits_is_refused(step: str, smallest: str, largest: str | None) -> None:
    with pytest.raises(ValueError, match="no order fits"):
        Lot(step=D(step), smallest=D(smallest), largest=None if largest is None else D(largest))


# --- evidence --------------------------------------------------------------------------------------


def test_flat_takes_two_listings_settle_apart() -> None:
    flat = proof()
    assert flat.listed((), 10.0, lambda _: LOT) == ()
    assert not flat.is_flat
    flat.listed((), 11.9, lambda _: LOT)
    assert not flat.is_flat
    flat.listed((), flat.due_mono, lambda _: LOT)
    assert flat.is_flat


def test_a_position_or_a_failure_between_them_begins_it_anew() -> None:
    for between in ("position", "failure"):
        flat = proof()
        flat.listed((), 10.0, lambda _: LOT)
        if between == "position":
            assert sizes(flat.listed((position("1"),), 11.0, lambda _: LOT)) == [D(1)]
        else:
            flat.failed()
        flat.listed((), 12.0, lambda _: LOT)
        assert not flat.is_flat
        flat.listed((), 14.0, lambda _: LOT)
        assert flat.is_flat


def test_what_is_too_small_is_left_and_named() -> None:
    flat = proof()
    for at in (10.0, 12.0):
        assert flat.listed((position("-0.15"),), at, lambda _: LOT) == ()
    assert flat.is_flat
    (leg,) = flat.open_legs
    assert (leg.side, leg.size, leg.residual) == ("short", D("0.15"), D("0.15"))


def test_a_market_that_nobody_knows_blocks_and_is_named_while_the_others_are_closed() -> None:
    flat = proof()
    listed = (position("1"), position("3", "ETH/USD:USD"))
    lots = {"BTC/USD:USD": LOT, "ETH/USD:USD": "it is not in the market list"}
    assert sizes(flat.listed(listed, 10.0, lambda one: lots[one.symbol])) == [D(1)]
    assert flat.blocked == ("ETH/USD:USD 3: it is not in the market list",)
    flat.listed(listed[1:], 12.0, lambda one: lots[one.symbol])
    flat.listed(listed[1:], 14.0, lambda one: lots[one.symbol])
    assert not flat.is_flat


def test_nothing_is_ordered_while_an_order_may_be_working() -> None:
    flat = proof()
    flat.ordering()
    flat.answered(10.0, is_certain=True)
    with pytest.raises(InvariantError, match="may be working"):
        flat.listed((position("1"),), 20.0, lambda _: LOT)
    flat.no_order_left(11.9)
    assert flat.is_working, "its books may be behind"
    flat.no_order_left(12.0)
    assert not flat.is_working
    assert flat.listed((position("1"),), 11.0, lambda _: LOT) == (), "a listing from before says nothing"
    assert sizes(flat.listed((position("1"),), 12.0, lambda _: LOT)) == [D(1)]


def test_an_order_without_an_answer_may_arrive_late() -> None:
    flat = proof()
    flat.ordering()
    flat.answered(10.0, is_certain=False)
    flat.no_order_left(14.9)
    assert flat.is_working
    flat.no_order_left(15.0)
    assert not flat.is_working


def test_the_most_that_was_seen_is_what_was_closed() -> None:
    flat = proof()
    for at, quantity in ((1.0, "3"), (2.0, "5"), (3.0, "0.15")):
        flat.listed((position(quantity),), at, lambda _: LOT)
    (leg,) = flat.legs
    assert (leg.size, leg.residual) == (D(5), D("0.15"))


# --- what counts as a listing ----------------------------------------------------------------------

SEEN = PositionsSeen("kraken", 10.0, Source.REST, (), complete=True)


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (SEEN, None),
        ({}, "a dict"),
        (None, "a NoneType"),
        (replace(SEEN, venue="other"), "no whole listing"),
        (replace(SEEN, source=Source.STREAM), "no whole listing"),
        (replace(SEEN, complete=False), "no whole listing"),
        (replace(SEEN, requested_mono=9.0), "another time"),
        (replace(SEEN, requested_mono=12.0), "another time"),
        (replace(SEEN, requested_mono=float("nan")), "another time"),
        (replace(SEEN, positions=(replace(position("1"), quantity=D("NaN")),)), "no size"),
    ],
)
def test_what_is_no_listing_of_all_positions(seen: Any, fault: str | None) -> None:
    found = positions_fault(seen, "kraken", asked_mono=9.5, received_mono=11.0)
    assert found is None if fault is None else fault in str(found)
