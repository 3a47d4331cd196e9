"""What the tests of the simulated mexc share: a workshop of clients, and one order in each contract book."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import aiohttp
from venue_process import Sim, client_of

from adapters.simulated.server import VenueServer

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


def opened(*, idle_s: float = 0.05) -> VenueServer:
    """A venue whose account has 6,000 USDT in the spot wallet and, for a month, 4,000 in the contract wallet."""
    server = VenueServer("mexc", idle_s=idle_s)
    wall = server.exchange.ledger[0].wall
    server.exchange.transfer("USDT", Decimal(4000), wall, source="spot", target="contract")
    server.exchange.take_notices()
    return server


async def books(sim: Sim, *, age_s: float = 0) -> None:
    """One order in each contract book."""
    await sim.post("order", symbol=PERP, price="50000", quantity="3", client_order_id="bot-7", age_s=age_s)
    for draft in (PLAN, STOP, TRACK):
        await sim.post("order", symbol=PERP, age_s=age_s, **draft)
