"""Stops everything when trading bots lose too much. The public names; each is imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from risk_daemon.circuit_breaker import CircuitBreaker, CircuitBreakerConfig, event_stream
    from risk_daemon.engine.states import CircuitBreakerState
    from risk_daemon.model.events import RiskEvent
    from risk_daemon.portfolio.manager import PortfolioManager

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerState",
    "PortfolioManager",
    "RiskEvent",
    "event_stream",
]

_HOMES = {
    "CircuitBreaker": "circuit_breaker",
    "CircuitBreakerConfig": "circuit_breaker",
    "CircuitBreakerState": "engine.states",
    "PortfolioManager": "portfolio.manager",
    "RiskEvent": "model.events",
    "event_stream": "circuit_breaker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
