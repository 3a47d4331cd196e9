"""The circuit breaker's own rule: loss of initial capital. Always on."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers.base import Action
from risk_daemon.breakers.loss import LossCircuitBreaker, LossLimit, Measure
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import plain
from risk_daemon.portfolio.manager import Equity


@dataclass(frozen=True, slots=True)
class CapitalLossSettings:
    """Ratios of initial capital, net of flows. `warnings` in rising order; empty for none."""

    limit: Decimal = Decimal("0.05")
    warnings: tuple[Decimal, ...] = (Decimal("0.03"),)
    action: Action = Action.TRIP


class CapitalLossCircuitBreaker(LossCircuitBreaker):
    """Breaches at a loss of `limit` of the capital or more; warns below it."""

    since = "of initial capital"
    default_action = Action.TRIP

    def __init__(self, settings: CapitalLossSettings) -> None:
        limit = LossLimit(settings.limit, settings.warnings, is_ratio=True)
        super().__init__(CircuitBreakerType.CAPITAL_LOSS, limit, action=settings.action, warnings=settings.warnings)
        self.settings = settings

    def _limit_key(self) -> str:
        return "loss_threshold"

    def _measure(self, baselines: Baselines, now: Instant) -> Measure:
        return baselines.loss_ratio

    def _observe(self, likely: Decimal, equity: Equity, baselines: Baselines, now: Instant) -> dict[str, Any]:
        return {"loss_ratio": float(likely), "equity": plain(equity.value)}
