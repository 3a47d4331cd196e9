"""Carrying a decision out. The gate moves first, in the same turn; then everything starts at once.

Sweep, latch, log and locks wait for nobody: a hanging disk does not delay a cancel, and a hanging venue
does not delay the latch. What can't be written down is shouted, and acted on all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from risk_daemon.engine.decision import (
    Action,
    Decision,
    Finish,
    KeepSample,
    ReadNow,
    SaveHalts,
    SaveLatch,
    SetGate,
    StartSweep,
)
from risk_daemon.errors import RecordError
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import RiskEvent, StoreChecked
from risk_daemon.runtime.ports import DaemonSettings, Parts
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.latch import LATCH, latch_document
from risk_daemon.state.lock.base import LockRecord, LockStore
from risk_daemon.state.log_anchor import ANCHOR

HALTS = "halts"
_LOG = structlog.get_logger(__name__)


class Effects:
    """The engine's hands. `finish` is told when the process should end."""

    def __init__(self, parts: Parts, settings: DaemonSettings, tasks: Tasks, finish: Callable[[Finish], None]) -> None:
        self._parts = parts
        self._settings = settings
        self._tasks = tasks
        self._finish = finish
        self._journal_tail: asyncio.Task[None] | None = None
        self._lock_writes: set[asyncio.Task[None]] = set()
        self._store_error: str | None = None
        self.latch_saved: asyncio.Task[None] | None = None
        self.halts_saved: asyncio.Task[bool] | None = None

    def carry_out(self, decision: Decision) -> None:
        """Start everything the decision asks for. Returns at once."""
        for action in decision.actions:
            if isinstance(action, SetGate):
                self.set_gate(action.gate, decision.now)
        for action in decision.actions:
            self._act(action)
        if decision.records:
            self.write_down(decision.records, decision.now, durable=decision.before is not decision.after)

    def _act(self, action: Action) -> None:
        match action:
            case StartSweep():
                self._tasks.spawn(self._sweep(action), f"sweep {action.trip_id}")
            case SaveLatch():
                self.latch_saved = self._tasks.spawn(self._save_latch(action, self.latch_saved), "latch")
            case SaveHalts():
                self.halts_saved = self._tasks.spawn(self._save_halts(action), "halts")
            case ReadNow():
                self._read_now(action)
            case KeepSample():
                self._tasks.spawn(self._keep_sample(action), "sample")
            case Finish():
                self._finish(action)
            case SetGate():
                return

    # --- gate and locks ----------------------------------------------------------------------------

    def set_gate(self, gate: GateState, now: Instant) -> None:
        """Put the gate in force: the memory map now, the other locks beside everything else."""
        record = LockRecord(gate.locked, gate.cause or "", gate.trip_id, gate.since_wall or now.wall, gate.until_wall)
        self._parts.gate_map.write(record, now)
        self._lock_writes = {
            self._tasks.spawn(self._write_lock(lock, record, now), f"lock {lock.name}") for lock in self._parts.locks
        }

    def shut(self, cause: str, now: Instant) -> None:
        """Shut the gate without asking anybody. A trip that it is shut for stays written on it."""
        trip = self._parts.engine.trip
        shut = GateState(locked=True, cause=cause, since_wall=now.wall)
        if trip is not None:
            shut = GateState(True, trip.cause, trip.trip_id, trip.since_wall, trip.until_wall)
        self.set_gate(shut, now)

    async def locks_written(self) -> None:
        """Give the locks a moment to be written; each has its own timeout."""
        if self._lock_writes:
            await asyncio.wait(self._lock_writes, timeout=self._settings.lock_timeout_s)

    def refresh_locks(self, now: Instant) -> None:
        """Say again that the gate is open, before the last word on it runs out."""
        for lock in self._parts.locks:
            self._tasks.spawn(self._refresh_lock(lock, now), f"refresh {lock.name}")

    async def _write_lock(self, lock: LockStore, record: LockRecord, now: Instant) -> None:
        try:
            async with asyncio.timeout(self._settings.lock_timeout_s):
                await lock.write(record, now)
        except (RecordError, TimeoutError) as error:
            _LOG.critical("lock_write_failed", lock=lock.name, locked=record.locked, error=str(error))

    async def _refresh_lock(self, lock: LockStore, now: Instant) -> None:
        try:
            async with asyncio.timeout(self._settings.lock_timeout_s):
                await lock.refresh(now)
        except (RecordError, TimeoutError) as error:
            _LOG.error("lock_refresh_failed", lock=lock.name, error=str(error))

    # --- venues ------------------------------------------------------------------------------------

    async def _sweep(self, action: StartSweep) -> None:
        await self._parts.orders.cancel_all_orders(trip_id=action.trip_id, locked_mono=action.locked_mono)

    def _read_now(self, action: ReadNow) -> None:
        for name, feed in self._parts.feeds.items():
            if action.venues is None or name in action.venues:
                self._tasks.spawn(feed.read_now(action.kinds, urgent=True), f"read {name}")

    # --- what is written down ----------------------------------------------------------------------

    def documents(self) -> dict[str, Any]:
        """Everything that is persisted besides the latch."""
        feeds = {name: {"flows_since_wall": feed.flows_since_wall} for name, feed in self._parts.feeds.items()}
        return {**self._parts.engine.snapshot(), "feeds": feeds, ANCHOR: self._parts.journal.anchor()}

    async def save_documents(self) -> bool:
        """Persist them, and tell the engine how that went. False, and shouted, when it failed."""
        error = await self._try_to_save()
        if error is not None:
            _LOG.error("state_save_failed", error=error)
        if error != self._store_error:
            self._store_error = error
            self._parts.inbox.put(StoreChecked(error))
        return error is None

    async def _try_to_save(self) -> str | None:
        saving = asyncio.ensure_future(self._parts.store.save(self.documents()))
        saving.add_done_callback(_look_at)  # the daemon may end before we do
        await asyncio.wait({saving}, timeout=self._settings.call_timeout_s)
        if not saving.done():
            saving.cancel()
            return "the store does not answer"
        error = saving.exception()
        if error is not None and not isinstance(error, RecordError):
            raise error
        return None if error is None else str(error)

    async def _save_latch(self, action: SaveLatch, before: asyncio.Task[None] | None) -> None:
        """Until it is durable, in the order of the trips. Acting never waits for this; ending does."""
        if before is not None:
            await asyncio.wait({before})
        document = latch_document(action.latch, self._parts.clock.now())
        while True:
            try:
                documents = self.documents()
                await self._parts.store.save({**documents, LATCH: {**document, ANCHOR: documents[ANCHOR]}})
                return
            except RecordError as error:
                _LOG.critical("latch_save_failed", error=str(error))
                await asyncio.sleep(self._settings.retry_every_s)

    async def latch_is_durable(self) -> bool:
        """Wait for it until the trip's deadline. True where there is nothing to save."""
        if self.latch_saved is None:
            return True
        engine = self._parts.engine
        left_s = engine.settings.cancel_deadline_s
        if engine.trip is not None:
            left_s -= self._parts.clock.now().mono - engine.trip.since_mono
        await asyncio.wait({self.latch_saved}, timeout=max(left_s, self._settings.retry_every_s))
        return self.latch_saved.done() and self.latch_saved.exception() is None

    async def _save_halts(self, action: SaveHalts) -> bool:
        """False, and shouted, when they would not survive a restart."""
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                await self._parts.store.save({HALTS: action.document})
        except (RecordError, TimeoutError) as error:
            _LOG.critical("halts_save_failed", error=str(error) or "the store does not answer")
            return False
        return True

    async def halts_are_durable(self) -> bool:
        """Wait for what was asked for last. True where nothing was."""
        return self.halts_saved is None or await asyncio.shield(self.halts_saved)

    async def _keep_sample(self, action: KeepSample) -> None:
        """A point of the history that is lost is a gap in a plot, and no more."""
        try:
            await self._parts.store.append_sample(action.sample.document())
        except RecordError as error:
            _LOG.error("sample_not_kept", error=str(error))

    def write_down(self, records: Sequence[RiskEvent], now: Instant, *, durable: bool) -> None:
        """Put events into the log, in order, without waiting."""
        work = self._append(records, now.wall, durable, self._journal_tail)
        self._journal_tail = self._tasks.spawn(work, "journal")

    async def _append(
        self, records: Sequence[RiskEvent], wall: float, durable: bool, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        try:
            await self._parts.journal.append(records, wall, durable=durable)
        except RecordError as error:
            names = [record.name.value for record in records]
            _LOG.critical("event_log_failed", error=str(error), events=names)

    async def put_risk(self, document: dict[str, Any], now: Instant) -> None:
        """Write `risk.json`, where there is one."""
        if self._parts.risk is None:
            return
        try:
            await self._parts.risk.write(document, now)
        except RecordError as error:
            _LOG.error("risk_file_failed", error=str(error))

    async def flush(self, risk_document: dict[str, Any]) -> None:
        """Give what is being written a moment; a hanging disk must not keep us."""
        limit_s = self._settings.stop_within_s
        writing: list[Awaitable[Any]] = []
        if self._journal_tail is not None:
            writing.append(asyncio.wait({self._journal_tail}, timeout=limit_s))
        if self._parts.engine.is_started:
            writing.append(asyncio.wait_for(self.save_documents(), limit_s))
        writing.append(self.locks_written())
        writing.append(asyncio.wait_for(self.put_risk(risk_document, self._parts.clock.now()), limit_s))
        for outcome in await asyncio.gather(*writing, return_exceptions=True):
            if isinstance(outcome, Exception):
                _LOG.error("last_write_failed", error=repr(outcome))
        await self._anchor_log()

    async def _anchor_log(self) -> None:
        """Keep where the log ends, once its last line is on disk: one that is cut after this is found."""
        try:
            async with asyncio.timeout(self._settings.stop_within_s):
                await self._parts.journal.append((), self._parts.clock.now().wall, durable=True)
                await self._parts.store.save({ANCHOR: self._parts.journal.anchor()})
        except (RecordError, TimeoutError) as error:
            _LOG.error("log_not_anchored", error=str(error) or "the disk does not answer")


def _look_at(ended: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is no surprise to the loop."""
    if not ended.cancelled():
        ended.exception()
