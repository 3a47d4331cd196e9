"""The configuration as sentences: what would happen when, strongest reason first.

The order is that of the gate: where several reasons hold, bots are told the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from risk_daemon.config.breakers import kind_of
from risk_daemon.config.load import Settings
from risk_daemon.config.notation import LossSize
from risk_daemon.config.own_rule import OwnRule
from risk_daemon.config.rule import DOES
from risk_daemon.config.wording import Premises, all_of, limit_text, percent, span
from risk_daemon.gate.restraints import CUSTOM, MANUAL_HALT, UNLISTABLE, Cause, cause_of, severity
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.units import plain

_CAPITAL_LOSS, _BLIND = CircuitBreakerType.CAPITAL_LOSS.cause, CircuitBreakerType.BLIND.cause


def explanations(settings: Settings) -> tuple[str, ...]:
    """Everything in force, one sentence or a few for each point."""
    return (
        *_reasons(settings),
        *_actions(settings),
        *_pretrade(settings),
        *_seeing(settings),
        _what_stays(settings),
    )


# --- when: one entry a reason -----------------------------------------------------------------------


def _reasons(settings: Settings) -> list[str]:
    told = [*_always_on(settings), *_rules(settings), *_doubts(settings)]
    return [sentence for _, sentence in sorted(told, key=lambda pair: severity(pair[0]))]


def _always_on(settings: Settings) -> Iterator[tuple[str, str]]:
    yield (
        MANUAL_HALT,
        (
            f"When somebody runs `risk-daemon halt`, it trips. {_bots_are_told(MANUAL_HALT)} With --venue or"
            " --bot, only new orders of that venue or bot are refused, until `risk-daemon release`."
        ),
    )
    breaker = settings.circuit_breaker
    yield (
        _CAPITAL_LOSS,
        (
            f"When the portfolio has lost {_of_capital(settings, breaker.loss_threshold)}, {DOES[breaker.action]}."
            f" {_bots_are_told(_CAPITAL_LOSS)}{_warned(breaker.warning_levels)}"
        ),
    )


def _rules(settings: Settings) -> Iterator[tuple[str, str]]:
    premises, zone = _premises(settings), settings.baselines.timezone
    for name, rule in settings.breakers.rules.items():
        is_own = isinstance(rule, OwnRule)
        cause = f"{CUSTOM}{name}" if is_own else cause_of(str(kind_of(rule)), name)
        hours = rule.active_hours
        active = f"Between {hours.start:%H:%M} and {hours.end:%H:%M} {zone}, " if hours else ""
        sentence = f"{active}when {rule.condition(premises)}, {rule.effect()}."
        named = "" if name == kind_of(rule) else f" This is the rule {name!r}."
        warnings = () if is_own else getattr(rule, "warnings", ())
        yield cause, f"{sentence[0].upper()}{sentence[1:]} {_bots_are_told(cause)}{_warned(warnings)}{named}"


def _doubts(settings: Settings) -> Iterator[tuple[str, str]]:
    blind = settings.breakers.blind
    never = "It never trips." if blind.trip_after is None else f"After {span(blind.trip_after)} it trips."
    yield (
        _BLIND,
        (
            f"When a limit lies inside what is unknown, a warning is given after {span(blind.warn_after)} and"
            f" new orders are refused after {span(blind.veto_after)}. {_bots_are_told(_BLIND)} {never}"
        ),
    )
    cause = f"{UNLISTABLE}VENUE"
    yield (
        cause,
        (
            f"When the open orders of a venue could not be listed for {span(blind.veto_after)}, or at once when its"
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
        f" {span(breaker.confirm_within)}, with the gate already shut. {_bots_are_told(Cause.CONFIRMING)}"
        " Halts, order rates and error rates need no confirmation."
    )


def _bots_are_told(cause: str) -> str:
    return f"Bots are told `{cause}`."


# --- losses and warnings in words ------------------------------------------------------------------


def _of_capital(settings: Settings, ratio: Decimal) -> str:
    """A loss of initial capital, with what is left of it."""
    premises = _premises(settings)
    capital = premises.capital
    if capital is None:
        return f"{percent(ratio)} of the first equity seen"
    lost, left = (premises.money(capital * part) for part in (ratio, 1 - ratio))
    return f"{lost} of {premises.money(capital)} ({percent(ratio)} of initial capital, {left} left)"


def _premises(settings: Settings) -> Premises:
    return Premises(
        capital=settings.portfolio.initial_capital,
        currency=settings.portfolio.reference_currency,
        day_start=f"{settings.baselines.reset_at:%H:%M} {settings.baselines.timezone}",
        venues=tuple(settings.venues),
    )


def _warned(warnings: Sequence[Any]) -> str:
    if not warnings:
        return ""
    return f" A warning is given at {all_of([_warning(warning) for warning in warnings])}; trading goes on."


def _warning(warning: Any) -> str:
    if isinstance(warning, LossSize):
        return limit_text(warning)
    return str(warning) if isinstance(warning, int) else percent(warning)


# --- what the actions mean ---------------------------------------------------------------------------


def _what_stays(settings: Settings) -> str:
    if not settings.circuit_breaker.auto_close_positions:
        return "Positions and holdings are not sold: only orders are cancelled."
    return (
        "When a trip is proven, every position is closed by market orders that can only reduce it, at whatever price"
        " they find, until every account is listed flat twice; then the orders are proven gone once more, and only then"
        f" does the daemon exit with 1. Not flat within {span(settings.circuit_breaker.cancel_deadline)} of the trip,"
        " it exits with 4, is restarted and goes on. What is too small to be ordered stays and is named. Spot holdings"
        " are not sold, and a freeze closes nothing."
    )


def _actions(settings: Settings) -> Iterator[str]:
    breaker = settings.circuit_breaker
    protective = (
        "with them every stop and take-profit"
        if breaker.protective_orders == "cancel"
        else "but reduce-only orders of open positions stay"
    )
    yield (
        f"It trips: the gate is shut to new orders and every open order on {all_of(settings.venues)} is cancelled,"
        f" {protective}. An account counts as empty when each of its order listings came back empty twice,"
        f" {span(breaker.settle)} apart, and once more after all accounts are. Then the daemon exits with 1"
        " and stays down until `risk-daemon reset`: neither time nor a restart ends a trip. Not proven within"
        f" {span(breaker.cancel_deadline)}, it exits with 4, is restarted and goes on."
    )
    if "freeze" in {breaker.action, *(rule.action for rule in settings.breakers.rules.values())}:
        yield (
            "It freezes: the gate is shut and every open order is cancelled in the same way, but the daemon stays up"
            f" and looks for orders every {span(breaker.resweep_every)}. A freeze ends by itself at the next"
            f" {_premises(settings).day_start}, if every account is proven empty and nothing breaches then; bots see"
            " when in `locked_until`. `risk-daemon reset` ends it sooner."
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
        return percent(value)
    if cause == Cause.DUPLICATE_ORDER:
        return span(value)
    return plain(value) if isinstance(value, Decimal) else str(value)


def _seeing(settings: Settings) -> Iterator[str]:
    data = settings.data
    yield (
        f"Balances and positions are read every {span(data.reconcile_every)}; a reading older than"
        f" {span(data.balance_stale)} (prices: {span(data.price_stale)}) counts as its value give or"
        f" take {percent(data.stale_band)}."
    )
