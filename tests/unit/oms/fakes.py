"""A venue with an honest order book, and the faults a real one has. Time is the loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from adapters.base import Capabilities, Market, OrderListing, OrderScope
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Order

IGNORES_CANCELLATION_S = 3600.0

SPOT = OrderScope("spot", frozenset({Market.SPOT}))
TRIGGER = OrderScope("trigger", frozenset({Market.SPOT}))
PERP = OrderScope("perp", frozenset({Market.PERP}))


class LoopClock:
    """The clock of a loop whose time is virtual."""

    def now(self) -> Instant:
        mono = asyncio.get_running_loop().time()
        return Instant(mono, 1_700_000_000.0 + mono)


Fault = Callable[[], Awaitable[Any]]


class FakeVenue:
    """Implements what a sweep uses of VenueAdapter. What is in `book` is the truth.

    on_list, on_cancel: by scope name, run instead of the honest answer; a fault that returns None lets
    the honest answer follow.
    """

    markets = frozenset({Market.SPOT, Market.PERP})
    capabilities = Capabilities()

    def __init__(self, name: str, *scopes: OrderScope, latency_s: float = 0.05, by_id: bool = False) -> None:
        self.name = name
        self.scopes: Sequence[OrderScope] = scopes or (SPOT,)
        self.latency_s = latency_s
        self.by_id = by_id
        self.acknowledges_only = False
        self.book: dict[str, dict[str, Order]] = {scope.name: {} for scope in self.scopes}
        self.on_list: dict[str, Fault] = {}
        self.on_cancel: dict[str, Fault] = {}
        self.calls: list[tuple[float, str, str, int]] = []
        self._next_id = 0

    def place(self, scope: str = "spot", *, bot: str | None = None, **fields: Any) -> Order:
        self._next_id += 1
        values = {"symbol": "BTC/USDT", "side": "buy", "order_type": "limit", **fields}
        order = Order(
            venue=self.name, scope=scope, order_id=f"{self.name}-{self._next_id}", client_order_id=bot, **values
        )
        self.book[scope][order.order_id] = order
        return order

    @property
    def open_orders(self) -> list[Order]:
        return [order for orders in self.book.values() for order in orders.values()]

    def verbs(self, scope: str) -> list[str]:
        return [verb for _, verb, name, _ in self.calls if name == scope]

    async def list_orders(self, scope: OrderScope) -> OrderListing:
        requested_mono = self._note("list", scope, 0)
        answer = await self._fault(self.on_list, scope)
        if answer is not None:
            return answer
        await asyncio.sleep(self.latency_s / 2)
        orders = tuple(self.book[scope.name].values())
        await asyncio.sleep(self.latency_s / 2)
        return OrderListing(self.name, scope.name, requested_mono, orders)

    async def cancel_orders(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        self._note("cancel", scope, len(orders))
        await self._fault(self.on_cancel, scope)
        if self.by_id and not orders:
            return
        await asyncio.sleep(self.latency_s / 2)
        gone = [order.order_id for order in orders] if self.by_id else list(self.book[scope.name])
        self._remove(scope, gone)
        await asyncio.sleep(self.latency_s / 2)

    def _remove(self, scope: OrderScope, order_ids: Sequence[str]) -> None:
        if not self.acknowledges_only:
            for order_id in order_ids:
                self.book[scope.name].pop(order_id, None)

    async def _fault(self, faults: dict[str, Fault], scope: OrderScope) -> Any:
        fault = faults.get(scope.name)
        return await fault() if fault is not None else None

    def _note(self, verb: str, scope: OrderScope, count: int) -> float:
        now_mono = asyncio.get_running_loop().time()
        self.calls.append((now_mono, verb, scope.name, count))
        return now_mono


class SelectiveVenue(FakeVenue):
    """One that can also cancel some orders and leave the others."""

    async def cancel_only(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        self._note("cancel_only", scope, len(orders))
        await asyncio.sleep(self.latency_s)
        self._remove(scope, [order.order_id for order in orders])


def raising(error: Exception) -> Fault:
    async def fault() -> None:
        raise error

    return fault


def answering(answer: object) -> Fault:
    async def fault() -> object:
        return answer

    return fault


class Refusing:
    """Refuses some of the calls it stands for, as a nonce does that a bot shares. wish_s: its Retry-After."""

    def __init__(self, refuses: Callable[[int], bool], wish_s: float | None = None) -> None:
        self._refuses = refuses
        self._wish_s = wish_s
        self._calls = 0

    async def __call__(self) -> None:
        self._calls += 1
        if self._refuses(self._calls):
            raise VenueUnavailable("EAPI:Invalid nonce", self._wish_s)


async def hang() -> None:
    await asyncio.Event().wait()


async def hang_and_ignore_cancellation() -> None:
    """A client that catches its own cancellation and goes on."""
    loop = asyncio.get_running_loop()
    until = loop.time() + IGNORES_CANCELLATION_S
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue
