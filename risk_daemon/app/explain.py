"""The configuration as sentences: what would happen when, strongest reason first.

The order is that of the gate: where several reasons hold, bots are told the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from risk_daemon.config.load import Settings
from risk_daemon.config.notation import LossLimit
from risk_daemon.config.rules import (
    OWN,
    DailyLoss,
    Drawdown,
    ErrorRate,
    OrderRate,
    OwnRule,
    PositionLoss,
    Rule,
    VenueLoss,
    VolatilityOfEquity,
    WeeklyLoss,
    kind_of,
)
from risk_daemon.gate.restraints import CUSTOM, UNLISTABLE, Cause, cause_of, severity
from risk_daemon.model.units import plain

_DOES = {
    None: "it does what its class says, a veto at least",
    "trip": "it trips",
    "freeze": "it freezes",
    "veto": "all new orders are refused while it lasts",
}


def explanations(settings: Settings) -> tuple[str, ...]:
    """Everything in force, one sentence or a few for each point."""
    return (
        *_reasons(settings),
        *_actions(settings),
        *_pretrade(settings),
        *_seeing(settings),
        "Positions and holdings are not sold: only orders are cancelled.",
    )


# --- when: one entry a reason -----------------------------------------------------------------------


def _reasons(settings: Settings) -> list[str]:
    told = [*_always_on(settings), *_rules(settings), *_doubts(settings)]
    return [sentence for _, sentence in sorted(told, key=lambda pair: severity(pair[0]))]


def _always_on(settings: Settings) -> Iterator[tuple[str, str]]:
    yield (
        Cause.MANUAL_HALT,
        (
            f"When somebody runs `risk-daemon halt`, it trips. {_bots_are_told(Cause.MANUAL_HALT)} With --venue or"
            " --bot, only new orders of that venue or bot are refused, until `risk-daemon release`."
        ),
    )
    breaker = settings.circuit_breaker
    yield (
        Cause.CAPITAL_LOSS,
        (
            f"When the portfolio has lost {_of_capital(settings, breaker.loss_threshold)}, {_DOES[breaker.action]}."
            f" {_bots_are_told(Cause.CAPITAL_LOSS)}{_warned(breaker.warning_levels)}"
        ),
    )


def _rules(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, rule in settings.breakers.rules.items():
        cause = f"{CUSTOM}{name}" if isinstance(rule, OwnRule) else cause_of(str(kind_of(rule)), name)
        hours = rule.active_hours
        zone = settings.baselines.timezone
        span = f"Between {hours.start:%H:%M} and {hours.end:%H:%M} {zone}, " if hours else ""
        sentence = f"{span}when {_condition(settings, rule)}, {_does(rule)}."
        named = "" if name == kind_of(rule) else f" This is the rule {name!r}."
        warnings = getattr(rule, "warnings", ()) if kind_of(rule) != OWN else ()
        yield cause, f"{sentence[0].upper()}{sentence[1:]} {_bots_are_told(cause)}{_warned(warnings)}{named}"


def _doubts(settings: Settings) -> Iterator[tuple[str, str]]:
    blind = settings.breakers.blind
    never = "It never trips." if blind.trip_after is None else f"After {_span(blind.trip_after)} it trips."
    yield (
        Cause.BLIND,
        (
            f"When a limit lies inside what is unknown, a warning is given after {_span(blind.warn_after)} and"
            f" new orders are refused after {_span(blind.veto_after)}. {_bots_are_told(Cause.BLIND)} {never}"
        ),
    )
    cause = f"{UNLISTABLE}VENUE"
    yield (
        cause,
        (
            f"When the open orders of a venue could not be listed for {_span(blind.veto_after)}, or at once when its"
            f" key is refused or may not cancel, all new orders are refused. {_bots_are_told(cause)} It ends by itself"
            " with the next good listing."
        ),
    )
    yield Cause.CONFIRMING, _confirming(settings)
    yield (
        Cause.STARTING,
        (f"Until every account was read once after a start, new orders are refused. {_bots_are_told(Cause.STARTING)}"),
    )


def _confirming(settings: Settings) -> str:
    breaker = settings.circuit_breaker
    if not breaker.confirm:
        return "Before a loss trips or freezes, nothing is read again: one wild tick is enough."
    return (
        "Before a loss trips or freezes, everything is read again within"
        f" {_span(breaker.confirm_within)}, with the gate already shut. {_bots_are_told(Cause.CONFIRMING)}"
        " Halts, order rates and error rates need no confirmation."
    )


def _bots_are_told(cause: str) -> str:
    return f"Bots are told `{cause}`."


# --- the condition of each rule ---------------------------------------------------------------------


def _condition(settings: Settings, rule: Rule) -> str:
    match rule:
        case Drawdown():
            return _drawdown(settings, rule)
        case DailyLoss():
            return f"the portfolio has lost {_since(settings, rule.limit, 'day')}"
        case WeeklyLoss():
            return f"the portfolio has lost {_since(settings, rule.limit, 'week')}"
        case VenueLoss():
            start = _day_start(settings)
            which = rule.venue or (
                f"one account ({_or(settings.venues)})" if len(settings.venues) > 1 else "the account"
            )
            return f"{which} has lost {_part(rule.limit, f'of its worth at {start}', f'since {start}')}"
        case PositionLoss():
            return f"the unrealised loss of one position is {_part(rule.limit, 'of its value at entry', '')}"
        case VolatilityOfEquity():
            span = _span(rule.window)
            return f"equity swings by {_percent(rule.limit)} a year, by the minutes of the last {span}"
        case OrderRate():
            return _rate(rule.scope, rule.max_orders, "orders", rule.max_orders_total, _span(rule.window))
        case ErrorRate():
            return _rate(rule.scope, rule.max_errors, "unexpected errors", rule.max_errors_total, _span(rule.window))
        case OwnRule():
            return f"your own rule {rule.class_path} says so"
        case _:
            raise TypeError(f"there is no sentence for {type(rule).__name__}")


_RATE_OF = {"bot": "one bot has", "venue": "one venue has", "all": "all bots and venues together have"}


def _rate(scope: str, limit: int, noun: str, total: int | None, span: str) -> str:
    above = "" if total is None else f", or all together more than {total} (one {scope} counts for half at most)"
    return f"{_RATE_OF[scope]} more than {limit} {noun} in {span}{above}"


def _does(rule: Rule) -> str:
    """What a breach does; a veto of a rate is of those who went too far."""
    scope = getattr(rule, "scope", "all")
    if rule.action != "veto" or scope == "all":
        return _DOES[rule.action]
    total = getattr(rule, "max_orders_total", None) or getattr(rule, "max_errors_total", None)
    second = "" if total is None else ", or of all in the second case,"
    return f"new orders of that {scope}{second} are refused while it lasts"


def _drawdown(settings: Settings, rule: Drawdown) -> str:
    days = "ever" if rule.lookback_days is None else f"of the last {rule.lookback_days} days"
    capital = settings.portfolio.initial_capital
    below = f"the portfolio is {_percent(rule.limit)} below its highest worth {days}"
    if capital is None:
        return below
    return f"{below} (after a peak of {_money(settings, capital)}, {_money(settings, capital * rule.limit)} are lost)"


def _since(settings: Settings, limit: LossLimit, period: str) -> str:
    """A loss since the start of a day or week, with an example of one that began with the configured capital."""
    capital = settings.portfolio.initial_capital
    start = _day_start(settings) if period == "day" else f"Monday {_day_start(settings)}"
    lost = str(limit) if limit.money is not None else _percent(limit.size)
    if capital is None:
        return f"{lost} since {start}"
    example = (
        f"{_percent(limit.money / capital)} of {_money(settings, capital)}"
        if limit.money is not None
        else f"{_money(settings, capital * limit.size)}, if the {period} began with {_money(settings, capital)}"
    )
    return f"{lost} since {start} ({example})"


def _of_capital(settings: Settings, ratio: Decimal) -> str:
    """A loss of initial capital, with what is left of it."""
    capital = settings.portfolio.initial_capital
    if capital is None:
        return f"{_percent(ratio)} of the first equity seen"
    lost, left = (_money(settings, capital * part) for part in (ratio, 1 - ratio))
    return f"{lost} of {_money(settings, capital)} ({_percent(ratio)} of initial capital, {left} left)"


def _part(limit: LossLimit, of: str, since: str) -> str:
    """A loss of a part of the portfolio: a ratio `of` something, or money lost `since` a moment."""
    return f"{limit} {since}".rstrip() if limit.money is not None else f"{_percent(limit.size)} {of}"


def _warned(warnings: Sequence[Any]) -> str:
    if not warnings:
        return ""
    return f" A warning is given at {_and([_warning(warning) for warning in warnings])}; trading goes on."


def _warning(warning: Any) -> str:
    if isinstance(warning, LossLimit):
        return str(warning) if warning.money is not None else _percent(warning.size)
    return str(warning) if isinstance(warning, int) else _percent(warning)


def _day_start(settings: Settings) -> str:
    return f"{settings.baselines.reset_at:%H:%M} {settings.baselines.timezone}"


# --- what the actions mean ---------------------------------------------------------------------------


def _actions(settings: Settings) -> Iterator[str]:
    breaker = settings.circuit_breaker
    protective = (
        "with them every stop and take-profit"
        if breaker.protective_orders == "cancel"
        else "but reduce-only orders of open positions stay"
    )
    yield (
        f"It trips: the gate is shut to new orders and every open order on {_and(settings.venues)} is cancelled,"
        f" {protective}. An account counts as empty when each of its order listings came back empty twice,"
        f" {_span(breaker.settle)} apart, and once more after all accounts are. Then the daemon exits with 1"
        " and stays down until `risk-daemon reset`: neither time nor a restart ends a trip. Not proven within"
        f" {_span(breaker.cancel_deadline)}, it exits with 4, is restarted and goes on."
    )
    if "freeze" in {breaker.action, *(rule.action for rule in settings.breakers.rules.values())}:
        yield (
            "It freezes: the gate is shut and every open order is cancelled in the same way, but the daemon stays up"
            f" and looks for orders every {_span(breaker.resweep_every)}. A freeze ends by itself at the next"
            f" {_day_start(settings)}, if every account is proven empty and nothing breaches then; bots see when in"
            " `locked_until`. `risk-daemon reset` ends it sooner."
        )
    yield (
        "All new orders are refused while it lasts (a veto): nothing is cancelled, and it ends by itself when the"
        f" condition is over. {_reducing(settings)}"
    )


def _reducing(settings: Settings) -> str:
    if settings.gate.allow_reduce_only:
        return "Orders that surely only make a position smaller pass under a veto and a freeze, and cancels always do."
    return "Cancels always pass; orders that only make a position smaller are refused as well."


# --- single orders, and what is seen -----------------------------------------------------------------


def _pretrade(settings: Settings) -> Iterator[str]:
    gate = settings.gate
    limits = [
        (gate.max_notional, Cause.MAX_NOTIONAL, "it is worth more than {} " + settings.portfolio.reference_currency),
        (gate.max_quantity, Cause.MAX_QUANTITY, "its quantity is more than {}"),
        (gate.price_collar, Cause.PRICE_COLLAR, "its price is more than {} away from the market"),
        (gate.duplicate_window, Cause.DUPLICATE_ORDER, "the same order was sent within {} before"),
        (gate.max_orders_per_second_per_bot, Cause.BOT_ORDER_RATE, "its bot has sent {} orders in this second already"),
    ]
    told = [f"{text.format(_value(cause, value))} (`{cause}`)" for value, cause, text in limits if value is not None]
    if not told:
        yield "Single orders have no limits: [gate] sets them."
        return
    yield f"A single order is refused when {'; when '.join(told)}."
    if gate.max_notional is not None or gate.price_collar is not None:
        yield f"One that can't be valued for lack of a price is refused too. {_bots_are_told(Cause.PRICE_UNKNOWN)}"


def _value(cause: str, value: Any) -> str:
    if cause == Cause.PRICE_COLLAR:
        return _percent(value)
    if cause == Cause.DUPLICATE_ORDER:
        return _span(value)
    return plain(value) if isinstance(value, Decimal) else str(value)


def _seeing(settings: Settings) -> Iterator[str]:
    data = settings.data
    yield (
        f"Balances and positions are read every {_span(data.reconcile_every)}; a reading older than"
        f" {_span(data.balance_stale)} (prices: {_span(data.price_stale)}) counts as its value give or"
        f" take {_percent(data.stale_band)}."
    )


# --- words -------------------------------------------------------------------------------------------


def _percent(ratio: Decimal) -> str:
    return f"{plain(round(ratio * 100, 4).normalize())} %"


def _span(seconds: float) -> str:
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _money(settings: Settings, amount: Decimal) -> str:
    return f"{plain(round(amount, 2).normalize())} {settings.portfolio.reference_currency}"


def _and(names: Iterable[str]) -> str:
    return _joined(names, "and")


def _or(names: Iterable[str]) -> str:
    return _joined(names, "or")


def _joined(names: Iterable[str], word: str) -> str:
    *rest, last = names
    return f"{', '.join(rest)} {word} {last}" if rest else last
