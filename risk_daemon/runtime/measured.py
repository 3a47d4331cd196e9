"""What each rule that is on sees now, beside its limit: so that people know how far it is, long before it acts.

Rules are asked here as the engine asks them. None of it decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any

from risk_daemon.engine.engine import Engine
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.headroom import LIMITS, Unit
from risk_daemon.model.units import EXACT

# What a rule of the user's own does when it is asked is its own affair; the others have nothing to measure, or
# count how often they are asked.
_NOT_ASKED = (CircuitBreakerType.CUSTOM, CircuitBreakerType.MANUAL, CircuitBreakerType.BLIND)


def measured(engine: Engine, now: Instant) -> dict[str, dict[str, Any]]:
    """`observed`, `limit` and `unit` of each rule by its name; null where a rule can't know, or knows no limit."""
    with localcontext(EXACT):
        context = engine.books.context(engine.books.picture(now.mono))
        return {
            rule.name: {}
            if rule.breaker_type in _NOT_ASKED
            else _of(rule.evaluate(context, now).observed, rule.describe())
            for rule in engine.manager.get_all_breakers()
        }


def _of(observed: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """The figure and the limit that belong together, as numbers or, money, decimal strings."""
    limits: Mapping[str, Any] = described["limits"]
    for name, (figure, unit) in LIMITS.items():
        if name in limits:
            return {
                "observed": _number(observed.get(figure), unit),
                "limit": _number(limits[name], unit),
                "unit": unit.value,
            }
    return {}


def _number(value: Any, unit: Unit) -> float | int | str | None:
    """As `Status` has figures: ratios and counts are numbers, amounts decimal strings."""
    if value is None:
        return None
    return str(value) if unit is Unit.MONEY else value if isinstance(value, int) else float(Decimal(str(value)))
