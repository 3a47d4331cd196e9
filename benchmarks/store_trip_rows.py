"""A trip while the PostgreSQL that has the state is stopped, beside one without any: it must take no longer.

Taken in turns, in one run: what else the machine does meets both alike. The server is stopped (SIGSTOP) when the gate
is open, a moment before the price that trips: what is then on its way to it hangs, and nothing is refused at once.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import statistics
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import uvloop

from adapters.simulated.server import VenueServer
from benchmarks.daemon_process import Home, config
from benchmarks.rows import Row
from benchmarks.wire_rows import FATAL, WARM_FRAMES, WITHIN_S, Exchange, frames, program, seen_s
from risk_daemon.model.clock import Instant
from risk_daemon.state.store import postgres_schema
from risk_daemon.state.store.postgres_link import connect
from risk_daemon.state.store.postgres_url import parse

TRIPS = 12
RESAMPLES = 4_000
_QUIET_S = 0.3
# What a proof waits for by itself is short here, so that it does not hide what is compared.
_WAITS = {"settle": '"300ms"', "order_flight": '"500ms"'}


@dataclass(frozen=True, slots=True)
class Trip:
    """Seconds from the price to the gate seen shut, and to the proof that every order is cancelled."""

    shut_s: float
    proven_s: float


class Stopper:
    """A PostgreSQL that can be stopped, and gone on with."""

    def __init__(self, pid: int, address: str) -> None:
        self._pid = pid
        self.address = address

    async def forget(self) -> None:
        """As if no guard had ever been there: each run begins with the same state."""
        connection = await connect(parse(self.address), "")
        try:
            await connection.execute("TRUNCATE guards, equity_samples, daily_pnl_snapshots, guarded_accounts CASCADE")
        finally:
            await connection.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Every process of it."""
        first = psutil.Process(self._pid)
        all_of_it = [first, *first.children(recursive=True)]
        for process in all_of_it:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in all_of_it:
                process.send_signal(signal.SIGCONT)


def _proven_s(home: Home, made: Instant) -> float:
    """Raises RuntimeError where it was not proven."""
    lines = map(json.loads, (home.state / "events.jsonl").read_text().splitlines())
    proven = [line["time"] for line in lines if line["event"] == "venue_proven"]
    if not proven:
        raise RuntimeError("a trip was not proven")
    return datetime.fromisoformat(proven[-1]).timestamp() - made.wall


async def _trip(exchange: Exchange, home: Home, server: Stopper | None) -> Trip:
    """One daemon, from its start to its end."""
    exchange.as_before()
    if server is not None:
        await server.forget()
    async with home.running() as daemon:
        await daemon.open()
        await frames(exchange, WARM_FRAMES)
        async with program("benchmarks.watcher", "gate", str(home.state)) as watcher:
            await asyncio.sleep(_QUIET_S)
            with nullcontext() if server is None else server.stopped():
                made = exchange.tell(FATAL)
                shut_s = await seen_s(watcher, made)
                async with asyncio.timeout(WITHIN_S):
                    code = await daemon.process.wait()
        if code != 1:
            raise RuntimeError(f"a trip ended with {code}: {daemon.output.read_text()}")
        return Trip(shut_s, _proven_s(home, made))


@asynccontextmanager
async def _exchange() -> AsyncIterator[Exchange]:
    server = VenueServer("kraken")
    await server.start()
    try:
        yield Exchange(server)
    finally:
        await server.stop()


async def _home(exchange: Exchange, directory: Path, more: str) -> Home:
    exchange.as_before()
    home = Home(directory, [exchange.account], config([exchange.account], 10_000, confirm="false", **_WAITS) + more)
    await home.init()
    return home


async def _in_turns(server: Stopper, plain: Path, stored: Path) -> tuple[list[Trip], list[Trip]]:
    """Without any server, and with one that is stopped."""
    await postgres_schema.migrate(parse(server.address), "")
    without, stopped = [], []
    async with _exchange() as exchange:
        alone = await _home(exchange, plain, "")
        await server.forget()
        with_state = await _home(exchange, stored, f'[state]\nstore = "{server.address}"\n')
        for _ in range(TRIPS):
            without.append(await _trip(exchange, alone, None))
            stopped.append(await _trip(exchange, with_state, server))
    return without, stopped


def interval(above: Sequence[float], below: Sequence[float]) -> tuple[float, float]:
    """In which the ratio of the medians lies, with 95 %: by resampling."""
    chance = random.Random(11)
    ratios = sorted(
        _ratio(chance.choices(above, k=len(above)), chance.choices(below, k=len(below))) for _ in range(RESAMPLES)
    )
    return ratios[int(RESAMPLES * 0.025)], ratios[int(RESAMPLES * 0.975)]


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(above) / statistics.median(below)


def _compared(
    name: str, of: Callable[[Trip], float], without: Sequence[Trip], stopped: Sequence[Trip], at_most: float
) -> list[Row]:
    """It takes longer where the whole interval says so. at_most: what the ratio of the medians is held to."""
    above, below = list(map(of, stopped)), list(map(of, without))
    least, most = interval(above, below)
    return [
        Row(name=f"{name}: PostgreSQL stopped / without it", measured=_ratio(above, below), at_most=at_most),
        Row(name="the same, least by 95 %", measured=least, at_most=1),
        Row(name="the same, most by 95 %", measured=most),
        Row(name=f"{name}, PostgreSQL stopped", measured=statistics.median(above) * 1e3, unit="ms"),
        Row(name=f"{name}, without it", measured=statistics.median(below) * 1e3, unit="ms"),
    ]


def rows(pid: int, address: str) -> list[Row]:
    """What is measured, what should hold, what was measured. pid: of the server that answers at `address`."""
    with (
        TemporaryDirectory() as plain,
        TemporaryDirectory() as stored,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        without, stopped = runner.run(_in_turns(Stopper(pid, address), Path(plain), Path(stored)))
    frame = "fatal price frame ->"
    return [
        *_compared(f"{frame} gate seen shut", lambda trip: trip.shut_s, without, stopped, 1.25),
        *_compared(f"{frame} all cancels proven", lambda trip: trip.proven_s, without, stopped, 1.1),
    ]
