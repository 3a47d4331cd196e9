"""How far each rule is from its limit, from what the status says of it: pure arithmetic, for whoever shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.status import Status


class Unit(StrEnum):
    """What a limit counts. money: of the reference currency."""

    RATIO = "ratio"
    MONEY = "money"
    COUNT = "count"


# By the limit's name in records: the figure it is compared with, and its unit.
LIMITS: Mapping[str, tuple[str, Unit]] = {
    "loss_threshold": ("loss_ratio", Unit.RATIO),
    "max_portfolio_dd_nav_pct": ("current_dd_pct", Unit.RATIO),
    **{
        f"max_{kind}_pct": ("loss_ratio", Unit.RATIO)
        for kind in ("daily_loss", "weekly_loss", "venue_loss", "position_loss")
    },
    **{f"max_{kind}": ("loss", Unit.MONEY) for kind in ("daily_loss", "weekly_loss", "venue_loss", "position_loss")},
    "max_volatility": ("volatility", Unit.RATIO),
    "max_orders": ("orders", Unit.COUNT),
    "max_errors": ("errors", Unit.COUNT),
}

# The rules about the whole portfolio: of these it can be said how much money may still be lost.
_OF_ALL = frozenset(
    {
        CircuitBreakerType.CAPITAL_LOSS,
        CircuitBreakerType.DRAWDOWN,
        CircuitBreakerType.DAILY_LOSS,
        CircuitBreakerType.WEEKLY_LOSS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """One rule's. observed, limit: in its unit. used: 0 far away, 1 at the limit.

    money: how much may still be lost until it acts, in the reference currency; None where that can't be said. What a
    rule that is not known to be anywhere near observes is None, and so is all that would follow from it.
    """

    rule: str
    action: str
    unit: Unit
    observed: float | None
    limit: float
    money: float | None

    @property
    def used(self) -> float | None:
        return None if self.observed is None or self.limit <= 0 else self.observed / self.limit


def headrooms(status: Status) -> tuple[Headroom, ...]:
    """Of every rule that has a limit, in the order of the status."""
    equity = _number(status.equity)
    found = (_headroom(name, rule, equity) for name, rule in status.rules.items())
    return tuple(one for one in found if one is not None)


def nearest_trip(of: Iterable[Headroom]) -> Headroom | None:
    """The one whose limit is reached first by a loss of everything alike, of those that stop the trading."""
    known = [one for one in of if one.money is not None and one.action in ("trip", "freeze")]
    return min(known, key=lambda one: one.money or 0.0, default=None)


def _headroom(name: str, rule: Mapping[str, Any], equity: float | None) -> Headroom | None:
    limit, unit = _number(rule.get("limit")), rule.get("unit")
    if limit is None or unit not in set(Unit):
        return None
    observed = _number(rule.get("observed"))
    of_all = rule.get("breaker_type") in _OF_ALL
    money = _money(Unit(unit), observed, limit, equity) if of_all and observed is not None else None
    return Headroom(
        rule=name, action=str(rule.get("action")), unit=Unit(unit), observed=observed, limit=limit, money=money
    )


def _money(unit: Unit, observed: float, limit: float, equity: float | None) -> float | None:
    """What is left to lose. A ratio is of what the loss is measured from, which follows from loss and equity."""
    if unit is Unit.MONEY:
        return limit - observed
    if equity is None or observed >= 1:
        return None
    return (limit - observed) * equity / (1 - observed)


def _number(value: Any) -> float | None:
    """A finite number, or nothing."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
