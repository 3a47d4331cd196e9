"""The table of `venue_loss`."""

from __future__ import annotations

from typing import Literal, Unpack

from risk_daemon.breakers.base import Common
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.config.notation import Limit
from risk_daemon.config.rule import Limits, Rule, loss_of_part
from risk_daemon.config.wording import Premises, one_of


class VenueLoss(Rule):
    """Loss of one account since the start of the trading day; venue None: of each."""

    rule: Literal["venue_loss"]
    limit: Limit
    venue: str | None = None
    warnings: Limits = ()

    def build(self, **common: Unpack[Common]) -> VenueLossCircuitBreaker:
        return VenueLossCircuitBreaker(
            self.limit.money, max_venue_loss_pct=self.limit.ratio, venue=self.venue, **common
        )

    def condition(self, premises: Premises) -> str:
        any_one = f"one account ({one_of(premises.venues)})" if len(premises.venues) > 1 else "the account"
        start = premises.day_start
        lost = loss_of_part(self.limit, f"of its worth at {start}", f"since {start}")
        return f"{self.venue or any_one} has lost {lost}"
