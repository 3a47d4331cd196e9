"""The order that closes a position, as ccxt is asked for it: its leg, its size as text, its id; and what sizes fit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Lot
from adapters.closing import OrderIds, lot_of, send
from adapters.dialect import SHORT_LEG
from adapters.registry import venue_of
from adapters.venue import Venue
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.account import Position
from risk_daemon.model.clock import ManualClock

D = Decimal
BTC = "BTC/USDT:USDT"
VENUE = Venue(exchange="binance", leg_params={"hedged": True, "reduceOnly": True})


class FakeClient:
    """Takes orders. hedged None: the venue can't be asked how it holds positions."""

    def __init__(self, hedged: bool | None = None, **market: Any) -> None:
        self.has = {"fetchPositionMode": hedged is not None}
        self.hedged = hedged
        self.precisionMode = 4
        row = {"precision": {"amount": 0.001}, "limits": {"amount": {"min": 0.001, "max": None}}}
        self.markets: dict[str, Any] = {BTC: {**row, **market}}
        self.orders: list[tuple[Any, ...]] = []

    async def fetch_position_mode(self, symbol: str) -> dict[str, Any]:
        return {"hedged": self.hedged}

    async def create_order(self, *order: Any) -> None:
        self.orders.append(order)


def position(quantity: str, symbol: str = BTC) -> Position:
    return Position(symbol=symbol, quantity=D(quantity), entry=D(1), settle="USDT", underlying="BTC")


@pytest.mark.parametrize(
    ("held", "hedged", "side", "params"),
    [
        (position("2"), None, "sell", {"reduceOnly": True}),
        (position("-2"), False, "buy", {"reduceOnly": True}),
        (position("2"), True, "sell", {"reduceOnly": True, "hedged": True}),
        (position("-2"), True, "buy", {"reduceOnly": True, "hedged": True}),
        (position("-2", BTC + SHORT_LEG), None, "buy", {"reduceOnly": True, "hedged": True}),
    ],
)
async def test_one_market_order_against_the_leg(held: Position, hedged: bool | None, side: str, params: Any) -> None:
    client = FakeClient(hedged)
    await send(client, VENUE, held, D("1.50"), "id-1")

    assert client.orders == [(BTC, "market", side, "1.5", None, {**params, "clientOrderId": "id-1"})]


@pytest.mark.parametrize(
    ("market", "lot"),
    [
        ({}, Lot(step=D("0.001"), smallest=D("0.001"))),
        ({"limits": {"amount": {"min": None, "max": 0}}}, Lot(step=D("0.001"), smallest=D("0.001"))),
        (
            {"limits": {"amount": {"min": 0.01, "max": 50}, "market": {"min": 0, "max": 20}}},
            Lot(step=D("0.001"), smallest=D("0.01"), largest=D(20)),
        ),
    ],
)
def test_what_sizes_fit(market: Any, lot: Lot) -> None:
    assert lot_of(FakeClient(**market), VENUE, BTC) == lot
    assert lot_of(FakeClient(**market), VENUE, BTC + SHORT_LEG) == lot


def test_a_precision_in_digits_after_the_point() -> None:
    client = FakeClient(precision={"amount": 3}, limits={})
    client.precisionMode = 2
    assert lot_of(client, VENUE, BTC).step == D("0.001")
    client.precisionMode = 3
    with pytest.raises(MalformedReply, match="no step"):
        lot_of(client, VENUE, BTC)


@pytest.mark.parametrize("precision", [{}, {"amount": None}, {"amount": 0}, {"amount": "x"}])
def test_a_market_that_does_not_say_is_no_guess(precision: Any) -> None:
    with pytest.raises(MalformedReply, match="what sizes"):
        lot_of(FakeClient(precision=precision), VENUE, BTC)


def test_a_market_that_is_gone() -> None:
    with pytest.raises(VenueRejected, match="any more"):
        lot_of(FakeClient(), VENUE, "GONE/USDT:USDT")


def test_on_margin_only_where_it_is_known_how() -> None:
    """An order of ccxt's in a spot market trades the holding: again and again, because the position stays."""
    client = FakeClient(spot=True)
    with pytest.raises(VenueRejected, match="on margin"):
        lot_of(client, venue_of("okx"), BTC)

    assert lot_of(client, venue_of("kraken"), BTC).step == D("0.001")


@pytest.mark.parametrize("length", [18, 32, 36])
def test_an_order_id_is_the_end_of_the_trips_and_never_twice_the_same(length: int) -> None:
    ids = OrderIds(length, ManualClock(wall=1_700_000_000.0))
    made = [ids.next("trip-20261122T053752.123Z-17") for _ in range(100)]

    assert len(set(made)) == 100
    assert all(len(one) <= length and one.isascii() and one.isalnum() for one in made)
    assert all("53752123Z17" in one for one in made)
