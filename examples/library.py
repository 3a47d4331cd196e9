"""A program with a guard of its own, made of the package's parts: `python examples/library.py`.

Two simulated exchanges as servers on this machine; the adapters talk to them as they would to the real ones. Ends with
exit code 1 when the breaker triggered and every cancel is proven, 4 when it is not proven. docs/library.md explains it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

import aiohttp

from adapters import KrakenPerpAdapter, KrakenSpotAdapter
from adapters.base import VenueAdapter
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.child import SimulatedVenueProcess
from oms import OrderManager
from risk_daemon import CircuitBreaker, CircuitBreakerConfig, PortfolioManager, event_stream
from risk_daemon.circuit_breaker import EventStream
from risk_daemon.model.events import BalancesSeen, EventName, Kind

LOSSES = (9_800, 9_650, 9_580, 9_450)


async def tell(events: EventStream) -> None:
    """What the breaker says, as it happens."""
    async for event in events:
        if event.name is not EventName.PORTFOLIO_UPDATE:
            print(f"{event.name}: {event.fields['loss_ratio']:.2%} lost".replace("%", " %"))


async def watch(adapter: VenueAdapter, portfolio: PortfolioManager, breaker: CircuitBreaker) -> None:
    """Check after every frame of balances, until it triggers."""
    while not breaker.is_triggered:
        for seen in await adapter.next_frame(Kind.BALANCES):
            if isinstance(seen, BalancesSeen):
                portfolio.apply(seen)
        print(f"equity {portfolio.equity:.2f}: {breaker.check()}")


async def guard(kraken: VenueAdapter, futures: VenueAdapter, ready: asyncio.Event) -> int:
    """From the first reading to the proof. ready: set when it watches. Returns the exit code."""
    portfolio = PortfolioManager(10_000, "USDT", venues=(kraken.name, futures.name))
    breaker = CircuitBreaker(CircuitBreakerConfig(10_000, "USDT").with_threshold(5.0).with_warning(3.0), portfolio)
    oms = OrderManager()
    oms.add_spot_adapter(kraken)
    oms.add_perp_adapter(futures)
    events = event_stream(breaker)
    telling = asyncio.create_task(tell(events))
    for adapter in (kraken, futures):
        await adapter.connect()
        portfolio.apply(await adapter.read_balances())
    print(f"equity {portfolio.equity:.2f}: {breaker.check()}")
    ready.set()
    await watch(kraken, portfolio, breaker)
    result = await oms.cancel_all_orders()
    await events.aclose()
    await telling
    print(f"cancelled, proven: {result.proven}")
    return 1 if result.proven else 4


# --- the exchanges -------------------------------------------------------------------------------------


async def admin(endpoint: str, name: str, **body: Any) -> Any:
    """Set or show what is true on a simulated exchange."""
    method = "POST" if body else "GET"
    async with aiohttp.ClientSession() as http, http.request(method, f"{endpoint}/_sim/{name}", json=body) as reply:
        reply.raise_for_status()
        return await reply.json()


async def count(endpoints: Iterable[str]) -> None:
    """Show how many orders there are, by the exchanges themselves."""
    states = [await admin(endpoint, "state") for endpoint in endpoints]
    print(f"orders in the exchanges' own books: {sum(state['open_order_count'] for state in states)}")


async def lose(endpoint: str, ready: asyncio.Event) -> None:
    """The bots lose on the spot account, step by step; 4,000 lie on the other one."""
    await ready.wait()
    for worth in LOSSES:
        await asyncio.sleep(0.5)  # for whoever watches
        await admin(endpoint, "balance", asset="USDT", amount=str(worth - 4_000))


async def play(processes: Iterable[SimulatedVenueProcess]) -> int:
    """Orders of bots on both exchanges, losses on one, and the guard."""
    spot, perp = (process.endpoint for process in processes)
    for endpoint, symbol, number in ((spot, "BTC/USDT", 3), (perp, "PF_XBTUSD", 2)):
        await admin(endpoint, "order", symbol=symbol, side="sell", quantity="0.001", price="90000", count=number)
    await count((spot, perp))
    ready = asyncio.Event()
    kraken = KrakenSpotAdapter(API_KEY, API_SECRET, endpoint=spot)
    futures = KrakenPerpAdapter(API_KEY, API_SECRET, endpoint=perp)
    try:
        code, _ = await asyncio.gather(guard(kraken, futures, ready), lose(spot, ready))
    finally:
        await asyncio.gather(kraken.close(), futures.close())
    await count((spot, perp))
    return code


async def main() -> int:
    """Start the exchanges, play, and end them."""
    processes = [await SimulatedVenueProcess.start(kind) for kind in ("kraken", "krakenfutures")]
    try:
        return await play(processes)
    finally:
        for process in processes:
            await process.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
