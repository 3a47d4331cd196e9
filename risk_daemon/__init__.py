"""Stops everything when trading bots lose too much. The public names; each is imported when first used."""

# ruff: isort: skip_file
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from risk_daemon.circuit_breaker import (
        CircuitBreaker as CircuitBreaker,
        CircuitBreakerConfig as CircuitBreakerConfig,
        event_stream as event_stream,
    )
    from risk_daemon.engine.states import CircuitBreakerState as CircuitBreakerState
    from risk_daemon.model.events import RiskEvent as RiskEvent
    from risk_daemon.portfolio.manager import PortfolioManager as PortfolioManager

_HOMES = {
    "CircuitBreaker": "circuit_breaker",
    "CircuitBreakerConfig": "circuit_breaker",
    "CircuitBreakerState": "engine.states",
    "PortfolioManager": "portfolio.manager",
    "RiskEvent": "model.events",
    "event_stream": "circuit_breaker",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
