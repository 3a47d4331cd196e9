"""What a daemon is made of, seen from the daemon: the ports to venues, disks and people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.base import VenueAdapter
from oms import OrderManager
from risk_daemon.engine.engine import Engine
from risk_daemon.model.clock import Clock, Instant
from risk_daemon.model.events import Kind, RiskEvent
from risk_daemon.model.status import SweepStatus
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.runtime.open_orders import OpenOrders
from risk_daemon.runtime.recent import Recent
from risk_daemon.state.lock.base import LockRecord, LockStore
from risk_daemon.state.store.base import JsonObject, Store


class Feed(Protocol):
    """What brings a venue's readings into the inbox, for ever."""

    @property
    def flows_since_wall(self) -> float:
        """When the ledger was last listed whole."""
        ...

    async def run(self) -> None: ...

    async def read_now(self, kinds: frozenset[Kind], *, urgent: bool = True) -> None: ...


class GateMap(Protocol):
    """The lock in shared memory: written in the same turn, without waiting."""

    def write(self, record: LockRecord, now: Instant) -> None: ...

    def stamp(self, now: Instant) -> None: ...

    def look(self, now: Instant) -> str | None:
        """Mend what somebody else made of it; a sentence for what was found, once."""
        ...


class Journal(Protocol):
    """Where events are written down, in order; must not block the loop."""

    def anchor(self) -> Mapping[str, Any]:
        """How far it is on disk for certain, as a document of the store."""
        ...

    async def append(self, events: Sequence[RiskEvent], wall: float, *, durable: bool) -> None: ...


class RiskWriter(Protocol):
    """Where the present figures are put for programs that read a file."""

    def due(self, now: Instant) -> bool: ...

    async def write(self, document: Mapping[str, Any], now: Instant) -> None: ...


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """Times in seconds."""

    tick_every_s: float = 0.2
    persist_every_s: float = 5.0
    check_store_every_s: float = 15.0
    lock_timeout_s: float = 1.0
    call_timeout_s: float = 10.0
    first_start_within_s: float = 60.0
    retry_every_s: float = 0.5
    stop_within_s: float = 5.0
    watchdog_every_s: float = 1.0
    alive_within_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a daemon is made of. The feeds and the order manager emit into `inbox`.

    beside: documents of others, by key, each as it is now: they are saved with the daemon's own and with the latch.
    swept_before: what the last sweep of the trip that stands proved, in an earlier run.
    """

    engine: Engine
    inbox: Inbox
    adapters: Mapping[str, VenueAdapter]
    feeds: Mapping[str, Feed]
    orders: OrderManager
    store: Store
    gate_map: GateMap
    locks: Sequence[LockStore]
    journal: Journal
    clock: Clock
    risk: RiskWriter | None = None
    notify: Callable[[str], None] = lambda _message: None
    open_orders: OpenOrders = field(default_factory=OpenOrders)
    recent: Recent = field(default_factory=Recent)
    beside: Mapping[str, Callable[[], JsonObject]] = field(default_factory=dict)
    swept_before: SweepStatus | None = None
