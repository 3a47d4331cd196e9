"""Streams over connections of our own, against a server in a dozen lines: who waits is told of every end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import pytest
import pytest_asyncio

from adapters.connection import Terms
from adapters.dialect import ACCOUNT
from adapters.socket_streams import SocketStreams
from risk_daemon.errors import MalformedReply, VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import Input, VenueConnected
from tests.unit.adapters.test_connection import DEADLINE_S, Talk, Venue

KIND = Kind.BALANCES


class FakeDialect:
    """Every frame is one input, but for those after `chokes`, which can't be read."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.wanted = ACCOUNT
        self.began: list[Kind] = []
        self.chokes = False

    def watched(self, kind: Kind) -> frozenset[str]:
        return self.wanted

    def line_of(self, kind: Kind) -> str:
        return "line"

    async def open_wire(self, line: str) -> Talk:
        return Talk(self.url)

    def stream_began(self, kind: Kind) -> None:
        self.began.append(kind)

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if self.chokes:
            raise ValueError("NaN")
        return tuple(VenueConnected("x") for _ in frames)

    def is_confirming(self, kind: Kind) -> bool:
        return True


class World:
    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.dialect: Any = FakeDialect(f"ws://127.0.0.1:{venue.port}")
        self.streams = SocketStreams(self.dialect, Terms(clock=SystemClock(), secrets=(), tls=lambda: True))

    async def waiting(self, kind: Kind = KIND) -> asyncio.Task[Sequence[Input]]:
        """A read that waits for its next frame."""
        reading = asyncio.ensure_future(self.streams.next(kind))
        for _ in range(10):
            await asyncio.sleep(0)
        return reading


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with Venue().listening() as venue:
        world = World(venue)
        yield world
        await world.streams.close()


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await awaitable


async def test_a_heartbeat_is_of_the_last_frame_that_was_read(world: World) -> None:
    assert world.streams.heartbeat_mono(KIND) is None
    assert await within(world.streams.next(KIND)) == (VenueConnected("x"),)
    assert world.streams.heartbeat_mono(KIND) is not None
    world.streams.drop_all()
    assert world.streams.heartbeat_mono(KIND) is None


async def test_who_waits_is_told_that_all_was_dropped_and_who_comes_later_begins_anew(world: World) -> None:
    await within(world.streams.next(KIND))
    waiting = await world.waiting()
    world.streams.drop_all()
    with pytest.raises(VenueUnavailable, match="dropped"):
        await within(waiting)
    assert await within(world.streams.next(KIND)) == (VenueConnected("x"),)
    assert world.dialect.began == [KIND, KIND]
    assert len(world.venue.asked) == 2


async def test_with_nothing_to_watch_nothing_is_dialled_until_there_is(world: World) -> None:
    world.dialect.wanted = frozenset()
    waiting = await world.waiting()
    world.streams.drop_all()
    assert world.dialect.began == []
    world.dialect.wanted = ACCOUNT
    world.streams.what_is_watched_changed()
    assert await within(waiting) == (VenueConnected("x"),)


async def test_a_frame_that_can_not_be_read_ends_the_streams_beside_it(world: World) -> None:
    beside = await world.waiting(Kind.ORDERS)
    world.dialect.chokes = True
    with pytest.raises(MalformedReply, match="a frame of balances could not be read"):
        await within(world.streams.next(KIND))
    with pytest.raises(MalformedReply):
        await within(beside)
    world.dialect.chokes = False
    assert await within(world.streams.next(KIND)) == (VenueConnected("x"),)


async def test_a_stream_of_two_connections_lasts_as_long_as_both(world: World) -> None:
    world.dialect.line_of = lambda kind: ("one", "other") if kind is KIND else "other"
    frames = [await within(world.streams.next(KIND))]
    while sum(map(len, frames)) < 2:
        frames.append(await within(world.streams.next(KIND)))
    assert len(world.venue.asked) == 2, "each is asked"
    assert world.streams.heartbeat_mono(KIND) is not None
    beside = await world.waiting(Kind.ORDERS)
    assert await within(world.streams.next(KIND)), "the server sends one frame a question"
    waiting = await world.waiting()
    world.streams._lines["other"].end(VenueUnavailable("cut"))
    for reading in (waiting, beside):
        with pytest.raises(VenueUnavailable, match="cut"):
            await within(reading)
    assert await within(world.streams.next(KIND)) == (VenueConnected("x"),)
    assert world.dialect.began == [KIND, Kind.ORDERS, KIND]


async def test_after_closing_nothing_is_dialled_again(world: World) -> None:
    await within(world.streams.next(KIND))
    waiting = await world.waiting()
    await within(world.streams.close())
    with pytest.raises(VenueUnavailable, match="closed"):
        await within(waiting)
    with pytest.raises(VenueUnavailable, match="closed"):
        await within(world.streams.next(KIND))
    assert world.dialect.began == [KIND]
