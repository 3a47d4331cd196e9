"""Sweeps over real sockets at venues that take 50 ms to answer: how long until proven, and with how many calls.

kraken and krakenfutures are the simulated venues; of the others only the calls about plain spot orders are served.
The twenty venues are in another process.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvloop

from adapters.base import VenueAdapter
from adapters.program import venue_adapter
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer
from benchmarks.desk_faces import BINANCE, BYBIT, MEXC, OKX
from benchmarks.order_desk import Face, OrderDesk
from benchmarks.rows import Row
from oms import OrderManager, SweepResult
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import Input, VenueProven

DELAY_S = 0.05
SETTLE_S = 2.0
QUICK_SETTLE_S = 0.3
ORDERS = 50
SWEEPS = 3
SYMBOLS = 5
KINDS = {"kraken": ("spot", "BTC/USDT"), "krakenfutures": ("perp", "PF_XBTUSD")}
TWENTY = [kind for _ in range(10) for kind in KINDS]
SLOW = {"how": "slow", "target": "any", "delay_ms": DELAY_S * 1e3}
LONGEST_PLAN = 3
"""One cancel of the whole account, and the two listings that are the proof."""

LEAST = {
    "kraken": 3,
    "krakenfutures": 3,
    # A listing tells the symbols; then a cancel for each, and the two listings.
    "binance": 1 + SYMBOLS + 2,
    # As many symbols in one cancel as there are here: five is the most.
    "mexc": 1 + 1 + 2,
    # A listing tells which of the five sorts there are; then a cancel for the one, and the two listings. Strategies by
    # the three statuses in which they live, each with its two listings.
    "bybit": 1 + 1 + 2 + 3 * 2,
    # Twenty orders of any symbols in one cancel. Six sorts of algo orders, each with its two listings.
    "okx": 1 + -(-ORDERS // 20) + 2 + 6 * 2,
}
"""Calls that a proof takes with 50 plain orders of five symbols, of which nothing is known before."""

DESKS = {"binance": BINANCE, "mexc": MEXC, "bybit": BYBIT, "okx": OKX}


@dataclass(frozen=True, slots=True)
class Place:
    """A venue with its orders, and an adapter that is connected to it."""

    adapter: VenueAdapter
    server: VenueServer | OrderDesk

    def calls(self) -> int:
        """How many it was asked, since it was started or, of a desk, connected."""
        server = self.server
        return len(server.asked) if isinstance(server, OrderDesk) else sum(server.endpoints.values())


def adapter_of(kind: str, name: str, endpoint: str) -> VenueAdapter:
    """Of a simulated venue."""
    return venue_adapter(kind, API_KEY, API_SECRET, markets=[KINDS[kind][0]], name=name, endpoint=endpoint)


def orders_of(kind: str) -> dict[str, Any]:
    """What places fifty orders on a simulated venue."""
    return {"symbol": KINDS[kind][1], "price": "100", "count": ORDERS}


@asynccontextmanager
async def simulated(kind: str) -> AsyncIterator[Place]:
    """A simulated venue in this process, with its orders."""
    server = VenueServer(kind)
    await server.start()
    adapter = adapter_of(kind, kind, server.endpoint)
    try:
        await adapter.connect()
        server.admin.handle("POST", "order", orders_of(kind), SystemClock().now().wall)
        yield Place(adapter, server)
    finally:
        await adapter.close()
        await server.stop()


@asynccontextmanager
async def desk(exchange: str, face: Face, symbols: int, orders: int) -> AsyncIterator[Place]:
    """A venue of which only the orders are there."""
    server = OrderDesk(face, [f"A{number}" for number in range(symbols)], orders, DELAY_S)
    adapter = venue_adapter(exchange, API_KEY, API_SECRET, password="-", endpoint=await server.start())
    try:
        await server.connect(adapter)
        yield Place(adapter, server)
    finally:
        await adapter.close()
        await server.stop()


async def sweep(
    adapters: Sequence[VenueAdapter], settle_s: float, told: Callable[[Input], None] | None = None
) -> SweepResult:
    """Sweep them together. Raises RuntimeError if that ends without a proof."""
    manager = OrderManager(settle_s=settle_s, order_flight_s=0, lease_s=0, cancel_deadline_s=60, emit=told)
    for adapter in adapters:
        add = manager.add_perp_adapter if "perp" in adapter.markets else manager.add_spot_adapter
        add(adapter)
    result = await manager.cancel_all_orders()
    if not result.proven:
        raise RuntimeError(f"the sweep is not proven: {result.unproven_reason}")
    return result


async def calls_until_proven(place: Place) -> int:
    """Of one venue."""
    before, spent = place.calls(), [0]

    def told(event: Input) -> None:
        if isinstance(event, VenueProven):
            spent.append(place.calls() - before)

    await sweep([place.adapter], QUICK_SETTLE_S, told)
    return spent[-1]


@asynccontextmanager
async def farm(kinds: Sequence[str]) -> AsyncIterator[list[str]]:
    """The endpoints of venues in another process: they have a core of their own, as far as there is one."""
    words = [sys.executable, "-m", "benchmarks.venue_farm", *kinds]
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().split()
    finally:
        process.kill()
        await process.wait()


async def twenty() -> Row:
    """Many venues at once: one loop has to keep them all busy. The median of some sweeps."""
    taken = []
    async with AsyncExitStack() as stack:
        endpoints = await stack.enter_async_context(farm(TWENTY))
        admin = await stack.enter_async_context(aiohttp.ClientSession(raise_for_status=True))
        adapters = []
        for number, (kind, endpoint) in enumerate(zip(TWENTY, endpoints, strict=True)):
            adapter = adapter_of(kind, f"{kind}{number}", endpoint)
            stack.push_async_callback(adapter.close)
            await adapter.connect()
            await admin.post(f"{endpoint}/_sim/fault", json=SLOW)
            adapters.append(adapter)
        for _ in range(SWEEPS):
            for kind, endpoint in zip(TWENTY, endpoints, strict=True):
                await admin.post(f"{endpoint}/_sim/order", json=orders_of(kind))
            taken.append(await last_proven_s(adapters))
    ratio = (statistics.median(taken) - SETTLE_S) / (LONGEST_PLAN * DELAY_S)
    name = "20 venues, 50 orders each, 50 ms: last proven less settle / its calls' time"
    return Row(name=name, measured=ratio, at_most=1.5)


async def last_proven_s(adapters: Sequence[VenueAdapter]) -> float:
    """Seconds of one sweep until its last venue was proven."""
    result = await sweep(adapters, SETTLE_S)
    return max(verdict.proven_s or 0.0 for verdict in result.venues.values())


async def calls_spent(exchange: str) -> Row:
    """Beside the least that the venue allows."""
    face = DESKS.get(exchange)
    place = simulated(exchange) if face is None else desk(exchange, face, SYMBOLS, ORDERS)
    async with place as one:
        spent = await calls_until_proven(one)
    name = f"calls until proven / least that {exchange} allows ({spent} / {LEAST[exchange]})"
    return Row(name=name, measured=spent / LEAST[exchange], at_most=1.25)


async def thirty_symbols() -> Row:
    """Where a time is signed, cancels need not wait for each other."""
    async with desk("binance", BINANCE, symbols=30, orders=30) as place:
        begun = time.perf_counter()
        await sweep([place.adapter], QUICK_SETTLE_S)
        assert isinstance(place.server, OrderDesk)
        cancels = [asked.at for asked in place.server.asked if asked.is_cancel]
    if len(cancels) != 30:
        raise RuntimeError(f"{len(cancels)} cancels for 30 symbols")
    name = "30 symbols on binance, 50 ms: last cancel on the wire, in calls' time"
    return Row(name=name, measured=(max(cancels) - begun) / DELAY_S, at_most=4)


async def measured() -> list[Row]:
    """All of it, one after the other."""
    return [await twenty(), await thirty_symbols(), *[await calls_spent(exchange) for exchange in LEAST]]


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measured())
