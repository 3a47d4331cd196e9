"""Nobody keeps anybody else out by opening connections: real sockets, more of them than there are seats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from risk_daemon.api import tally
from risk_daemon.api.limits import Limits
from risk_daemon.api.seats import Room, Seat, Seats, room_of
from risk_daemon.api.tally import Away, Tally
from risk_daemon.auth.tokens import Role
from risk_daemon.model.events import HaltRequested
from tests.api_world import ORDER, ApiWorld, serving

SOON = 10.0
NEVER = 3_600.0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def failures() -> list[dict[str, object]]:
    """What the loop was told of tasks that failed, tracebacks that is."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    return told


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    told = CapturingLogger()
    monkeypatch.setattr(tally, "_LOG", told)
    return told


@asynccontextmanager
async def crowd(world: ApiWorld, count: int, text: str = "") -> AsyncIterator[list[Stream]]:
    """So many connections that never come to a point."""
    streams = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(count)]
    for _, writer in streams:
        writer.write(text.encode())
    yield streams
    for _, writer in streams:
        writer.transport.abort()


async def ask(stream: Stream, token: str, method: str = "POST", path: str = "/api/v1/orders/check") -> int:
    """The status of one request on a connection that stays."""
    reader, writer = stream
    body = json.dumps(ORDER)
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON)
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def is_gone(stream: Stream) -> bool:
    """Whether the server hangs up on it, waited for."""
    try:
        return await asyncio.wait_for(stream[0].read(), SOON) == b""
    except ConnectionError:
        return True


async def turned_away(world: ApiWorld) -> dict[str, int]:
    counts: dict[str, int] = (await world.socket("GET", "/api/v1/state")).body["turned_away"]
    return counts


@pytest.mark.parametrize(
    "text", ["", "POST /api/v1/orders/check HTTP/1.1\r\nHost: loc"], ids=["silent", "half a header"]
)
async def test_300_idle_connections_keep_nobody_out(
    tmp_path: Path, text: str, failures: list[dict[str, object]], journal: CapturingLogger
) -> None:
    async with serving(tmp_path, Limits(first_within_s=NEVER)) as world:
        known = await asyncio.open_connection("127.0.0.1", world.port)
        assert await ask(known, world.bot) == 200
        async with crowd(world, 300, text) as idle:
            assert await ask(known, world.bot) == 200, "who was there before stays"
            for _ in range(20):
                assert (await world.check()).status == 200, "who comes is let in"
            assert (await world.tcp("POST", "/api/v1/halt", {"reason": "x"}, token=world.operator)).status == 200
            assert isinstance(world.control.events[-1], HaltRequested)
            assert await is_gone(idle[0]), "the oldest goes first"
            assert (await turned_away(world))["crowded"] >= 300 - Limits().strangers
        known[1].close()
    assert failures == [], "a connection that is too many leaves no traceback"
    assert [call.args for call in journal.calls] == [("callers_turned_away",)] * len(journal.calls)
    assert 1 <= len(journal.calls) <= 2, "told at once, and the rest when the minute or the daemon ends"


async def test_a_burst_of_connections_leaves_no_traceback(tmp_path: Path, failures: list[dict[str, object]]) -> None:
    """All in the accept queue at once: some are hung up on before a line of theirs could be read."""
    async with serving(tmp_path, Limits(strangers=2, first_within_s=NEVER)) as world:
        opening = (asyncio.open_connection("127.0.0.1", world.port) for _ in range(100))
        streams = await asyncio.gather(*opening)
        assert (await world.check()).status == 200
        for _, writer in streams:
            writer.transport.abort()
    assert failures == []


async def test_who_says_nothing_is_hung_up_on_and_counted(tmp_path: Path) -> None:
    async with serving(tmp_path, Limits(first_within_s=0.05)) as world:
        async with crowd(world, 3) as idle:
            assert all([await is_gone(stream) for stream in idle])
        assert (await turned_away(world))["silent"] == 3
        known = await asyncio.open_connection("127.0.0.1", world.port)
        assert await ask(known, world.bot) == 200
        async with crowd(world, 1) as idle:
            assert await is_gone(idle[0])
        assert await ask(known, world.bot) == 200, "who has shown a token has the time of the header"
        known[1].close()


