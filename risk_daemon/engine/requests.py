"""What people ask of a running guard: halt, release, reset, disable, enable. Each is answered in the same turn.

Halting is easy, resuming is hard: a halt is never refused, a reset needs the proof. Of several guards over the same
accounts only the one that may open resumes, and the number of that right is written down with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import localcontext
from math import isfinite
from typing import Any

from risk_daemon.breakers.base import Action, Verdict
from risk_daemon.breakers.manager import CircuitBreakerManager
from risk_daemon.breakers.manual import ManualCircuitBreaker
from risk_daemon.engine.books import Books
from risk_daemon.engine.decision import Answer, SaveHalts, Turn
from risk_daemon.engine.outside import Outside
from risk_daemon.engine.states import StateMachine, Trigger
from risk_daemon.engine.trip_control import TripControl
from risk_daemon.engine.warnings import WarningWatch
from risk_daemon.gate.halts import Halt, Halts
from risk_daemon.gate.restraints import MANUAL_HALT
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    DisableRequested,
    EnableRequested,
    EventName,
    HaltRequested,
    ReleaseRequested,
    ResetRequested,
)
from risk_daemon.model.units import EXACT

KEEP, CURRENT = "keep", "current"
_NO_HALT = "no such halt is in force"

_OTHER_RULES = frozenset({CircuitBreakerType.MANUAL, CircuitBreakerType.BLIND})

Request = HaltRequested | ReleaseRequested | ResetRequested | DisableRequested | EnableRequested


class Requests:
    """Carries out what may be carried out, and says why not where it may not."""

    def __init__(
        self,
        books: Books,
        control: TripControl,
        machine: StateMachine,
        manager: CircuitBreakerManager,
        manual: ManualCircuitBreaker,
        warnings: WarningWatch,
        outside: Outside,
    ) -> None:
        self._books = books
        self._control = control
        self._outside = outside
        self._machine = machine
        self._manager = manager
        self._manual = manual
        self._warnings = warnings
        self.halts = Halts()
        self._disabled_until_mono: float | None = None

    def take(self, event: Request, turn: Turn) -> None:
        """Answer one request."""
        match event:
            case HaltRequested(venue=None, bot=None):
                turn.answer = self._halt(event, turn)
            case HaltRequested():
                turn.answer = self._halt_scope(event, turn)
            case ReleaseRequested():
                turn.answer = self._release(event, turn)
            case ResetRequested():
                turn.answer = self._reset(event, turn)
            case DisableRequested():
                turn.answer = self._disable(event, turn)
            case EnableRequested():
                turn.answer = self._enable(event.operator, turn)
        self._books.activity.set_aside(self.halts.bots())

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take back which halts were in force."""
        if "halts" in documents:
            self.halts.restore(documents["halts"])
            self._books.activity.set_aside(self.halts.bots())

    def why_not(self, event: ResetRequested | ReleaseRequested | DisableRequested, now: Instant) -> str | None:
        """Why a request would be refused now; None: it would not. Nothing is changed by asking, between two turns."""
        match event:
            case ResetRequested():
                with localcontext(EXACT):
                    refusal = self._why_no_reset(event, now)
            case ReleaseRequested():
                refusal = self._why_no_release(event)
            case DisableRequested():
                refusal = self._why_no_disable(event)
        return refusal or self._outside.why_not_here(now.mono, keeps_all_shut=_keeps_all_shut(event))

    def let_time_pass(self, turn: Turn) -> None:
        """A disable ends by its time."""
        if self._disabled_until_mono is not None and turn.now.mono >= self._disabled_until_mono:
            self._enable("the stated time is over", turn)

    def _halt(self, event: HaltRequested, turn: Turn) -> Answer:
        turn.record(EventName.MANUAL_HALT, operator=event.operator, reason=event.reason)
        moved, trip = self._machine.fire(Trigger.HALT).moved, self._control.trip
        if not moved and (trip is None or not trip.is_freeze):
            return Answer(True, "already triggered" if trip is None else f"already triggered: {trip.reason}")
        self._disabled_until_mono = None
        self._manual.trigger_halt(event.reason, event.operator)
        turn.record(EventName.BREAKER_TRIPPED, **self._manual.facts())
        reason = f"halted by {event.operator}: {event.reason}"
        observed = {"operator": event.operator}
        self._control.open(self._manual.name, reason, turn, cause=MANUAL_HALT, observed=observed, limits={})
        return Answer(True, reason)

    def _halt_scope(self, event: HaltRequested, turn: Turn) -> Answer:
        known = self._books.settings.portfolio.expected
        if event.venue is not None and event.venue not in known:
            return Answer(False, f"there is no venue {event.venue!r}: the venues are {', '.join(sorted(known))}")
        halt = Halt(event.venue, event.bot, event.reason, event.operator, turn.now.wall)
        self.halts.add(halt)
        turn.act(SaveHalts(self.halts.snapshot()))
        facts = {"operator": event.operator, "reason": event.reason, "venue": event.venue, "bot": event.bot}
        turn.record(EventName.MANUAL_HALT, **facts)
        return Answer(True, f"new orders of {halt.text} are vetoed; its open orders stay")

    def _release(self, event: ReleaseRequested, turn: Turn) -> Answer:
        refusal = self.why_not(event, turn.now)
        halt = None if refusal is not None else self.halts.release(event.venue, event.bot)
        if halt is None:
            return Answer(False, refusal or _NO_HALT)
        turn.act(SaveHalts(self.halts.snapshot()))
        facts = self._by(event) | {"venue": event.venue, "bot": event.bot}
        turn.record(EventName.BREAKER_RESET, breaker=self._manual.name, state=self._manual.state.value, **facts)
        return Answer(True, f"{halt.text} is released")

    def _why_no_release(self, event: ReleaseRequested) -> str | None:
        halt = self.halts.find(event.venue, event.bot)
        if halt is None:
            return _NO_HALT
        if event.since_wall is not None and event.since_wall != halt.since_wall:
            return "this is another halt than the one that was to be released: ask again"
        return None

    def _reset(self, event: ResetRequested, turn: Turn) -> Answer:
        refusal = self.why_not(event, turn.now)
        if refusal is not None:
            return Answer(False, refusal)
        if event.rebaseline == CURRENT:
            self._books.forget_baselines(turn.now.mono)
        trip = self._control.end(Trigger.RESET, turn, event.operator)
        facts = self._by(event) | {"rebaseline": event.rebaseline}
        turn.record(EventName.CIRCUIT_BREAKER_RESET, trip_id=trip.trip_id, **facts)
        return Answer(True, f"reset; baselines: {event.rebaseline}{self._still_held()}")

    def _by(self, event: ResetRequested | ReleaseRequested | DisableRequested) -> dict[str, Any]:
        """Who resumes and why; of several guards with the right to open that this one knew of."""
        epoch = self._outside.epoch
        numbered = {} if epoch is None else {"epoch": epoch}
        return {"operator": event.operator, "reason": event.reason, **numbered}

    def _still_held(self) -> str:
        """What keeps this guard's gate shut though its own trip is over."""
        told = [f"guard {one.name} still holds: {one.cause}: {one.reason}" for one in self._outside.peers_holding()]
        return f". {'; '.join(told)}. Nothing opens before that ends there too: reset it there" if told else ""

    def _why_no_reset(self, event: ResetRequested, now: Instant) -> str | None:
        if self._machine.would_refuse(Trigger.RESET) or self._control.trip is None:
            return f"nothing to reset: the state is {self._machine.state.value}"
        if event.trip_id is not None and event.trip_id != self._control.trip.trip_id:
            return f"this is another trip than {event.trip_id}, which was to be reset: look at it, and ask again"
        if not self._control.trip.proven:
            return "not every cancel is proven yet: the daemon must finish that first"
        if self._control.is_sweeping:
            return "the venues are being looked at again, and new orders would be cancelled: ask in some seconds"
        if event.rebaseline == CURRENT:
            return None
        if event.rebaseline != KEEP:
            return f"{event.rebaseline!r} is neither {KEEP!r} nor {CURRENT!r}"
        return self._why_not_keep(now)

    def _why_not_keep(self, now: Instant) -> str | None:
        """The worst case decides: a reset must not be the first half of another trip."""
        picture = self._books.picture(now.mono)
        if picture is None:
            return "the equity is not known, so it can't be said whether a limit would be breached at once"
        verdicts = self._manager.ask(self._books.context(picture), now).values()
        again = [_again(verdict) for verdict in verdicts if _would_act(verdict)]
        if not again:
            return None
        return (
            f"with the kept baselines it would trigger again at once: {'; '.join(again)}. Look for the cause, or"
            " measure from now on with `--rebaseline current`"
        )

    def _disable(self, event: DisableRequested, turn: Turn) -> Answer:
        refusal = self.why_not(event, turn.now)
        if refusal is not None:
            return Answer(False, refusal)
        self._machine.fire(Trigger.DISABLE)
        self._control.forget_would_have()
        self._disabled_until_mono = turn.now.mono + event.duration_s
        facts = self._by(event) | {"for_s": event.duration_s}
        turn.record(EventName.CIRCUIT_BREAKER_DISABLED, **facts)
        return Answer(True, f"disabled for {event.duration_s:.0f} s")

    def _why_no_disable(self, event: DisableRequested) -> str | None:
        if not (isfinite(event.duration_s) and event.duration_s > 0):
            return f"a disable needs a time, got {event.duration_s} s"
        if self._machine.would_refuse(Trigger.DISABLE):
            return "a triggered circuit breaker can't be disabled: reset it"
        return None

    def _enable(self, operator: str, turn: Turn) -> Answer:
        is_refused = self._machine.would_refuse(Trigger.ENABLE)
        if not self._machine.fire(Trigger.ENABLE).moved:
            return Answer(not is_refused, f"the state is {self._machine.state.value}")
        self._disabled_until_mono = None
        self._warnings.forget()
        turn.record(EventName.CIRCUIT_BREAKER_ENABLED, operator=operator)
        return Answer(True, "enabled")


def _keeps_all_shut(event: ResetRequested | ReleaseRequested | DisableRequested) -> bool:
    """Whether what this would end holds against everybody's orders, at every guard of these accounts."""
    of_all = isinstance(event, ReleaseRequested) and event.venue is None and event.bot is None
    return isinstance(event, ResetRequested) or of_all


def _would_act(verdict: Verdict) -> bool:
    """Whether a rule would freeze or trip, or may have to. A reset ends a halt; blindness ends by itself."""
    acts = verdict.action >= Action.FREEZE and verdict.breaker_type not in _OTHER_RULES
    return acts and (verdict.breached or verdict.suspected or verdict.undecided)


def _again(verdict: Verdict) -> str:
    does = "trip" if verdict.action is Action.TRIP else "freeze"
    would = f"would {does}" if verdict.breached else f"may have to {does}, too little is known"
    return f"{verdict.breaker} {would}{f' ({verdict.reason})' if verdict.reason else ''}"
