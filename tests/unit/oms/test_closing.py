"""Closing positions on venues that do what real ones do: the order of things, what is sent when, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Lot, Market, OrderScope
from oms import CloseResult, OrderManager
from risk_daemon.errors import MalformedReply, UsageError, VenueRejected, VenueUnavailable
from risk_daemon.model.account import OrderSide, Position, Source
from risk_daemon.model.events import (
    BalancesSeen,
    ClosingFinished,
    Input,
    PositionClosed,
    PositionsSeen,
    SweepFinished,
    VenueUnproven,
)
from tests.unit.oms.fakes import PERP, SPOT, FakeVenue, LoopClock, hang
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

D = Decimal
BTC, ETH = "BTC/USD:USD", "ETH/USD:USD"
LOT = Lot(step=D("0.1"), smallest=D("0.1"))

Fate = Callable[["ClosingVenue", Position, Decimal], Awaitable[None]]


async def fills(venue: ClosingVenue, position: Position, quantity: Decimal) -> None:
    venue.fill(position.symbol, quantity)


async def fills_in_part(venue: ClosingVenue, position: Position, quantity: Decimal) -> None:
    venue.fill(position.symbol, D("0.1"))


async def rests(venue: ClosingVenue, position: Position, quantity: Decimal) -> None:
    venue.place("perp", symbol=position.symbol, order_type="market", reduce_only=True, bot="ours", side=OrderSide.SELL)


async def rejects(venue: ClosingVenue, position: Position, quantity: Decimal) -> None:
    raise VenueRejected("market suspended")


async def fills_and_hides_it(venue: ClosingVenue, position: Position, quantity: Decimal) -> None:
    venue.fill(position.symbol, quantity)
    raise VenueUnavailable("no answer")


async def arrives_late(venue: ClosingVenue, position: Position, quantity: Decimal) -> None:
    asyncio.get_running_loop().call_later(3.0, venue.fill, position.symbol, quantity)
    raise VenueUnavailable("no answer")


class ClosingVenue(FakeVenue):
    """A venue with positions. It has no reduce-only of its own: what is ordered too often flips the position."""

    def __init__(self, name: str, *scopes: OrderScope, **held: str) -> None:
        super().__init__(name, *(scopes or (PERP,)))
        self.held = {symbol: D(quantity) for symbol, quantity in held.items()}
        self.amounts: dict[str, Decimal] = {}
        self.fates: list[Fate] = []
        self.listings: list[Any] = []
        self.sent: list[tuple[float, str, Decimal]] = []
        self.labels: set[str] = set()
        self.flipped = False

    def fill(self, symbol: str, quantity: Decimal) -> None:
        live = self.held.get(symbol, D(0))
        self.held[symbol] = live - quantity if live > 0 else live + quantity
        self.flipped = self.flipped or live * self.held[symbol] < 0 or live == 0

    def lot(self, symbol: str) -> Lot:
        if symbol.startswith("GONE"):
            raise VenueRejected(f"{symbol} is not in the market list")
        return LOT

    async def read_positions(self, *, urgent: bool = False) -> PositionsSeen:
        assert urgent
        requested_mono = self._note("positions", PERP, 0)
        await asyncio.sleep(self.latency_s)
        if self.listings:
            odd = self.listings.pop(0)
            if isinstance(odd, Exception):
                raise odd
            if odd is not None:
                return odd(requested_mono) if callable(odd) else odd
        held = {symbol: quantity for symbol, quantity in self.held.items() if quantity}
        positions = tuple(
            Position(symbol=symbol, quantity=quantity, entry=D(1), settle="USD", underlying=symbol.partition("/")[0])
            for symbol, quantity in held.items()
        )
        return PositionsSeen(self.name, requested_mono, Source.REST, positions, complete=True)

    async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
        await asyncio.sleep(self.latency_s)
        if "unknown" in self.amounts:
            raise MalformedReply("HTML")
        return BalancesSeen(self.name, self._note("balances", PERP, 0), Source.REST, self.amounts, complete=True)

    async def close_position(self, position: Position, quantity: Decimal, *, label: str) -> None:
        self.sent.append((self._note("close", PERP, 0), position.symbol, quantity))
        self.labels.add(label)
        await asyncio.sleep(self.latency_s)
        await (self.fates.pop(0) if self.fates else fills)(self, position, quantity)


@pytest.fixture
def heard() -> list[Input]:
    return []


@pytest.fixture(autouse=True)
def _what_is_called_flat_is_flat(heard: list[Input]) -> Iterator[None]:
    yield
    finished = [event for event in heard if isinstance(event, ClosingFinished)]
    assert len(finished) <= 1


def manage(*venues: FakeVenue, heard: list[Input] | None = None, **settings: Any) -> OrderManager:
    manager = OrderManager(clock=LoopClock(), emit=None if heard is None else heard.append, **settings)
    for venue in venues:
        scopes = frozenset().union(*(scope.markets for scope in venue.scopes))
        if scopes & SPOT.markets:
            manager.add_spot_adapter(venue)  # type: ignore[arg-type]
        if scopes & PERP.markets:
            manager.add_perp_adapter(venue)  # type: ignore[arg-type]
    return manager


async def close(*venues: ClosingVenue, heard: list[Input] | None = None, **settings: Any) -> CloseResult:
    return await manage(*venues, heard=heard, **settings).close_all_positions(trip_id="t1")


def sizes(venue: ClosingVenue) -> list[Decimal]:
    return [quantity for _, _, quantity in venue.sent]


async def test_proof_first_then_closing_then_proof_again(heard: list[Input]) -> None:
    venue = ClosingVenue("a", **{BTC: "1.55", ETH: "-3"})
    venue.place("perp")
    result = await close(venue, heard=heard)

    assert result.flat, result.reason
    assert not venue.flipped
    assert sorted(venue.sent)[0][0] > 6.0, "not before the lock is old enough"
    assert sorted((symbol, size) for _, symbol, size in venue.sent) == [(BTC, D("1.5")), (ETH, D(3))]
    assert venue.labels == {"t1"}
    kinds = [
        type(event).__name__ for event in heard if isinstance(event, SweepFinished | PositionClosed | ClosingFinished)
    ]
    assert kinds == ["SweepFinished", "PositionClosed", "PositionClosed", "SweepFinished", "ClosingFinished"]
    told = {event.symbol: event for event in heard if isinstance(event, PositionClosed)}
    assert (told[BTC].side, told[BTC].quantity, told[BTC].residual) == ("long", D("1.5"), D("0.05"))
    assert (told[ETH].side, told[ETH].quantity, told[ETH].residual) == ("short", D(3), D(0))
    verbs = [verb for _, verb, _, _ in venue.calls]
    assert verbs[-3:] == ["list", "list", "balances"] or verbs[-2:] == ["list", "balances"]


async def test_nothing_is_ordered_before_every_venue_is_proven() -> None:
    venue, broken = ClosingVenue("a", **{BTC: "1"}), ClosingVenue("b")
    broken.on_list["perp"] = hang
    result = await close(venue, broken, cancel_deadline_s=30.0, call_timeout_s=1.0)

    assert not result.flat
    assert "orders may be open" in str(result.reason)
    assert venue.sent == []
    assert result.venues["a"].reason == "nothing is closed before the orders of b are proven gone"


async def test_a_healthy_spot_venue_is_not_called_open_because_another_is_dead() -> None:
    spot, broken = ClosingVenue("a", SPOT), ClosingVenue("b")
    spot.markets = frozenset({Market.SPOT})
    spot.capabilities = replace(spot.capabilities, has_positions=False)
    broken.on_list["perp"] = hang
    result = await close(spot, broken, cancel_deadline_s=30.0, call_timeout_s=1.0)

    assert not result.flat
    assert (result.venues["a"].flat, result.venues["a"].reason) == (True, None)
    assert not result.venues["b"].flat


@pytest.mark.parametrize("fate", [fills_in_part, rests, rejects, fills_and_hides_it, arrives_late])
async def test_whatever_becomes_of_an_order_it_ends_flat_and_never_flips(fate: Fate) -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    venue.fates = [fate]
    result = await close(venue)

    assert result.flat, result.reason
    assert not venue.flipped
    assert venue.held[BTC] == 0
    assert venue.open_orders == []


async def test_no_second_order_while_the_first_may_be_working() -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    venue.fates = [rejects]
    await close(venue, order_flight_s=5.0)

    (first, _, _), (second, _, _) = venue.sent
    assert second - first >= 5.0
    between = [verb for at, verb, _, _ in venue.calls if first < at < second]
    assert between.index("list") < between.index("positions")


async def test_a_market_order_that_rests_is_cancelled_before_the_next() -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    venue.fates = [rests]
    await close(venue)

    (first, _, _), (second, _, _) = venue.sent
    between = [verb for at, verb, _, _ in venue.calls if first < at < second]
    assert "cancel" in between
    assert between[between.index("cancel") :].count("list") >= 1


async def test_a_listing_of_orders_that_fails_keeps_the_next_order_back() -> None:
    venue = ClosingVenue("a", **{BTC: "2"})

    async def breaks_the_listing(venue: ClosingVenue, position: Position, quantity: Decimal) -> None:
        venue.on_list["perp"] = hang
        raise VenueUnavailable("no answer")

    venue.fates = [breaks_the_listing]
    result = await close(venue, cancel_deadline_s=60.0, call_timeout_s=1.0)

    assert not result.flat
    assert len(venue.sent) == 1
    assert "could not" in str(result.reason) or "no answer" in str(result.reason)


def empty(requested_mono: float) -> PositionsSeen:
    return PositionsSeen("a", requested_mono, Source.REST, (), complete=True)


@pytest.mark.parametrize(
    "odd",
    [
        empty,
        lambda mono: replace(empty(mono), complete=False),
        lambda mono: replace(empty(mono), venue="b"),
        lambda mono: replace(empty(mono), source=Source.STREAM),
        lambda mono: replace(empty(mono), requested_mono=mono - 100),
        {},
        MalformedReply("HTML"),
    ],
)
async def test_one_odd_listing_is_no_proof(odd: Any) -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    venue.listings = [odd]
    result = await close(venue)

    assert result.flat
    assert venue.held[BTC] == 0


async def test_what_is_never_listed_well_is_never_flat() -> None:
    venue = ClosingVenue("a")
    venue.listings = [MalformedReply("HTML")] * 1000
    heard: list[Input] = []
    result = await close(venue, heard=heard, cancel_deadline_s=60.0)

    assert not result.flat
    assert "HTML" in str(result.reason)
    assert any(isinstance(event, VenueUnproven) and "HTML" in event.reason for event in heard)


async def test_a_market_that_is_gone_is_named_and_the_others_are_closed() -> None:
    venue = ClosingVenue("a", **{"GONE/USD:USD": "1", BTC: "2"})
    result = await close(venue, cancel_deadline_s=60.0)

    assert not result.flat
    assert venue.held == {"GONE/USD:USD": D(1), BTC: D(0)}
    assert "GONE/USD:USD 1" in str(result.reason)


async def test_an_adapter_that_cant_close_is_no_proof_of_flat() -> None:
    class Reader(FakeVenue):
        read_positions, read_balances = ClosingVenue.read_positions, ClosingVenue.read_balances

    venue = Reader("a", PERP)
    venue.held, venue.listings, venue.amounts = {BTC: D(1)}, [], {}  # type: ignore[attr-defined]
    result = await close(venue, cancel_deadline_s=30.0)  # type: ignore[arg-type]

    assert not result.flat
    assert "can't close positions" in str(result.reason)


async def test_positions_that_cant_be_read_are_no_proof_where_there_may_be_some() -> None:
    venue = ClosingVenue("a")
    venue.capabilities = replace(venue.capabilities, has_positions=False)  # type: ignore[misc]
    assert not (await close(venue, cancel_deadline_s=30.0)).flat

    spot = ClosingVenue("b", SPOT)
    spot.capabilities, spot.markets = venue.capabilities, SPOT.markets  # type: ignore[misc]
    assert (await close(spot)).flat


async def test_an_order_that_shows_up_in_the_end_has_positions_looked_at_again() -> None:
    venue = ClosingVenue("a", **{BTC: "1"})
    closing = asyncio.ensure_future(close(venue))
    while venue.held[BTC] != 0:
        await pass_time(0.1)
    looks = venue.verbs("perp").count("positions")
    while venue.verbs("perp").count("positions") < looks + 2:
        await pass_time(0.05)
    await pass_time(0.5)
    venue.place("perp", bot="a bot that should not")
    venue.held[BTC] = D("-4")
    result = await closing

    assert result.flat
    assert venue.held[BTC] == 0
    assert sizes(venue) == [D(1), D(4)]


async def test_what_is_held_of_the_underlyings_is_told() -> None:
    one, two = ClosingVenue("a", **{BTC: "1"}), ClosingVenue("b")
    one.amounts, two.amounts = {"BTC": D("0.5"), "ETH": D(7)}, {"BTC": D("0.25"), "USD": D(9)}
    assert (await close(one, two)).remaining == {"BTC": D("0.75")}
    one.held, two.amounts = {BTC: D(1)}, {"unknown": D(1)}
    assert (await manage(one, two).close_all_positions()).remaining is None


async def test_what_is_held_is_told_in_time_or_not_at_all(heard: list[Input]) -> None:
    """It is flat and proven: a venue that hangs on its balances does not take that away at the deadline."""
    venue = ClosingVenue("a", **{BTC: "1"})

    async def hangs(*, urgent: bool = False) -> BalancesSeen:
        await asyncio.Event().wait()
        raise AssertionError(urgent)

    venue.read_balances = hangs  # type: ignore[method-assign]
    result = await close(venue, heard=heard, cancel_deadline_s=20.0, call_timeout_s=10.0)

    assert result.flat
    assert result.remaining is None
    assert result.elapsed_s < 20.0
    assert heard[-1] == ClosingFinished(
        trip_id="t1", flat=True, elapsed_s=result.elapsed_s, reason=None, remaining=None
    )


async def test_protective_orders_go_with_what_they_protect() -> None:
    class Selective(ClosingVenue):
        async def cancel_only(self, scope: OrderScope, orders: Any) -> None:
            self._remove(scope, [order.order_id for order in orders])

    venue = Selective("a", **{BTC: "1"})
    venue.place("perp", symbol=BTC, side=OrderSide.SELL, reduce_only=True, order_type="stop")
    position = Position(symbol=BTC, quantity=D(1), entry=D(1), settle="USD", underlying="BTC")
    manager = manage(venue, protective_orders="keep", positions=lambda _: (position,))
    result = await manager.close_all_positions()

    assert result.flat, result.reason
    assert venue.open_orders == []


async def test_two_closings_of_one_venue_take_turns() -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    venue.fates = [fills_in_part]
    results = await asyncio.gather(*(manage(venue).close_all_positions() for _ in range(2)))

    assert all(result.flat for result in results)
    assert not venue.flipped


async def test_who_comes_second_waits_for_the_order_that_the_first_left_on_its_way() -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    venue.fates = [arrives_late]
    first, second = manage(venue), manage(venue)
    closings = [asyncio.ensure_future(manager.close_all_positions()) for manager in (first, second)]
    while not venue.sent:
        await pass_time(0.02)
    await pass_time(0.1)
    await first.stop()
    results = await asyncio.gather(*closings)

    assert [result.flat for result in results] == [False, True]
    assert not venue.flipped
    assert sizes(venue) == [D(2)]


async def test_a_call_for_the_same_trip_joins_and_a_caller_that_leaves_ends_nothing() -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    manager = manage(venue)
    caller = asyncio.ensure_future(manager.close_all_positions(trip_id="t"))
    await pass_time(1.0)
    caller.cancel()
    result = await manager.close_all_positions(trip_id="t")

    assert result.flat
    assert sizes(venue) == [D(2)]
    assert manager.closing_snapshot() == {}


async def test_it_is_stopped_not_flat() -> None:
    venue = ClosingVenue("a", **{BTC: "2"})
    venue.fates = [rejects] * 100
    manager = manage(venue)
    closing = asyncio.ensure_future(manager.close_all_positions())
    while not venue.sent:
        await pass_time(0.5)
    assert not manager.closing_snapshot()["a"].flat
    await manager.stop()
    result = await closing
    sent = len(venue.sent)
    await pass_time(60.0)

    assert not result.flat
    assert len(venue.sent) == sent


async def test_without_an_adapter_nothing_is_called_flat() -> None:
    with pytest.raises(UsageError, match="no adapter"):
        await OrderManager().close_all_positions()
