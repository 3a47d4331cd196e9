"""The circuit breaker's own rule: loss of initial capital. Always on."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.breakers.base import Action, BaseCircuitBreaker, CircuitBreakerType, EvaluationContext, Verdict
from risk_daemon.clock import Instant
from risk_daemon.units import percent, plain


@dataclass(frozen=True, slots=True)
class CapitalLossSettings:
    """Ratios of initial capital, net of flows. `warnings` in rising order; empty for none."""

    limit: Decimal = Decimal("0.05")
    warnings: tuple[Decimal, ...] = (Decimal("0.03"),)
    action: Action = Action.TRIP


class CapitalLossCircuitBreaker(BaseCircuitBreaker):
    """Breaches at a loss of `limit` of the capital or more; warns below it."""

    def __init__(self, settings: CapitalLossSettings) -> None:
        super().__init__(CircuitBreakerType.CAPITAL_LOSS, action=settings.action)
        self.settings = settings

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        limits = {"loss_threshold": float(self.settings.limit)}
        if context.equity is None or context.suspected_high is None or context.baselines.capital is None:
            return Verdict(self.name, self.breaker_type, self.action, cleared=False, limits=limits)
        loss = context.baselines.loss_ratio
        least, likely, most = loss(context.equity.high), loss(context.equity.value), loss(context.equity.low)
        suspected = loss(context.suspected_high)
        if least is None or likely is None or most is None or suspected is None:
            return Verdict(self.name, self.breaker_type, self.action, cleared=False, limits=limits)
        limit, warnings = self.settings.limit, self.settings.warnings
        return Verdict(
            self.name,
            self.breaker_type,
            self.action,
            breached=least >= limit,
            suspected=suspected >= limit,
            undecided=most >= limit > least,
            warning=max((level for level in warnings if least >= level), default=None),
            cleared=not warnings or most < warnings[0],
            reason=f"loss of {percent(likely)} of initial capital, limit {percent(limit)}",
            observed={"loss_ratio": float(likely), "equity": plain(context.equity.value)},
            limits=limits,
        )
