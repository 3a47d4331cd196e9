"""The rules that a table of the configuration turns on, by name. What a breach does by default, each says itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from risk_daemon.breakers.base import Action, BaseCircuitBreaker, CircuitBreakerType
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.breakers.error_rate import ErrorRateCircuitBreaker
from risk_daemon.breakers.order_rate import OrderRateCircuitBreaker
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker

RULES: Mapping[str, type[BaseCircuitBreaker]] = MappingProxyType(
    {
        CircuitBreakerType.DRAWDOWN.value: DrawdownCircuitBreaker,
        CircuitBreakerType.DAILY_LOSS.value: DailyLossCircuitBreaker,
        CircuitBreakerType.WEEKLY_LOSS.value: WeeklyLossCircuitBreaker,
        CircuitBreakerType.VENUE_LOSS.value: VenueLossCircuitBreaker,
        CircuitBreakerType.POSITION_LOSS.value: PositionLossCircuitBreaker,
        CircuitBreakerType.VOLATILITY.value: VolatilityCircuitBreaker,
        CircuitBreakerType.ERROR_RATE.value: ErrorRateCircuitBreaker,
        CircuitBreakerType.ORDER_RATE.value: OrderRateCircuitBreaker,
    }
)


def default_action(rule: str) -> Action:
    """What a breach of `rule` does where nothing else is said. Raises KeyError for a rule that is not there."""
    return RULES[rule].default_action
