"""An operator's halt. Always on."""

from __future__ import annotations

from risk_daemon.breakers.base import (
    Action,
    BaseCircuitBreaker,
    BreakerState,
    Calm,
    EvaluationContext,
    Standing,
    Verdict,
)
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant


class ManualCircuitBreaker(BaseCircuitBreaker):
    """Halts when told to, until a reset."""

    needs_confirmation = False
    default_action = Action.TRIP

    def __init__(self, name: str | None = None) -> None:
        super().__init__(CircuitBreakerType.MANUAL, name)
        self._not_halted = Verdict(breaker=self.name, breaker_type=self.breaker_type, action=self.action, calm=Calm())

    def trigger_halt(self, reason: str, operator: str) -> None:
        """Halt. `operator` is who says so."""
        details = {"operator": operator}
        self.standing = Standing(BreakerState.MANUALLY_HALTED, reason, details, action=self.action)

    def trip(self, reason: str = "halted by hand", operator: str = "who was not told") -> None:
        """As `trigger_halt`, for those in a hurry."""
        self.trigger_halt(reason, operator)

    def can_trade(self) -> bool:
        """Whether nobody has halted."""
        return not self.is_tripped

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        standing = self.standing
        if standing.state is not BreakerState.MANUALLY_HALTED:
            return self._not_halted
        return Verdict(
            breaker=self.name,
            breaker_type=self.breaker_type,
            action=self.action,
            breached=True,
            suspected=True,
            cleared=False,
            reason=f"halted by {standing.details.get('operator')}: {standing.reason}",
            observed=standing.details,
        )
