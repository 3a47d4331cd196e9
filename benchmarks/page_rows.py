"""Whether a daemon that is looked at is slower to shut its gate: trips of both kinds by turns, in one run."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from adapters.simulated.server import VenueServer
from benchmarks.daemon_process import Home, Running, config
from benchmarks.rows import Row
from benchmarks.wire_rows import FATAL, WARM_FRAMES, Exchange, frames, program, seen_s
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore

PAGES = 20
PAIRS = 8
_LOOKED_AT_S = 3.0


@asynccontextmanager
async def looked_at(daemon: Running, is_looked_at: bool) -> AsyncIterator[None]:
    """By everybody, or by nobody for as long."""
    if not is_looked_at:
        await asyncio.sleep(_LOOKED_AT_S)
        yield
        return
    token = TokenStore.open(daemon.state / FILE_NAME).create(Role.VIEWER, "onlooker")
    async with program("benchmarks.onlookers", f"http://{daemon.api_address()}", token, str(PAGES)):
        await asyncio.sleep(_LOOKED_AT_S)
        yield


async def shut_s(exchange: Exchange, home: Home, *, is_looked_at: bool) -> float:
    """Seconds from the fatal price to the gate seen shut, of one daemon."""
    exchange.as_before()
    async with home.running() as daemon:
        await daemon.open()
        async with looked_at(daemon, is_looked_at):
            await frames(exchange, WARM_FRAMES)
            async with program("benchmarks.watcher", "gate", str(home.state)) as watcher:
                await asyncio.sleep(0.3)
                return await seen_s(watcher, exchange.tell(FATAL))


async def measured(directory: Path) -> list[Row]:
    """Pairs, each in the other order than the one before."""
    server = VenueServer("kraken")
    await server.start()
    try:
        exchange = Exchange(server)
        exchange.as_before()
        home = Home(directory, [exchange.account], config([exchange.account], 10_000, confirm="false"))
        await home.init()
        taken: dict[bool, list[float]] = {True: [], False: []}
        for number in range(PAIRS):
            for is_looked_at in (True, False) if number % 2 else (False, True):
                taken[is_looked_at].append(await shut_s(exchange, home, is_looked_at=is_looked_at))
    finally:
        await server.stop()
    seen, alone = (statistics.median(taken[each]) for each in (True, False))
    what = f"gate seen shut with {PAGES} open pages and a scrape a second"
    return [
        Row(name=f"fatal price frame -> {what} / with none", measured=seen / alone, at_most=1.1),
        Row(name=f"fatal price frame -> {what}", measured=seen * 1e3, unit="ms"),
    ]


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    with TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measured(Path(directory)))
