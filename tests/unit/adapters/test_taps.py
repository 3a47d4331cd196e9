"""Streams without a venue: refusals, sockets swapped behind our back, the end."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.budget import Budget
from adapters.dialect import ACCOUNT
from adapters.guarded import Shell
from adapters.lane import Pacer, SignedLane
from adapters.taps import Taps
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import Input, Kind, VenueConnected

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
    """One socket, dialled by each watch that finds none; a watch ends only when the socket is lost."""

    def __init__(self) -> None:
        self.clients: dict[str, FakeSocket] = {}
        self.dialled: list[FakeSocket] = []
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.taps: Taps

    def dial(self) -> FakeSocket:
        if "ws://a" not in self.clients:
            self.clients["ws://a"] = FakeSocket("ws://a", self)
            self.dialled.append(self.clients["ws://a"])
            self.lost = asyncio.get_running_loop().create_future()
        self.taps.on_socket(self.clients["ws://a"])
        return self.clients["ws://a"]


class FakeDialect:
    """Frames are dicts: `value` is one input, `hint`, `nothing`, `bad` and `refusal` say what they are."""

    is_tapped = True
    stream_kinds = frozenset({KIND})
    has_flows = has_positions = False
    notes = ()

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.began = 0
        self.wanted = ACCOUNT
        self.values: asyncio.Queue[Any] = asyncio.Queue()
        self.again = asyncio.Event()

    async def watch(self, kind: Kind) -> Any:
        self.client.dial()
        if not self.is_tapped:
            return await self.values.get()
        lost = asyncio.ensure_future(asyncio.shield(self.client.lost))
        again = asyncio.ensure_future(self.again.wait())
        done, _ = await asyncio.wait({lost, again}, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        self.again.clear()
        return lost.result() if lost in done else None

    def watched(self, kind: Kind) -> frozenset[str]:
        return self.wanted

    def kind_of(self, message: Any) -> Kind | None:
        return None if "refusal" in message else KIND

    def refusal_of(self, message: Any) -> str | None:
        return message.get("refusal")

    def stream_began(self, kind: Kind) -> None:
        self.began += 1

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if any(frame.get("bad") for frame in frames):
            raise ValueError("NaN")
        if any(frame.get("hint") for frame in frames):
            return ()
        values = tuple(VenueConnected(str(frame["value"])) for frame in frames if "value" in frame)
        return values or None

    def is_confirming(self, kind: Kind) -> bool:
        return True


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.client = FakeClient()
        self.dialect: Any = FakeDialect(self.client)
        self.shell = Shell(
            clock=self.clock,
            pacer=Pacer(self.clock, 0),
            budget=Budget((), self.clock),
            lane=SignedLane(),
            replies=None,
            secrets=("SECRET",),
            on_frame=lambda *_: False,
            on_socket=lambda _: None,
        )
        self.taps = self.client.taps = Taps(self.dialect, self.shell, self.client)

    async def started(self) -> "asyncio.Task[Sequence[Input]]":
        reading = asyncio.ensure_future(self.taps.next(KIND))
        await self.settle()
        return reading

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def frame(self, **message: Any) -> bool:
        self.shell.heard_mono["ws://a"] = self.clock.now().mono
        return self.taps.on_frame(self.client.dialled[-1], message)


async def test_all_frames_between_two_reads_are_read_in_order() -> None:
    world = World()
    reading = await world.started()
    for value in (1, 2, 3):
        assert world.frame(value=value)
    assert [seen.venue for seen in await reading if isinstance(seen, VenueConnected)] == ["1", "2", "3"]


async def test_a_frame_that_says_nothing_is_waited_over_and_a_hint_is_not() -> None:
    world = World()
    reading = await world.started()
    world.frame(nothing=True)
    await world.settle()
    assert not reading.done()
    world.frame(hint=True)
    assert await reading == ()


async def test_a_refused_subscription_ends_the_stream_instead_of_hanging() -> None:
    world = World()
    reading = await world.started()
    assert world.frame(refusal="bad token") is False
    with pytest.raises(VenueRejected, match="bad token"):
        await reading
    assert world.client.clients == {}


async def test_a_refusal_does_not_end_a_stream_that_works() -> None:
    world = World()
    reading = await world.started()
    world.frame(value=1)
    await reading
    world.frame(refusal="of something else")
    world.frame(value=2)
    assert await world.taps.next(KIND) == (VenueConnected("2"),)


async def test_a_lost_socket_is_raised_once_and_then_dialled_anew() -> None:
    world = World()
    reading = await world.started()
    world.client.dialled[0].on_error(ConnectionResetError("reset"))
    with pytest.raises(VenueUnavailable):
        await reading
    again = await world.started()
    assert len(world.client.dialled) == world.dialect.began == 2
    world.frame(value=9)
    assert await again == (VenueConnected("9"),)


async def test_a_socket_replaced_behind_our_back_is_a_lost_stream() -> None:
    world = World()
    reading = await world.started()
    world.client.clients.clear()
    world.dialect.again.set()
    with pytest.raises(VenueUnavailable, match="replaced"):
        await reading
    assert len(world.client.dialled) == 2


async def test_a_frame_that_can_not_be_read_ends_the_stream() -> None:
    world = World()
    reading = await world.started()
    world.frame(bad=True)
    with pytest.raises(MalformedReply):
        await reading
    assert world.client.clients == {}


async def test_a_pump_cancelled_inside_the_client_is_a_lost_stream_not_a_cancellation() -> None:
    world = World()
    reading = await world.started()
    world.client.lost.cancel()
    with pytest.raises(VenueUnavailable):
        await reading


async def test_heartbeats_count_only_while_the_stream_lives_and_up_to_what_was_read() -> None:
    world = World()
    assert world.taps.heartbeat_mono(KIND) is None
    reading = await world.started()
    assert world.taps.heartbeat_mono(KIND) is None
    world.frame(value=1)
    first = world.clock.now().mono
    await reading
    world.clock.advance(5)
    world.frame(value=2)
    world.clock.advance(5)
    world.shell.heard_mono["ws://a"] = world.clock.now().mono
    assert world.taps.heartbeat_mono(KIND) == first + 5
    await world.taps.next(KIND)
    assert world.taps.heartbeat_mono(KIND) == first + 10
    world.taps.drop(KIND)
    assert world.taps.heartbeat_mono(KIND) is None


async def test_with_nothing_to_watch_nothing_is_dialled_until_there_is() -> None:
    world = World()
    world.dialect.wanted = frozenset()
    reading = await world.started()
    assert world.client.dialled == []
    world.dialect.wanted = ACCOUNT
    world.taps.what_is_watched_changed()
    await world.settle()
    world.frame(value=1)
    assert await reading == (VenueConnected("1"),)


async def test_where_ccxt_parses_the_first_read_is_a_hint_and_values_follow() -> None:
    world = World()
    world.dialect.is_tapped = False
    assert await world.taps.next(KIND) == ()
    world.dialect.values.put_nowait({"value": 4})
    assert await world.taps.next(KIND) == (VenueConnected("4"),)
    assert world.frame(value=5) is False


async def test_after_closing_nothing_is_dialled_again() -> None:
    world = World()
    reading = await world.started()
    await world.taps.close()
    with pytest.raises(VenueError):
        await reading
    with pytest.raises(VenueError):
        await world.taps.next(KIND)
    assert len(world.client.dialled) == 1


async def test_dropping_all_ends_sockets_that_no_stream_is_known_to_use() -> None:
    world = World()
    reading = await world.started()
    other = world.client.clients["ws://b"] = FakeSocket("ws://b", world.client)
    world.taps.drop_all()
    assert other.ended
    assert world.client.clients == {}
    reading.cancel()
    await asyncio.wait({reading})
