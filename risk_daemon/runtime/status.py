"""How things stand, made of what the engine and the last sweep know. See `model/status.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from oms import VenueVerdict
from risk_daemon.breakers.base import VenueView
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.breakers.venue_loss import venue_loss_ratio
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.listing_watch import OrdersView
from risk_daemon.engine.trip import Trip
from risk_daemon.gate.restraints import GateState, Restraint
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Kind, PeerSeen
from risk_daemon.model.others_status import FundStatus, GuardsStatus, PeerStatus
from risk_daemon.model.status import (
    AgesStatus,
    CircuitStatus,
    DeadManStatus,
    HaltStatus,
    LockStatus,
    LockStoreStatus,
    OrdersStatus,
    RestraintStatus,
    Status,
    SweepStatus,
    SweptStatus,
    VenueStatus,
)
from risk_daemon.model.units import plain
from risk_daemon.runtime.measured import measured
from risk_daemon.runtime.open_orders import OpenOrders
from risk_daemon.runtime.worth import distances, holdings, positions, profits

LAST_SWEEP = "last_sweep"


def status_of(
    engine: Engine,
    now: Instant,
    sweep: Mapping[str, VenueVerdict],
    gate: GateState | None = None,
    open_orders: OpenOrders | None = None,
    locks: Sequence[LockStoreStatus] = (),
    before: SweepStatus | None = None,
    fund: FundStatus | None = None,
) -> Status:
    """Everything a reader may want to know at `now`. gate: what is in force, if it is not the engine's.

    before: what a sweep of an earlier run proved for the trip that stands; it counts until one is made in this run.
    """
    last_sweep = _sweep(engine, sweep) or _of_trip(before, engine.trip)
    proven = {} if last_sweep is None else {name: swept.proven for name, swept in last_sweep.venues.items()}
    gate = gate or engine.gate
    figures, capital, equity = engine.figures(now), engine.baselines.capital, engine.judged(now.mono)
    daily_loss = None if equity is None else engine.baselines.daily_loss(equity.value)
    rule, drawdown = _drawdown(engine, now)
    views = {venue: engine.venue_view(venue) for venue in engine.connected}
    return Status(
        time=_moment(now.wall),
        reference_currency=engine.settings.reference,
        **figures,
        started=engine.is_started,
        confirming=engine.is_confirming,
        missing=engine.missing(),
        locked=gate.locked,
        lock=_lock(engine, gate),
        initial_capital=None if capital is None else plain(capital),
        warning_threshold=_first_warning(engine),
        loss_threshold=float(engine.settings.capital_loss.limit),
        daily_loss_ratio=None if equity is None else _number(engine.baselines.daily_loss_ratio(equity.value)),
        daily_loss=None if daily_loss is None else plain(daily_loss),
        portfolio_dd_pct=_number(drawdown),
        circuit_breaker=CircuitStatus(
            state=figures["state"],
            locked=gate.locked,
            active=rule is not None and drawdown is not None and drawdown >= rule.max_drawdown_pct,
            max_portfolio_dd_nav_pct=None if rule is None else float(rule.max_drawdown_pct),
        ),
        breakers=engine.manager.get_status(),
        rules=_rules(engine, now),
        halts=tuple(HaltStatus(**halt) for halt in engine.halts),
        restraints=tuple(map(_restraint, engine.restraints)),
        venues={
            venue: _venue(engine, venue, views[venue], now, sweep.get(venue), open_orders, proven.get(venue))
            for venue in engine.connected
        },
        last_sweep=last_sweep,
        distances=distances(engine, now),
        positions=positions(engine.portfolio),
        holdings=holdings(engine.portfolio),
        profit=profits(engine, now, views),
        locks=tuple(locks),
        fund=fund,
        guards=_guards(engine, now),
    )


def _guards(engine: Engine, now: Instant) -> GuardsStatus | None:
    """What the place where they meet said last; who opens only while that counts."""
    outside = engine.outside
    if outside.epoch is None:
        return None
    board, reason = outside.board, outside.why_unknown(now.mono)
    is_known = board is not None and reason is None and board.holder != ""
    return GuardsStatus(
        name="" if board is None else board.name,
        opens=board.holder if board is not None and is_known else None,
        epoch=outside.epoch,
        since=_moment_or_none(outside.holder_since_wall) if is_known else None,
        answered_s=None if board is None else now.mono - board.asked_mono,
        reason=reason,
        peers=() if board is None else tuple(_peer(one, is_known=reason is None) for one in board.peers),
    )


def _peer(one: PeerSeen, *, is_known: bool) -> PeerStatus:
    """What it held last it holds; whether it is there is not known where the board is silent."""
    cause, reason = (one.cause, one.reason) if one.locked else (None, None)
    return PeerStatus(
        name=one.name, heard=one.is_heard, here=one.is_here if is_known else None, cause=cause, reason=reason
    )


def status_line(engine: Engine, now: Instant) -> str:
    """The same in one short line, for who lists services."""
    gate, figures = engine.gate, engine.figures(now)
    loss = figures["loss_ratio"]
    text = figures["state"] if loss is None else f"{figures['state']}, loss {loss * 100:.2f} %"
    return f"{text}, gate shut: {gate.cause}" if gate.locked else f"{text}, gate open"


def _drawdown(engine: Engine, now: Instant) -> tuple[DrawdownCircuitBreaker | None, Decimal | None]:
    """Of several drawdown rules the one with the lowest limit; the drawdown from the peak of its own lookback."""
    equity, baselines = engine.judged(now.mono), engine.baselines
    rules = [breaker for breaker in engine.manager.get_all_breakers() if isinstance(breaker, DrawdownCircuitBreaker)]
    rule = min(rules, key=lambda rule: rule.max_drawdown_pct, default=None)
    if equity is None:
        return rule, None
    if rule is None:
        return None, baselines.drawdown_ratio(equity.value)
    return rule, baselines.drawdown_ratio(equity.value, rule.lookback_days, now)


def _rules(engine: Engine, now: Instant) -> dict[str, Any]:
    """What is on, with its limits and what it sees. What a rule of the user's own says of itself is its own affair."""
    breakers, seen = engine.manager.get_all_breakers(), measured(engine, now)
    return {
        rule.name: rule.describe() | seen[rule.name]
        for rule in breakers
        if rule.breaker_type is not CircuitBreakerType.CUSTOM
    }


