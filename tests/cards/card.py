"""What the cards know of a simulated venue, and the workshop in which they are played.

A card is one demand on every venue. What differs from venue to venue is data, in `kinds/`: a venue is added by one
file there, and all cards run against it.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from adapters.base import Market, OrderListing, OrderScope, VenueAdapter
from adapters.budget import Budget
from adapters.lane import Pacer
from adapters.registry import build_adapter
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.faults import Call
from adapters.simulated.server import VenueServer
from adapters.simulated.wire.base import Key
from adapters.venue import VenueSettings
from oms.order_manager import OrderManager
from oms.results import SweepResult
from risk_daemon.errors import VenueError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import Order
from tests.cards import kinds

D = Decimal
Body = Mapping[str, Any]
SETTLE_S = 0.02
DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """An error in the venue's own words, and what must become of it."""

    text: str
    becomes: type[VenueError]


@dataclass(frozen=True, kw_only=True)
class CardVenue:
    """One venue as the cards see it.

    kind: its name here and in ccxt. symbols: three markets that plain orders rest in.
    conditional: what the admin face is asked for one order of each kind that is no plain one, without symbol and
    client order id. strategies: the venue's own bots that a call lists; hidden: such that none does.
    perp, inverse: markets of positions. wallet: the one that deposits and withdrawals move, None: the first. neutral:
    two wallets that are both part of the account; outside: (inside, outside), a transfer between which is a flow.
    least_calls: what the venue's own API needs for the proof of CARD-05, each round of listings thrice.
    thirty: for CARD-36, on a venue whose calls may leave side by side. troubles: CARD-14's. pegs: what is worth how
    much, where the venue itself has no price in USDT for what its positions settle in.
    """

    kind: str
    markets: frozenset[Market]
    symbols: tuple[str, str, str]
    conditional: tuple[Body, ...]
    thirty: Sequence[str] = ()
    strategies: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    perp: str | None = None
    inverse: str | None = None
    pegs: Mapping[str, str] = field(default_factory=dict)
    asset: str = "USDT"
    wallet: str | None = None
    neutral: tuple[str, str] | None = None
    outside: tuple[str, str] | None = None
    least_calls: int = 0
    marks_protective: bool = True
    debt: tuple[str, str | None] | None = None
    hedged: bool = False
    balance_field: str = "balance"
    position_field: str = "size"
    streams_orders: bool = True
    key_tells: bool = False
    flow_kinds: tuple[str, ...] = ()
    ages_s: tuple[float, ...] = (8 * DAY_S, 120 * DAY_S)
    troubles: Mapping[str, Trouble] = field(default_factory=dict)


def all_kinds() -> dict[str, CardVenue]:
    """Every venue that has a file in `kinds/`."""
    modules = (
        importlib.import_module(f"{kinds.__name__}.{found.name}") for found in pkgutil.iter_modules(kinds.__path__)
    )
    return {module.VENUE.kind: module.VENUE for module in modules}


