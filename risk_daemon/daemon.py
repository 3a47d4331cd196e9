"""The shell around the engine: takes events in, carries decisions out, lives and ends properly.

The gate moves first, in the same turn. Then sweep, latch, log and locks all start at once and none waits
for another: a hanging disk does not delay a cancel, and a hanging venue does not delay the latch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from adapters.base import VenueAdapter
from oms import OrderManager
from risk_daemon.clock import Clock, Instant
from risk_daemon.decision import Action, Answer, Decision, Finish, ReadNow, SaveLatch, SetGate, StartSweep
from risk_daemon.engine import Engine
from risk_daemon.errors import ExitCode, RecordError, StartUnavailable, VenueError
from risk_daemon.events import EventName, Input, Kind, Order, RiskEvent, Started, Tick
from risk_daemon.gate import Cause, GateState
from risk_daemon.inbox import Inbox
from risk_daemon.latch import LATCH, latch_document
from risk_daemon.lock.base import LockRecord, LockStore
from risk_daemon.report import report
from risk_daemon.store.base import Store

_LOG = structlog.get_logger(__name__)


class Feed(Protocol):
    """What brings a venue's readings into the inbox, for ever."""

    @property
    def flows_since_wall(self) -> float:
        """When the ledger was last listed whole."""
        ...

    async def run(self) -> None: ...

    async def read_now(self, kinds: frozenset[Kind], *, urgent: bool = True) -> None: ...


class GateMap(Protocol):
    """The lock in a memory map: written in the same turn, without waiting."""

    def write(self, record: LockRecord, now: Instant) -> None: ...

    def stamp(self, now: Instant) -> None: ...


