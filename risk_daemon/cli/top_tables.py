"""What `top` shows, made of a state: rows of text for tables, lines for its head. Nothing of it draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from risk_daemon.cli.words import UNKNOWN, age, age_of_positions, amount, clock_time, ratio, safe, signed, unproven_word
from risk_daemon.gate.hints import is_circuit_tripped, tripped_by
from risk_daemon.model.status import DistanceStatus, State

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOf:
    """A table of the screen. rows: None where nobody knows them. figures: columns of numbers."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: Callable[[State], Sequence[Row] | None]
    figures: frozenset[str] = frozenset()


def distance_line(state: State) -> str:
    """How much may still be lost, and which rule says so: what a person wants to know first."""
    nearest = next(iter(state.distances), None)
    if nearest is None or nearest.left is None:
        return "How much may still be lost is not known"
    currency = safe(state.reference_currency)
    left = _decimal(nearest.left)
    if left is not None and left <= 0:
        return f"The limit of {safe(nearest.rule)} is passed by {amount(str(-left))} {currency}"
    return f"{amount(nearest.left)} {currency} may still be lost: {_limit_of(nearest, state)}"


def _limit_of(one: DistanceStatus, state: State) -> str:
    does = {"trip": "trips", "freeze": "freezes", "veto": "vetoes"}.get(one.action, safe(one.action))
    return f"{safe(one.rule)} {does} at {amount(one.equity)} {safe(state.reference_currency)}"


def patch_line(state: State) -> str:
    """The drawdown in one short line, as the seeds have it: `DD: 3.2% (limit 10%) - circuit OK`."""
    circuit, drawdown = state.circuit_breaker, state.portfolio_dd_pct
    limit = circuit.max_portfolio_dd_nav_pct
    told = "DD: not known" if drawdown is None else f"DD: {drawdown * 100:.1f}%"
    of = "" if limit is None else f" (limit {limit * 100:.4g}%)"
    if is_circuit_tripped(state):
        other = tripped_by(state)
        return f"{told}{of} - CIRCUIT TRIPPED{'' if other is None else f' by {safe(other)}'}"
    is_known = circuit.active is False and circuit.locked is not None and drawdown is not None
    return f"{told}{of} - {'circuit OK' if is_known else 'circuit not known'}"


def _decimal(value: object) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None


# --- tables ------------------------------------------------------------------------------------------


def _limits(state: State) -> Sequence[Row]:
    """Every rule, the nearest first; of those that do not look at the whole portfolio only how they stand."""
    near = {one.rule: one for one in state.distances}
    names = [*(name for name in near if name in state.breakers), *(name for name in state.breakers if name not in near)]
    return [(safe(name), _standing(state.breakers[name], near.get(name)), *_figures(near.get(name))) for name in names]


def _standing(word: str, one: DistanceStatus | None) -> str:
    """A rule that is beyond its limit while another one has tripped is not just NORMAL."""
    left = None if one is None else _decimal(one.left)
    return f"{safe(word)}, passed" if word == "NORMAL" and left is not None and left <= 0 else safe(word)


def _figures(one: DistanceStatus | None) -> Row:
    return ("", "", "") if one is None else (_loss(one.loss), _loss(one.limit), amount(one.left))


def _loss(value: object) -> str:
    return ratio(value) if isinstance(value, float | int) else amount(value)


def _positions(state: State) -> Sequence[Row]:
    return [
        (
            safe(one.venue),
            safe(one.symbol),
            safe(one.quantity),
            _plain(one.entry),
            _plain(one.mark) + (" (old)" if one.stale else ""),
            amount(one.value),
            signed(one.unrealized),
        )
        for one in state.positions
    ]


def _holdings(state: State) -> Sequence[Row]:
    return [
        (
            safe(one.venue),
            safe(one.asset),
            safe(one.amount),
            _plain(one.price) + (" (old)" if one.stale else ""),
            amount(one.value),
        )
        for one in state.holdings
    ]


def _orders(state: State) -> Sequence[Row] | None:
    return _rows(state.open_orders, ("venue", "symbol", "side", "type", "quantity", "remaining", "price", "bot"))


def _last_orders(state: State) -> Sequence[Row] | None:
    names = ("venue", "symbol", "side", "type", "quantity", "price", "status", "bot")
    return _timed(state.recent.get("orders"), names)


def _fills(state: State) -> Sequence[Row] | None:
    return _timed(state.recent.get("fills"), ("venue", "symbol", "side", "quantity", "price", "fee", "bot"))


def _errors(state: State) -> Sequence[Row] | None:
    return _timed(state.recent.get("errors"), ("kind", "venue", "bot", "detail"))


