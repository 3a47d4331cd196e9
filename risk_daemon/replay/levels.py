"""Limits as equities: below which one a rule would trip, as things stand. For a plot; rules judge by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers.base import BaseCircuitBreaker
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.breakers.loss import LossCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import EXACT, ONE, ZERO

Level = Callable[[Baselines, Instant], Decimal | None]


def levels_of(rules: Iterable[BaseCircuitBreaker]) -> Mapping[str, Level]:
    """By rule, for those that have such a level."""
    found = {rule.name: _level_of(rule) for rule in rules if isinstance(rule, LossCircuitBreaker)}
    return {name: level for name, level in found.items() if level is not None}


def _level_of(rule: LossCircuitBreaker) -> Level | None:
    limit = rule.limit

    def below(base: Decimal | None) -> Decimal | None:
        if base is None:
            return None
        return EXACT.multiply(base, ONE - limit.size) if limit.is_ratio else base - limit.size

    match rule:
        case CapitalLossCircuitBreaker():
            return lambda baselines, now: below(baselines.capital)
        case DrawdownCircuitBreaker():
            return lambda baselines, now: below(baselines.peak_within(rule.lookback_days, now))
        case DailyLossCircuitBreaker():
            return lambda baselines, now: below(
                baselines.start_of_day if limit.is_ratio else baselines.daily_loss(ZERO)
            )
        case WeeklyLossCircuitBreaker():
            return lambda baselines, now: below(
                baselines.start_of_week if limit.is_ratio else baselines.weekly_loss(ZERO)
            )
    return None
