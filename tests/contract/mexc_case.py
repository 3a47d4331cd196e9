"""What the tests of the simulated mexc share: a workshop of clients, and one order in each contract book."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from venue_process import Sim, client_of

SWAP = {"type": "swap"}
SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
PLAN = {"type": "stop_limit", "price": "50000", "trigger_price": "51000", "quantity": "3"}
STOP = {"type": "stop", "trigger_price": "40000", "quantity": "3", "book": "stop", "side": "sell", "reduce_only": True}
TRACK = {"type": "trailing_stop", "trigger_price": "55000", "quantity": "3", "side": "sell"}


class Workshop:
    """Makes venues and clients, and clears them away together."""

    def __init__(self) -> None:
        self.http = aiohttp.ClientSession()
        self.clients: list[Any] = []

    async def client(self, endpoint: str, **options: Any) -> Any:
        client = client_of("mexc", endpoint, **options)
        if self.clients:
            client.set_markets_from_exchange(self.clients[0])
        else:
            await client.load_markets()
        self.clients.append(client)
        return client

    async def close(self) -> None:
        await asyncio.gather(self.http.close(), *(client.close() for client in self.clients))


async def books(sim: Sim, *, age_s: float = 0) -> None:
    """One order in each contract book."""
    await sim.post("order", symbol=PERP, price="50000", quantity="3", client_order_id="bot-7", age_s=age_s)
    for draft in (PLAN, STOP, TRACK):
        await sim.post("order", symbol=PERP, age_s=age_s, **draft)
