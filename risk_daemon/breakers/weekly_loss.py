"""Loss since the start of the trading week, which begins on Monday."""

from __future__ import annotations

from typing import Unpack

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers.base import UNSET, Common, Number, Unset
from risk_daemon.breakers.loss import Measure, one_limit
from risk_daemon.breakers.period_loss import PeriodLossCircuitBreaker
from risk_daemon.model.breaker_types import CircuitBreakerType


class WeeklyLossCircuitBreaker(PeriodLossCircuitBreaker):
    """Breaches at a loss of the limit or more: `max_weekly_loss` in money, or `max_weekly_loss_pct` (0.05 is 5 %).

    Raises ValueError unless exactly one is given, and for limits that are not above zero.
    """

    since = "since the start of the week"

    def __init__(
        self,
        max_weekly_loss: Number | None = None,
        *,
        max_weekly_loss_pct: Number | None = None,
        **common: Unpack[Common],
    ) -> None:
        limit = one_limit("weekly_loss", max_weekly_loss, max_weekly_loss_pct, common.get("warnings", ()))
        super().__init__(CircuitBreakerType.WEEKLY_LOSS, limit, **common)

    def can_trade(
        self, current_portfolio_value: Number | Unset = UNSET, start_of_week_value: Number | Unset = UNSET
    ) -> bool:
        """Whether the loss since the start of the week is below the limit; as `DailyLossCircuitBreaker.can_trade`."""
        return self._may_trade("start_of_week_value", start_of_week_value, current_portfolio_value)

    def _key_of(self, wall: float) -> str:
        return self.calendar.week_key(wall)

    def _measures(self, baselines: Baselines) -> tuple[Measure, Measure]:
        return baselines.weekly_loss_ratio, baselines.weekly_loss
