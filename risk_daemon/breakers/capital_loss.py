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
        self._limits = {"loss_threshold": float(settings.limit)}
        self._limit_text = percent(settings.limit)

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        loss, equity = context.baselines.loss_ratio, context.equity
        if equity is None or context.suspected_high is None or context.baselines.capital is None:
            return Verdict(self.name, self.breaker_type, self.action, cleared=False, limits=self._limits)
        likely = loss(equity.value)
        # With nothing unknown, which is nearly always, all of these are one number.
        least = likely if equity.high == equity.value else loss(equity.high)
        most = likely if equity.low == equity.value else loss(equity.low)
        suspected = least if context.suspected_high == equity.high else loss(context.suspected_high)
        if likely is None or least is None or most is None or suspected is None:
            return Verdict(self.name, self.breaker_type, self.action, cleared=False, limits=self._limits)
        limit, warnings = self.settings.limit, self.settings.warnings
        return Verdict(
            self.name,
            self.breaker_type,
            self.action,
            # A young fall may be half a trade, even where an older rise seems to make up for it.
            breached=least >= limit and suspected >= limit,
            suspected=suspected >= limit,
            undecided=most >= limit > min(least, suspected),
            warning=max((level for level in warnings if least >= level), default=None),
            cleared=not warnings or most < warnings[0],
            reason=f"loss of {percent(likely)} of initial capital, limit {self._limit_text}",
            observed={"loss_ratio": float(likely), "equity": plain(equity.value)},
            limits=self._limits,
        )
