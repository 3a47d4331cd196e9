"""What open pages hear: one look for all of them, the newest for who is slow, and the last word at the end."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.api.dashboard.board import Board
from risk_daemon.api.limits import Limits
from risk_daemon.errors import StateError
from risk_daemon.model.clock import ManualClock, SystemClock
from tests.api_world import FakeControl
from tests.page_world import Browser, PageWorld, document, page_world, tripped

SOON = 10.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PageWorld]:
    async with page_world(tmp_path, Limits(write_within_s=0.3, page_every_s=0.02, page_beat_s=0.05)) as world:
        yield world


class Live:
    """A page's stream."""

    def __init__(self, reader: asyncio.StreamReader, header: str) -> None:
        self._reader = reader
        self.header = header

    async def event(self, kind: str = "state") -> dict[str, Any] | str:
        """The data of the next event of that kind."""
        while True:
            size = int((await asyncio.wait_for(self._reader.readline(), SOON)).strip() or b"0", 16)
            block = (await asyncio.wait_for(self._reader.readexactly(size + 2), SOON)).decode()[:-2]
            fields = dict(line.partition(": ")[::2] for line in block.split("\n") if line)
            if fields.get("event") == kind:
                return json.loads(fields["data"]) if kind == "state" else fields["data"]

    async def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            news = await self.event()
            assert isinstance(news, dict)
            if fits(news):
                return news

    async def to_the_end(self) -> bytes:
        return await asyncio.wait_for(self._reader.read(), SOON)


