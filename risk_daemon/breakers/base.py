"""What a rule is: it looks at an evaluation context and answers with a verdict.

NORMAL -> TRIPPED on breach;  NORMAL or TRIPPED -> MANUALLY_HALTED on halt
TRIPPED or MANUALLY_HALTED -> RESETTING -> NORMAL on reset
TRIPPED -> NORMAL by itself only where the action is a veto
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

from risk_daemon.baselines import Baselines
from risk_daemon.clock import Instant
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.portfolio import Equity


class BreakerState(StrEnum):
    """A breaker's state."""

    NORMAL = "NORMAL"
    TRIPPED = "TRIPPED"
    MANUALLY_HALTED = "MANUALLY_HALTED"
    RESETTING = "RESETTING"


class CircuitBreakerType(StrEnum):
    """The rules."""

    CAPITAL_LOSS = "capital_loss"
    MANUAL = "manual"
    BLIND = "blind"
    DRAWDOWN = "drawdown"
    DAILY_LOSS = "daily_loss"
    ORDER_RATE = "order_rate"
    ERROR_RATE = "error_rate"
    CUSTOM = "custom"


class Action(IntEnum):
    """What a breach does. The strongest wins."""

    NONE = 0
    VETO = 1
    FREEZE = 2
    TRIP = 3


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """What a rule may look at.

    equity: the interval to judge by; `high` holds in every unknown's favour, `low` against.
    suspected_high: as `high`, but unexplained falls of holdings are losses and unexplained rises no gains.
    is_undecided: for some rule the limit lies inside the interval.
    """

    equity: Equity | None
    suspected_high: Decimal | None
    baselines: Baselines
    is_undecided: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's answer.

    breached: the limit is reached whichever way the unknowns fall. suspected: it is, if falls of
    holdings that the ledger has not yet explained are losses. undecided: it lies inside the interval.
    warning: the highest warning level reached, as a ratio. cleared: not even `low` reaches a warning.
    """

    breaker: str
    breaker_type: CircuitBreakerType
    action: Action
    breached: bool = False
    suspected: bool = False
    undecided: bool = False
    warning: Decimal | None = None
    cleared: bool = True
    reason: str = ""
    observed: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)


class BaseCircuitBreaker(ABC):
    """One rule with its state. Subclasses override `evaluate`."""

    def __init__(self, breaker_type: CircuitBreakerType, name: str | None = None, action: Action = Action.VETO) -> None:
        self.breaker_type = breaker_type
        self.name = name or breaker_type.value
        self.action = action
        self._state = BreakerState.NORMAL
        self._reason: str | None = None
        self._details: dict[str, Any] = {}

    @abstractmethod
    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        """Look, and answer. Must not change the state: the manager does, from the answer."""

    @property
    def state(self) -> BreakerState:
        return self._state

    @property
    def is_tripped(self) -> bool:
        return self._state is not BreakerState.NORMAL

    def get_trip_reason(self) -> str | None:
        """Why it tripped, in a sentence; None while NORMAL."""
        return self._reason

    def get_trip_details(self) -> dict[str, Any]:
        """What was observed and which limits held; empty while NORMAL."""
        return dict(self._details)

    def reset(self, operator: str | None = None) -> None:
        """Back to NORMAL. Raises CircuitBreakerError if it is NORMAL already."""
        if self._state is BreakerState.NORMAL:
            raise CircuitBreakerError(f"{self.name} is not tripped")
        self._state = BreakerState.RESETTING
        self._reason, self._details = None, {}
        self._state = BreakerState.NORMAL

    def settle(self, verdict: Verdict) -> bool:
        """Move the state to what the verdict says. Returns whether it moved."""
        before = self._state
        if verdict.breached and before is BreakerState.NORMAL:
            self._trip(verdict.reason, **verdict.observed)
        elif not verdict.breached and before is BreakerState.TRIPPED and self.action is Action.VETO:
            self._state, self._reason, self._details = BreakerState.NORMAL, None, {}
        return self._state is not before

    def _trip(self, reason: str, **details: Any) -> None:
        """Enter TRIPPED with a reason."""
        self._state = BreakerState.TRIPPED
        self._reason = reason
        self._details = details

    def facts(self, verdict: Verdict | None = None) -> dict[str, Any]:
        """The fields of the events `breaker_tripped` and `breaker_reset`."""
        return {
            "breaker": self.name,
            "breaker_type": self.breaker_type.value,
            "state": self.state.value,
            "reason": self._reason if verdict is None else verdict.reason,
            "observed": {} if verdict is None else dict(verdict.observed),
            "limits": {} if verdict is None else dict(verdict.limits),
        }

    def snapshot(self) -> dict[str, Any]:
        """State and reason as JSON-able data."""
        return {"state": self._state.value, "reason": self._reason, "details": self._details}

    def restore(self, data: Mapping[str, Any]) -> None:
        self._state = BreakerState(data["state"])
        self._reason = data["reason"]
        self._details = dict(data["details"])
