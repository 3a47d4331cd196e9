"""The table of `position_loss`."""

from __future__ import annotations

from typing import Literal, Unpack

from risk_daemon.breakers.base import Common
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.config.notation import Limit
from risk_daemon.config.rule import Limits, Rule, loss_of_part
from risk_daemon.config.wording import Premises


class PositionLoss(Rule):
    """Unrealised loss of one position; as a ratio, of its value at entry."""

    rule: Literal["position_loss"]
    limit: Limit
    warnings: Limits = ()

    def build(self, **common: Unpack[Common]) -> PositionLossCircuitBreaker:
        return PositionLossCircuitBreaker(self.limit.money, max_position_loss_pct=self.limit.ratio, **common)

    def condition(self, premises: Premises) -> str:
        return f"the unrealised loss of one position is {loss_of_part(self.limit, 'of its value at entry')}"
