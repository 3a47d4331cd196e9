"""The table of `weekly_loss`."""

from __future__ import annotations

from typing import Literal, Unpack

from risk_daemon.breakers.base import Common
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.config.notation import Limit
from risk_daemon.config.rule import Limits, Rule, loss_since
from risk_daemon.config.wording import Premises


class WeeklyLoss(Rule):
    """Loss since the start of the trading week, on Monday."""

    is_of_portfolio = True

    rule: Literal["weekly_loss"]
    limit: Limit
    warnings: Limits = ()

    def build(self, **common: Unpack[Common]) -> WeeklyLossCircuitBreaker:
        return WeeklyLossCircuitBreaker(self.limit.money, max_weekly_loss_pct=self.limit.ratio, **common)

    def condition(self, premises: Premises) -> str:
        return f"the portfolio has lost {loss_since(self.limit, f'Monday {premises.day_start}', 'week', premises)}"
