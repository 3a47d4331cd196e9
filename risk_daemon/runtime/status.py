"""How things stand, as one JSON-able document: for `risk.json`, the control socket and `status`.

Ratios are numbers, amounts are decimal strings. What is not known is null, never absent and never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from oms import VenueVerdict
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.breakers.venue_loss import venue_loss_ratio
from risk_daemon.engine.engine import Engine
from risk_daemon.gate.restraints import GateState, Restraint
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Kind
from risk_daemon.model.units import plain
from risk_daemon.portfolio.manager import Equity


def report(
    engine: Engine, now: Instant, sweep: Mapping[str, VenueVerdict], gate: GateState | None = None
) -> dict[str, Any]:
    """Everything a reader may want to know at `now`. gate: what is in force, if it is not the engine's."""
    gate = gate or engine.gate
    figures = engine.figures(now)
    capital, equity = engine.baselines.capital, engine.judged(now.mono)
    drawdown, circuit = _drawdown(engine, now)
    return {
        "time": _iso(now.wall),
        "reference_currency": engine.settings.reference,
        **figures,
        "started": engine.is_started,
        "confirming": engine.is_confirming,
        "missing": list(engine.missing()),
        "locked": gate.locked,
        "lock": _lock(engine, gate),
        "initial_capital": None if capital is None else plain(capital),
        "warning_threshold": _first_warning(engine),
        "loss_threshold": float(engine.settings.capital_loss.limit),
        **_loss_of_the_day(engine, equity),
        "portfolio_dd_pct": drawdown,
        "circuit_breaker": {
            "state": figures["state"],
            "locked": gate.locked,
            **circuit,
        },
        "breakers": engine.manager.get_status(),
        "rules": _rules(engine),
        "halts": engine.halts,
        "restraints": [_restraint(one) for one in engine.restraints],
        "venues": {venue: _venue(engine, venue, now, sweep) for venue in engine.connected},
        "last_sweep": _sweep(engine, sweep),
    }


def _drawdown(engine: Engine, now: Instant) -> tuple[float | None, dict[str, Any]]:
    """The drawdown, and its circuit as programs know it: `active` means at the limit or above.

    Of several drawdown rules the one with the lowest limit, from the peak of its own lookback.
    """
    equity, baselines = engine.judged(now.mono), engine.baselines
    rules = [breaker for breaker in engine.manager.get_all_breakers() if isinstance(breaker, DrawdownCircuitBreaker)]
    rule = min(rules, key=lambda rule: rule.max_drawdown_pct, default=None)
    if equity is None:
        ratio = None
    elif rule is None:
        ratio = baselines.drawdown_ratio(equity.value)
    else:
        ratio = baselines.drawdown_ratio(equity.value, rule.lookback_days, now)
    is_active = rule is not None and ratio is not None and ratio >= rule.max_drawdown_pct
    circuit = {"active": is_active, "max_portfolio_dd_nav_pct": None if rule is None else float(rule.max_drawdown_pct)}
    return _number(ratio), circuit


def _loss_of_the_day(engine: Engine, equity: Equity | None) -> dict[str, Any]:
    ratio = None if equity is None else engine.baselines.daily_loss_ratio(equity.value)
    money = None if equity is None else engine.baselines.daily_loss(equity.value)
    return {"daily_loss_ratio": _number(ratio), "daily_loss": None if money is None else plain(money)}


def _rules(engine: Engine) -> dict[str, Any]:
    """What is on, with its limits. What a rule of the user's own would say of itself is its own affair."""
    breakers = engine.manager.get_all_breakers()
    return {rule.name: rule.describe() for rule in breakers if rule.breaker_type is not CircuitBreakerType.CUSTOM}


def _number(ratio: Decimal | None) -> float | None:
    return None if ratio is None else float(ratio)


def _iso(wall: float | None) -> str | None:
    return None if wall is None else datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")


def _lock(engine: Engine, gate: GateState) -> dict[str, Any]:
    return {
        "cause": gate.cause if gate.locked else None,
        **_why(engine, is_locked=gate.locked),
        "trip_id": gate.trip_id,
        "since": _iso(gate.since_wall) if gate.locked else None,
        "until": _iso(gate.until_wall),
        "proven": None if engine.trip is None else engine.trip.proven,
    }


def _why(engine: Engine, *, is_locked: bool) -> dict[str, Any]:
    """Why nobody may send orders: a sentence, what was observed, and which limits held."""
    holding = next((one for one in engine.restraints if not one.is_scoped), None) if is_locked else None
    if holding is None:
        return {"reason": None, "observed": {}, "limits": {}}
    return {"reason": holding.reason, "observed": dict(holding.observed), "limits": dict(holding.limits)}


def _restraint(one: Restraint) -> dict[str, Any]:
    """Something that holds against new orders: of one bot or venue where these are named, else of all."""
    return {"cause": one.cause, "reason": one.reason, "venue": one.venue, "bot": one.bot}


def _first_warning(engine: Engine) -> float | None:
    warnings = engine.settings.capital_loss.warnings
    return float(warnings[0]) if warnings else None


def _venue(engine: Engine, venue: str, now: Instant, sweep: Mapping[str, VenueVerdict]) -> dict[str, Any]:
    portfolio = engine.portfolio
    kinds = (Kind.BALANCES, Kind.POSITIONS, Kind.PRICES)
    is_known = portfolio.age_s(venue, Kind.BALANCES, now.mono) is not None
    verdict = sweep.get(venue)
    return {
        "connected": engine.connected[venue],
        "equity": plain(portfolio.venue_equity(venue)) if is_known else None,
        "daily_loss_ratio": _number(_venue_loss(engine, venue)),
        "age_s": {kind.value: _age(portfolio.age_s(venue, kind, now.mono)) for kind in kinds},
        "proven": None if verdict is None else verdict.proven,
        "orders": _orders(engine, venue, now),
    }


def _orders(engine: Engine, venue: str, now: Instant) -> dict[str, Any]:
    """When its open orders were last listed whole, since when they can't be and why, and whether the key may cancel."""
    view = engine.orders_view(venue)
    if view is None:
        return {"listed_s": None, "failing_s": None, "reason": None, "may_cancel": None}
    failing = view.failing_since_mono
    return {
        "listed_s": None if view.listed_mono is None else now.mono - view.listed_mono,
        "failing_s": None if failing is None else now.mono - failing,
        "reason": view.reason,
        "may_cancel": view.may_cancel,
    }


def _venue_loss(engine: Engine, venue: str) -> Decimal | None:
    """What the venue lost of its start of the day; None where either is not known, or flows emptied it."""
    view, empty_below = engine.books.views.venue_view(venue), engine.baselines.settings.empty_below
    if view.equity is None or view.start_of_day is None:
        return None
    return venue_loss_ratio(view.start_of_day, view.equity.value, empty_below)


def _age(seconds: float | None) -> float | None:
    """What was restored and not read again yet has no age: JSON has no infinity."""
    return seconds if seconds is not None and math.isfinite(seconds) else None


def _sweep(engine: Engine, sweep: Mapping[str, VenueVerdict]) -> dict[str, Any] | None:
    if not sweep:
        return None
    return {
        "trip_id": None if engine.trip is None else engine.trip.trip_id,
        "venues": {
            name: {
                "proven": verdict.proven,
                "cancelled": verdict.cancelled,
                "replaced": [order.order_id for order in verdict.replaced],
                "unproven_reason": verdict.unproven_reason,
                "first_cancel_s": verdict.first_cancel_s,
                "proven_s": verdict.proven_s,
            }
            for name, verdict in sweep.items()
        },
    }
