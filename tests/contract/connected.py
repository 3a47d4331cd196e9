"""A simulated venue in this process, and an adapter connected to it over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from adapters.base import Market, OrderScope, VenueAdapter
from adapters.budget import Budget
from adapters.lane import Pacer
from adapters.registry import build_adapter
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer
from adapters.venue import VenueSettings
from risk_daemon.model.clock import SystemClock

MARKETS = {
    "kraken": frozenset({Market.SPOT, Market.MARGIN}),
    "krakenfutures": frozenset({Market.PERP}),
}
SYMBOLS = {"kraken": "BTC/USDT", "krakenfutures": "PF_XBTUSD"}


@dataclass
class Venue:
    """A running simulated venue, and an adapter that talks to it."""

    kind: str
    server: VenueServer
    adapter: VenueAdapter
    settings: VenueSettings

    @property
    def scope(self) -> OrderScope:
        (scope,) = self.adapter.scopes
        return scope

    def admin(self, name: str, method: str = "POST", **body: Any) -> dict[str, Any]:
        """What `/_sim/<name>` does, without the trip."""
        answer = self.server.admin.handle(method, name, body, self.server._now())
        self.server.publish()
        return answer

    def place(self, **order: Any) -> None:
        self.admin("order", symbol=SYMBOLS[self.kind], side="sell", quantity="0.001", **order)

    def place_all_sorts(self) -> None:
        self.place(type="limit", price="90000", client_order_id="bot-1")
        self.place(type="stop", trigger_price="50000", reduce_only=self.kind == "krakenfutures")
        self.place(type="limit", price="91000")


@asynccontextmanager
async def connected(kind: str, **options: Any) -> AsyncIterator[Venue]:
    """A venue of `kind` and its adapter. options: of the server."""
    server = VenueServer(kind, **options)
    await server.start()
    settings = VenueSettings(kind, kind, MARKETS[kind], server.endpoint, api_key=API_KEY, secret=API_SECRET)
    adapter = build_adapter(settings, SystemClock())
    without_pauses(adapter)
    try:
        await adapter.connect()
        yield Venue(kind, server, adapter, settings)
    finally:
        await adapter.close()
        await server.stop()


def without_pauses(adapter: Any) -> None:
    """ccxt sleeps when it is closed, and the limiters keep a pace that these servers don't ask for."""
    adapter._client.timeout_on_exit = 0
    adapter._shell.pacer = Pacer(SystemClock(), float("inf"))
    adapter._shell.budget = Budget((), SystemClock())
