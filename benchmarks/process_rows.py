"""The whole process: how long it takes to start, what memory it holds, and that it stays flat.

The simulated kinds list as much as their exchanges do: 1,200 pairs and 600 assets, and 350 contracts.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from adapters.simulated.child import SimulatedVenueProcess
from benchmarks.daemon_process import Account, Home, config
from benchmarks.rows import Row

THREE = ("kraken", "krakenfutures", "kraken")
FIVE = (*THREE, "krakenfutures", "kraken")
FUNDS = {"kraken": 6_000, "krakenfutures": 4_000}
STARTS = 3
SETTLED_AFTER_S = 20.0
EVENTS = (200_000, 1_000_000)
MB = 1e6


@asynccontextmanager
async def home(directory: Path, exchanges: Sequence[str]) -> AsyncIterator[Home]:
    """A state directory that was set up for these, each a process of its own with the account it starts with."""
    async with AsyncExitStack() as stack:
        accounts = []
        for number, exchange in enumerate(exchanges):
            venue = await SimulatedVenueProcess.start(exchange)
            stack.push_async_callback(venue.stop)
            accounts.append(Account(f"{exchange}{number}", exchange, venue.endpoint))
        made = Home(directory, accounts, config(accounts, sum(FUNDS[exchange] for exchange in exchanges)))
        await made.init()
        yield made


async def ready_s(directory: Path) -> float:
    """Seconds from the start to READY, with baselines of before; the median."""
    taken = []
    async with home(directory, THREE) as made:
        for _ in range(STARTS):
            async with made.running() as daemon:
                taken.append(await daemon.ready_s())
    return statistics.median(taken)


async def resident_bytes(directory: Path) -> int:
    """What the daemon holds with five venues, some time after its gate opened."""
    async with home(directory, FIVE) as made, made.running() as daemon:
        await daemon.open()
        await asyncio.sleep(SETTLED_AFTER_S)
        return daemon.resident_bytes()


def growth(directory: Path) -> float:
    """Memory after a million events through inbox, engine and log / after a fifth of them."""
    words = [sys.executable, "-m", "benchmarks.event_mill", str(directory), *map(str, EVENTS)]
    told = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    early, late = map(int, told)
    return late / early


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    with tempfile.TemporaryDirectory() as three, tempfile.TemporaryDirectory() as five:
        start_s = asyncio.run(ready_s(Path(three)))
        held = asyncio.run(resident_bytes(Path(five)))
    with tempfile.TemporaryDirectory() as name:
        grown = growth(Path(name))
    return [
        Row(name="start to READY, three simulated venues", measured=start_s, at_most=5, unit="s"),
        Row(name="memory with five simulated venues", measured=held / MB, at_most=250, unit="MB"),
        Row(name="memory after 1,000,000 events / after 200,000", measured=grown, at_most=1.02),
    ]
