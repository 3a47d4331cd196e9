"""The rules; each public name is imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from risk_daemon.breakers.base import (
        Action,
        BaseCircuitBreaker,
        BreakerState,
        CircuitBreakerType,
        EvaluationContext,
        PositionView,
        VenueView,
        Verdict,
    )
    from risk_daemon.breakers.blind import BlindCircuitBreaker
    from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker
    from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
    from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
    from risk_daemon.breakers.error_rate import ErrorRateCircuitBreaker
    from risk_daemon.breakers.manager import CircuitBreakerManager
    from risk_daemon.breakers.manual import ManualCircuitBreaker
    from risk_daemon.breakers.order_rate import OrderRateCircuitBreaker
    from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
    from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
    from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
    from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker

__all__ = [
    "Action",
    "BaseCircuitBreaker",
    "BlindCircuitBreaker",
    "BreakerState",
    "CapitalLossCircuitBreaker",
    "CircuitBreakerManager",
    "CircuitBreakerType",
    "DailyLossCircuitBreaker",
    "DrawdownCircuitBreaker",
    "ErrorRateCircuitBreaker",
    "EvaluationContext",
    "ManualCircuitBreaker",
    "OrderRateCircuitBreaker",
    "PositionLossCircuitBreaker",
    "PositionView",
    "VenueLossCircuitBreaker",
    "VenueView",
    "Verdict",
    "VolatilityCircuitBreaker",
    "WeeklyLossCircuitBreaker",
]

_HOMES = {
    "Action": "base",
    "BaseCircuitBreaker": "base",
    "BlindCircuitBreaker": "blind",
    "BreakerState": "base",
    "CapitalLossCircuitBreaker": "capital_loss",
    "CircuitBreakerManager": "manager",
    "CircuitBreakerType": "base",
    "DailyLossCircuitBreaker": "daily_loss",
    "DrawdownCircuitBreaker": "drawdown",
    "ErrorRateCircuitBreaker": "error_rate",
    "EvaluationContext": "base",
    "ManualCircuitBreaker": "manual",
    "OrderRateCircuitBreaker": "order_rate",
    "PositionLossCircuitBreaker": "position_loss",
    "PositionView": "base",
    "VenueLossCircuitBreaker": "venue_loss",
    "VenueView": "base",
    "Verdict": "base",
    "VolatilityCircuitBreaker": "volatility",
    "WeeklyLossCircuitBreaker": "weekly_loss",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
