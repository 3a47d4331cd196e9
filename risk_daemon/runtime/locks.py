"""The gate where others read it: the memory map in the same turn, the other locks beside everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import structlog

from risk_daemon.errors import RecordError
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import Instant
from risk_daemon.runtime.ports import GateMap
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.lock.base import LockRecord, LockStore

_LOG = structlog.get_logger(__name__)


def _record(gate: GateState, now: Instant) -> LockRecord:
    return LockRecord(gate.locked, gate.cause or "", gate.trip_id, gate.since_wall or now.wall, gate.until_wall)


class Locks:
    """Keeps them all at what the gate is. timeout_s: of each write."""

    def __init__(self, gate_map: GateMap, stores: Sequence[LockStore], tasks: Tasks, timeout_s: float) -> None:
        self._gate_map = gate_map
        self._stores = stores
        self._tasks = tasks
        self._timeout_s = timeout_s
        self._writes: set[asyncio.Task[None]] = set()

    def put(self, gate: GateState, now: Instant) -> None:
        """Put the gate in force."""
        self.put_map(gate, now)
        self.put_others(gate, now)

    def put_map(self, gate: GateState, now: Instant) -> None:
        """Put it in force for whoever reads the memory map: that is done on return."""
        self._gate_map.write(_record(gate, now), now)

    def put_others(self, gate: GateState, now: Instant) -> None:
        """Put it in force in the other locks, beside everything else."""
        record = _record(gate, now)
        self._writes = {
            self._tasks.spawn(self._write(store, record, now), f"lock {store.name}") for store in self._stores
        }

    async def written(self) -> None:
        """Give the locks a moment to be written; each has its own timeout."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=self._timeout_s)

    def refresh(self, now: Instant) -> None:
        """Say again that the gate is open, before the last word on it runs out."""
        for store in self._stores:
            self._tasks.spawn(self._refresh(store, now), f"refresh {store.name}")

    def stamp(self, now: Instant) -> None:
        """Say in the memory map that the guard looked now."""
        self._gate_map.stamp(now)

    def inspect(self, now: Instant) -> None:
        """Nobody else writes to the memory map: what is not ours was done by mistake, or to open it."""
        found = self._gate_map.look(now)
        if found is not None:
            _LOG.critical("gate_changed", found=found)

    async def _write(self, store: LockStore, record: LockRecord, now: Instant) -> None:
        error = await self._error_of(store.write(record, now))
        if error is not None:
            _LOG.critical("lock_write_failed", lock=store.name, locked=record.locked, error=error)

    async def _refresh(self, store: LockStore, now: Instant) -> None:
        error = await self._error_of(store.refresh(now))
        if error is not None:
            _LOG.error("lock_refresh_failed", lock=store.name, error=error)

    async def _error_of(self, writing: Awaitable[None]) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await writing
        except (RecordError, TimeoutError) as error:
            return str(error)
        return None
