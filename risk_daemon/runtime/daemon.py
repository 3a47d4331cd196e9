"""The shell around the engine: takes events in, has decisions carried out, lives and ends properly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog

from risk_daemon.engine.decision import Answer, Decision, Finish
from risk_daemon.errors import ExitCode, GuardFailed, RecordError, RiskDaemonError, Stopping
from risk_daemon.gate.restraints import Cause, GateState
from risk_daemon.metrics.counters import Counters
from risk_daemon.model.clock import Instant, boot_usec
from risk_daemon.model.event_names import level_of
from risk_daemon.model.events import (
    ErrorReported,
    EventName,
    HaltRequested,
    Input,
    Noted,
    OrderReported,
    OrdersListed,
    OrdersSeen,
    ReleaseRequested,
    RiskEvent,
    Started,
    Tick,
)
from risk_daemon.model.others_status import FundStatus
from risk_daemon.model.status import LockStoreStatus, Status
from risk_daemon.runtime.dead_men import DeadMen
from risk_daemon.runtime.effects import Effects
from risk_daemon.runtime.event_writer import EventWriter
from risk_daemon.runtime.inbox import Command, Taken
from risk_daemon.runtime.locks import Locks
from risk_daemon.runtime.member import Member
from risk_daemon.runtime.persistence import Persistence
from risk_daemon.runtime.ports import DaemonSettings, Parts
from risk_daemon.runtime.readiness import Readiness
from risk_daemon.runtime.recent import RECENT
from risk_daemon.runtime.risk_export import RiskExport
from risk_daemon.runtime.status import LAST_SWEEP, status_line, status_of, sweep_document
from risk_daemon.runtime.systemd import Systemd
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.log_anchor import ANCHOR

__all__ = ["Daemon", "DaemonSettings", "Parts"]

Listener = Callable[[Decision], None]
Reader = Callable[[Sequence[RiskEvent], float], None]

_LOG = structlog.get_logger(__name__)
_TURNS_BEFORE_OTHERS = 32
_GOOD_ENDS = (ExitCode.STOPPED, ExitCode.TRIGGERED_AND_PROVEN)
_WAITS_FOR_FUND_S = 5.0
_STOPPING = "the daemon is stopping and took nothing in: nothing was done, ask it again when it runs"


class Daemon:
    """One run of the guard."""

    def __init__(self, parts: Parts, settings: DaemonSettings | None = None, *, is_first_start: bool = False) -> None:
        self.parts = parts
        self.settings = settings = settings or DaemonSettings()
        self._engine = parts.engine
        self._tasks = tasks = Tasks(parts.inbox.nudge)
        self._locks = Locks(parts.gate_map, parts.locks, tasks, settings.lock_timeout_s, parts.inbox.put)
        self._events = EventWriter(parts.journal, tasks)
        self._persistence = Persistence(
            parts.store, parts.clock, settings, tasks, documents=self._documents, tell=parts.inbox.put
        )
        self._dead_men = DeadMen(parts.adapters, parts.clock, tasks, emit=parts.inbox.put, symbols=self._symbols)
        self._effects = Effects(
            locks=self._locks,
            persistence=self._persistence,
            events=self._events,
            orders=parts.orders,
            feeds=parts.feeds,
            dead_men=self._dead_men,
            tasks=tasks,
            finish=self._finish,
        )
        self._systemd = Systemd(parts.notify, partial(status_line, parts.engine), settings.watchdog_every_s)
        gives_up_after_s = settings.first_start_within_s if is_first_start else None
        self._readiness = Readiness(parts.engine, parts.clock.now().mono, gives_up_after_s)
        self._risk = RiskExport(parts.risk, self._status, tasks)
        self._listeners: list[Listener] = []
        self.counters = Counters()
        self._readers: list[Reader] = [self.counters.wrote]
        self._leaving: list[Callable[[], Awaitable[None]]] = []
        self._left_to: Callable[[], str | None] = lambda: None
        self._commands: set[Command] = set()
        self.member: Member | None = None
        self._ending: Finish | None = None
        self._held: tuple[Finish, float] | None = None
        self._last_tick_mono = float("-inf")

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` hear of every decision, in its turn; it must not block, nor raise."""
        self._listeners.append(listener)

    def read_along(self, reader: Reader) -> None:
        """Have `reader` hear of all that is written down, with its moment (Unix); it must not block, nor raise."""
        self._readers.append(reader)

    def before_last_words(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` done at the end, while it still can be written down."""
        self._leaving.append(work)

    def leave_switches_to(self, whom: Callable[[], str | None]) -> None:
        """At the end the venues' own switches stay armed where `whom` names who else refreshes them: a timer is shared.

        Asked once leave was taken of them. None: nobody, and they are disarmed.
        """
        self._left_to = whom

    # --- life --------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Guard until something ends it.

        Raises StartUnavailable, GuardFailed in the middle of a trip, and anything unexpected after shutting the gate.
        """
        now = self.parts.clock.now()
        try:
            self._locks.put(self._engine.gate, now)
            self._persistence.look()  # known before any reading: the gate must not open for a moment
            self._turn(Started(), now)
            if self._ending is None:
                self._start_feeds()
            return await self._end(await self._guard())
        except Exception as error:
            self._shut()
            await self._locks.written()
            if isinstance(error, RiskDaemonError) and self._engine.trip is not None:
                raise GuardFailed("the guard failed in the middle of a trip; it must be started again") from error
            raise
        except BaseException:
            self._shut()
            raise
        finally:
            await self._wind_up()

    def stop(self) -> None:
        """SIGTERM or SIGINT: end cleanly. Nothing is cancelled by it; a sweep that runs is left unproven."""
        self._finish(Finish(ExitCode.STOPPED, "told to stop"))

    def is_alive(self) -> bool:
        """Whether the evaluation loop turned within the last seconds, and will go on."""
        return self.has_looked_within(self.settings.alive_within_s)

    def has_looked_within(self, seconds: float) -> bool:
        """Whether time was looked at so lately, and the end has not begun."""
        return self._ending is None and self.parts.clock.now().mono - self._last_tick_mono < seconds

    def unlooked_s(self, now_mono: float) -> float:
        """For how long time was not looked at; infinity before the first look."""
        return now_mono - self._last_tick_mono

    def lock_status(self) -> tuple[LockStoreStatus, ...]:
        """How writing to the locks that others read goes."""
        return self._locks.status(self.parts.clock.now().mono)

    def fund_status(self) -> FundStatus | None:
        """How this guard stands in its fund; None where it is of none."""
        return None if self.member is None else self.member.view()

    @property
    def _owes_the_fund(self) -> bool:
        """Whether a trip of the fund is not known to be in its ledger: also one that began in this very moment."""
        fund = self.fund_status()
        return self._engine.debt.trip_id is not None or (fund is not None and fund.told is False)

    async def save(self) -> bool:
        """Save everything that is persisted besides the latch, now. False when it failed."""
        return await self._persistence.save()

    def is_guarding(self) -> bool:
        """Whether losses are looked for, and were lately: not at the start, and not while a trip is finished."""
        trip = self._engine.trip
        return self.is_alive() and self.is_ready() and (trip is None or trip.is_freeze)

    def is_ready(self) -> bool:
        """Whether the baseline is complete, or a trip is being finished."""
        return self._readiness.is_ready

    def _start_feeds(self) -> None:
        for name, feed in self.parts.feeds.items():
            self._tasks.spawn(feed.run(), f"feed {name}")

    def _shut(self) -> None:
        """Shut the gate without asking anybody. A trip that it is shut for stays written on it."""
        now, trip = self.parts.clock.now(), self._engine.trip
        shut = GateState(locked=True, cause=Cause.LOCKED, since_wall=now.wall)
        if trip is not None:
            shut = GateState(True, trip.cause, trip.trip_id, trip.since_wall, trip.until_wall)
        self._locks.put(shut, now)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """The service manager waits while this lasts; one that waits for the start goes on waiting for that."""
        tells = self.is_ready()
        if tells:
            self._systemd.reloading(boot_usec())
        try:
            yield
        finally:
            if tells and self._ending is None:
                self._systemd.ready()

    # --- people ------------------------------------------------------------------------------------

    async def command(self, event: Input, *, first: Callable[[Decision], None] | None = None) -> Mapping[str, Any]:
        """Put an operator's event through the engine, in its turn. first: see Command.

        Raises Stopping where it will have no turn any more, RecordError for a halt that a restart would forget.
        """
        if self._ending is not None:
            raise Stopping(_STOPPING)
        command = Command(event, asyncio.get_running_loop().create_future(), first)
        self._commands.add(command)
        self.parts.inbox.put(command)
        decision = await asyncio.shield(command.decision)
        answer = decision.answer or Answer(True, "done")
        if answer.accepted:
            await self._persistence.latch_written()
        if isinstance(event, HaltRequested | ReleaseRequested) and not await self._persistence.halts_are_durable():
            raise RecordError(f"{answer.reason}; but it could not be saved: after a restart it must be said again")
        trip = self._engine.trip
        return {
            "accepted": answer.accepted,
            "reason": answer.reason,
            "state": decision.after.value,
            "trip_id": None if trip is None else trip.trip_id,
        }

    async def write_down(self, event: RiskEvent) -> None:
        """Have something that happened beside the engine on disk, and then tell it like what that decides.

        Raises RecordError where it can't be known to be there: then it must not count.
        """
        now = self.parts.clock.now()
        try:
            async with asyncio.timeout(self.settings.stop_within_s):
                await self.parts.journal.append([event], now.wall, durable=True)
        except TimeoutError:
            raise RecordError("the event log can't be written: the disk does not answer") from None
        self._read_out([event], now)
        state = self._engine.state
        told = Decision(self._engine.seq, now, Noted(event), (), state, state, self._engine.gate, (), (event,))
        for listener in self._listeners:
            listener(told)

    # --- the loop ----------------------------------------------------------------------------------

    async def _guard(self) -> Finish:
        """One event, one turn. Time is an event too, and a flood of others does not keep it waiting."""
        inbox, clock, took = self.parts.inbox, self.parts.clock, self.counters.turns
        wake_mono: float | None = None
        now_mono, turns = clock.now().mono, 0
        while True:
            wait_s = self._wait_s(now_mono, wake_mono)
            if wait_s > 0 and not len(inbox):
                await inbox.wait(wait_s)
            if self._tasks.failure is not None:
                raise self._tasks.failure
            if self._ending is not None:
                return self._ending
            now = clock.now()
            taken = Tick() if self._wait_s(now.mono, wake_mono) <= 0 else inbox.take()
            if taken is not None:
                wake_mono = self._turn(taken, now).wake_mono
                turns += 1
            now_mono = clock.now().mono
            if taken is not None:
                took.add(now_mono - now.mono)
            if turns % _TURNS_BEFORE_OTHERS == 0:
                await asyncio.sleep(0)
                now_mono = clock.now().mono

    def _wait_s(self, now_mono: float, wake_mono: float | None) -> float:
        """Seconds until the engine should look again, whatever happens."""
        due = self._last_tick_mono + self.settings.tick_every_s
        return min(due, due if wake_mono is None else wake_mono) - now_mono

    def _turn(self, taken: Taken, now: Instant) -> Decision:
        """One event through the engine and out."""
        event = taken.event if isinstance(taken, Command) else taken
        if isinstance(event, Tick):
            self._last_tick_mono = now.mono
        decision = self._engine.process(event, now)
        if isinstance(taken, Command) and taken.first is not None:
            taken.first(decision)
        records = self._effects.carry_out(decision)
        self._locks.stamp(now)
        if isinstance(taken, Command):
            self._commands.discard(taken)
            taken.answer(decision)
        for listener in self._listeners:
            listener(decision)
        if records:
            self._read_out(records, now)
        self._note(decision)
        if isinstance(event, Tick):
            self._do_what_is_due(now)
        return decision

    def _read_out(self, records: Sequence[RiskEvent], now: Instant) -> None:
        for reader in self._readers:
            reader(records, now.wall)

    def _note(self, decision: Decision) -> None:
        """What the jobs beside guarding need to know of every turn."""
        try:
            self.parts.recent.note(decision.event, decision.now)
        except Exception as error:  # it is only shown: whatever a venue told, no guard ends by that
            _LOG.error("recent_failed", exc_info=error)
        if decision.persist:
            self._persistence.want()
        if self._readiness.becomes_ready():
            self._systemd.ready()
        match decision.event:
            case OrdersSeen():
                self.parts.open_orders.seen(decision.event)
            case OrdersListed():
                self.parts.open_orders.listed(decision.event)
            case OrderReported() | ErrorReported():
                self.counters.reported(decision.event)

    def _do_what_is_due(self, now: Instant) -> None:
        """Raises StartUnavailable when the first start ever found no baseline in its time."""
        self._look_at_held_end()
        self._systemd.feed_watchdog(now)
        self._locks.inspect(now)
        self._persistence.look()
        if self._engine.is_started:
            self._persistence.save_if_due(now)
        self._risk.write_if_due(now)
        self._locks.refresh(now)
        self._readiness.give_up_if_late(now)

    def _look_at_held_end(self) -> None:
        """A reset while it was held takes it back."""
        held, trip = self._held, self._engine.trip
        if held is not None and trip is not None and trip.proven:
            self._finish(held[0])
        else:
            self._held = None

    def _symbols(self, venue: str) -> set[str]:
        """What has orders or positions there, as far as anybody told."""
        orders, positions = self.parts.open_orders.of(venue), self._engine.portfolio.positions(venue)
        return {order.symbol for order in orders} | {position.symbol for position in positions}

    # --- what is told and kept ---------------------------------------------------------------------

    def _status(self, gate: GateState | None = None) -> Status:
        """How things stand now. gate: what is in force, if it is not the engine's."""
        parts = self.parts
        now, sweep, before = parts.clock.now(), parts.orders.snapshot(), parts.swept_before
        locks, fund = self.lock_status(), self.fund_status()
        return status_of(self._engine, now, sweep, gate, parts.open_orders, locks, before, fund)

    def _documents(self) -> dict[str, Any]:
        """Everything that is persisted besides the latch.

        What a turn had read out is in it: whatever saves the latch of that turn runs when the turn is over.
        """
        feeds = {name: {"flows_since_wall": feed.flows_since_wall} for name, feed in self.parts.feeds.items()}
        recent = self.parts.recent.snapshot()
        beside = {key: document() for key, document in self.parts.beside.items()}
        anchor = self.parts.journal.anchor()
        sweep = sweep_document(self._engine, self.parts.orders.snapshot(), self.parts.swept_before)
        own = {"feeds": feeds, RECENT: recent, LAST_SWEEP: sweep, ANCHOR: anchor}
        return {**self._engine.snapshot(), **own, **beside}

    # --- the end -----------------------------------------------------------------------------------

    def _finish(self, finish: Finish) -> None:
        """A lost budget of the fund that is just being read again is waited for: nobody starts what ended with 1."""
        now_mono, fund = self.parts.clock.now().mono, self.member
        is_good = finish.exit_code is ExitCode.TRIGGERED_AND_PROVEN
        if is_good and fund is not None and fund.is_confirming and self._ending is None:
            self._held = self._held or (finish, now_mono + fund.confirm_within_s + _WAITS_FOR_FUND_S)
            if now_mono < self._held[1]:
                return
        if self._ending is None:
            self._ending = finish
            self.parts.inbox.nudge()

    async def _end(self, finish: Finish) -> ExitCode:
        """Exit code 1 stands for a durable latch, 0 for nothing left to prove: both are weighed only now.

        With these the venues' own switches are disarmed, last of all that is done; with every other end they fire.
        A freeze is not the end of anything: stopped while everything is proven empty, it is a clean stop.
        """
        self._refuse_commands()
        trip = self._engine.trip
        if finish.exit_code is ExitCode.STOPPED and trip is not None and not (trip.is_freeze and trip.proven):
            code = ExitCode.TRIGGERED_AND_PROVEN if trip.proven else ExitCode.TRIGGERED_UNPROVEN
            finish = Finish(code, finish.reason)
        if finish.exit_code is ExitCode.TRIGGERED_AND_PROVEN and not await self._persistence.latch_is_durable(
            self._effects.latch_deadline_mono
        ):
            finish = Finish(ExitCode.TRIGGERED_UNPROVEN, "the latch could not be made durable")
        if finish.exit_code in _GOOD_ENDS and self._owes_the_fund:  # after a reset too: the others trade on
            finish = Finish(ExitCode.TRIGGERED_UNPROVEN, "the fund was not told of its trip")
        now = self.parts.clock.now()
        gate = self._engine.gate
        gate = gate if gate.locked else GateState(locked=True, cause=Cause.LOCKED, since_wall=now.wall)
        self._locks.put(gate, now)
        await self._leave()
        now = self.parts.clock.now()
        facts = {
            "exit_code": int(finish.exit_code),
            "reason": finish.reason,
            "trip_id": None if trip is None else trip.trip_id,
        }
        self._systemd.stopping(finish.reason)
        disarmed = await self._disarmed() if finish.exit_code in _GOOD_ENDS else ()
        events = (*self._engine.last_words(), *disarmed, RiskEvent(EventName.SYSTEM_SHUTDOWN, facts))
        self._events.write(events, now, durable=True)
        self._read_out(events, now)
        await self._flush(gate)
        return finish.exit_code

    async def _disarmed(self) -> tuple[RiskEvent, ...]:
        """Disarm the venues' own switches. What came of it, told already and to be written down."""
        left_to = self._left_to()
        if left_to is not None:
            for venue in self._engine.settings.dead_men:
                _LOG.warning("dead_man_left_armed", venue=venue, left_to=left_to)
            return ()
        done, now = await self._dead_men.disarm(self.settings.stop_within_s), self.parts.clock.now()
        events = tuple(self._engine.dead_men.disarmed(one, now) for one in done)
        for event in events:
            getattr(_LOG, level_of(event.name).value)(event.name.value, **event.fields)
        return events

    async def _flush(self, gate: GateState) -> None:
        """Give what is being written a moment; a hanging disk must not keep us."""
        within_s, now = self.settings.stop_within_s, self.parts.clock.now()
        writing: list[Awaitable[Any]] = [self._events.written(within_s), self._locks.written()]
        if self._engine.is_started:
            writing.append(asyncio.wait_for(self._persistence.save(), within_s))
        writing.append(asyncio.wait_for(self._risk.write(self._status(gate), now), within_s))
        for outcome in await asyncio.gather(*writing, return_exceptions=True):
            if isinstance(outcome, Exception):
                _LOG.error("last_write_failed", error=repr(outcome))
        await self._events.anchor(self.parts.store, self.parts.clock.now(), within_s)

    async def _leave(self) -> None:
        """What others have open ends before the log does, within bounds."""
        for work in self._leaving:
            try:
                async with asyncio.timeout(self.settings.stop_within_s):
                    await work()
            except Exception as error:  # whatever it is, the end is to come
                _LOG.error("not_closed", error=repr(error))

    def _refuse_commands(self) -> None:
        """Whoever still waits for a turn will not have one, and is told so."""
        for command in self._commands:
            command.refuse(Stopping(_STOPPING))
        self._commands.clear()

    async def _wind_up(self) -> None:
        """Let go of everything, within bounds."""
        self._refuse_commands()
        await self.parts.orders.stop()
        await self._tasks.stop(self.settings.stop_within_s)
        closing = [asyncio.ensure_future(adapter.close()) for adapter in self.parts.adapters.values()]
        if not closing:
            return
        closed, late = await asyncio.wait(closing, timeout=self.settings.stop_within_s)
        for task in late:
            task.cancel()
        for task in closed:
            if task.exception() is not None:
                _LOG.warning("venue_close_failed", error=repr(task.exception()))