class Journal(Protocol):
    """Where events are written down, in order; must not block the loop."""

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
    lock_timeout_s: float = 1.0
    orders_every_s: float = 15.0
    call_timeout_s: float = 10.0
    first_start_within_s: float = 60.0
    retry_every_s: float = 0.5
    stop_within_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a daemon is made of. The feeds and the order manager emit into `inbox`."""

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
    on_decision: Callable[[Decision], None] = lambda _decision: None
    open_orders: dict[str, tuple[Order, ...]] = field(default_factory=dict)


class Daemon:
    """One run of the guard."""

    def __init__(self, parts: Parts, settings: DaemonSettings | None = None, *, is_first_start: bool = False) -> None:
        self.parts = parts
        self.settings = settings or DaemonSettings()
        self._engine = parts.engine
        self._is_first_start = is_first_start
        self._tasks: set[asyncio.Task[Any]] = set()
        self._questions: dict[int, asyncio.Future[Decision]] = {}
        self._ending: Finish | None = None
        self._failure: BaseException | None = None
        self._latch_saved: asyncio.Task[None] | None = None
        self._journal_tail: asyncio.Task[None] | None = None
        self._is_ready = False
        self._last_tick_mono = float("-inf")
        self._last_persist_mono = float("-inf")
        self._last_watchdog_mono = float("-inf")
        self._wants_persist = False
        self._persisting: asyncio.Task[None] | None = None
        self._started_mono = float("-inf")

    # --- life --------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Guard until something ends it. Raises StartUnavailable, and anything unexpected after shutting the gate."""
        now = self.parts.clock.now()
        self._started_mono = now.mono
        try:
            self._shut("starting" if self._engine.trip is None else self._engine.gate.cause or "locked", now)
            self._turn(Started(), now)
            if not self._is_proven():
                self._start_feeds()
            finish = await self._guard()
            return await self._end(finish)
        except BaseException:
            self._shut("locked", self.parts.clock.now())
            raise
        finally:
            await self._stop_tasks()

    def stop(self) -> None:
        """SIGTERM or SIGINT: end cleanly. Nothing is cancelled by it; a sweep that runs is left unproven."""
        unproven = self._engine.trip is not None and not self._engine.trip.proven
        code = ExitCode.TRIGGERED_UNPROVEN if unproven else ExitCode.STOPPED
        self._finish(Finish(code, "told to stop"))

    def is_alive(self) -> bool:
        """Whether the evaluation loop turned within the last seconds."""
        return self.parts.clock.now().mono - self._last_tick_mono < 5.0

    def is_ready(self) -> bool:
        """Whether the baseline is complete, or a trip is being finished."""
        return self._is_ready

    # --- people ------------------------------------------------------------------------------------

    async def command(self, event: Input) -> Mapping[str, Any]:
        """Put an operator's event through the engine, in its turn."""
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._questions[id(event)] = future
        self.parts.inbox.put(event)
        decision = await asyncio.shield(future)
        if decision.answer is not None and decision.answer.accepted and self._latch_saved is not None:
            await asyncio.wait({self._latch_saved}, timeout=self.settings.call_timeout_s)
        return self._answer(decision)

    def _answer(self, decision: Decision) -> dict[str, Any]:
        answer = decision.answer or Answer(True, "done")
        trip = self._engine.trip
        return {
            "accepted": answer.accepted,
            "reason": answer.reason,
            "state": decision.after.value,
            "trip_id": None if trip is None else trip.trip_id,
        }

    def state(self) -> Mapping[str, Any]:
        """How things stand now, JSON-able."""
        return report(self._engine, self.parts.clock.now(), self.parts.orders.snapshot())

    # --- the loop ----------------------------------------------------------------------------------

    async def _guard(self) -> Finish:
        inbox, clock = self.parts.inbox, self.parts.clock
        wake_mono: float | None = None
        turns = 0
        while self._ending is None:
            now = clock.now()
            wait_s = self._wait_s(now.mono, wake_mono)
            if wait_s > 0 and not len(inbox):
                await inbox.wait(wait_s)
                now = clock.now()
                wait_s = self._wait_s(now.mono, wake_mono)
            event: Input | None = Tick() if wait_s <= 0 else inbox.take()
            if event is None:
                continue
            wake_mono = self._turn(event, now).wake_mono
            turns += 1
            if turns % 32 == 0:
                await asyncio.sleep(0)
            if self._failure is not None:
                raise self._failure
        return self._ending

    def _wait_s(self, now_mono: float, wake_mono: float | None) -> float:
        """Seconds until the engine should look again, whatever happens."""
        due = self._last_tick_mono + self.settings.tick_every_s
        return min(due, due if wake_mono is None else wake_mono) - now_mono

    def _turn(self, event: Input, now: Instant) -> Decision:
        """One event through the engine and out."""
        if isinstance(event, Tick):
            self._last_tick_mono = now.mono
        decision = self._engine.process(event, now)
        self._carry_out(decision)
        self.parts.gate_map.stamp(now)
        question = self._questions.pop(id(event), None)
        if question is not None and not question.done():
            question.set_result(decision)
        self.parts.on_decision(decision)
        self._keep_house(decision)
        return decision

    # --- effects -----------------------------------------------------------------------------------

    def _carry_out(self, decision: Decision) -> None:
        for action in decision.actions:
            if isinstance(action, SetGate):
                self._set_gate(action.gate, decision.now)
        for action in decision.actions:
            self._act(action)
        if decision.records:
            self._write_down(decision.records, decision.now, durable=decision.before is not decision.after)

    def _act(self, action: Action) -> None:
        match action:
            case StartSweep():
                self._spawn(self._sweep(action), f"sweep {action.trip_id}")
            case SaveLatch():
                self._latch_saved = self._spawn(self._save_latch(action, self._latch_saved), "latch")
            case ReadNow():
                self._read_now(action)
            case Finish():
                self._finish(action)
            case SetGate():
                return

    def _set_gate(self, gate: GateState, now: Instant) -> None:
        record = LockRecord(gate.locked, gate.cause or "", gate.trip_id, gate.since_wall or now.wall, gate.until_wall)
        self.parts.gate_map.write(record, now)
        for lock in self.parts.locks:
            self._spawn(self._write_lock(lock, record, now), f"lock {lock.name}")

    def _shut(self, cause: str, now: Instant) -> None:
        """Shut the gate without asking anybody."""
        self._set_gate(GateState(locked=True, cause=cause, since_wall=now.wall), now)

    async def _write_lock(self, lock: LockStore, record: LockRecord, now: Instant) -> None:
        try:
            async with asyncio.timeout(self.settings.lock_timeout_s):
                await lock.write(record, now)
        except (RecordError, TimeoutError) as error:
            _LOG.critical("lock_write_failed", lock=lock.name, locked=record.locked, error=str(error))

    async def _refresh_lock(self, lock: LockStore, now: Instant) -> None:
        try:
            async with asyncio.timeout(self.settings.lock_timeout_s):
                await lock.refresh(now)
        except (RecordError, TimeoutError) as error:
            _LOG.error("lock_refresh_failed", lock=lock.name, error=str(error))

    async def _sweep(self, action: StartSweep) -> None:
        trip = self._engine.trip
        locked_mono = None if trip is None else trip.since_mono
        await self.parts.orders.cancel_all_orders(trip_id=action.trip_id, locked_mono=locked_mono)

    async def _save_latch(self, action: SaveLatch, before: asyncio.Task[None] | None) -> None:
        """Until it is durable, in the order of the trips. Acting never waits for this; ending does."""
        if before is not None:
            await asyncio.wait({before})
        document = latch_document(action.latch, self.parts.clock.now())
        while True:
            try:
                await self.parts.store.save({LATCH: document, **self._documents()})
                return
            except RecordError as error:
                _LOG.critical("latch_save_failed", error=str(error))
                await asyncio.sleep(self.settings.retry_every_s)

    def _read_now(self, action: ReadNow) -> None:
        for name, feed in self.parts.feeds.items():
            if action.venues is None or name in action.venues:
                self._spawn(feed.read_now(action.kinds, urgent=True), f"read {name}")

    def _write_down(self, records: Sequence[RiskEvent], now: Instant, *, durable: bool) -> None:
        self._journal_tail = self._spawn(self._append(records, now.wall, durable, self._journal_tail), "journal")

    async def _append(
        self, records: Sequence[RiskEvent], wall: float, durable: bool, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        try:
            await self.parts.journal.append(records, wall, durable=durable)
        except RecordError as error:
            names = [record.name.value for record in records]
            _LOG.critical("event_log_failed", error=str(error), events=names)

    # --- housekeeping ------------------------------------------------------------------------------

    def _keep_house(self, decision: Decision) -> None:
        now = decision.now
        self._wants_persist = self._wants_persist or decision.persist
        self._report_ready(now)
        if not isinstance(decision.event, Tick):
            return
        self._feed_watchdog(now)
        self._persist(now)
        self._write_risk(now)
        if not self._engine.gate.locked:
            for lock in self.parts.locks:
                self._spawn(self._refresh_lock(lock, now), f"refresh {lock.name}")
        if self._is_first_start and not self._is_ready:
            self._give_up_first_start(now)

    def _report_ready(self, now: Instant) -> None:
        engine = self._engine
        is_latched = engine.trip is not None
        if not self._is_ready and (is_latched or (engine.is_started and engine.baselines.capital is not None)):
            self._is_ready = True
            self.parts.notify("READY=1")

    def _feed_watchdog(self, now: Instant) -> None:
        if now.mono - self._last_watchdog_mono >= 1.0:
            self._last_watchdog_mono = now.mono
            self.parts.notify(f"WATCHDOG=1\nSTATUS={self._status(now)}")

    def _status(self, now: Instant) -> str:
        figures = self._engine.figures(now)
        loss = figures["loss_ratio"]
        cause = self._engine.gate.cause
        text = figures["state"] if loss is None else f"{figures['state']}, loss {loss * 100:.2f} %"
        return f"{text}, gate shut: {cause}" if self._engine.gate.locked else f"{text}, gate open"

    def _persist(self, now: Instant) -> None:
        is_due = now.mono - self._last_persist_mono >= self.settings.persist_every_s
        is_busy = self._persisting is not None and not self._persisting.done()
        if self._wants_persist and is_due and not is_busy and self._engine.is_started:
            self._wants_persist, self._last_persist_mono = False, now.mono
            self._persisting = self._spawn(self._save_documents(), "persist")

    async def _save_documents(self) -> None:
        try:
            await self.parts.store.save(self._documents())
        except RecordError as error:
            self._wants_persist = True
            _LOG.error("state_save_failed", error=str(error))

    def _documents(self) -> dict[str, Any]:
        feeds = {name: {"flows_since_wall": feed.flows_since_wall} for name, feed in self.parts.feeds.items()}
        return {**self._engine.snapshot(), "feeds": feeds}

    def _write_risk(self, now: Instant) -> None:
        risk = self.parts.risk
        if risk is not None and risk.due(now):
            self._spawn(self._put_risk(risk, now), "risk.json")

    async def _put_risk(self, risk: RiskWriter, now: Instant) -> None:
        try:
            await risk.write(self.state(), now)
        except RecordError as error:
            _LOG.error("risk_file_failed", error=str(error))

    def _give_up_first_start(self, now: Instant) -> None:
        if now.mono - self._started_mono >= self.settings.first_start_within_s:
            gaps = ", ".join(self._engine.portfolio.missing() or self._engine.portfolio.unconfirmed())
            raise StartUnavailable(f"no baseline at the first start: still missing {gaps or 'a first baseline'}")

    # --- feeds -------------------------------------------------------------------------------------

    def _start_feeds(self) -> None:
        for name, feed in self.parts.feeds.items():
            self._spawn(feed.run(), f"feed {name}")
            self._spawn(self._watch_orders(name, self.parts.adapters[name]), f"orders {name}")

    async def _watch_orders(self, name: str, adapter: VenueAdapter) -> None:
        """Keep a picture of what is open, so that a sweep can name and count what its first cancel removes."""
        while True:
            if self._engine.connected.get(name) and self._engine.trip is None:
                await self._list_orders(name, adapter)
            await asyncio.sleep(self.settings.orders_every_s if name in self.parts.open_orders else 1.0)

    async def _list_orders(self, name: str, adapter: VenueAdapter) -> None:
        try:
            async with asyncio.timeout(self.settings.call_timeout_s):
                listings = [await adapter.list_orders(scope) for scope in adapter.scopes]
        except (VenueError, TimeoutError) as error:
            _LOG.warning("orders_not_listed", venue=name, error=str(error))
            return
        self.parts.open_orders[name] = tuple(order for listing in listings for order in listing.orders)

    # --- the end -----------------------------------------------------------------------------------

    def _finish(self, finish: Finish) -> None:
        if self._ending is None:
            self._ending = finish
            self.parts.inbox.nudge()

    def _is_proven(self) -> bool:
        return self._engine.trip is not None and self._engine.trip.proven

    async def _end(self, finish: Finish) -> ExitCode:
        """Exit code 1 stands for a durable latch; everything else may end without."""
        code = finish.exit_code
        if code is ExitCode.TRIGGERED_AND_PROVEN and not await self._latch_is_durable():
            code, finish = ExitCode.TRIGGERED_UNPROVEN, Finish(ExitCode.TRIGGERED_UNPROVEN, "the latch is not durable")
        now = self.parts.clock.now()
        gate = self._engine.gate
        self._set_gate(gate if gate.locked else GateState(locked=True, cause=Cause.LOCKED, since_wall=now.wall), now)
        trip = self._engine.trip
        facts = {"exit_code": int(code), "reason": finish.reason, "trip_id": None if trip is None else trip.trip_id}
        self._write_down([RiskEvent(EventName.SYSTEM_SHUTDOWN, facts)], now, durable=True)
        await self._flush()
        self.parts.notify(f"STOPPING=1\nSTATUS={finish.reason}")
        return code

    async def _latch_is_durable(self) -> bool:
        if self._latch_saved is None:
            return True
        left_s = self._engine.settings.cancel_deadline_s
        if self._engine.trip is not None:
            left_s -= self.parts.clock.now().mono - self._engine.trip.since_mono
        await asyncio.wait({self._latch_saved}, timeout=max(left_s, self.settings.retry_every_s))
        return self._latch_saved.done() and self._latch_saved.exception() is None

    async def _flush(self) -> None:
        """Give what is being written a moment; a hanging disk must not keep us."""
        writing: list[Awaitable[Any]] = []
        if self._journal_tail is not None:
            writing.append(asyncio.wait({self._journal_tail}, timeout=self.settings.stop_within_s))
        if self._engine.is_started:
            writing.append(asyncio.wait_for(self._save_documents(), self.settings.stop_within_s))
        if self.parts.risk is not None:
            writing.append(asyncio.wait_for(self._put_risk(self.parts.risk, self.parts.clock.now()), 1.0))
        for outcome in await asyncio.gather(*writing, return_exceptions=True):
            if isinstance(outcome, Exception):
                _LOG.error("last_write_failed", error=str(outcome))

    async def _stop_tasks(self) -> None:
        for question in self._questions.values():
            question.cancel()
        await self.parts.orders.stop()
        tasks = {task for task in self._tasks if not task.done()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self.settings.stop_within_s)
        closing = [asyncio.ensure_future(adapter.close()) for adapter in self.parts.adapters.values()]
        if closing:
            done, late = await asyncio.wait(closing, timeout=self.settings.stop_within_s)
            for task in late:
                task.cancel()
            for task in done:
                if task.exception() is not None:
                    _LOG.warning("venue_close_failed", error=str(task.exception()))

    # --- tasks -------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task that can't die unseen: an unexpected end is the daemon's end, gate shut first."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and self._failure is None:
            self._failure = task.exception()
            self.parts.inbox.nudge()
