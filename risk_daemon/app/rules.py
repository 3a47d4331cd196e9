"""Settings into rules: which key goes to which argument of which class.

`capital_loss`, `manual` and `blind` are always on and made by the engine; what stands here is turned on by a
table. Each call makes new objects, which have seen nothing yet.
"""

from __future__ import annotations

import sys
from pathlib import Path

from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.breakers.base import Action, BaseCircuitBreaker, Common, Number
from risk_daemon.breakers.custom import load_rule
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.breakers.error_rate import ErrorRateCircuitBreaker
from risk_daemon.breakers.order_rate import OrderRateCircuitBreaker
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.config.load import Settings
from risk_daemon.config.notation import Hours, LossLimit
from risk_daemon.config.rules import (
    DailyLoss,
    Drawdown,
    ErrorRate,
    OrderRate,
    OwnRule,
    PositionLoss,
    Rule,
    VenueLoss,
    VolatilityOfEquity,
    WeeklyLoss,
)
from risk_daemon.errors import CircuitBreakerError, ConfigError
from risk_daemon.gate.pretrade import PreTradeSettings

ACTIONS = {"veto": Action.VETO, "freeze": Action.FREEZE, "trip": Action.TRIP}


def build_rules(settings: Settings) -> tuple[BaseCircuitBreaker, ...]:
    """The rules of [breakers], in the order of the file. Raises ConfigError for a `class` that can't be used."""
    return tuple(build_rule(settings, name, rule) for name, rule in settings.breakers.rules.items())


def build_rule(settings: Settings, name: str, rule: Rule) -> BaseCircuitBreaker:
    """One of them. Raises ConfigError."""
    hours = active_hours(settings, rule)
    action = None if rule.action is None else ACTIONS[rule.action]
    try:
        if isinstance(rule, OwnRule):
            _look_beside(settings.file)
            return load_rule(rule.class_path, name, action, rule.options, active_hours=hours)
        return _made(rule, {"name": name, "action": action, "active_hours": hours, "warnings": _warnings(rule)})
    except (ValueError, CircuitBreakerError) as error:
        raise ConfigError(f"{settings.file}: breakers.{name}: {error}.") from error


def pretrade_settings(settings: Settings) -> PreTradeSettings:
    """The limits of single orders. Raises ConfigError for one that is not above zero."""
    gate = settings.gate
    try:
        return PreTradeSettings(
            max_notional=gate.max_notional,
            max_quantity=gate.max_quantity,
            price_collar=gate.price_collar,
            duplicate_window_s=gate.duplicate_window,
            max_orders_per_second_per_bot=gate.max_orders_per_second_per_bot,
        )
    except ValueError as error:
        raise ConfigError(f"{settings.file}: gate: {error}.") from error


def longest_lookback(settings: Settings) -> int | None:
    """How many days back peaks must be remembered, for [baselines] and every drawdown rule; None: all."""
    rules = settings.breakers.rules.values()
    spans = [settings.baselines.lookback_days, *(rule.lookback_days for rule in rules if isinstance(rule, Drawdown))]
    known = [span for span in spans if span is not None]
    return max(known) if len(known) == len(spans) else None


def active_hours(settings: Settings, rule: Rule) -> ActiveHours | None:
    """When the rule looks, in the time zone of [baselines]; None: always."""
    hours: Hours | None = rule.active_hours
    return None if hours is None else ActiveHours(hours.start, hours.end, settings.baselines.timezone)


def _made(rule: Rule, common: Common) -> BaseCircuitBreaker:
    match rule:
        case Drawdown():
            return DrawdownCircuitBreaker(rule.limit, rule.lookback_days, **common)
        case DailyLoss(limit=limit):
            return DailyLossCircuitBreaker(limit.money, max_daily_loss_pct=limit.ratio, **common)
        case WeeklyLoss(limit=limit):
            return WeeklyLossCircuitBreaker(limit.money, max_weekly_loss_pct=limit.ratio, **common)
        case VenueLoss(limit=limit):
            return VenueLossCircuitBreaker(limit.money, max_venue_loss_pct=limit.ratio, venue=rule.venue, **common)
        case PositionLoss(limit=limit):
            return PositionLossCircuitBreaker(limit.money, max_position_loss_pct=limit.ratio, **common)
        case VolatilityOfEquity():
            return VolatilityCircuitBreaker(rule.limit, rule.window, **common)
        case OrderRate():
            return OrderRateCircuitBreaker(rule.max_orders, rule.window, rule.scope, rule.max_orders_total, **common)
        case ErrorRate():
            return ErrorRateCircuitBreaker(rule.max_errors, rule.window, rule.scope, rule.max_errors_total, **common)
        case _:
            raise TypeError(f"no class is known for {type(rule).__name__}")


def _warnings(rule: Rule) -> tuple[Number, ...]:
    """In the unit of the limit."""
    warnings = getattr(rule, "warnings", ())
    return tuple(warning.size if isinstance(warning, LossLimit) else warning for warning in warnings)


def _look_beside(file: Path) -> None:
    """Modules beside the configuration can be imported; those that are installed go before them."""
    directory = str(file.absolute().parent)
    if directory not in sys.path:
        sys.path.append(directory)
