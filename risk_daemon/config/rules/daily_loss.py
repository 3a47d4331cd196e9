"""The table of `daily_loss`."""

from __future__ import annotations

from typing import ClassVar, Literal, Unpack

from risk_daemon.breakers.base import Common
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.config.notation import Limit, as_written
from risk_daemon.config.rule import ActionWord, Limits, Rule, loss_since
from risk_daemon.config.wording import Premises


class DailyLoss(Rule):
    """Loss since the start of the trading day."""

    is_of_portfolio = True
    missed: ClassVar[str] = "nothing stops a loss within a day; a table [breakers.daily_loss] turns it on"

    rule: Literal["daily_loss"]
    limit: Limit = as_written("5%")
    action: ActionWord | None = "trip"
    warnings: Limits = ()

    def build(self, **common: Unpack[Common]) -> DailyLossCircuitBreaker:
        return DailyLossCircuitBreaker(self.limit.money, max_daily_loss_pct=self.limit.ratio, **common)

    def condition(self, premises: Premises) -> str:
        return f"the portfolio has lost {loss_since(self.limit, premises.day_start, 'day', premises)}"
