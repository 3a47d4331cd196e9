"""The feed: what it emits when reads fail, streams drop, hints come and nothing is said at all.

Time is the loop's and moves by itself; a test that waits an hour takes none.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Capabilities
from adapters.lane import PushedAside
from adapters.streams import VenueFeed, backoff_s
from risk_daemon.errors import ConfigError, MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.model.account import Instrument
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    BalancesSeen,
    Flow,
    FlowsListed,
    Input,
    Kind,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
    StreamConfirmed,
    VenueConnected,
    VenueLost,
)
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

NOTHING: frozenset[str] = frozenset()


class LoopClock:
    def now(self) -> Instant:
        mono = asyncio.get_running_loop().time()
        return Instant(mono, 1_700_000_000.0 + mono)


class FakeVenue:
    """An adapter whose answers are set: `faults[kind]` are raised one by one before it answers again."""

    name = "v"
    markets: Any = frozenset()
    scopes: Any = ()

    def __init__(self, *stream_kinds: Kind, has_flows: bool = True, has_positions: bool = True) -> None:
        self.capabilities = Capabilities(frozenset(stream_kinds), has_flows, has_positions=has_positions)
        self.clock = LoopClock()
        self.calls: list[tuple[Any, float]] = []
        self.urgent: list[Kind] = []
        self.assets: list[frozenset[str]] = []
        self.since: list[float] = []
        self.faults: dict[Any, deque[Exception]] = {}
        self.hangs: set[Any] = set()
        self.amounts = {"USDT": Decimal(5)}
        self.flows: tuple[Flow, ...] = ()
        self.frames: dict[Kind, asyncio.Queue[Any]] = {kind: asyncio.Queue() for kind in Kind}
        self.heartbeats: dict[Kind, Callable[[], float | None]] = {}
        self.resets = 0

    async def _answer(self, kind: Any, urgent: bool = False) -> float:
        mono = self.clock.now().mono
        self.calls.append((kind, mono))
        if urgent:
            self.urgent.append(kind)
        if kind in self.hangs:
            await asyncio.Event().wait()
        if self.faults.get(kind):
            raise self.faults[kind].popleft()
        await pass_time(0.01)
        return mono

    def instrument(self, symbol: str) -> Instrument | None:
        return Instrument()

    async def connect(self) -> None:
        await self._answer("connect")

    async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
        return BalancesSeen("v", await self._answer(Kind.BALANCES, urgent), Source.REST, self.amounts, complete=True)

    async def read_positions(self, *, urgent: bool = False) -> PositionsSeen:
        return PositionsSeen("v", await self._answer(Kind.POSITIONS, urgent), Source.REST, (), complete=True)

    async def read_prices(self, assets: frozenset[str], *, urgent: bool = False) -> PricesSeen:
        self.assets.append(assets)
        return PricesSeen("v", await self._answer(Kind.PRICES, urgent), Source.REST, ())

    async def read_flows(self, since_wall: float, *, urgent: bool = False) -> FlowsListed:
        self.since.append(since_wall)
        return FlowsListed("v", await self._answer(Kind.FLOWS, urgent), self.flows)

    async def next_frame(self, kind: Kind) -> Sequence[Input]:
        frame = await self.frames[kind].get()
        if isinstance(frame, Exception):
            raise frame
        return frame

    def heartbeat_mono(self, kind: Kind) -> float | None:
        return self.heartbeats.get(kind, lambda: None)()

    async def reset_streams(self) -> None:
        self.resets += 1

    def called(self, kind: Any) -> list[float]:
        return [mono for called, mono in self.calls if called == kind]


class Run:
    def __init__(self, venue: FakeVenue, **options: Any) -> None:
        self.venue = venue
        self.seen: list[Input] = []
        options = {"assets": lambda: NOTHING, "backoff": float} | options
        self.feed = VenueFeed(venue, self.seen.append, venue.clock, **options)

    def of(self, kind: type[Any]) -> list[Any]:
        return [seen for seen in self.seen if isinstance(seen, kind)]

    @asynccontextmanager
    async def running(self, seconds: float = 1.0) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.feed.run())
        await asyncio.sleep(seconds)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()


async def test_it_connects_and_reads_everything_positions_before_prices() -> None:
    run = Run(FakeVenue())
    async with run.running():
        assert [type(seen) for seen in run.seen[:5]] == [
            VenueConnected,
            PositionsSeen,
            BalancesSeen,
            FlowsListed,
            PricesSeen,
        ]


async def test_what_a_venue_does_not_have_is_not_read() -> None:
    run = Run(FakeVenue(has_flows=False, has_positions=False))
    async with run.running(400):
        assert run.of(PositionsSeen) == run.of(FlowsListed) == []


async def test_reads_come_on_schedule() -> None:
    run = Run(FakeVenue())
    async with run.running(151):
        assert len(run.venue.called(Kind.BALANCES)) == pytest.approx(11, abs=1)
        assert len(run.venue.called(Kind.FLOWS)) == 1


async def test_connecting_is_tried_until_it_works_and_reported_once() -> None:
    venue = FakeVenue()
    venue.faults["connect"] = deque([VenueUnavailable("down"), VenueRejected("key"), VenueUnavailable("later", 60)])
    run = Run(venue)
    async with run.running(200):
        assert [type(seen) for seen in run.seen[:2]] == [VenueLost, VenueConnected]
        assert run.of(VenueLost)[0].kind is None
        assert venue.called("connect") == pytest.approx([0, 1, 3, 63])


async def test_a_connect_that_hangs_is_given_up() -> None:
    venue = FakeVenue()
    venue.hangs.add("connect")
    run = Run(venue, connect_timeout_s=5)
    async with run.running(7):
        assert run.of(VenueLost) == [VenueLost("v", "no answer in time")]
        assert len(venue.called("connect")) == 2


async def test_what_is_not_the_venues_failure_ends_the_feed() -> None:
    venue = FakeVenue()
    venue.faults["connect"] = deque([ConfigError("no such exchange")])
    with pytest.raises(ConfigError):
        await Run(venue).feed.run()


async def test_an_outage_is_reported_once_and_its_end_too() -> None:
    venue = FakeVenue()
    run = Run(venue)
    async with run.running():
        venue.faults[Kind.BALANCES] = deque(MalformedReply("html") for _ in range(5))
        await pass_time(60)
        assert run.of(VenueLost) == [VenueLost("v", "html", Kind.BALANCES, is_stream=False)]
        assert len(run.of(VenueConnected)) == 2
        times = venue.called(Kind.BALANCES)
        assert times[-1] > times[2]


async def test_a_hanging_read_costs_its_time_and_no_other_read() -> None:
    venue = FakeVenue()
    run = Run(venue)
    async with run.running():
        venue.hangs.add(Kind.BALANCES)
        prices = len(run.of(PricesSeen))
        await pass_time(60)
        assert run.of(VenueLost) == [VenueLost("v", "no answer in time", Kind.BALANCES, is_stream=False)]
        assert len(run.of(PricesSeen)) >= prices + 3


async def test_the_venues_wish_to_wait_is_obeyed() -> None:
    venue = FakeVenue()
    run = Run(venue)
    async with run.running():
        venue.faults[Kind.BALANCES] = deque([VenueUnavailable("429", 40)])
        before = len(venue.called(Kind.BALANCES))
        await pass_time(70)
        first, second = venue.called(Kind.BALANCES)[before : before + 2]
        assert second - first >= 40


async def test_being_pushed_aside_is_no_outage() -> None:
    venue = FakeVenue()
    run = Run(venue)
    async with run.running():
        venue.faults[Kind.BALANCES] = deque([PushedAside("urgent")])
        await pass_time(20)
        assert run.of(VenueLost) == []


async def test_a_connect_that_the_cancels_pushed_aside_is_tried_again_and_is_no_outage() -> None:
    """A trip that goes on after a restart takes the lane from its own first call."""
    venue = FakeVenue()
    venue.faults["connect"] = deque([PushedAside("urgent"), PushedAside("urgent")])
    run = Run(venue)
    async with run.running(20):
        assert run.of(VenueLost) == []
        assert len(run.of(VenueConnected)) == 1
        assert len(venue.called("connect")) == 3


@pytest.mark.parametrize("kind", [Kind.BALANCES, Kind.FLOWS, Kind.PRICES])
async def test_a_first_read_that_fails_is_repeated_soon_and_not_by_the_schedule(kind: Kind) -> None:
    venue = FakeVenue()
    venue.faults[kind] = deque([VenueUnavailable("down"), VenueUnavailable("down")])
    run = Run(venue, flows_every_s=3_600.0, reconcile_every_s=3_600.0)
    async with run.running():
        await pass_time(60)
        assert len(venue.called(kind)) == 3
        assert len(run.of(VenueLost)) == 1


async def test_assets_are_those_asked_for_and_those_held() -> None:
    venue = FakeVenue()
    run = Run(venue)
    async with run.running():
        assert venue.assets[-1] == {"USDT"}
        venue.amounts = {"USDT": Decimal(1), "SOL": Decimal(2)}
        await run.feed.read_now(frozenset({Kind.BALANCES}))
        await pass_time(1)
        assert venue.assets[-1] == {"USDT", "SOL"}


# --- on demand ---------------------------------------------------------------------------------------


async def test_read_now_reads_at_once_and_urgently() -> None:
    run = Run(FakeVenue())
    async with run.running():
        run.seen.clear()
        await run.feed.read_now(frozenset({Kind.BALANCES, Kind.PRICES}), urgent=True)
        assert {type(seen) for seen in run.seen} == {BalancesSeen, PricesSeen}
        assert sorted(run.venue.urgent) == [Kind.BALANCES, Kind.PRICES]


async def test_read_now_reports_every_failure_and_raises_none() -> None:
    venue = FakeVenue()
    run = Run(venue)
    async with run.running():
        for _ in range(2):
            venue.faults[Kind.BALANCES] = deque([VenueUnavailable("down")])
            await run.feed.read_now(frozenset({Kind.BALANCES}), urgent=True)
        assert run.of(VenueLost) == [VenueLost("v", "down", Kind.BALANCES, is_stream=False)] * 2


# --- flows -------------------------------------------------------------------------------------------


def _flow(flow_id: str) -> Flow:
    return Flow(flow_id=flow_id, venue="v", asset="USDT", amount=Decimal(-1), wall=0.0)


async def test_after_a_new_flow_the_balance_is_read_again() -> None:
    venue = FakeVenue()
    run = Run(venue)
    async with run.running():
        venue.flows = (_flow("1"),)
        run.seen.clear()
        await run.feed.read_now(frozenset({Kind.FLOWS}), urgent=True)
        listed, balance = run.seen
        assert isinstance(listed, FlowsListed)
        assert isinstance(balance, BalancesSeen)
        assert balance.requested_mono > listed.requested_mono
        run.seen.clear()
        await run.feed.read_now(frozenset({Kind.FLOWS}), urgent=True)
        assert [type(seen) for seen in run.seen] == [FlowsListed]


async def test_flows_are_listed_from_the_last_whole_listing_with_an_overlap() -> None:
    venue = FakeVenue()
    run = Run(venue, flows_since_wall=1_600_000_000.0, flows_overlap_s=100.0)
    async with run.running():
        assert venue.since == [1_600_000_000.0 - 100]
        listed = run.feed.flows_since_wall
        assert listed == pytest.approx(1_700_000_000.0, abs=1)
        venue.faults[Kind.FLOWS] = deque([VenueUnavailable("down")])
        await run.feed.read_now(frozenset({Kind.FLOWS}))
        assert run.feed.flows_since_wall == listed


# --- streams -----------------------------------------------------------------------------------------


def _streamed(amount: int, venue: FakeVenue) -> tuple[BalancesSeen]:
    return (BalancesSeen("v", venue.clock.now().mono, Source.STREAM, {"USDT": Decimal(amount)}, complete=False),)


async def test_after_every_connect_a_rest_read_begun_later_comes_first() -> None:
    venue = FakeVenue(Kind.BALANCES)
    run = Run(venue)
    async with run.running():
        for _ in range(2):
            run.seen.clear()
            venue.frames[Kind.BALANCES].put_nowait(_streamed(1, venue))
            venue.frames[Kind.BALANCES].put_nowait(_streamed(2, venue))
            connected = venue.clock.now().mono
            await pass_time(0.5)
            rest, *streamed = run.of(BalancesSeen)
            assert rest.source is Source.REST
            assert rest.requested_mono >= connected
            assert [seen.amounts["USDT"] for seen in streamed] == [1, 2]
            venue.frames[Kind.BALANCES].put_nowait(VenueUnavailable("dropped"))
            await pass_time(2)
        assert [lost.kind for lost in run.of(VenueLost)] == [Kind.BALANCES]


async def test_a_live_stream_is_confirmed_by_its_heartbeats_at_most_once_a_second() -> None:
    venue = FakeVenue(Kind.BALANCES)
    venue.heartbeats[Kind.BALANCES] = lambda: venue.clock.now().mono
    run = Run(venue)
    async with run.running():
        assert run.of(StreamConfirmed) == []
        venue.frames[Kind.BALANCES].put_nowait(_streamed(1, venue))
        await pass_time(5.5)
        confirmed = run.of(StreamConfirmed)
        assert 4 <= len(confirmed) <= 6
        stale = venue.clock.now().mono
        venue.heartbeats[Kind.BALANCES] = lambda: stale
        await pass_time(2)
        count = len(run.of(StreamConfirmed))
        await pass_time(5)
        assert len(run.of(StreamConfirmed)) == count


async def test_a_hint_is_read_over_rest_and_until_then_nothing_is_confirmed() -> None:
    venue = FakeVenue(Kind.BALANCES)
    venue.heartbeats[Kind.BALANCES] = lambda: venue.clock.now().mono
    run = Run(venue)
    async with run.running():
        venue.frames[Kind.BALANCES].put_nowait(_streamed(1, venue))
        await pass_time(3)
        venue.faults[Kind.BALANCES] = deque(VenueUnavailable("down") for _ in range(4))
        run.seen.clear()
        venue.frames[Kind.BALANCES].put_nowait(())
        await pass_time(5)
        assert run.of(VenueLost)
        assert run.of(StreamConfirmed) == []
        await pass_time(60)
        first = run.of(BalancesSeen)[0]
        assert run.seen.index(first) < run.seen.index(run.of(StreamConfirmed)[0])


async def test_a_hint_is_read_within_a_moment() -> None:
    venue = FakeVenue(Kind.BALANCES)
    run = Run(venue)
    async with run.running():
        venue.frames[Kind.BALANCES].put_nowait(())
        await pass_time(3)
        hinted = venue.clock.now().mono
        venue.frames[Kind.BALANCES].put_nowait(())
        await pass_time(1)
        assert venue.called(Kind.BALANCES)[-1] - hinted <= 0.5


async def test_hints_without_end_do_not_become_reads_without_end() -> None:
    venue = FakeVenue(Kind.BALANCES)
    run = Run(venue)
    async with run.running():
        venue.frames[Kind.BALANCES].put_nowait(())
        before = len(venue.called(Kind.BALANCES))
        for _ in range(1_000):
            venue.frames[Kind.BALANCES].put_nowait(())
            await pass_time(0.01)
        assert len(venue.called(Kind.BALANCES)) - before <= 22


async def test_a_stream_without_its_first_frame_is_reset_and_reported_once() -> None:
    venue = FakeVenue(Kind.POSITIONS)
    run = Run(venue)
    async with run.running(60):
        assert venue.resets >= 2
        assert [lost.kind for lost in run.of(VenueLost)] == [Kind.POSITIONS]
        assert "stream" in run.of(VenueLost)[0].reason


async def test_a_stream_of_orders_may_say_nothing_at_first() -> None:
    venue = FakeVenue(Kind.ORDERS)
    run = Run(venue)
    async with run.running(120):
        assert venue.resets == 0
        assert run.of(VenueLost) == []


async def test_a_refused_stream_is_reset_and_tried_again_ever_more_rarely() -> None:
    venue = FakeVenue(Kind.BALANCES)
    run = Run(venue)
    for _ in range(3):
        venue.frames[Kind.BALANCES].put_nowait(VenueRejected("bad token"))
    async with run.running(10):
        assert venue.resets == 3
        assert len(run.of(VenueLost)) == 1


async def test_a_stream_that_falls_silent_is_reset() -> None:
    venue = FakeVenue(Kind.BALANCES)
    run = Run(venue, silent_after_s=20.0)
    async with run.running():
        last = venue.clock.now().mono
        venue.heartbeats[Kind.BALANCES] = lambda: last
        venue.frames[Kind.BALANCES].put_nowait(_streamed(1, venue))
        await pass_time(15)
        assert venue.resets == 0
        await pass_time(10)
        assert venue.resets > 0


async def test_a_streamed_price_goes_straight_through() -> None:
    venue = FakeVenue(Kind.PRICES)
    run = Run(venue)
    async with run.running():
        price = PricesSeen("v", 1.0, Source.STREAM, (Price("BTC/USDT", "BTC", "USDT", Decimal(1)),))
        venue.frames[Kind.PRICES].put_nowait((price,))
        await pass_time(0.1)
        venue.frames[Kind.PRICES].put_nowait((price,))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert run.seen[-1] is price


async def test_the_pause_between_attempts_grows_and_is_spread() -> None:
    assert all(0 < backoff_s(attempt) <= 30 for attempt in range(1, 100))
    assert max(backoff_s(1) for _ in range(50)) < min(backoff_s(6) for _ in range(50))
    assert len({backoff_s(3) for _ in range(20)}) > 1