async def test_who_has_no_good_token_has_no_more_time(tmp_path: Path) -> None:
    async with serving(tmp_path, Limits(first_within_s=0.3)) as world:
        stream = await asyncio.open_connection("127.0.0.1", world.port)
        assert await ask(stream, "rd_wrong") == 401
        assert await is_gone(stream)
        assert (await turned_away(world)) | {"failed_login": 1, "silent": 0} == await turned_away(world)


async def test_a_bot_with_many_connections_loses_its_own_idle_ones(tmp_path: Path) -> None:
    """Neither another bot's, nor an operator's."""
    async with serving(tmp_path, Limits(bots=4)) as world:
        other = world.tokens.create(Role.BOT, "grid-2")
        modest, operator = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(2)]
        assert await ask(modest, other) == 200
        assert await ask(operator, world.operator, "GET", "/api/v1/state") == 200
        greedy = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(8)]
        for stream in greedy:
            assert await ask(stream, world.bot) == 200
        assert await ask(modest, other) == 200
        assert await ask(operator, world.operator, "GET", "/api/v1/state") == 200
        assert await is_gone(greedy[0])
        assert await ask(greedy[-1], world.bot) == 200
        for _, writer in (modest, operator, *greedy):
            writer.close()


async def test_seats_that_are_all_busy_are_refused_and_hung_up_on(tmp_path: Path) -> None:
    """Event streams stay busy; they take no seat from a bot."""
    async with serving(tmp_path, Limits(operators=1)) as world:
        stream = await asyncio.open_connection("127.0.0.1", world.port)
        stream[1].write(
            f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {world.operator}\r\n\r\n".encode()
        )
        assert b"200 OK" in await asyncio.wait_for(stream[0].readuntil(b"\r\n\r\n"), SOON)
        assert (await world.tcp("GET", "/api/v1/state", token=world.operator)).status == 503
        assert (await world.check()).status == 200
        assert (await turned_away(world))["full"] == 1, "the Unix socket has seats of its own"
        stream[1].close()


# --- the seats, without sockets --------------------------------------------------------------------


def seat(whose: str, busy: Callable[[], bool] = lambda: False) -> Seat:
    return Seat(whose, busy, lambda: None)


def test_who_holds_most_of_a_room_makes_room() -> None:
    seats = Seats(Limits(strangers=3))
    once, first, second = seat("10.0.0.1"), seat("10.0.0.9"), seat("10.0.0.9")
    assert [seats.come(each) for each in (once, first, second)] == [None] * 3
    assert seats.come(seat("10.0.0.2")) is first, "not the oldest of all"


def test_an_idle_one_goes_before_a_busy_one_and_a_stranger_always_goes() -> None:
    seats = Seats(Limits(strangers=2))
    busy, idle = seat("a", lambda: True), seat("a")
    seats.come(busy)
    seats.come(idle)
    assert seats.come(seat("b", lambda: True)) is idle
    assert seats.come(seat("c")) is busy


def test_a_caller_of_two_roles_has_one_seat() -> None:
    seats = Seats(Limits(bots=1, operators=1))
    one, two = seat("a"), seat("b")
    seats.come(one)
    assert seats.move(one, Room.BOTS, "bot") == (True, None)
    assert seats.move(one, Room.OPERATORS, "alice") == (True, None)
    seats.come(two)
    assert seats.move(two, Room.BOTS, "bot") == (True, None)
    seats.leave(two)
    seats.leave(two)


async def test_the_journal_hears_once_a_minute(journal: CapturingLogger) -> None:
    counts = Tally(NEVER)
    for _ in range(1_000):
        counts.count(Away.FAILED_LOGIN)
    assert [call.kwargs for call in journal.calls] == [{"failed_login": 1}]
    counts.stop()
    assert [call.kwargs for call in journal.calls] == [{"failed_login": 1}, {"failed_login": 999}]
    assert counts.document() == {"silent": 0, "crowded": 0, "full": 0, "failed_login": 1_000}


def test_viewers_keep_nobody_else_out() -> None:
    """Twenty open pages and a Prometheus are no reason for an operator to wait."""
    seats = Seats(Limits(viewers=2))
    for name in ("a", "b", "c"):
        seat = Seat(name, lambda: True, lambda: None)
        seats.come(seat)
        assert seats.move(seat, room_of(Role.VIEWER), name)[0] is (name != "c")
    operator = Seat("alice", lambda: True, lambda: None)
    seats.come(operator)
    assert seats.move(operator, room_of(Role.OPERATOR), "alice") == (True, None)