@dataclass
class Table:
    """A card's table: one venue, its server and an adapter that talks to it."""

    venue: CardVenue
    server: VenueServer
    adapter: VenueAdapter

    # --- the venue's side ------------------------------------------------------------------------

    def admin(self, name: str, method: str = "POST", **body: Any) -> dict[str, Any]:
        """What `/_sim/<name>` does."""
        answer = self.server.admin.handle(method, name, body, self.server._now())
        self.server.publish()
        return answer

    def mark(self, symbol: str) -> Decimal:
        return self.server.exchange.quotes[self.server.exchange.instrument(symbol).symbol].mark

    def plain(self, symbol: str | None = None, **body: Any) -> list[str]:
        """Sell orders far above the market; the ids."""
        symbol = symbol or self.venue.symbols[0]
        order = {"side": "sell", "type": "limit", "price": str(self.mark(symbol) * 2), "quantity": "1", **body}
        return list(self.admin("order", symbol=symbol, **order)["order_ids"])

    def conditional(self, symbol: str | None = None, **body: Any) -> list[str]:
        """One order of each kind that is no plain one; the ids."""
        symbol = symbol or self.venue.symbols[0]
        trigger = {"side": "sell", "quantity": "1", "trigger_price": str(self.mark(symbol) / 2)}
        rows = [{**trigger, **each, **body} for each in self.venue.conditional]
        return [order_id for row in rows for order_id in self.admin("order", symbol=symbol, **row)["order_ids"]]

    def strategy(self, kind: str, *, every_s: float = 0.2, symbol: str | None = None) -> str:
        """A bot of the venue's own that places an order each `every_s`."""
        symbol = symbol or self.venue.symbols[0]
        order = {"side": "sell", "type": "limit", "price": str(self.mark(symbol) * 2), "quantity": "1"}
        return str(self.admin("bot", symbol=symbol, every_ms=every_s * 1000, strategy=kind, prefix=kind, **order)["id"])

    def fault(self, how: str, target: str = Call.OPEN_ORDERS, **more: Any) -> str:
        return str(self.admin("fault", how=how, target=target, **more)["id"])

    def heal(self) -> None:
        self.admin("fault", "DELETE")

    @property
    def open_ids(self) -> set[str]:
        """The venue's own truth."""
        return set(self.server.exchange.orders)

    @property
    def calls(self) -> int:
        """How many signed calls the venue was asked so far."""
        unsigned = (Call.PRICES, Call.MARKETS, Call.OTHER, Call.WS)
        return sum(row["count"] for call, row in self.server.calls.items() if call not in unsigned)

    # --- our side --------------------------------------------------------------------------------

    async def listings(self) -> list[OrderListing]:
        return [await self.adapter.list_orders(scope) for scope in self.adapter.scopes]

    async def listed(self) -> dict[str, tuple[OrderScope, Order]]:
        """Every order of every scope, by its id."""
        found = [await self.adapter.list_orders(scope) for scope in self.adapter.scopes]
        scopes = zip(self.adapter.scopes, found, strict=True)
        return {order.order_id: (scope, order) for scope, listing in scopes for order in listing.orders}

    async def sweep(self, *, deadline_s: float = 30.0, **settings: Any) -> SweepResult:
        """The real sweep, with short waits."""
        manager = OrderManager(
            settle_s=SETTLE_S,
            order_flight_s=0.0,
            lease_s=0.0,
            call_timeout_s=5.0,
            cancel_deadline_s=deadline_s,
            positions=lambda _: self.held,
            **settings,
        )
        if self.venue.markets & {Market.SPOT, Market.MARGIN}:
            manager.add_spot_adapter(self.adapter)
        if Market.PERP in self.venue.markets:
            manager.add_perp_adapter(self.adapter)
        try:
            return await manager.cancel_all_orders()
        finally:
            await manager.stop()

    held: Any = ()


@asynccontextmanager
async def dealt(venue: CardVenue, *, connect: bool = True, paced: bool = False, **server: Any) -> AsyncIterator[Table]:
    """A server of the venue and an adapter on it. paced: by the venue's limits, as the daemon; else there are none."""
    sim = VenueServer(venue.kind, **server)
    await sim.start()
    settings = VenueSettings(
        venue.kind,
        venue.kind,
        venue.markets,
        sim.endpoint,
        api_key=API_KEY,
        secret=API_SECRET,
        password=Key(API_KEY, API_SECRET).passphrase,
    )
    adapter: Any = build_adapter(settings, SystemClock())
    adapter._client.timeout_on_exit = 0
    if not paced:
        adapter._shell.pacer = Pacer(SystemClock(), float("inf"))
        adapter._shell.budget = Budget((), SystemClock())
        sim.admin.handle("POST", "limit", {"ceiling": 1e9, "decay_per_s": 1e9}, 0.0)
    try:
        if connect:
            await adapter.connect()
        yield Table(venue, sim, adapter)
    finally:
        await adapter.close()
        await sim.stop()


async def until(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until it holds; the other side is a server, which sets no event of ours."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it never held"
        await asyncio.sleep(0.002)
