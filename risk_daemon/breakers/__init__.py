"""The rules; each public name is imported when first used."""

# ruff: isort: skip_file
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from risk_daemon.model.breaker_types import CircuitBreakerType as CircuitBreakerType

if TYPE_CHECKING:
    from risk_daemon.breakers.base import (
        Action as Action,
        BaseCircuitBreaker as BaseCircuitBreaker,
        BreakerState as BreakerState,
        EvaluationContext as EvaluationContext,
        PositionView as PositionView,
        VenueView as VenueView,
        Verdict as Verdict,
    )
    from risk_daemon.breakers.blind import BlindCircuitBreaker as BlindCircuitBreaker
    from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker as CapitalLossCircuitBreaker
    from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker as DailyLossCircuitBreaker
    from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker as DrawdownCircuitBreaker
    from risk_daemon.breakers.error_rate import ErrorRateCircuitBreaker as ErrorRateCircuitBreaker
    from risk_daemon.breakers.manager import CircuitBreakerManager as CircuitBreakerManager
    from risk_daemon.breakers.manual import ManualCircuitBreaker as ManualCircuitBreaker
    from risk_daemon.breakers.order_rate import OrderRateCircuitBreaker as OrderRateCircuitBreaker
    from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker as PositionLossCircuitBreaker
    from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker as VenueLossCircuitBreaker
    from risk_daemon.breakers.volatility import VolatilityCircuitBreaker as VolatilityCircuitBreaker
    from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker as WeeklyLossCircuitBreaker

_RULES = [rule for rule in CircuitBreakerType if rule is not CircuitBreakerType.CUSTOM]
_HOMES = {
    "Action": "base",
    "BaseCircuitBreaker": "base",
    "BreakerState": "base",
    "CircuitBreakerManager": "manager",
    "EvaluationContext": "base",
    "PositionView": "base",
    "VenueView": "base",
    "Verdict": "base",
    **{f"{rule.stem}CircuitBreaker": rule.value for rule in _RULES},
}

__all__ = sorted({"CircuitBreakerType", *_HOMES})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
