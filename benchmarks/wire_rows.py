"""From a fatal price frame to a shut gate and to the first cancel, beside programs that only pass the frame on.

The venue is this process. What it is asked is stamped where it arrives; a shut gate is seen by a process that does
nothing but look, and that looks while the relays run too. A trip ends a daemon, so each is of a process of its own.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from adapters.simulated.faults import Call
from adapters.simulated.server import VenueServer
from benchmarks.daemon_process import Account, Home, config
from benchmarks.rows import Row
from risk_daemon.model.clock import Instant, SystemClock

RELAYED = 15
TRIPS = 5
WARM_FRAMES = 20
WITHIN_S = 20.0
SYMBOL = "BTC/USDT"
FATAL = Decimal(30_000)
_QUIET_S = 0.3


@dataclass(frozen=True, slots=True)
class Trip:
    """Seconds from the price to the gate seen shut, and to the first cancel at the venue."""

    shut_s: float
    cancel_s: float


class Exchange:
    """The venue: 10,000 USDT, most of it in BTC, and one order."""

    def __init__(self, server: VenueServer) -> None:
        self.server = server
        self.account = Account("kraken", "kraken", server.endpoint)
        self._admin("balance", asset="BTC", amount="0.1")
        self._admin("balance", asset="USDT", amount="4000")

    def _admin(self, name: str, **body: str) -> None:
        self.server.admin.handle("POST", name, body, SystemClock().now().wall)
        self.server.publish()

    def as_before(self) -> None:
        """The price, and one order that rests."""
        self.tell(Decimal(60_000))
        self.server.exchange.cancelled.clear()
        self._admin("order", symbol=SYMBOL, quantity="0.001", price="20000")

    def tell(self, price: Decimal) -> Instant:
        """A price frame; when it was made."""
        made = SystemClock().now()
        self.server.exchange.set_price(SYMBOL, price)
        self.server.publish()
        return made

    async def cancel_s(self, made: Instant) -> float:
        """Seconds until the daemon's cancel arrived."""
        async with asyncio.timeout(WITHIN_S):
            while not self.server.exchange.cancelled:  # noqa: ASYNC110 - nothing of ours is told of it
                await asyncio.sleep(0.01)
        return self.server.exchange.cancelled[0].wall - made.wall

    async def asked_s(self, made: Instant) -> float:
        """Seconds until the relay's request arrived."""
        async with asyncio.timeout(WITHIN_S):
            while self._asked_wall() < made.wall:  # noqa: ASYNC110 - nothing of ours is told of it
                await asyncio.sleep(0.01)
        return self._asked_wall() - made.wall

    def _asked_wall(self) -> float:
        return float(self.server.calls[Call.CANCEL]["last_wall"])


@asynccontextmanager
async def program(*words: str) -> AsyncIterator[asyncio.StreamReader]:
    """What a program of this package prints after its first line, which says that it is there."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *words, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S):
            await process.stdout.readline()
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def seen_s(watcher: asyncio.StreamReader, made: Instant) -> float:
    """Seconds until the watcher saw it."""
    async with asyncio.timeout(WITHIN_S):
        return float(await watcher.readline()) - made.mono


async def frames(exchange: Exchange, count: int) -> Instant:
    """Prices that change nothing, a few milliseconds apart; when the last was made."""
    for number in range(count):
        made = exchange.tell(Decimal(60_000 + number % 2))
        await asyncio.sleep(0.005)
    await asyncio.sleep(_QUIET_S)
    return made


async def relayed_to_map_s(exchange: Exchange, directory: Path) -> float:
    """Seconds, the median."""
    path = directory / "relay.bin"
    path.write_bytes(bytes(4096))
    taken = []
    async with program("benchmarks.relay", "map", exchange.server.endpoint, str(path)):
        await frames(exchange, WARM_FRAMES)
        for _ in range(RELAYED):
            async with program("benchmarks.watcher", "byte", str(path)) as watcher:
                await asyncio.sleep(_QUIET_S)
                taken.append(await seen_s(watcher, exchange.tell(FATAL)))
    return statistics.median(taken)


async def relayed_to_http_s(exchange: Exchange, directory: Path) -> float:
    """Seconds, the median."""
    path = directory / "still.bin"
    path.write_bytes(bytes(4096))
    taken = []
    watching = program("benchmarks.watcher", "byte", str(path))
    async with program("benchmarks.relay", "http", exchange.server.endpoint), watching:
        await frames(exchange, WARM_FRAMES)
        for _ in range(RELAYED):
            await asyncio.sleep(_QUIET_S)
            taken.append(await exchange.asked_s(exchange.tell(FATAL)))
    return statistics.median(taken)


async def trip(exchange: Exchange, home: Home) -> Trip:
    """One daemon, from its start to its first cancel."""
    exchange.as_before()
    async with home.running() as daemon:
        await daemon.open()
        await frames(exchange, WARM_FRAMES)
        async with program("benchmarks.watcher", "gate", str(home.state)) as watcher:
            await asyncio.sleep(_QUIET_S)
            made = exchange.tell(FATAL)
            return Trip(await seen_s(watcher, made), await exchange.cancel_s(made))


async def trips(exchange: Exchange, directory: Path, *, confirm: bool) -> list[Trip]:
    """Of one configuration."""
    exchange.as_before()
    text = config([exchange.account], 10_000, confirm=str(confirm).lower())
    home = Home(directory, [exchange.account], text)
    await home.init()
    return [await trip(exchange, home) for _ in range(TRIPS)]


async def measured(relays: Path, plain: Path, confirmed: Path) -> list[Row]:
    """All of it, one after the other; each part has a directory of its own."""
    server = VenueServer("kraken")
    await server.start()
    try:
        exchange = Exchange(server)
        map_s = await relayed_to_map_s(exchange, relays)
        http_s = await relayed_to_http_s(exchange, relays)
        at_once = await trips(exchange, plain, confirm=False)
        read_again = await trips(exchange, confirmed, confirm=True)
    finally:
        await server.stop()
    shut_s = statistics.median(one.shut_s for one in at_once)
    cancel_s = statistics.median(one.cancel_s for one in at_once)
    with_reads_s = statistics.median(one.cancel_s for one in read_again)
    frame = "fatal price frame ->"
    return [
        Row(name=f"{frame} gate seen shut / a relay to a map", measured=shut_s / map_s, at_most=2),
        Row(name=f"{frame} gate seen shut", measured=shut_s * 1e3, unit="ms"),
        Row(name="frame relayed to a map -> seen", measured=map_s * 1e3, unit="ms"),
        Row(name=f"{frame} first cancel / a relay to HTTP, confirm off", measured=cancel_s / http_s, at_most=3),
        Row(name=f"{frame} first cancel, confirm off", measured=cancel_s * 1e3, unit="ms"),
        Row(name="frame relayed to HTTP -> arrived", measured=http_s * 1e3, unit="ms"),
        Row(name=f"{frame} first cancel, confirm on: with its REST reads", measured=with_reads_s * 1e3, unit="ms"),
    ]


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    with (
        TemporaryDirectory() as relays,
        TemporaryDirectory() as plain,
        TemporaryDirectory() as confirmed,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(measured(Path(relays), Path(plain), Path(confirmed)))