@asynccontextmanager
async def listening(browser: Browser, since: str = "", *, header: str = "", room: int = 2**22) -> AsyncIterator[Live]:
    """room: how much is taken in that is not read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", browser.port, limit=room)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    writer.write(
        f"GET /page/live?since={since} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n{header}\r\n".encode()
    )
    answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON)
    yield Live(reader, answered.decode())
    writer.close()


async def test_a_change_comes_by_itself_and_alone(world: PageWorld) -> None:
    async with listening(await world.logged_in()) as live:
        header = live.header
        assert "X-Accel-Buffering: no" in header
        assert "Cache-Control: no-store" in header
        assert "Content-Type: text/event-stream" in header
        whole = await live.event()
        assert isinstance(whole, dict)
        assert {"now", "limits", "venues", "chart-day", "errors", "alerts"} <= whole["parts"].keys()
        world.control.document = document(equity="9000.00")
        news = await live.until(lambda news: bool(news["parts"]))
        assert "9,000.00" in news["parts"]["worth"]
        assert "holdings" not in news["parts"]


async def test_a_page_says_how_far_it_has_read(world: PageWorld) -> None:
    browser = await world.logged_in()
    whole = json.loads((await browser.ask("GET", "/page/state")).text)
    async with listening(browser, whole["mark"]) as live:
        assert await live.event("beat")
    world.control.document = document(equity="9000.00")
    async with listening(browser, header=f"Last-Event-ID: {whole['mark']}\r\n") as live:
        news = await live.until(lambda news: "worth" in news["parts"])
        assert "holdings" not in news["parts"]
    for other in ("another-1", "x", "", "-", f"{whole['mark'].partition('-')[0]}-\u0663"):
        told = json.loads((await browser.ask("GET", "/page/state", params={"since": other})).text)
        assert "holdings" in told["parts"]


async def test_silence_is_broken(world: PageWorld) -> None:
    async with listening(await world.logged_in()) as live:
        beats = [await live.event("beat") for _ in range(2)]
    assert all(isinstance(beat, str) and len(beat) == len("2026-11-20 12:03:04") for beat in beats)


async def test_a_trip_is_told_at_once_and_the_last_word_before_the_end(world: PageWorld) -> None:
    async with listening(await world.logged_in()) as live:
        await live.event()
        world.control.document = tripped()
        world.event("circuit_breaker_triggered", trip_id="trip-1")
        world.event("venue_proven", venue="kraken")
        news = await live.until(lambda news: news["tone"] == "bad")
        assert news["word"] == "TRIGGERED"
        assert "capital_loss" in news["parts"]["now"]
        lock = {**tripped()["lock"], "proven": True}
        world.control.document = {**tripped(), "lock": lock}
        stopping = asyncio.create_task(world.server.stop())
        news = await live.until(lambda news: "All orders are gone" in news["parts"].get("now", ""))
        assert await live.event("end") == "the daemon has ended"
        await stopping


async def test_a_revoked_token_ends_the_stream_at_once(world: PageWorld) -> None:
    async with listening(await world.logged_in()) as live:
        await live.event()
        world.tokens.revoke("alice")
        assert await live.event("over") == "this session is over"
        assert b"state" not in await live.to_the_end()


async def test_who_does_not_read_is_hung_up_on_and_the_others_are_told(world: PageWorld) -> None:
    browser = await world.logged_in()
    async with listening(browser, room=4_096) as _, listening(browser) as live:
        for number in range(100):
            assets = [{"asset": f"{number % 10}" * 300_000, "venue": "v", "amount": "1"}]
            world.control.document = document(holdings=assets)
            assert await live.until(lambda news: "holdings" in news["parts"])
            if world.board.readers == 1:
                return
        pytest.fail("nobody was hung up on")


async def test_200_pages_are_told_of_one_look(tmp_path: Path) -> None:
    """Every look is one question to the daemon, however many read."""
    async with page_world(tmp_path) as world:
        browser = await world.logged_in()
        asked = 0
        told = world.control.state

        def state() -> Any:
            nonlocal asked
            asked += 1
            return told()

        world.control.state = state  # type: ignore[method-assign]

        async with AsyncExitStack() as stack:
            pages = [await stack.enter_async_context(listening(browser)) for _ in range(200)]
            asked = 0
            world.control.document = document(equity="9111.00")
            fits = [page.until(lambda news: "9,111.00" in news["parts"].get("worth", "")) for page in pages]
            heard = await asyncio.gather(*fits)
        assert len({news["mark"] for news in heard}) <= 2
        assert 0 < asked < 10


async def test_there_is_an_end_to_how_many_listen_and_a_seat_to_halt_from(tmp_path: Path) -> None:
    async with page_world(tmp_path, Limits(live_pages=1, pages_open=2)) as world:
        browser = await world.logged_in()
        async with listening(browser) as live:
            await live.event()
            refused = await browser.ask("GET", "/page/live", headers={"Accept": "application/json"})
            assert (refused.status, "too many pages" in refused.text) == (503, True)
            assert (await browser.halts("venue:kraken", "kraken")).status == 200


async def test_a_loop_that_stands_still_is_said() -> None:
    control = FakeControl(document=document(), good=False)
    board = Board(control, SystemClock(), lambda: None)
    await board.fresh()
    assert board.face.tone == "bad"
    assert "the evaluation loop does not turn" in board.part("now")


async def test_at_the_end_the_loop_that_turns_no_more_is_no_trouble() -> None:
    control = FakeControl(document=document())
    board = Board(control, SystemClock(), lambda: None)
    board.start()
    control.good = False
    await board.close()
    assert "does not turn" not in board.part("now")


async def test_the_last_picture_ends_with_the_fall_that_tripped() -> None:
    control = FakeControl(document=document(equity="9900", equity_low="9900", equity_high="9900"))
    board = Board(control, SystemClock(), lambda: None)
    board.start()
    await board.fresh()
    assert "last 9,900.00" in board.part("chart-day")
    control.document = document(equity="9123.45", equity_low="9123.45", equity_high="9123.45")
    await board.close()
    assert "last 9,123.45" in board.part("chart-day")


async def test_bytes_are_shared_until_something_changes() -> None:
    control = FakeControl(document=document())
    clock = ManualClock()
    board = Board(control, clock, lambda: None)
    await board.fresh()
    assert board.news(0) is board.news(0)
    before = board.version
    clock.advance(1)
    await board.fresh()
    assert board.version == before
    control.error = StateError("gone")
    clock.advance(1)
    await board.fresh()
    assert board.version == before + 1
    assert "gone" in board.face.line


async def test_a_bug_is_not_shown_to_be_well() -> None:
    control = FakeControl(document=document(), error=KeyError("x"))
    board = Board(control, SystemClock(), lambda: None)
    await board.fresh()
    assert (board.face.tone, board.face.word) == ("bad", "NOT KNOWN")
    assert "a bug of the daemon" in board.part("now")


async def test_a_look_that_takes_long_is_followed_by_a_longer_pause() -> None:
    class Slow:
        def __init__(self) -> None:
            self.mono = 0.0

        def now(self) -> Any:
            self.mono += 0.05
            return SystemClock().now().__class__(mono=self.mono, wall=1.8e9)

    control = FakeControl(document=document())
    board = Board(control, Slow(), lambda: None)
    await board.fresh()
    taken = board.version
    control.document = document(equity="1")
    await board.fresh()
    assert board.version == taken
