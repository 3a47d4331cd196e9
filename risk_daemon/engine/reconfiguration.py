"""Other settings for an engine that runs: taken whole, in one turn, or refused with a sentence.

What was seen stays seen: baselines, flows, deeds of bots, halts, a freeze and the states of rules go on. A rule that
is as it was is not touched at all; one with other settings takes over the state of its name, as across a restart; one
that is new has seen nothing yet.

Taking settings opens no gate. What is looser is taken only while nothing holds against new orders, and nothing is taken
while a breach is in question or orders may be open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from risk_daemon.breakers.base import BaseCircuitBreaker, EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker
from risk_daemon.breakers.manager import ask
from risk_daemon.engine.settings import EngineSettings
from risk_daemon.engine.trip import Trip
from risk_daemon.gate.restraints import MANUAL_HALT, Restraint
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Reconfigured

ALWAYS_ON = (CircuitBreakerType.CAPITAL_LOSS, CircuitBreakerType.MANUAL, CircuitBreakerType.BLIND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconfiguration(Reconfigured):
    """settings: all of them, for the same venues. rules: by name, in their order; None: it is as it was, and stays.

    looser: what is, in words; empty: nothing. facts: what is told once it is in force.
    """

    settings: EngineSettings
    rules: Mapping[str, BaseCircuitBreaker | None]
    looser: Sequence[str] = ()
    facts: Mapping[str, Any]


def why_not(
    event: Reconfiguration,
    *,
    trip: Trip | None,
    is_sweeping: bool,
    is_confirming: bool,
    is_disabled: bool,
    restraints: Sequence[Restraint],
    tripped: Sequence[BaseCircuitBreaker],
) -> str | None:
    """Why it can't be taken now; None: it can. restraints: all that hold. tripped: the rules that are."""
    if trip is not None and not trip.is_freeze:
        return "a trip stands, and is finished as it was set: the file is read when the guard starts again"
    if trip is not None and (is_sweeping or not trip.proven):
        return "the venues are being emptied for a freeze, which is done as it was set: ask again in some seconds"
    if is_confirming:
        return "a breach is being confirmed, by the limits it is measured by: ask again in some seconds"
    holding = [one.reason for one in restraints if one.cause != MANUAL_HALT]
    holding += [rule.get_trip_reason() or f"{rule.name} is tripped" for rule in tripped]
    holding += ["the circuit breaker is disabled"] if is_disabled else []
    if event.looser and holding:
        return (
            f"it is looser ({'; '.join(event.looser)}), and this is no moment for that ({holding[0]}):"
            " wait until that is over, or restart the guard"
        )
    return None


def arranged(event: Reconfiguration, old: Sequence[BaseCircuitBreaker]) -> tuple[BaseCircuitBreaker, ...]:
    """All rules from now on, in their order. Those that stay are not touched.

    Raises CircuitBreakerError where a rule of the user's own does not take its state back.
    """
    known = {rule.name: rule for rule in old}
    rules: list[BaseCircuitBreaker] = []
    for rule in old:
        if isinstance(rule, CapitalLossCircuitBreaker) and rule.settings != event.settings.capital_loss:
            rules.append(_after(rule, CapitalLossCircuitBreaker(event.settings.capital_loss)))
        elif rule.breaker_type in ALWAYS_ON and not isinstance(rule, BlindCircuitBreaker):
            rules.append(rule)
    rules += [known[name] if new is None else _after(known.get(name), new) for name, new in event.rules.items()]
    return (*rules, *(rule for rule in old if isinstance(rule, BlindCircuitBreaker)))


def changed(event: Reconfiguration, old: Sequence[BaseCircuitBreaker]) -> frozenset[str]:
    """The names of rules that have other settings, are new, or are there no more."""
    found = {name for name, rule in event.rules.items() if rule is not None}
    for rule in old:
        is_other = isinstance(rule, CapitalLossCircuitBreaker) and rule.settings != event.settings.capital_loss
        if is_other or (rule.breaker_type not in ALWAYS_ON and rule.name not in event.rules):
            found.add(rule.name)
    return frozenset(found)


def passed(
    event: Reconfiguration, old: Sequence[BaseCircuitBreaker], context: EvaluationContext, now: Instant
) -> tuple[Verdict, ...]:
    """What these settings find breached as things stand. A rule of the user's own is not asked beforehand."""
    names = changed(event, old)
    new = (CapitalLossCircuitBreaker(event.settings.capital_loss), *filter(None, event.rules.values()))
    known = (rule for rule in new if rule.name in names and rule.breaker_type is not CircuitBreakerType.CUSTOM)
    asked = (ask(rule, context, now) for rule in known)
    return tuple(verdict for verdict in asked if verdict.breached or verdict.suspected)


def _after(before: BaseCircuitBreaker | None, rule: BaseCircuitBreaker) -> BaseCircuitBreaker:
    """`rule`, with the state of the one whose place it takes; none where that was another rule."""
    if type(before) is type(rule):
        rule.restore(before.snapshot())
    return rule