def _number(ratio: Decimal | None) -> float | None:
    return None if ratio is None else float(ratio)


def _moment(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")


def _moment_or_none(wall: float | None) -> str | None:
    return None if wall is None else _moment(wall)


def _lock(engine: Engine, gate: GateState) -> LockStatus:
    """With the sentence, what was observed, and which limits held, where something holds against everybody."""
    holding = next((one for one in engine.restraints if not one.is_scoped), None) if gate.locked else None
    return LockStatus(
        cause=gate.cause if gate.locked else None,
        reason=None if holding is None else holding.reason,
        observed={} if holding is None else dict(holding.observed),
        limits={} if holding is None else dict(holding.limits),
        trip_id=gate.trip_id,
        since=_moment_or_none(gate.since_wall) if gate.locked else None,
        until=_moment_or_none(gate.until_wall),
        proven=None if engine.trip is None else engine.trip.proven,
        proven_at=None if engine.trip is None else _moment_or_none(engine.trip.proven_wall),
    )


def _restraint(one: Restraint) -> RestraintStatus:
    return RestraintStatus(cause=one.cause, reason=one.reason, venue=one.venue, bot=one.bot)


def _first_warning(engine: Engine) -> float | None:
    warnings = engine.settings.capital_loss.warnings
    return float(warnings[0]) if warnings else None


def _venue(
    engine: Engine,
    venue: str,
    view: VenueView,
    now: Instant,
    verdict: VenueVerdict | None,
    open_orders: OpenOrders | None,
    proven: bool | None,
) -> VenueStatus:
    portfolio = engine.portfolio
    is_known = portfolio.age_s(venue, Kind.BALANCES, now.mono) is not None
    ages = {
        kind.value: _age(portfolio.age_s(venue, kind, now.mono))
        for kind in (Kind.BALANCES, Kind.POSITIONS, Kind.PRICES)
    }
    return VenueStatus(
        connected=engine.connected[venue],
        equity=plain(portfolio.venue_equity(venue)) if is_known else None,
        daily_loss_ratio=_number(_venue_loss(engine, view)),
        age_s=AgesStatus(**ages),
        proven=proven,
        orders=_orders(engine, venue, now, verdict, open_orders),
        dead_man=_dead_man(engine, venue, now),
    )


def _orders(
    engine: Engine, venue: str, now: Instant, verdict: VenueVerdict | None, open_orders: OpenOrders | None
) -> OrdersStatus:
    """When its open orders were last listed whole, since when they can't be and why, and whether the key may cancel.

    In a trip the sweep lists, and both how many and when are of its listings: what cancels removed since an ordinary
    listing is not known before there is one.
    """
    view = engine.orders_view(venue) or OrdersView(None)
    count = None if open_orders is None else open_orders.count(venue)
    listed, failing, reason = view.listed_mono, view.failing_since_mono, view.reason
    if engine.trip is not None and verdict is not None:
        by_sweep = verdict.listed_mono
        if by_sweep is None:
            count = None
        elif listed is None or by_sweep >= listed:
            listed, count = by_sweep, verdict.open
            if failing is not None and by_sweep > failing and count is not None:
                failing, reason = None, reason if view.may_cancel is False else None
    return OrdersStatus(
        listed_s=None if listed is None else now.mono - listed,
        failing_s=None if failing is None else now.mono - failing,
        reason=reason,
        may_cancel=view.may_cancel,
        open=count,
    )


def _dead_man(engine: Engine, venue: str, now: Instant) -> DeadManStatus | None:
    """When the venue's own switch fires, by the wall clock of now."""
    view = engine.dead_men.view(venue)
    if view is None:
        return None
    left_s = None if view.fires_mono is None else view.fires_mono - now.mono
    return DeadManStatus(
        timeout_s=view.timeout_s,
        armed_until=_moment(now.wall + left_s) if left_s is not None and left_s > 0 else None,
        markets=tuple(name for name in view.armed if name),
        refreshed_s=None if view.refreshed_mono is None else now.mono - view.refreshed_mono,
        reason=view.reason,
    )


def _venue_loss(engine: Engine, view: VenueView) -> Decimal | None:
    """What the venue lost of its start of the day; None where either is not known, or flows emptied it."""
    empty_below = engine.baselines.settings.empty_below
    if view.equity is None or view.start_of_day is None:
        return None
    return venue_loss_ratio(view.start_of_day, view.equity.value, empty_below)


def _age(seconds: float | None) -> float | None:
    """What was restored and not read again yet has no age: JSON has no infinity."""
    return seconds if seconds is not None and math.isfinite(seconds) else None


def sweep_document(engine: Engine, sweep: Mapping[str, VenueVerdict], before: SweepStatus | None) -> dict[str, Any]:
    """What is to be known of the sweep after a restart; empty where no trip stands."""
    found = None if engine.trip is None else _sweep(engine, sweep) or _of_trip(before, engine.trip)
    return {} if found is None else found.document()


def restored_sweep(document: object, trip: Trip | None) -> SweepStatus | None:
    """Take back what `sweep_document` gave, where it is of the trip that stands and that is proven."""
    return _of_trip(SweepStatus.shown(document), trip) if isinstance(document, Mapping) else None


def _of_trip(sweep: SweepStatus | None, trip: Trip | None) -> SweepStatus | None:
    is_known = sweep is not None and trip is not None and trip.proven and sweep.trip_id == trip.trip_id
    return sweep if is_known else None


def _sweep(engine: Engine, sweep: Mapping[str, VenueVerdict]) -> SweepStatus | None:
    if not sweep:
        return None
    trip_id = None if engine.trip is None else engine.trip.trip_id
    return SweepStatus(trip_id=trip_id, venues={name: _swept(verdict) for name, verdict in sweep.items()})


def _swept(verdict: VenueVerdict) -> SweptStatus:
    return SweptStatus(
        proven=verdict.proven,
        cancelled=verdict.cancelled,
        replaced=tuple(order.order_id for order in verdict.replaced),
        kept=tuple(order.order_id for order in verdict.kept),
        unproven_reason=verdict.unproven_reason,
        failing=verdict.failing,
        first_cancel_s=verdict.first_cancel_s,
        proven_s=verdict.proven_s,
    )
