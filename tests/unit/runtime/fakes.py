"""What a daemon is put together of, without disks and venues. Time is the loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from oms import VenueVerdict
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import RecordError
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Kind, RiskEvent
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.runtime.ports import Parts
from risk_daemon.state.lock.base import LockRecord
from tests.core_world import SPOT, engine_settings
from tests.unit.oms.fakes import LoopClock

ANCHORED = {"seq": 7, "hash": "h"}
TRIP = {"trip_id": "t-1", "breaker": "manual", "reason": "r", "since_wall": 1.0, "proven": False}


class Faulty:
    """error: every job fails with it. hangs: no job ends."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.hangs = False

    async def _job(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    def breaks(self) -> None:
        self.error = RecordError("no space left on device")


class FakeStore(Faulty):
    """saves: what each save wrote. documents: what is there after all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[Mapping[str, Any]] = []
        self.documents: dict[str, Any] = {}
        self.samples: list[Mapping[str, Any]] = []
        self.trouble: str | None = None

    async def load(self) -> Mapping[str, Any]:
        return self.documents

    async def save(self, documents: Mapping[str, Any]) -> None:
        await self._job()
        self.saves.append(documents)
        self.documents.update(documents)

    async def append_sample(self, document: Mapping[str, Any]) -> None:
        await self._job()
        self.samples.append(document)

    async def load_samples(self) -> Sequence[Mapping[str, Any]]:
        return self.samples

    async def close(self) -> None: ...


class FakeJournal(Faulty):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, bool]] = []
        self.fields: dict[str, Mapping[str, Any]] = {}

    def anchor(self) -> Mapping[str, Any]:
        return ANCHORED

    async def append(self, events: Sequence[RiskEvent], wall: float, *, durable: bool) -> None:
        await self._job()
        for event in events:
            self.written.append((event.name.value, durable))
            self.fields[event.name.value] = event.fields


class FakeGateMap:
    def __init__(self) -> None:
        self.records: list[LockRecord] = []
        self.stamps: list[Instant] = []
        self.found: str | None = None

    def write(self, record: LockRecord, now: Instant) -> None:
        self.records.append(record)

    def stamp(self, now: Instant) -> None:
        self.stamps.append(now)

    def look(self, now: Instant) -> str | None:
        return self.found


class FakeLock(Faulty):
    name = "file"

    def __init__(self) -> None:
        super().__init__()
        self.records: list[LockRecord] = []
        self.refreshed: list[Instant] = []

    async def write(self, record: LockRecord, now: Instant) -> None:
        await self._job()
        self.records.append(record)

    async def refresh(self, now: Instant) -> None:
        await self._job()
        self.refreshed.append(now)


class FakeOrders:
    """An order manager that notes what it is asked, and finds what `verdicts` says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, float | None]] = []
        self.closings: list[tuple[str | None, float | None]] = []
        self.verdicts: dict[str, VenueVerdict] = {}
        self.is_stopped = False

    async def cancel_all_orders(self, *, trip_id: str | None = None, locked_mono: float | None = None) -> None:
        self.asked.append((trip_id, locked_mono))

    async def close_all_positions(self, *, trip_id: str | None = None, locked_mono: float | None = None) -> None:
        self.closings.append((trip_id, locked_mono))

    def snapshot(self) -> Mapping[str, VenueVerdict]:
        return self.verdicts

    async def stop(self) -> None:
        self.is_stopped = True


class FakeFeed(Faulty):
    flows_since_wall = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.hangs = True
        self.asked: list[tuple[frozenset[Kind], bool]] = []

    async def run(self) -> None:
        await self._job()

    async def read_now(self, kinds: frozenset[Kind], *, urgent: bool = True) -> None:
        self.asked.append((kinds, urgent))


class FakeAdapter(Faulty):
    """As much of a venue as the daemon itself asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    async def close(self) -> None:
        await self._job()
        self.is_closed = True


class FakeWriter(Faulty):
    """`risk.json`."""

    def __init__(self, every_s: float = 1.0) -> None:
        super().__init__()
        self.documents: list[Mapping[str, Any]] = []
        self._every_s = every_s
        self._asked_mono = float("-inf")

    def due(self, now: Instant) -> bool:
        is_due = now.mono - self._asked_mono >= self._every_s
        self._asked_mono = now.mono if is_due else self._asked_mono
        return is_due

    async def write(self, document: Mapping[str, Any], now: Instant) -> None:
        await self._job()
        self.documents.append(document)


class TickingClock(LoopClock):
    """The loop's time, and a little later at every look, as real clocks are: what is nearly due becomes due."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> Instant:
        self._looks += 1
        now = super().now()
        return Instant(now.mono + self._looks * 1e-7, now.wall + self._looks * 1e-7)


class Machine:
    """The parts of a guard of one venue, `spot`, each at hand."""

    def __init__(
        self, capital: object = 10_000, *, adapter: FakeAdapter | None = None, engine: Engine | None = None
    ) -> None:
        self.engine = engine or Engine(engine_settings(capital, {"spot": SPOT}))
        self.store, self.journal, self.gate_map, self.lock = FakeStore(), FakeJournal(), FakeGateMap(), FakeLock()
        self.orders, self.feed, self.adapter, self.risk = (
            FakeOrders(),
            FakeFeed(),
            adapter or FakeAdapter(),
            FakeWriter(),
        )
        self.told: list[str] = []
        self.inbox = Inbox()
        orders: Any = self.orders
        given: Any = self.adapter
        self.parts = Parts(
            engine=self.engine,
            inbox=self.inbox,
            adapters={"spot": given},
            feeds={"spot": self.feed},
            orders=orders,
            store=self.store,
            gate_map=self.gate_map,
            locks=[self.lock],
            journal=self.journal,
            clock=TickingClock(),
            risk=self.risk,
            notify=self.told.append,
        )

    @property
    def gate(self) -> LockRecord:
        """What is in the memory map."""
        return self.gate_map.records[-1]


SHUT = GateState(locked=True, cause="manual_halt", trip_id="t-1", since_wall=5.0)
OPEN = GateState(locked=False, since_wall=6.0)
