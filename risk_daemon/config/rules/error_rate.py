"""The table of `error_rate`."""

from __future__ import annotations

from typing import Literal, Unpack

from risk_daemon.breakers.base import Common
from risk_daemon.breakers.error_rate import ErrorRateCircuitBreaker
from risk_daemon.config.notation import Count, CountOrOff, as_written
from risk_daemon.config.rule import Counts, RateRule, ScopeWord


class ErrorRate(RateRule):
    """Unexpected errors of each bot, each venue, or all; max_errors_total: as max_orders_total."""

    limit_key = "max_errors"
    noun = "unexpected errors"

    rule: Literal["error_rate"]
    max_errors: Count = 10
    scope: ScopeWord = "bot"
    max_errors_total: CountOrOff = as_written("same")
    warnings: Counts = ()

    def build(self, **common: Unpack[Common]) -> ErrorRateCircuitBreaker:
        return ErrorRateCircuitBreaker(self.max_errors, self.window, self.scope, self.max_errors_total, **common)
