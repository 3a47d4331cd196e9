"""The rules; each public name is imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from risk_daemon.breakers.base import BaseCircuitBreaker, BreakerState, CircuitBreakerType
    from risk_daemon.breakers.manager import CircuitBreakerManager
    from risk_daemon.breakers.manual import ManualCircuitBreaker

__all__ = [
    "BaseCircuitBreaker",
    "BreakerState",
    "CircuitBreakerManager",
    "CircuitBreakerType",
    "ManualCircuitBreaker",
]

_HOMES = {
    "BaseCircuitBreaker": "base",
    "BreakerState": "base",
    "CircuitBreakerManager": "manager",
    "CircuitBreakerType": "base",
    "ManualCircuitBreaker": "manual",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
