"""Streams of ccxt's own without a venue: values, sockets swapped behind our back, the end."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.dialect import ACCOUNT
from adapters.watched_streams import WatchedStreams, uses
from risk_daemon.errors import MalformedReply, VenueError, VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import Input, VenueConnected

KIND = Kind.BALANCES


class FakeSocket:
    def __init__(self, url: str, client: "FakeClient") -> None:
        self.url = url
        self.client = client
        self.ended: list[BaseException] = []

    def on_error(self, error: BaseException) -> None:
        self.ended.append(error)
        self.client.clients.pop(self.url, None)
        if not self.client.lost.done():
            self.client.lost.set_exception(error)


class FakeClient:
    """One socket, dialled by each watch that finds none; a watch ends only with a value or with its socket."""

    def __init__(self) -> None:
        self.clients: dict[str, FakeSocket] = {}
        self.dialled: list[FakeSocket] = []
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def dial(self) -> None:
        if "ws://a" not in self.clients:
            self.clients["ws://a"] = FakeSocket("ws://a", self)
            self.dialled.append(self.clients["ws://a"])
            self.lost = asyncio.get_running_loop().create_future()
        uses(self.clients["ws://a"])


class FakeDialect:
    """Values are dicts: `value` is one input, `hint`, `nothing` and `bad` say what they are."""

    stream_kinds = frozenset({KIND})

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.wanted = ACCOUNT
        self.values: asyncio.Queue[Any] = asyncio.Queue()

    async def watch(self, kind: Kind) -> Any:
        self.client.dial()
        lost = asyncio.ensure_future(asyncio.shield(self.client.lost))
        value = asyncio.ensure_future(self.values.get())
        done, _ = await asyncio.wait({lost, value}, return_when=asyncio.FIRST_COMPLETED)
        value.cancel()
        return lost.result() if lost in done else value.result()

    def watched(self, kind: Kind) -> frozenset[str]:
        return self.wanted

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if any(frame.get("bad") for frame in frames):
            raise ValueError("NaN")
        if any(frame.get("hint") for frame in frames):
            return ()
        values = tuple(VenueConnected(str(frame["value"])) for frame in frames if "value" in frame)
        return values or None


class World:
    def __init__(self) -> None:
        self.client = FakeClient()
        self.dialect: Any = FakeDialect(self.client)
        self.streams = WatchedStreams(self.dialect, self.client, ManualClock(), ("SECRET",))

    async def reading(self) -> "asyncio.Task[Sequence[Input]]":
        """A read that waits, of a stream that has begun."""
        assert await self.streams.next(KIND) == (), "the first read only says: read over REST"
        return await self.waiting()

    async def waiting(self) -> "asyncio.Task[Sequence[Input]]":
        reading = asyncio.ensure_future(self.streams.next(KIND))
        await self.settle()
        return reading

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_what_was_watched_between_two_reads_is_read_in_order() -> None:
    world = World()
    await world.streams.next(KIND)
    for value in (1, 2, 3):
        world.dialect.values.put_nowait({"value": value})
    await world.settle()
    seen = await world.streams.next(KIND)
    assert [value.venue for value in seen if isinstance(value, VenueConnected)] == ["1", "2", "3"]


async def test_a_value_that_says_nothing_is_waited_over_and_a_hint_is_not() -> None:
    world = World()
    reading = await world.reading()
    world.dialect.values.put_nowait({"nothing": True})
    await world.settle()
    assert not reading.done()
    world.dialect.values.put_nowait({"hint": True})
    assert await reading == ()


async def test_a_lost_socket_is_raised_once_and_then_dialled_anew() -> None:
    world = World()
    reading = await world.reading()
    world.client.dialled[0].on_error(ConnectionResetError("reset"))
    with pytest.raises(VenueUnavailable):
        await reading
    again = await world.reading()
    assert len(world.client.dialled) == 2
    world.dialect.values.put_nowait({"value": 9})
    assert await again == (VenueConnected("9"),)


async def test_a_socket_replaced_behind_our_back_is_a_lost_stream() -> None:
    world = World()
    reading = await world.reading()
    world.client.clients.clear()
    world.dialect.values.put_nowait({"nothing": True})
    with pytest.raises(VenueUnavailable, match="replaced"):
        await reading
    assert len(world.client.dialled) == 2


async def test_a_value_that_can_not_be_read_ends_the_stream() -> None:
    world = World()
    reading = await world.reading()
    world.dialect.values.put_nowait({"bad": True})
    with pytest.raises(MalformedReply):
        await reading
    assert world.client.clients == {}


async def test_a_watch_cancelled_inside_the_client_is_a_lost_stream_not_a_cancellation() -> None:
    world = World()
    reading = await world.reading()
    world.client.lost.cancel()
    with pytest.raises(VenueUnavailable):
        await reading


async def test_they_vouch_for_nothing() -> None:
    world = World()
    await world.reading()
    assert world.streams.heartbeat_mono(KIND) is None


async def test_with_nothing_to_watch_nothing_is_dialled_until_there_is() -> None:
    world = World()
    world.dialect.wanted = frozenset()
    reading = await world.waiting()
    assert world.client.dialled == []
    world.dialect.wanted = ACCOUNT
    world.streams.what_is_watched_changed()
    assert await reading == ()


async def test_after_closing_nothing_is_dialled_again() -> None:
    world = World()
    reading = await world.reading()
    await world.streams.close()
    with pytest.raises(VenueError):
        await reading
    with pytest.raises(VenueError):
        await world.streams.next(KIND)
    assert len(world.client.dialled) == 1


async def test_dropping_all_ends_sockets_that_no_stream_is_known_to_use() -> None:
    world = World()
    reading = await world.reading()
    other = world.client.clients["ws://b"] = FakeSocket("ws://b", world.client)
    world.streams.drop_all()
    assert other.ended
    assert world.client.clients == {}
    reading.cancel()
    await asyncio.wait({reading})
