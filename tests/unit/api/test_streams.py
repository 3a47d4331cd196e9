"""Server-sent events and the long history: whole, bounded, and ended when they should be."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.api.feed import Feed
from risk_daemon.api.limits import Limits
from tests.api_world import WALL, ApiWorld, serving

SOON = 5.0
EVENTS = "/api/v1/events"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with serving(tmp_path, Limits(heartbeat_every_s=0.02, write_within_s=0.2)) as world:
        yield world


class Stream:
    """A reader of server-sent events."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def header(self) -> str:
        return (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), SOON)).decode()

    async def block(self) -> str:
        """The next block that is no heartbeat."""
        while True:
            size = int((await asyncio.wait_for(self._reader.readline(), SOON)).strip() or b"0", 16)
            data = (await asyncio.wait_for(self._reader.readexactly(size + 2), SOON)).decode()[:-2]
            if not data.startswith(":"):
                return data

    async def raw(self, until: bytes) -> bytes:
        return await asyncio.wait_for(self._reader.readuntil(until), SOON)

    async def to_the_end(self) -> bytes:
        return await asyncio.wait_for(self._reader.read(), SOON)


@asynccontextmanager
async def listening(world: ApiWorld, token: str | None = None, *, method: str = "GET") -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    bearer = token or world.operator
    writer.write(f"{method} {EVENTS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode())
    yield Stream(reader)
    writer.close()


async def until(condition: Any) -> None:
    """Wait for a condition that comes true soon."""
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


def readers(world: ApiWorld) -> int:
    return len(world.control.feed._subscriptions)


async def test_events_are_sent_as_they_happen(world: ApiWorld) -> None:
    async with listening(world) as stream:
        assert "\r\nContent-Type: text/event-stream\r\n" in await stream.header()
        assert await stream.block() == "retry: 3000\n\n"
        world.control.feed.publish(7, "portfolio_update", {"equity": Decimal("9400.10"), "note": "a\nb"}, WALL)
        block = await stream.block()

    number, name, data, *rest = block.split("\n")
    assert (number, name, rest) == ("id: 7", "event: portfolio_update", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {
        "seq": 7,
        "time": "2026-11-20T14:58:01.250000Z",
        "event": "portfolio_update",
        "equity": "9400.1",
        "note": "a\nb",
    }


async def test_there_is_a_heartbeat(world: ApiWorld) -> None:
    async with listening(world) as stream:
        assert await stream.raw(b": still here\n\n")
        assert await stream.raw(b": still here\n\n")


async def test_a_reader_who_goes_makes_room_at_once(world: ApiWorld) -> None:
    world.control.feed = Feed(readers=1)
    async with listening(world) as stream:
        await stream.header()
        refused = await world.tcp("GET", EVENTS, token=world.operator)
        assert (refused.status, refused.type) == (429, "application/problem+json")
        assert "Retry-After" in refused.headers

    await until(lambda: readers(world) == 0)
    async with listening(world) as stream:
        assert "200 OK" in await stream.header()


async def test_a_reader_who_does_not_read_is_dropped(world: ApiWorld) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {world.operator}\r\n\r\n".encode())
    await until(lambda: readers(world) == 1)
    seq = 0

    def flood() -> bool:
        nonlocal seq
        for _ in range(20):
            seq += 1
            world.control.feed.publish(seq, "portfolio_update", {"padding": "x" * 10_000}, WALL)
        return readers(world) == 0

    await until(flood)
    assert (await world.check()).status == 200
    assert reader.at_eof() is False
    writer.transport.abort()


async def test_a_revoked_token_ends_its_stream(world: ApiWorld) -> None:
    async with listening(world) as stream:
        await stream.header()
        world.tokens.revoke("alice")
        assert (await stream.to_the_end()).endswith(b"0\r\n\r\n")
    await until(lambda: readers(world) == 0)


async def test_an_event_that_can_t_be_written_ends_the_stream_only(world: ApiWorld) -> None:
    async with listening(world) as stream:
        await stream.header()
        world.control.feed.publish(1, "portfolio_update", {"equity": float("nan")}, WALL)
        said = await stream.to_the_end()

    assert b"NaN" not in said
    assert (await world.check()).status == 200
    await until(lambda: readers(world) == 0)


async def test_stopping_waits_for_no_reader(tmp_path: Path) -> None:
    async with serving(tmp_path) as world, listening(world) as stream:
        await stream.header()
        await asyncio.wait_for(world.server.stop(), SOON)
        await stream.to_the_end()


async def test_a_head_request_gets_no_stream(world: ApiWorld) -> None:
    reply = await world.tcp("HEAD", EVENTS, token=world.operator)

    assert (reply.status, reply.type, reply.raw) == (200, "text/event-stream", b"")
    assert readers(world) == 0


# --- history ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1_750])
async def test_the_history_is_whole(world: ApiWorld, count: int) -> None:
    world.control.points = [{"wall": number, "equity": str(number)} for number in range(count)]
    reply = await world.tcp("GET", "/api/v1/history", token=world.operator)

    assert (reply.status, reply.type, reply.body) == (200, "application/json", {"points": world.control.points})


async def test_a_history_that_breaks_off_does_not_pass_for_whole(world: ApiWorld) -> None:
    world.control.points = [{"wall": 1}] * 600 + [{"wall": float("nan")}]
    said = await world.raw(
        f"GET /api/v1/history HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {world.operator}\r\n\r\n"
    )

    assert not said.endswith(b"0\r\n\r\n")
    assert (await world.check()).status == 200


async def test_a_head_request_gets_no_history(world: ApiWorld) -> None:
    reply = await world.tcp("HEAD", "/api/v1/history", token=world.operator)

    assert (reply.status, reply.raw) == (200, b"")
