"""How things stand, in the first lines of the page: what state, how much may still be lost, by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from risk_daemon.api.dashboard.grid import columns, table
from risk_daemon.api.dashboard.html import Markup, joined, tag, text
from risk_daemon.api.dashboard.words import (
    gain,
    lapse,
    money,
    number,
    percent,
    short_percent,
    shown,
    size,
    told,
    unknown,
    wall_of,
    when,
)
from risk_daemon.gate.hints import (
    CIRCUIT_TRIGGERED,
    how_the_fund_stands,
    how_to_go_on,
    how_to_release,
    is_circuit_tripped,
    tripped_by,
    what_stands_open,
)
from risk_daemon.gate.restraints import MANUAL_HALT
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.status import DistanceStatus, State

GOOD, WARN, BAD = "good", "warn", "bad"
_VETO_HINT = "New orders are vetoed until NAV recovers or config changes."
_ENDS = {"trip": "trips", "freeze": "freezes everything", "veto": "vetoes new orders", "warn": "warns"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """tone: how bad it is. word: the state in one word or two. sentence: what that means for new orders."""

    tone: str
    word: str
    sentence: str

    @property
    def told(self) -> str:
        """For who hears the page."""
        return f"{self.word}: {self.sentence}"


def headline(state: State) -> Headline:
    """Never better than what is known."""
    if state.lock.trip_id or state.state == CIRCUIT_TRIGGERED:
        return Headline(tone=BAD, word=_tripped(state), sentence=_proof(state))
    if state.locked is None or not state.state:
        return Headline(tone=BAD, word="NOT KNOWN", sentence="how things stand is not known: take the gate as shut")
    if state.state == "DISABLED":
        return Headline(tone=WARN, word="SWITCHED OFF", sentence="limits are watched and not acted upon")
    if state.started is False:
        missing = ", ".join(state.missing)
        waits = f", waiting for {missing}" if missing else ""
        return Headline(tone=WARN, word="STARTING", sentence=f"new orders are refused{waits}")
    if state.locked:
        return Headline(tone=BAD, word="GATE SHUT", sentence="new orders are refused")
    some = sorted({name for one in state.restraints for name in (one.venue, one.bot) if name})
    if some:
        return Headline(tone=WARN, word=state.state, sentence=f"new orders are allowed, not those of {', '.join(some)}")
    tone = GOOD if state.state == "ACTIVE" else WARN
    return Headline(tone=tone, word=state.state, sentence="new orders are allowed")


def _tripped(state: State) -> str:
    if state.lock.cause == MANUAL_HALT:
        return "HALTED BY HAND"
    return "FROZEN" if state.lock.until else CIRCUIT_TRIGGERED


def _proof(state: State) -> str:
    if state.lock.proven is True:
        return "new orders are refused; all orders are gone, that is proven"
    if state.proving_s is not None:
        return "new orders are refused; all orders are being cancelled, and that they are gone is being proven"
    return "new orders are refused; that all orders are gone is NOT proven yet"


def now(state: State, proven: Mapping[str, float]) -> Markup:
    """The state and, larger than all else, what may still be lost; in a trip, whether all orders are gone.

    proven: when the last sweep was proven on a venue, in Unix seconds, as far as this run knows.
    """
    line = headline(state)
    return joined(
        tag("p", tag("strong", line.word, class_="badge"), " ", line.sentence, class_=f"state {line.tone}"),
        _lock(state),
        _proofs(state, proven) if state.lock.trip_id else _nearest(state),
        circuit(state),
        _fund(state),
        _halts(state),
        _guards(state),
    )


# --- why it is shut, and what to do ------------------------------------------------------------------


def _fund(state: State) -> Markup | None:
    said = how_the_fund_stands(state)
    return None if said is None else tag("p", told(said), class_="note")


def _lock(state: State) -> Markup | None:
    if state.locked is False and not state.lock.trip_id:
        return None
    lock = state.lock  # with their dates: a page may stay open over midnight, and longer than the daemon
    facts = [("Why", shown(lock.reason)), ("Cause", shown(lock.cause))]
    facts += [("Since", when(lock.since))] if lock.since else []
    facts += [("Until", when(lock.until))] if lock.until else []
    facts += [("Trip", shown(lock.trip_id))] if lock.trip_id else []
    facts += [("What to do", tag("span", told(how_to_go_on(state)), class_="hint"))]
    still_open = what_stands_open(state)
    facts += [("Still open", tag("strong", told(still_open)))] if still_open else []
    return tag("dl", *(_fact(label, value) for label, value in facts), class_="lock")


def _fact(label: str, value: Markup) -> Markup:
    return tag("div", tag("dt", label), tag("dd", value))


def _halts(state: State) -> Markup | None:
    """Of single venues and bots, and what else holds against some orders only."""
    rows = []
    for halt in state.halts:
        whose = " on ".join(name for name in (halt.bot, halt.venue) if name)
        words = f"{whose or 'everything'} is halted by {halt.operator or 'somebody'}: {halt.reason}. "
        rows.append(tag("li", words, tag("span", told(how_to_release(halt)), class_="hint")))
    for one in state.restraints:
        if one.is_scoped and one.cause != MANUAL_HALT:
            whose = " on ".join(name for name in (one.bot, one.venue) if name)
            rows.append(tag("li", f"Orders of {whose} are refused: {one.reason or one.cause}"))
    return tag("ul", *rows, class_="halts") if rows else None


def _guards(state: State) -> Markup | None:
    """Who else guards these accounts, and which of them may open."""
    if state.guards is None or not state.is_running:
        return None
    lines = (tag("li", f"{line[:1].upper()}{line[1:]}.") for line in state.guards.sentences)
    return tag("ul", *lines, class_="guards")


def _proofs(state: State, proven: Mapping[str, float]) -> Markup:
    """In a trip nothing matters more than whether its orders are gone."""
    swept = {} if state.last_sweep is None else state.last_sweep.venues
    if state.lock.proven is True:
        big = joined(tag("span", "All orders are gone", class_="big good"), _proven_when(state))
    else:
        count, of = sum(one.proven is True for one in swept.values()), len(swept) or len(state.venues)
        all_empty = "every venue is empty; the last look at all of them together is to come"
        told_of = all_empty if count == of else f"{count} of {of} venues are proven"
        proving_s = state.proving_s
        word = ("NOT proven yet", "big bad") if proving_s is None else (f"Proving, {proving_s:.0f} s", "big")
        big = joined(tag("span", word[0], class_=word[1]), told_of)
    rows = (tag("li", tag("strong", name), " ", sweep(state, name, proven.get(name))) for name in state.venues)
    return joined(tag("p", big, class_="distance"), tag("ul", *rows, class_="proofs"))


def _proven_when(state: State) -> Markup:
    """Of all venues together: the one moment that counts in a trip."""
    lock, after_s = state.lock, state.lock.proven_after_s
    if wall_of(lock.proven_at) is None:
        return joined("proven gone on all venues; ", unknown("when is not known"))
    after = "" if after_s is None else f", {lapse(after_s)} after the trip"
    return joined("proven gone on all venues at ", when(lock.proven_at), after)


def sweep(state: State, venue: str, proven_wall: float | None) -> Markup:
    """What the last sweep proved on a venue. proven_wall: when, in Unix seconds; None: not known."""
    swept = None if state.last_sweep is None else state.last_sweep.venues.get(venue)
    now_wall = wall_of(state.time)
    if swept is None:
        return text("not swept")
    if swept.proven is True:
        is_known = proven_wall is not None
        at = joined(" ", when(proven_wall, now_wall)) if is_known else joined(" (", unknown("time not known"), ")")
        count = "" if swept.cancelled is None else f", {swept.cancelled} cancelled"
        return tag("span", tag("strong", "all orders gone", class_="badge good"), ": proven", at, count)
    why = swept.unproven_reason or "it is being worked on"
    if state.proving_s is not None:
        return tag("span", tag("strong", "being proven", class_="badge warn"), f": {why}")
    return tag("span", tag("strong", "NOT proven", class_="badge bad"), f": {why}")


# --- how far it is -----------------------------------------------------------------------------------


def _nearest(state: State) -> Markup:
    """The distance to the trip: the one number to look at."""
    if not state.distances:
        return tag("p", "No rule about a loss of the whole portfolio is on.", class_="distance")
    first = state.distances[0]
    left, currency = number(first.left), state.reference_currency
    if left is None:
        return tag("p", tag("span", unknown(), class_="big"), " how much may still be lost", class_="distance")
    if left <= 0:
        big, words = money(-left, currency), " past the limit of "
    else:
        big, words = money(first.left, currency), " may still be lost before "
    what = tag("strong", first.rule), f" {ends(first.action)}" if left > 0 else None
    return tag("p", tag("span", big, class_="big"), " ", tag("span", words, *what), class_="distance")


def ends(action: str) -> str:
    """What a rule does at its limit: `trips`."""
    return _ENDS.get(action, action)


def limits(state: State) -> Markup:
    """Every rule about the whole portfolio, the nearest first."""
    heads = columns("Rule", "Then it", "#Loss", "#Limit", "#Used", "#May still be lost", "#Until equity is")
    currency = state.reference_currency
    rows = [(text(one.rule), text(ends(one.action)), *_figures(one, currency)) for one in state.distances]
    none = "No rule about a loss of the whole portfolio is on."
    return table("How far each limit is", heads, rows, empty=none, stacks=True)


def _figures(one: DistanceStatus, currency: str) -> tuple[Markup, ...]:
    return (
        size(one.loss, currency),
        size(one.limit, currency),
        _meter(one),
        money(one.left, currency),
        money(one.equity, currency),
    )


def _meter(one: DistanceStatus) -> Markup:
    """How much of the limit is used, as a bar and in words."""
    loss, limit = number(one.loss), number(one.limit)
    if loss is None or not limit:
        return unknown()
    used = min(max(float(loss / limit), 0.0), 1.0)
    kind = BAD if used >= 1 else WARN if used >= 0.6 else GOOD
    track = tag("rect", class_="track", width="100%", height="100%", rx=3)
    filled = tag("rect", class_=kind, width=f"{used * 100:.1f}%", height="100%", rx=3)
    bar = tag("svg", track, filled, class_="meter", aria_hidden="true", focusable="false")
    return joined(bar, " ", tag("span", f"{used * 100:.0f}%", class_="used"))


# --- the line of the patch set -----------------------------------------------------------------------


def circuit(state: State) -> Markup:
    """`DD: 3.2% (limit 10%) - circuit OK`, or a red badge."""
    drawdown, circuit = state.portfolio_dd_pct, state.circuit_breaker
    limit = circuit.max_portfolio_dd_nav_pct
    if limit is None:
        return tag("p", "DD: ", _dd(drawdown, None), " (no limit: no drawdown rule is on)", class_="circuit")
    if is_circuit_tripped(state):
        other = tripped_by(state)
        by = "" if other is None else f" by {other}"
        words = f"CIRCUIT TRIPPED{by} \N{EM DASH} DD {_dd(drawdown, limit)} (limit {short_percent(limit)})"
        # In a trip nothing recovers by itself: what is to be done stands above.
        is_veto = not state.lock.trip_id and _action_of_drawdown(state, limit) == "veto"
        hint = tag("span", _VETO_HINT, class_="hint") if is_veto else None
        return tag("p", tag("strong", words, class_="badge bad"), " ", hint, class_="circuit")
    known = "circuit OK" if circuit.active is False and drawdown is not None else "circuit not known"
    return tag("p", "DD: ", _dd(drawdown, limit), f" (limit {short_percent(limit)}) - {known}", class_="circuit")


def _dd(drawdown: float | None, limit: float | None) -> Markup:
    """With one digit; with more where the limit would seem to be reached and is not."""
    if drawdown is None:
        return unknown()
    is_below = limit is not None and drawdown < limit
    return percent(drawdown, 3 if is_below and limit is not None and round(drawdown, 3) >= limit else 1)


def _action_of_drawdown(state: State, limit: float) -> str | None:
    """What the drawdown rule with this limit does."""
    for rule in state.rules.values():
        given: Mapping[str, Any] = rule.get("limits") or {}
        sizes = [number(value) for value in given.values()] if isinstance(given, Mapping) else []
        if rule.get("breaker_type") == CircuitBreakerType.DRAWDOWN.value and any(
            one is not None and abs(float(one) - limit) < 1e-12 for one in sizes
        ):
            return str(rule.get("action"))
    return None


# --- money -------------------------------------------------------------------------------------------


def worth(state: State) -> Markup:
    """Equity with its interval, and the losses that rules look at."""
    currency = state.reference_currency
    trusted = (
        joined("between ", money(state.equity_low), " and ", money(state.equity_high, currency))
        if state.equity_low != state.equity_high or state.trusted is not True
        else text("known exactly")
    )
    figures = [
        ("Equity", money(state.equity, currency), trusted if state.equity is not None else None),
        ("Loss of initial capital", percent(state.loss_ratio), joined("of ", money(state.initial_capital, currency))),
        ("Drawdown from the peak", percent(state.drawdown_ratio), None),
        ("Loss since the day began", percent(state.daily_loss_ratio), money(state.daily_loss, currency)),
    ]
    return tag("dl", *(_figure(*one) for one in figures), class_="figures")


def profit(state: State) -> Markup:
    """Of the running day, by venue, and what the last days brought."""
    shown_profit, currency = state.profit, state.reference_currency
    figures = [
        ("Profit of the day", gain(shown_profit.total, currency), "realized and unrealized, net of deposits"),
        ("Realized", gain(shown_profit.realized, currency), "by holdings at cost, at our own prices"),
        ("Unrealized", gain(shown_profit.unrealized, currency), None),
        ("In open positions", gain(shown_profit.open, currency), "since their entries"),
    ]
    return joined(
        tag(
            "dl",
            *(_figure(label, value, None if note is None else text(note)) for label, value, note in figures),
            class_="figures",
        ),
        _by_venue(state),
        _days(state),
    )


def _figure(label: str, value: Markup, note: Markup | None) -> Markup:
    said = None if note is None else tag("dd", note, class_="note")
    return tag("div", tag("dt", label), tag("dd", value, class_="value"), said)


def _by_venue(state: State) -> Markup:
    heads = columns("Venue", "#Total", "#Realized", "#Unrealized", "#In positions")
    rows = [
        (text(name), gain(one.total), gain(one.realized), gain(one.unrealized), gain(one.open))
        for name, one in state.profit.venues.items()
    ]
    caption = f"Profit of the day by venue, in {state.reference_currency}"
    return table(caption, heads, rows, empty="The profit of single venues is not known.")


def _days(state: State) -> Markup | None:
    if not state.profit.days:
        return None
    rows = [(text(one.day), text(one.venue), gain(one.realized)) for one in reversed(state.profit.days)]
    found = table("Realized on the days before", columns("Day", "Venue", "#Realized"), rows, empty="")
    return tag("details", tag("summary", "The days before", id="days-before"), found, id="days")