def _vetoes(state: State) -> Sequence[Row] | None:
    rows = state.recent.get("vetoes")
    names = ("time", "veto_reason", "venue", "symbol", "side", "quantity", "bot", "reason")
    return None if rows is None else [_cells(row, names) for row in reversed(rows)]


def _timed(rows: Sequence[Any] | None, names: tuple[str, ...]) -> Sequence[Row] | None:
    """Newest first, with their time."""
    if rows is None:
        return None
    return [(clock_time(_get(row, "time_wall")), *_cells(row, names)) for row in reversed(rows)]


def _rows(rows: Sequence[Any] | None, names: tuple[str, ...]) -> Sequence[Row] | None:
    return None if rows is None else [_cells(row, names) for row in rows]


def _cells(row: Any, names: tuple[str, ...]) -> Row:
    return tuple("" if _get(row, name) is None else safe(_get(row, name)) for name in names)


def _get(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, Mapping) else None


def _plain(value: str | None) -> str:
    return UNKNOWN if value is None else safe(value)


def _venues(state: State) -> Sequence[Row]:
    rows = []
    for name, venue in state.venues.items():
        ages, orders = venue.age_s, venue.orders
        listed = "NOT LISTED" if orders.failing_s is not None else age(orders.listed_s)
        gone = {True: "proven", False: unproven_word(state), None: ""}[venue.proven]
        rows.append(
            (
                safe(name),
                "yes" if venue.connected is True else "NO",
                amount(venue.equity),
                UNKNOWN if orders.open is None else str(orders.open),
                gone,
                listed,
                age(ages.balances),
                age_of_positions(ages, is_read=state.started is True),
                age(ages.prices),
            )
        )
    return rows


def _locks(state: State) -> Sequence[Row]:
    """Where others read the lock: one that can't be written locks them out."""
    return [
        (
            safe(one.name),
            "yes" if one.failing_s is None else "NO",
            "never" if one.written_s is None else f"{age(one.written_s)} ago",
            "" if one.failing_s is None else age(one.failing_s),
            "" if one.reason is None else safe(one.reason),
        )
        for one in state.locks
    ]


VENUES = TableOf(
    key="venues",
    title="Venues",
    columns=("Venue", "Up", "Equity", "Open orders", "Orders gone", "Listed", "Balances", "Positions", "Prices"),
    rows=_venues,
    figures=frozenset({"Equity", "Open orders"}),
)
TABLES: tuple[TableOf, ...] = (
    TableOf(
        key="limits",
        title="Limits",
        columns=("Rule", "State", "Loss", "Limit", "Left"),
        rows=_limits,
        figures=frozenset({"Loss", "Limit", "Left"}),
    ),
    TableOf(
        key="positions",
        title="Positions",
        columns=("Venue", "Symbol", "Quantity", "Entry", "Mark", "Value", "Unrealised"),
        rows=_positions,
        figures=frozenset({"Quantity", "Entry", "Mark", "Value", "Unrealised"}),
    ),
    TableOf(
        key="holdings",
        title="Holdings",
        columns=("Venue", "Asset", "Amount", "Price", "Value"),
        rows=_holdings,
        figures=frozenset({"Amount", "Price", "Value"}),
    ),
    TableOf(
        key="open",
        title="Open orders",
        columns=("Venue", "Symbol", "Side", "Type", "Quantity", "Remaining", "Price", "Bot"),
        rows=_orders,
        figures=frozenset({"Quantity", "Remaining", "Price"}),
    ),
    TableOf(
        key="orders",
        title="Orders",
        columns=("Time, UTC", "Venue", "Symbol", "Side", "Type", "Quantity", "Price", "Status", "Bot"),
        rows=_last_orders,
        figures=frozenset({"Quantity", "Price"}),
    ),
    TableOf(
        key="fills",
        title="Fills",
        columns=("Time, UTC", "Venue", "Symbol", "Side", "Quantity", "Price", "Fee", "Bot"),
        rows=_fills,
        figures=frozenset({"Quantity", "Price", "Fee"}),
    ),
    TableOf(
        key="errors",
        title="Errors",
        columns=("Time, UTC", "Kind", "Venue", "Bot", "What"),
        rows=_errors,
    ),
    TableOf(
        key="vetoes",
        title="Vetoes",
        columns=("Time", "Because of", "Venue", "Symbol", "Side", "Quantity", "Bot", "Why"),
        rows=_vetoes,
        figures=frozenset({"Quantity"}),
    ),
    TableOf(
        key="locks",
        title="Locks",
        columns=("Lock", "Can be written", "Written", "Failing for", "Why"),
        rows=_locks,
    ),
)
