"""What outlives a process: the store, the event log, the locks that others read. With their faults.

A disk does its jobs in order. A process that is killed takes the jobs with it that were not begun.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.journals import LogJournal
from risk_daemon.state.latch import LATCH
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.store.sqlite import SqliteStore, write_documents
from tests.simulated.virtual_time import Timeline

_MIGRATIONS = Path(__file__).parents[2] / "risk_daemon" / "state" / "store" / "migrations" / "sqlite"
GATE_VALID_S = 1.0
_WRITES = 3  # a store's job with so many arguments writes; reading is not made to fail here


class Illness:
    """How a disk behaves now. broken: every job fails. hang: no job ends. noise: the chance of one going wrong."""

    def __init__(self, rng: random.Random) -> None:
        self.broken = False
        self.hangs = False
        self.noise = 0.0
        self._rng = rng

    def is_well(self) -> bool:
        return not (self.broken or self.hangs or self.noise)

    def draw(self) -> tuple[float, str]:
        """(seconds the job takes, "" or "fails" or "fails after")."""
        if self.broken:
            return 0.0, "fails"
        if self.noise and self._rng.random() < self.noise:
            return self._rng.choice((0.0, 0.3, 1.5, 6.0)), self._rng.choice(("", "", "fails", "fails after"))
        return 0.0, ""


class Disk:
    """Runs jobs one after the other, each taking its time. See risk_daemon.state.worker.Run."""

    def __init__(self, illness: Illness) -> None:
        self._illness = illness
        self._tail: asyncio.Task[Any] | None = None
        self.is_dead = False

    async def run(self, job: Callable[..., Any], /, *args: Any) -> Any:
        """A waiter that is cancelled stops waiting; the job is done all the same."""
        delay_s, outcome = self._illness.draw()
        if self._tail is None and delay_s == 0 and not self._illness.hangs:
            return self._do(job, args, outcome)
        task = asyncio.get_running_loop().create_task(self._later(job, args, delay_s, outcome, self._tail))
        self._tail = task
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def _later(
        self, job: Callable[..., Any], args: Any, delay_s: float, outcome: str, before: asyncio.Task[Any] | None
    ) -> Any:
        if before is not None:
            await asyncio.wait({before})
        while self._illness.hangs:  # noqa: ASYNC110 - it outlives this loop, so it can hold no event of it
            await asyncio.sleep(0.5)
        await asyncio.sleep(delay_s)
        return self._do(job, args, outcome)

    def _do(self, job: Callable[..., Any], args: Any, outcome: str) -> Any:
        if outcome == "fails" or self.is_dead:
            raise RecordError("no space left on device")
        result = job(*args)
        if outcome == "fails after":
            raise RecordError("input/output error")
        return result

    def _forget(self, task: asyncio.Task[Any]) -> None:
        if self._tail is task:
            self._tail = None
        if not task.cancelled():
            task.exception()


class MemoryStore:
    """The product's store on a database that lives as long as the world does."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for script in sorted(_MIGRATIONS.glob("*.sql")):
            self.connection.executescript(script.read_text("utf-8"))
        self.is_set_up = False
        self.has_baseline = False
        self.latch: Mapping[str, Any] | None = None

    def set_up(self, documents: Mapping[str, Any]) -> None:
        """What `init` does."""
        write_documents(Path("state.db"), self.connection, documents)
        self.is_set_up = True
        self.latch = documents[LATCH]

    def open(self, disk: Disk) -> WatchedStore:
        return WatchedStore(self, disk)


class WatchedStore(SqliteStore):
    """Notes which latch is on disk."""

    def __init__(self, durable: MemoryStore, disk: Disk) -> None:
        super().__init__(Path("state.db"), durable.connection, self._watched)
        self._durable = durable
        self._disk = disk

    async def _watched(self, job: Callable[..., Any], /, *args: Any) -> Any:
        if len(args) < _WRITES:
            return job(*args)
        return await self._disk.run(self._note, job, args)

    def _note(self, job: Callable[..., Any], args: Any) -> Any:
        result = job(*args)
        for key, text in args[2]:
            if key == LATCH:
                self._durable.latch = json.loads(text)
            elif key == "baselines":
                document = json.loads(text)
                self._durable.has_baseline = None not in (document["capital"], document["day"])
        return result

    async def close(self) -> None:
        """The database outlives the process."""


class SimJournal(LogJournal):
    """The product's journal on a simulated disk."""

    def __init__(self, log: EventLog, disk: Disk) -> None:
        super().__init__(log, disk)  # type: ignore[arg-type]


class SimLock:
    """A shared lock store of others: it may fail or hang. `broken` while it does."""

    name = "shared store"

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.record = LockRecord(locked=True, cause="absent")
        self.stamp_mono = float("-inf")
        self.broken = False
        self.hangs = False
        self.is_dead = False

    async def write(self, record: LockRecord, now: Instant) -> None:
        await self._work()
        self.record, self.stamp_mono = record, now.mono

    async def refresh(self, now: Instant) -> bool:
        await self._work()
        self.stamp_mono = now.mono
        return True

    async def _work(self) -> None:
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.01)
        if self.broken or self.is_dead:
            raise RecordError("the lock store does not answer")


class SimGate:
    """The gate's memory map: shut unless it says open and was stamped within the last second."""

    def __init__(self, timeline: Timeline, on_write: Callable[[LockRecord], None]) -> None:
        self._timeline = timeline
        self._on_write = on_write
        self.record = LockRecord(locked=True, cause="starting")
        self.stamp_mono = float("-inf")
        self.owner: object = None

    def is_open(self) -> bool:
        age_s = self._timeline.mono - self.stamp_mono
        return not self.record.locked and 0 <= age_s <= GATE_VALID_S

    def held_by(self, owner: object) -> OwnedGate:
        """Shut it, as every start does, and give the owner's hand on it; hands of earlier owners are dead."""
        self.owner = owner
        self.record = LockRecord(locked=True, cause="starting")
        return OwnedGate(self, owner)

    def put(self, record: LockRecord, now: Instant) -> None:
        self.record, self.stamp_mono = record, now.mono
        self._on_write(record)


class OwnedGate:
    """One process's writer of the gate. See daemon.GateMap."""

    def __init__(self, gate: SimGate, owner: object) -> None:
        self._gate = gate
        self._owner = owner

    def write(self, record: LockRecord, now: Instant) -> None:
        if self._gate.owner is self._owner:
            self._gate.put(record, now)

    def stamp(self, now: Instant) -> None:
        if self._gate.owner is self._owner:
            self._gate.stamp_mono = now.mono

    def look(self, now: Instant) -> str | None:
        """Nobody touches it here."""
        return None
