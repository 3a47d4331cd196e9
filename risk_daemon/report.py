"""How things stand, as one JSON-able document: for `risk.json`, the control socket and `status`.

Ratios are numbers, amounts are decimal strings. What is not known is null, never absent and never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from oms import VenueVerdict
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.clock import Instant
from risk_daemon.engine import Engine
from risk_daemon.events import Kind
from risk_daemon.gate import GateState
from risk_daemon.units import plain


def report(
    engine: Engine, now: Instant, sweep: Mapping[str, VenueVerdict], gate: GateState | None = None
) -> dict[str, Any]:
    """Everything a reader may want to know at `now`. gate: what is in force, if it is not the engine's."""
    gate = gate or engine.gate
    figures = engine.figures(now)
    capital = engine.baselines.capital
    return {
        "time": _iso(now.wall),
        "reference_currency": engine.settings.reference,
        **figures,
        "started": engine.is_started,
        "confirming": engine.is_confirming,
        "missing": list(engine.portfolio.missing() or engine.portfolio.unconfirmed()),
        "locked": gate.locked,
        "lock": _lock(engine, gate),
        "initial_capital": None if capital is None else plain(capital),
        "warning_threshold": _first_warning(engine),
        "loss_threshold": float(engine.settings.capital_loss.limit),
        "portfolio_dd_pct": figures["drawdown_ratio"],
        "circuit_breaker": {
            "state": figures["state"],
            "locked": gate.locked,
            **_drawdown(engine, figures["drawdown_ratio"]),
        },
        "breakers": engine.manager.get_status(),
        "halts": engine.halts,
        "venues": {venue: _venue(engine, venue, now, sweep) for venue in engine.connected},
        "last_sweep": _sweep(engine, sweep),
    }


def _drawdown(engine: Engine, drawdown: float | None) -> dict[str, Any]:
    """The drawdown circuit as programs know it: `active` means that the drawdown is at its limit or above.

    Of several drawdown rules, the one with the lowest limit.
    """
    rules = [breaker for breaker in engine.manager.get_all_breakers() if isinstance(breaker, DrawdownCircuitBreaker)]
    limit = min((float(rule.max_drawdown_pct) for rule in rules), default=None)
    is_active = limit is not None and drawdown is not None and drawdown >= limit
    return {"active": is_active, "max_portfolio_dd_nav_pct": limit}


def _iso(wall: float | None) -> str | None:
    return None if wall is None else datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")


def _lock(engine: Engine, gate: GateState) -> dict[str, Any]:
    return {
        "cause": gate.cause if gate.locked else None,
        "reason": _reason(engine) if gate.locked else None,
        "trip_id": gate.trip_id,
        "since": _iso(gate.since_wall) if gate.locked else None,
        "until": _iso(gate.until_wall),
        "proven": None if engine.trip is None else engine.trip.proven,
    }


def _reason(engine: Engine) -> str | None:
    """In a sentence, why nobody may send orders."""
    if engine.trip is not None:
        return engine.trip.reason
    return next((restraint.reason for restraint in engine.restraints if not restraint.is_scoped), None)


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
        "age_s": {kind.value: _age(portfolio.age_s(venue, kind, now.mono)) for kind in kinds},
        "proven": None if verdict is None else verdict.proven,
    }


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
