"""Settings into rules. Which key goes to which argument, the table of each says itself.

`capital_loss`, `manual` and `blind` are always on and made by the engine; what stands here is turned on by a
table. Each call makes new objects, which have seen nothing yet.
"""

from __future__ import annotations

import sys
from pathlib import Path

from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.breakers.base import Action, BaseCircuitBreaker
from risk_daemon.config.load import Settings
from risk_daemon.config.notation import Hours
from risk_daemon.config.own_rule import OwnRule
from risk_daemon.config.rule import Rule
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
        return rule.build(name=name, action=action, active_hours=hours, warnings=rule.warning_levels())
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
    """How many days back peaks must be remembered, for [baselines] and every rule that looks back; None: all."""
    rules = [rule for rule in settings.breakers.rules.values() if not isinstance(rule, OwnRule)]
    looking = [rule for rule in rules if hasattr(rule, "lookback_days")]
    spans = [settings.baselines.lookback_days, *(rule.lookback_days for rule in looking)]
    known = [span for span in spans if span is not None]
    return max(known) if len(known) == len(spans) else None


def active_hours(settings: Settings, rule: Rule) -> ActiveHours | None:
    """When the rule looks, in the time zone of [baselines]; None: always."""
    hours: Hours | None = rule.active_hours
    return None if hours is None else ActiveHours(hours.start, hours.end, settings.baselines.timezone)


def _look_beside(file: Path) -> None:
    """Modules beside the configuration can be imported; those that are installed go before them."""
    directory = str(file.absolute().parent)
    if directory not in sys.path:
        sys.path.append(directory)
