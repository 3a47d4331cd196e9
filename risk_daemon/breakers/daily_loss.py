"""Loss since the start of the trading day."""

from __future__ import annotations

from decimal import Decimal
from typing import Unpack

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.baselines.trading_day import TradingDay
from risk_daemon.breakers.base import UNSET, Action, Common, Number, Unset
from risk_daemon.breakers.loss import Measure, check_one, is_ratio, one_limit
from risk_daemon.breakers.period_loss import PeriodLossCircuitBreaker
from risk_daemon.model.breaker_types import CircuitBreakerType


class DailyLossCircuitBreaker(PeriodLossCircuitBreaker):
    """Breaches at a loss of the limit or more: `max_daily_loss` in money, or `max_daily_loss_pct` (0.05 is 5 %).

    Without either, 5 %. limit: either of them, a ratio if it is below 1. calendar: when a program's day begins, by
    default at midnight UTC. Raises ValueError for more than one limit, and for limits that are not above zero.
    """

    since = "since the start of the day"
    default_action = Action.TRIP

    def __init__(
        self,
        max_daily_loss: Number | None = None,
        *,
        max_daily_loss_pct: Number | None = None,
        limit: Number | None = None,
        calendar: TradingDay | None = None,
        **common: Unpack[Common],
    ) -> None:
        if limit is not None:
            check_one(limit=limit, max_daily_loss=max_daily_loss, max_daily_loss_pct=max_daily_loss_pct)
            max_daily_loss, max_daily_loss_pct = (None, limit) if is_ratio(limit) else (limit, None)
        sized = one_limit("daily_loss", max_daily_loss, max_daily_loss_pct, common.get("warnings", ()), "5%")
        super().__init__(CircuitBreakerType.DAILY_LOSS, sized, **common)
        self.calendar = calendar or self.calendar

    def can_trade(
        self, current_portfolio_value: Number | Unset = UNSET, start_of_day_value: Number | Unset = UNSET
    ) -> bool:
        """Whether the loss since the start of the day is below the limit.

        Once it is not, False until `reset` or the next trading day; with the action VETO, until a loss below the
        limit is told. Without values: by the last ones. Raises ValueError for None, NaN,
        infinities, negatives, and a start of zero; such values change nothing.
        """
        return self._may_trade("start_of_day_value", start_of_day_value, current_portfolio_value)

    def get_current_daily_loss(self) -> Decimal | None:
        """The loss that `can_trade` saw last, in money; a gain is below zero. None before that."""
        return self._current_loss

    def _key_of(self, wall: float) -> str:
        return self.calendar.key(wall)

    def _measures(self, baselines: Baselines) -> tuple[Measure, Measure]:
        return baselines.daily_loss_ratio, baselines.daily_loss
