"""The table of `order_rate`."""

from __future__ import annotations

from typing import Literal, Unpack

from risk_daemon.breakers.base import Common
from risk_daemon.breakers.order_rate import OrderRateCircuitBreaker
from risk_daemon.config.notation import Count, CountOrOff, as_written
from risk_daemon.config.rule import Counts, RateRule, ScopeWord


class OrderRate(RateRule):
    """Orders of each bot, each venue, or all. max_orders_total: a limit over all of them besides; None: none."""

    limit_key = "max_orders"
    noun = "orders"

    rule: Literal["order_rate"]
    max_orders: Count = 100
    scope: ScopeWord = "bot"
    max_orders_total: CountOrOff = as_written("same")
    warnings: Counts = ()

    def build(self, **common: Unpack[Common]) -> OrderRateCircuitBreaker:
        return OrderRateCircuitBreaker(self.max_orders, self.window, self.scope, self.max_orders_total, **common)
