"""What is told before anything trips: warning levels, and blindness."""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.breakers.base import Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker
from risk_daemon.circuit_breaker import StateMachine, Trigger
from risk_daemon.events import EventName
from risk_daemon.turn import Turn


class WarningWatch:
    """A higher level is told at once; the all-clear only after it held for `hold_s`."""

    def __init__(self, machine: StateMachine, hold_s: float) -> None:
        self._machine = machine
        self._hold_s = hold_s
        self._level: Decimal | None = None
        self._clear_since_mono: float | None = None

    def forget(self) -> None:
        """Tell of a level anew, though it was told before."""
        self._level = self._clear_since_mono = None

    def look(self, verdict: Verdict, turn: Turn) -> None:
        """Move between ACTIVE and WARNING."""
        if verdict.warning is not None and (self._level is None or verdict.warning > self._level):
            self._level = verdict.warning
            self._machine.fire(Trigger.WARN)
            facts = {**verdict.observed, "warning_threshold": float(verdict.warning)}
            turn.record(EventName.WARNING_TRIGGERED, breaker=verdict.breaker, **facts)
        if self._level is None or not verdict.cleared:
            self._clear_since_mono = None
        elif self._is_held(turn.now.mono):
            self.forget()
            self._machine.fire(Trigger.CLEAR)
            turn.record(EventName.WARNING_CLEARED, breaker=verdict.breaker, **verdict.observed)

    def _is_held(self, now_mono: float) -> bool:
        if self._clear_since_mono is None:
            self._clear_since_mono = now_mono
        return now_mono - self._clear_since_mono >= self._hold_s


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
        if self._breaker.settle(verdict):
            name = EventName.BREAKER_TRIPPED if self._breaker.is_tripped else EventName.BREAKER_RESET
            turn.record(name, **self._breaker.facts(verdict))
