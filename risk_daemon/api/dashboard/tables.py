"""What is held, what is open, what happened: the tables of the page, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from risk_daemon.api.dashboard.grid import columns, matching, more, table
from risk_daemon.api.dashboard.html import Markup, joined, tag, text
from risk_daemon.api.dashboard.summary import ends, sweep
from risk_daemon.api.dashboard.words import (
    age,
    gain,
    limits_text,
    money,
    number,
    percent,
    quantity,
    shown,
    truth,
    unknown,
    wall_of,
    when,
)
from risk_daemon.model.status import AgesStatus, State, VenueStatus

MOST_SHOWN = 500
_ALL = "GET /api/v1/state has all of them"
_Rows = Iterable[Sequence[Markup | str]]


# --- rules -------------------------------------------------------------------------------------------


def breakers(state: State) -> Markup:
    """Every rule with its state, in words and in colour."""
    rows = []
    for name, word in state.breakers.items():
        rule = state.rules.get(name) or {}
        words, tone = _standing(state, name, word, rule)
        badge = tag("strong", words, class_=f"badge {tone}")
        action = rule.get("action")
        then = unknown() if action is None else text(ends(str(action)))
        rows.append((text(name), badge, then, text(limits_text(rule, state.reference_currency))))
    heads = columns("Rule", "State", "Then it", "Acts at")
    return table("Circuit breakers", heads, rows, empty="No rule is on.", stacks=True)


def _standing(state: State, name: str, word: str, rule: Mapping[str, Any]) -> tuple[str, str]:
    """The words, and how bad they are: red is what refuses orders, amber what soon may."""
    if word == "TRIPPED":
        return f"TRIPPED, {rule.get('action') or 'shut'}", "bad"
    if word == "NORMAL" and any(one.rule == name and (number(one.left) or 0) < 0 for one in state.distances):
        return "NORMAL, limit passed", "warn"
    if word == "NORMAL":
        return ("NORMAL, warned", "warn") if _is_warned(state, name, rule) else ("NORMAL", "good")
    return word, "warn" if word == "RESETTING" else "bad"


def _is_warned(state: State, name: str, rule: Mapping[str, Any]) -> bool:
    levels = [level for level in map(number, rule.get("warnings") or ()) if level is not None]
    losses = [number(one.loss) for one in state.distances if one.rule == name]
    return any(loss is not None and levels and loss >= min(levels) for loss in losses)


# --- venues ------------------------------------------------------------------------------------------


def _ago_positions(ages: AgesStatus, *, is_read: bool) -> Markup:
    """Once everything expected was read, positions without an age are none that are read there: a dash."""
    is_none_there = is_read and ages.balances is not None and ages.positions is None
    return text("-") if is_none_there else _ago(ages.positions)


def venues(state: State, proven: Mapping[str, float]) -> Markup:
    """proven: when the last sweep was proven there, in Unix seconds, as far as this run knows."""
    heads = columns(
        "Venue", "Connected", "#Equity", "#Day", "Balances", "Positions", "Prices", "Open orders", "Orders gone"
    )
    rows = [
        (
            text(name),
            truth(venue.connected, "yes", tag("strong", "NO", class_="badge bad")),
            money(venue.equity),
            _lost(venue.daily_loss_ratio),
            _ago(venue.age_s.balances),
            _ago_positions(venue.age_s, is_read=state.started is True),
            _ago(venue.age_s.prices),
            _orders_there(venue),
            sweep(state, name, proven.get(name)),
        )
        for name, venue in state.venues.items()
    ]
    return table("Venues", heads, rows, empty="No venue is configured.", stacks=True)


def locks(state: State) -> Markup:
    """Where others read the lock. No ages while all is well: then this part is sent once."""
    rows = [
        (
            text(one.name),
            "yes" if one.failing_s is None and one.written_s is not None else tag("strong", "NO", class_="badge bad"),
            "" if one.failing_s is None else age(one.failing_s),
            "not yet" if one.failing_s is None and one.written_s is None else text(one.reason or ""),
        )
        for one in state.locks
    ]
    heads = columns("Lock", "Written", "Failing for", "Why")
    return table("Locks", heads, rows, empty="Not known: no guard has told.", stacks=True)


def _lost(ratio: float | None) -> Markup:
    """A loss of the day is a gain below zero."""
    if ratio is None:
        return unknown()
    kind = "down" if ratio > 0 else "up" if ratio < 0 else "even"
    return tag("span", "+" if ratio < 0 else None, percent(-ratio if ratio else 0.0), class_=kind)


def _ago(seconds: float | None) -> Markup:
    return unknown("not in this run") if seconds is None else joined(age(seconds), " ago")


def _orders_there(venue: VenueStatus) -> Markup:
    orders = venue.orders
    count = unknown() if orders.open is None else text(orders.open)
    if orders.failing_s is not None:
        failing = tag("strong", "NOT LISTED for ", age(orders.failing_s), class_="badge bad")
        return joined(count, " ", failing, f" {orders.reason}" if orders.reason else None)
    if orders.may_cancel is False:
        return joined(count, " ", tag("strong", "THIS KEY MAY NOT CANCEL", class_="badge bad"))
    listed = unknown("not listed in this run") if orders.listed_s is None else joined("listed ", _ago(orders.listed_s))
    switch = venue.dead_man
    if switch is None or not switch.reason:
        return joined(count, ", ", listed)
    late = tag("strong", "dead man's switch not refreshed", class_="badge warn")
    return joined(count, ", ", listed, " ", late, f" {switch.reason}")


# --- what is held ------------------------------------------------------------------------------------


def positions(state: State) -> Markup:
    """With what they stand for, and their profit since their entries."""
    heads = columns("Position", "Venue", "#Quantity", "#Entry", "#Mark", "#Value", "#Unrealized")
    rows = [
        (
            text(one.symbol),
            text(one.venue),
            quantity(one.quantity),
            quantity(one.entry),
            _maybe_old(quantity(one.mark), one.stale),
            money(one.value, state.reference_currency),
            gain(one.unrealized, state.reference_currency),
        )
        for one in _largest(state.positions)
    ]
    return joined(
        table("Positions", heads, rows, empty=_none_told(state, "position is open")),
        more(len(rows), len(state.positions), _ALL),
    )


def holdings(state: State) -> Markup:
    heads = columns("Asset", "Venue", "#Amount", "#Price", "#Value")
    rows = [
        (
            text(one.asset),
            text(one.venue),
            quantity(one.amount),
            _maybe_old(quantity(one.price), one.stale),
            money(one.value, state.reference_currency),
        )
        for one in _largest(state.holdings)
    ]
    return joined(
        table("Holdings", heads, rows, empty=_none_told(state, "asset is held")),
        more(len(rows), len(state.holdings), _ALL),
    )


def _largest(rows: Sequence[Any]) -> Sequence[Any]:
    """What is not valued comes first: nobody knows how large it is."""
    if len(rows) <= MOST_SHOWN:
        return rows
    sizes = [(number(one.value), one) for one in rows]
    ranked = sorted(sizes, key=lambda each: abs(each[0]) if each[0] is not None else Decimal("Infinity"), reverse=True)
    return [one for _, one in ranked[:MOST_SHOWN]]


def _none_told(state: State, what: str) -> str:
    """No answer is not none."""
    silent = [name for name, venue in state.venues.items() if venue.age_s.balances is None]
    return (
        f"No {what}." if state.venues and not silent else f"Not known: {', '.join(silent) or 'no venue'} has not told."
    )


def _maybe_old(words: Markup, stale: bool | None) -> Markup:
    return joined(words, " ", tag("strong", "old", class_="badge warn")) if stale else words


# --- what happened -----------------------------------------------------------------------------------


def open_orders(state: State, query: str = "") -> Markup:
    if state.open_orders is None:
        return tag("p", unknown(), class_="none")
    rows = list(matching((_order(one, None)[1:] for one in _records(state.open_orders)), query))
    return table("Open orders", columns(*_ORDER[1:]), rows, empty="No open order is known.")


def orders(state: State, query: str = "") -> Markup:
    rows = (_order(one, wall_of(state.time)) for one in _newest(state, "orders"))
    return _happened(state, "orders", "Last orders", _ORDER, matching(rows, query))


_ORDER = ("Time", "Symbol", "Venue", "Bot", "Side", "Type", "#Quantity", "#Price", "Status", "Id")


def _order(one: Mapping[str, Any], now_wall: float | None) -> tuple[Markup, ...]:
    ids = one.get("order_id") or one.get("client_order_id")
    return (
        when(one.get("time_wall"), now_wall),
        shown(one.get("symbol")),
        shown(one.get("venue")),
        shown(one.get("bot")),
        shown(one.get("side")),
        shown(one.get("type")),
        quantity(one.get("quantity")),
        quantity(one.get("price") if one.get("price") is not None else one.get("trigger_price")),
        shown(one.get("status")),
        shown(ids),
    )


def fills(state: State, query: str = "") -> Markup:
    rows = (
        (
            when(one.get("time_wall"), wall_of(state.time)),
            shown(one.get("symbol")),
            shown(one.get("venue")),
            shown(one.get("bot")),
            shown(one.get("side")),
            quantity(one.get("quantity")),
            quantity(one.get("price")),
            joined(quantity(one.get("fee")), " ", text(one.get("fee_asset") or "")),
        )
        for one in _newest(state, "fills")
    )
    heads = ("Time", "Symbol", "Venue", "Bot", "Side", "#Quantity", "#Price", "#Fee")
    return _happened(state, "fills", "Last fills", heads, matching(rows, query))


def errors(state: State, query: str = "") -> Markup:
    rows = (
        (
            when(one.get("time_wall"), wall_of(state.time)),
            shown(one.get("kind")),
            *_whose(one),
            shown(one.get("detail")),
        )
        for one in _newest(state, "errors")
    )
    return _happened(state, "errors", "Last errors", ("Time", "Kind", "Venue", "Bot", "Detail"), matching(rows, query))


def vetoes(state: State, query: str = "") -> Markup:
    rows = (
        (
            when(one.get("unix"), wall_of(state.time)),
            shown(one.get("veto_reason")),
            *_whose(one),
            shown(one.get("symbol")),
            shown(one.get("side")),
            quantity(one.get("quantity")),
            shown(one.get("reason")),
        )
        for one in _newest(state, "vetoes")
    )
    heads = ("Time", "Veto", "Venue", "Bot", "Symbol", "Side", "#Quantity", "Why")
    return _happened(state, "vetoes", "Last vetoes", heads, matching(rows, query))


def _whose(one: Mapping[str, Any]) -> tuple[Markup, Markup]:
    return shown(one.get("venue")), shown(one.get("bot"))


def _newest(state: State, kind: str) -> Iterable[Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = reversed(_records(state.recent.get(kind) or ()))
    return found


def _records(rows: Iterable[Any]) -> list[Mapping[str, Any]]:
    return [one for one in rows if isinstance(one, Mapping)]


def _happened(state: State, kind: str, caption: str, heads: Sequence[str], rows: _Rows) -> Markup:
    if state.recent.get(kind) is None:
        return tag("p", unknown(f"not known: no venue has told of any {kind}"), class_="none")
    return table(caption, columns(*heads), rows, empty="None.")
