"""An operator's halt. Always on."""

from __future__ import annotations

from risk_daemon.breakers.base import (
    Action,
    BaseCircuitBreaker,
    BreakerState,
    CircuitBreakerType,
    EvaluationContext,
    Verdict,
)
from risk_daemon.clock import Instant


class ManualCircuitBreaker(BaseCircuitBreaker):
    """Halts when told to, until a reset."""

    def __init__(self) -> None:
        super().__init__(CircuitBreakerType.MANUAL, action=Action.TRIP)

    def trigger_halt(self, reason: str, operator: str) -> None:
        """Halt. `operator` is who says so."""
        self._state = BreakerState.MANUALLY_HALTED
        self._reason = reason
        self._details = {"operator": operator}

    trip = trigger_halt

    def can_trade(self) -> bool:
        """Whether nobody has halted."""
        return not self.is_tripped

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        halted = self._state is BreakerState.MANUALLY_HALTED
        return Verdict(
            self.name,
            self.breaker_type,
            self.action,
            breached=halted,
            reason=f"halted by {self._details.get('operator')}: {self._reason}" if halted else "",
            observed=dict(self._details) if halted else {},
        )
