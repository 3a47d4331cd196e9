"""The portfolio's circuit breaker: four states, eight triggers, one total table.

Everything that moves the state stands in TABLE; nothing else does. A TRIGGERED breaker has no way
back but RESET (a person with the right to) and, for a freeze, EXPIRE.

    ACTIVE     no warning, no breach
    WARNING    a warning level is reached
    TRIGGERED  a limit was breached or someone halted: trading is locked
    DISABLED   watching without acting, for a stated time
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CircuitBreakerState(StrEnum):
    """The portfolio's state."""

    ACTIVE = "ACTIVE"
    WARNING = "WARNING"
    TRIGGERED = "TRIGGERED"
    DISABLED = "DISABLED"


class Trigger(StrEnum):
    """What may move the state."""

    WARN = "WARN"
    CLEAR = "CLEAR"
    BREACH = "BREACH"
    HALT = "HALT"
    RESET = "RESET"
    EXPIRE = "EXPIRE"
    DISABLE = "DISABLE"
    ENABLE = "ENABLE"


class Outcome(StrEnum):
    """What a table entry means beyond its next state."""

    MOVES = "moves"
    STAYS = "stays"
    REFUSED = "refused"
    WOULD_HAVE_TRIGGERED = "would_have_triggered"


@dataclass(frozen=True, slots=True)
class Transition:
    """The answer of the table."""

    before: CircuitBreakerState
    after: CircuitBreakerState
    trigger: Trigger
    outcome: Outcome

    @property
    def moved(self) -> bool:
        return self.before is not self.after


_A, _W, _T, _D = (
    CircuitBreakerState.ACTIVE,
    CircuitBreakerState.WARNING,
    CircuitBreakerState.TRIGGERED,
    CircuitBreakerState.DISABLED,
)
_STAYS, _REFUSED, _WOULD = Outcome.STAYS, Outcome.REFUSED, Outcome.WOULD_HAVE_TRIGGERED

# Rows: states. Columns: triggers, in the order of the enum. A state to go to, or why it stays.
_ROWS: dict[CircuitBreakerState, tuple[CircuitBreakerState | Outcome, ...]] = {
    #    WARN    CLEAR   BREACH  HALT    RESET     EXPIRE    DISABLE   ENABLE
    _A: (_W, _STAYS, _T, _T, _REFUSED, _REFUSED, _D, _STAYS),
    _W: (_STAYS, _A, _T, _T, _REFUSED, _REFUSED, _D, _STAYS),
    _T: (_STAYS, _STAYS, _STAYS, _STAYS, _A, _A, _REFUSED, _REFUSED),
    _D: (_STAYS, _STAYS, _WOULD, _T, _REFUSED, _REFUSED, _STAYS, _A),
}

TABLE: dict[tuple[CircuitBreakerState, Trigger], Transition] = {
    (state, trigger): (
        Transition(state, entry, trigger, Outcome.MOVES)
        if isinstance(entry, CircuitBreakerState)
        else Transition(state, state, trigger, entry)
    )
    for state, row in _ROWS.items()
    for trigger, entry in zip(Trigger, row, strict=True)
}


def transition(state: CircuitBreakerState, trigger: Trigger) -> Transition:
    """What `trigger` does in `state`. Total: there is an answer for every pair."""
    return TABLE[(state, trigger)]


class StateMachine:
    """A state, and the table as its only way to another. Nobody else sets it."""

    def __init__(self, state: CircuitBreakerState = CircuitBreakerState.ACTIVE) -> None:
        self._state = state

    @property
    def state(self) -> CircuitBreakerState:
        return self._state

    def fire(self, trigger: Trigger) -> Transition:
        """Go where the table says."""
        step = transition(self._state, trigger)
        self._state = step.after
        return step

    def would_refuse(self, trigger: Trigger) -> bool:
        """Whether the table refuses `trigger` now."""
        return transition(self._state, trigger).outcome is Outcome.REFUSED

    def resume_triggered(self) -> None:
        """A latch was found at start: whatever was, trading is locked."""
        self._state = CircuitBreakerState.TRIGGERED
