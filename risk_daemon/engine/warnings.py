"""What is told before anything freezes or trips: warning levels, vetoes, and blindness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from risk_daemon.breakers.base import BaseCircuitBreaker, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker
from risk_daemon.engine.decision import Turn
from risk_daemon.engine.states import StateMachine, Trigger
from risk_daemon.model.events import EventName


@dataclass(slots=True)
class _Level:
    """The highest level told of, and since when it is clear."""

    level: Decimal
    clear_since_mono: float | None = None


class WarningWatch:
    """A higher level of a rule is told at once; the all-clear only after it held for `hold_s`.

    The state is WARNING while any rule warns.
    """

    def __init__(self, machine: StateMachine, hold_s: float) -> None:
        self._machine = machine
        self._hold_s = hold_s
        self._levels: dict[str, _Level] = {}

    @property
    def is_silent(self) -> bool:
        """Whether there is no warning to take back."""
        return not self._levels

    def forget(self) -> None:
        """Tell of every level anew, though it was told before."""
        self._levels.clear()

    def forget_of(self, rules: Iterable[str]) -> None:
        """Their levels are others now, or they are gone: what is still reached is told anew."""
        was_silent = self.is_silent
        for name in rules:
            self._levels.pop(name, None)
        if self.is_silent and not was_silent:
            self._machine.fire(Trigger.CLEAR)

    def look(self, verdict: Verdict, turn: Turn) -> None:
        """Move between ACTIVE and WARNING."""
        told = self._levels.get(verdict.breaker)
        if verdict.warning is not None and (told is None or verdict.warning > told.level):
            told = self._levels[verdict.breaker] = _Level(verdict.warning)
            self._machine.fire(Trigger.WARN)
            facts = {**verdict.observed, "warning_threshold": float(verdict.warning)}
            turn.record(EventName.WARNING_TRIGGERED, breaker=verdict.breaker, **facts)
        if told is None:
            return
        if not verdict.cleared:
            told.clear_since_mono = None
        elif self._is_held(told, turn.now.mono):
            del self._levels[verdict.breaker]
            if not self._levels:
                self._machine.fire(Trigger.CLEAR)
            turn.record(EventName.WARNING_CLEARED, breaker=verdict.breaker, **verdict.observed)

    def _is_held(self, told: _Level, now_mono: float) -> bool:
        if told.clear_since_mono is None:
            told.clear_since_mono = now_mono
        return now_mono - told.clear_since_mono >= self._hold_s


def look_at_veto(breaker: BaseCircuitBreaker, verdict: Verdict, turn: Turn) -> None:
    """Keep the state of a rule that vetoes: tripped by a suspicion already, clear only without a doubt."""
    if breaker.is_tripped and verdict.undecided:
        return
    if breaker.settle(replace(verdict, breached=True) if verdict.suspected and not verdict.breached else verdict):
        name = EventName.BREAKER_TRIPPED if breaker.is_tripped else EventName.BREAKER_RESET
        turn.record(name, **breaker.facts(verdict))


class BlindWatch:
    """Tells when blindness begins and ends, and keeps the breaker's state by it."""

    def __init__(self, breaker: BlindCircuitBreaker) -> None:
        self._breaker = breaker
        self._is_told = False

    def look(self, verdict: Verdict, turn: Turn) -> None:
        is_blind = verdict.warning is not None
        if is_blind is not self._is_told:
            self._is_told = is_blind
            turn.record(EventName.BLIND_STARTED if is_blind else EventName.BLIND_ENDED, **verdict.observed)
        look_at_veto(self._breaker, verdict, turn)
