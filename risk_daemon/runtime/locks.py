"""The gate where others read it: the memory map in the same turn, the other locks beside everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, Noted, RiskEvent
from risk_daemon.model.status import LockStoreStatus
from risk_daemon.runtime.ports import GateMap
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.lock.base import LockRecord, LockStore

# A server that restarts, or another process that has just ended, is no news.
TELL_AFTER_S = 5.0

_LOG = structlog.get_logger(__name__)


def _record(gate: GateState, now: Instant) -> LockRecord:
    return LockRecord(gate.locked, gate.cause or "", gate.trip_id, gate.since_wall or now.wall, gate.until_wall)


class _Kept:
    """One store, and how writing to it goes. Moments on the clock of the turns."""

    def __init__(self, store: LockStore) -> None:
        self.store = store
        self.written_mono: float | None = None
        self.failing_mono: float | None = None
        self.error: str | None = None
        self.is_told = False

    def went(self, error: str | None, now: Instant) -> bool:
        """How a try went that began at `now`. True where it is the first to fail since one succeeded."""
        is_overtaken = self.written_mono is not None and now.mono < self.written_mono
        if error is not None and is_overtaken:
            return False
        is_new = error is not None and self.failing_mono is None
        self.error = error
        if error is None:
            self.written_mono, self.failing_mono = now.mono, None
        elif is_new:
            self.failing_mono = now.mono
        return is_new

    def status(self, now_mono: float) -> LockStoreStatus:
        written, failing = self.written_mono, self.failing_mono
        return LockStoreStatus(
            name=self.store.name,
            written_s=None if written is None else max(0.0, now_mono - written),
            failing_s=None if failing is None else max(0.0, now_mono - failing),
            reason=self.error,
        )

    def news(self, now_mono: float) -> RiskEvent | None:
        """What is to be told of it: once that it fails, and once that it does no more."""
        failing = self.failing_mono
        if not self.is_told and failing is not None and now_mono - failing >= TELL_AFTER_S:
            self.is_told = True
            return RiskEvent(EventName.LOCK_UNWRITABLE, {"lock": self.store.name, "error": self.error})
        if self.is_told and failing is None:
            self.is_told = False
            return RiskEvent(EventName.LOCK_WRITABLE, {"lock": self.store.name})
        return None


class Locks:
    """Keeps them all at what the gate is. timeout_s: of each write. tell: is told where one can't be written.

    One that can't be written shuts nobody else's: whoever reads it finds no fresh `open` there, and is locked out.
    """

    def __init__(
        self,
        gate_map: GateMap,
        stores: Sequence[LockStore],
        tasks: Tasks,
        timeout_s: float,
        tell: Callable[[Noted], None] = lambda _event: None,
    ) -> None:
        self._gate_map = gate_map
        self._kept = [_Kept(store) for store in stores]
        self._tasks = tasks
        self._timeout_s = timeout_s
        self._tell = tell
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
            self._tasks.spawn(self._write(kept, record, now), f"lock {kept.store.name}") for kept in self._kept
        }

    async def written(self) -> None:
        """Give the locks a moment to be written; each has its own timeout."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=self._timeout_s)

    def refresh(self, now: Instant) -> None:
        """Say again what the gate is, before the last word on it runs out or gets lost."""
        for kept in self._kept:
            self._tasks.spawn(self._refresh(kept, now), f"refresh {kept.store.name}")
            news = kept.news(now.mono)
            if news is not None:
                self._tell(Noted(news))

    def status(self, now_mono: float) -> tuple[LockStoreStatus, ...]:
        """How writing to each goes."""
        return tuple(kept.status(now_mono) for kept in self._kept)

    def stamp(self, now: Instant) -> None:
        """Say in the memory map that the guard looked now."""
        self._gate_map.stamp(now)

    def inspect(self, now: Instant) -> None:
        """Nobody else writes to the memory map: what is not ours was done by mistake, or to open it."""
        found = self._gate_map.look(now)
        if found is not None:
            _LOG.critical("gate_changed", found=found)

    async def _write(self, kept: _Kept, record: LockRecord, now: Instant) -> None:
        error = None
        try:
            async with asyncio.timeout(self._timeout_s):
                await kept.store.write(record, now)
        except Exception as failure:  # whatever a store raises, no guard ends by that
            error = _words(failure)
        kept.went(error, now)
        if error is not None:
            _LOG.critical("lock_write_failed", lock=kept.store.name, locked=record.locked, error=error)

    async def _refresh(self, kept: _Kept, now: Instant) -> None:
        has_written, error = False, None
        try:
            async with asyncio.timeout(self._timeout_s):
                has_written = await kept.store.refresh(now)
        except Exception as failure:  # whatever a store raises, no guard ends by that
            error = _words(failure)
        if (has_written or error is not None) and kept.went(error, now):
            _LOG.error("lock_refresh_failed", lock=kept.store.name, error=error)


def _words(failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return str(failure) or "it did not answer in time"
    return str(failure) or type(failure).__name__
