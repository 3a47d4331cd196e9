"""The shell around the engine: takes events in, has decisions carried out, lives and ends properly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from risk_daemon.engine.decision import Answer, Decision, Finish
from risk_daemon.errors import ExitCode, RecordError, RiskDaemonError, Stopping
from risk_daemon.gate.restraints import Cause, GateState
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, HaltRequested, Input, ReleaseRequested, RiskEvent, Started, Tick
from risk_daemon.runtime.effects import Effects
from risk_daemon.runtime.housekeeping import Housekeeping
from risk_daemon.runtime.ports import DaemonSettings, Parts
from risk_daemon.runtime.tasks import Tasks

__all__ = ["Daemon", "DaemonSettings", "Parts"]

_LOG = structlog.get_logger(__name__)
_TURNS_BEFORE_OTHERS = 32
_STOPPING = "the daemon is stopping and took nothing in: nothing was done, ask it again when it runs"


class Daemon:
    """One run of the guard."""

    def __init__(self, parts: Parts, settings: DaemonSettings | None = None, *, is_first_start: bool = False) -> None:
        self.parts = parts
        self.settings = settings or DaemonSettings()
        self._engine = parts.engine
        self._tasks = Tasks(parts.inbox.nudge)
        self._effects = Effects(parts, self.settings, self._tasks, self._finish)
        self._house = Housekeeping(parts, self.settings, self._tasks, self._effects, is_first_start=is_first_start)
        self._questions: dict[int, asyncio.Future[Decision]] = {}
        self._ending: Finish | None = None
        self._last_tick_mono = float("-inf")

    # --- life --------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Guard until something ends it. Raises StartUnavailable, and anything unexpected after shutting the gate."""
        now = self.parts.clock.now()
        try:
            self._effects.set_gate(self._engine.gate, now)
            self._turn(Started(), now)
            if self._ending is None:
                self._start_feeds()
            return await self._end(await self._guard())
        except Exception as error:
            self._effects.shut(Cause.LOCKED, self.parts.clock.now())
            await self._effects.locks_written()
            if isinstance(error, RiskDaemonError) and self._engine.trip is not None:
                raise RuntimeError("the guard failed in the middle of a trip; it must be started again") from error
            raise
        except BaseException:
            self._effects.shut(Cause.LOCKED, self.parts.clock.now())
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

    def is_ready(self) -> bool:
        """Whether the baseline is complete, or a trip is being finished."""
        return self._house.is_ready

    def _start_feeds(self) -> None:
        for name, feed in self.parts.feeds.items():
            self._tasks.spawn(feed.run(), f"feed {name}")

    # --- people ------------------------------------------------------------------------------------

    async def command(self, event: Input) -> Mapping[str, Any]:
        """Put an operator's event through the engine, in its turn.

        Raises Stopping where it will have no turn any more, RecordError for a halt that a restart would forget.
        """
        if self._ending is not None:
            raise Stopping(_STOPPING)
        question: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._questions[id(event)] = question
        self.parts.inbox.put(event)
        decision = await asyncio.shield(question)
        answer = decision.answer or Answer(True, "done")
        if answer.accepted and self._effects.latch_saved is not None:
            await asyncio.wait({self._effects.latch_saved}, timeout=self.settings.call_timeout_s)
        if isinstance(event, HaltRequested | ReleaseRequested) and not await self._effects.halts_are_durable():
            raise RecordError(f"{answer.reason}; but it could not be saved: after a restart it must be said again")
        trip = self._engine.trip
        return {
            "accepted": answer.accepted,
            "reason": answer.reason,
            "state": decision.after.value,
            "trip_id": None if trip is None else trip.trip_id,
        }

    def state(self) -> Mapping[str, Any]:
        """How things stand now, JSON-able."""
        return self._house.document()

    # --- the loop ----------------------------------------------------------------------------------

    async def _guard(self) -> Finish:
        """One event, one turn. Time is an event too, and a flood of others does not keep it waiting."""
        inbox, clock = self.parts.inbox, self.parts.clock
        wake_mono: float | None = None
        turns = 0
        while True:
            wait_s = self._wait_s(clock.now().mono, wake_mono)
            if wait_s > 0 and not len(inbox):
                await inbox.wait(wait_s)
            if self._tasks.failure is not None:
                raise self._tasks.failure
            if self._ending is not None:
                return self._ending
            now = clock.now()
            event = Tick() if self._wait_s(now.mono, wake_mono) <= 0 else inbox.take()
            if event is not None:
                wake_mono = self._turn(event, now).wake_mono
                turns += 1
            if turns % _TURNS_BEFORE_OTHERS == 0:
                await asyncio.sleep(0)

    def _wait_s(self, now_mono: float, wake_mono: float | None) -> float:
        """Seconds until the engine should look again, whatever happens."""
        due = self._last_tick_mono + self.settings.tick_every_s
        return min(due, due if wake_mono is None else wake_mono) - now_mono

    def _turn(self, event: Input, now: Instant) -> Decision:
        """One event through the engine and out."""
        if isinstance(event, Tick):
            self._last_tick_mono = now.mono
        decision = self._engine.process(event, now)
        self._effects.carry_out(decision)
        self.parts.gate_map.stamp(now)
        question = self._questions.pop(id(event), None)
        if question is not None and not question.done():
            question.set_result(decision)
        self.parts.on_decision(decision)
        self._house.after(decision)
        return decision

    # --- the end -----------------------------------------------------------------------------------

    def _finish(self, finish: Finish) -> None:
        if self._ending is None:
            self._ending = finish
            self.parts.inbox.nudge()

    async def _end(self, finish: Finish) -> ExitCode:
        """Exit code 1 stands for a durable latch, 0 for nothing left to prove: both are weighed only now.

        A freeze is not the end of anything: stopped while everything is proven empty, it is a clean stop.
        """
        self._leave_questions()
        trip = self._engine.trip
        if finish.exit_code is ExitCode.STOPPED and trip is not None and not (trip.is_freeze and trip.proven):
            code = ExitCode.TRIGGERED_AND_PROVEN if trip.proven else ExitCode.TRIGGERED_UNPROVEN
            finish = Finish(code, finish.reason)
        if finish.exit_code is ExitCode.TRIGGERED_AND_PROVEN and not await self._effects.latch_is_durable():
            finish = Finish(ExitCode.TRIGGERED_UNPROVEN, "the latch could not be made durable")
        now = self.parts.clock.now()
        gate = self._engine.gate
        gate = gate if gate.locked else GateState(locked=True, cause=Cause.LOCKED, since_wall=now.wall)
        self._effects.set_gate(gate, now)
        facts = {
            "exit_code": int(finish.exit_code),
            "reason": finish.reason,
            "trip_id": None if trip is None else trip.trip_id,
        }
        events = (*self._engine.last_words(), RiskEvent(EventName.SYSTEM_SHUTDOWN, facts))
        self._effects.write_down(events, now, durable=True)
        await self._effects.flush(self._house.document(gate))
        self.parts.notify(f"STOPPING=1\nSTATUS={finish.reason}")
        return finish.exit_code

    def _leave_questions(self) -> None:
        """Whoever still waits for a turn will not have one, and is told so."""
        for question in self._questions.values():
            if not question.done():
                question.set_exception(Stopping(_STOPPING))
        self._questions.clear()

    async def _wind_up(self) -> None:
        """Let go of everything, within bounds."""
        self._leave_questions()
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
