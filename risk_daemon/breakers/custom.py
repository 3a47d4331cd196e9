"""Rules of the user's own: how they are loaded, and how they are asked.

Anything may happen in them. One that can't be loaded stops the start; one that fails, wants to end the process, or
answers with something that is no verdict, counts as a breach that vetoes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from importlib import import_module
from math import isfinite
from typing import Any

from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.breakers.base import Action, BaseCircuitBreaker, EvaluationContext, Verdict
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import finite, plain

REASON_LENGTH_MAX = 500
INTEGER_MAX = 10**18


# --- loading ---------------------------------------------------------------------------------------


def load_rule(
    class_path: str,
    name: str,
    action: Action | None,
    options: Mapping[str, Any],
    *,
    active_hours: ActiveHours | None = None,
) -> BaseCircuitBreaker:
    """The rule `class_path` ("package.module:Class"), made with `options` as keywords.

    It gets `name`, `action` (None: the one its constructor gave it, a veto at least) and `active_hours`.
    Raises CircuitBreakerError, with one sentence, for a class that can't be imported, is no rule, or can't be made.
    """
    found = _import_class(class_path)
    try:
        rule = found(**options)
    except (Exception, SystemExit) as error:
        raise CircuitBreakerError(f"{class_path} can't be made from its options: {_told(error)}") from error
    if getattr(rule, "breaker_type", None) is not CircuitBreakerType.CUSTOM:
        call = "super().__init__(breaker_type=CircuitBreakerType.CUSTOM)"
        raise CircuitBreakerError(f"{class_path} must call {call} in its constructor")
    rule.name = name
    rule.action = max(Action.VETO, rule.action if action is None else action)
    rule.has_given_action = action is not None
    rule.active_hours = active_hours
    return rule


def _import_class(class_path: str) -> type[BaseCircuitBreaker]:
    module_name, colon, class_name = class_path.partition(":")
    if not (module_name and colon and class_name):
        raise CircuitBreakerError(f'{class_path!r} names no class: write "package.module:Class"')
    try:
        found = getattr(import_module(module_name), class_name)
    except (Exception, SystemExit) as error:
        raise CircuitBreakerError(f"{class_path} can't be imported: {_told(error)}") from error
    if not (isinstance(found, type) and issubclass(found, BaseCircuitBreaker)):
        raise CircuitBreakerError(f"{class_path} is no subclass of BaseCircuitBreaker")
    if found.evaluate is BaseCircuitBreaker.evaluate:
        raise CircuitBreakerError(f"{class_path} does not override evaluate(context, now), so it would never breach")
    return found


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:REASON_LENGTH_MAX]


# --- asking ----------------------------------------------------------------------------------------


def ask(rule: BaseCircuitBreaker, context: EvaluationContext, now: Instant) -> Verdict:
    """The rule's verdict, never weaker than a veto. Whatever goes wrong is a breach."""
    before, identity = rule.standing, (rule.name, rule.breaker_type, rule.action)
    try:
        verdict = rule.evaluate(context, now)
        has_tripped_itself = rule.standing is not before and rule.is_tripped
        rule.name, rule.breaker_type, rule.action = identity  # what it is called is not its business
        return _own_trip(rule) if has_tripped_itself else _checked(rule, verdict)
    except BaseException as error:  # whatever a stranger's code raises: it runs in the guard's own turn
        rule.name, rule.breaker_type, rule.action = identity
        return _failed(rule, _told(error))
    finally:
        rule.standing = before  # the state follows from the verdict


def _own_trip(rule: BaseCircuitBreaker) -> Verdict:
    """`_trip` in `evaluate` is a breach."""
    details, limits = _plain_data(rule.get_trip_details()), _plain_data(rule.get_trip_limits())
    return _breach(rule, max(Action.VETO, rule.action), str(rule.get_trip_reason()), details, limits)


def _failed(rule: BaseCircuitBreaker, why: str) -> Verdict:
    return _breach(rule, Action.VETO, f"the rule {rule.name} failed: {why}", {}, {})


def _breach(
    rule: BaseCircuitBreaker, action: Action, reason: str, observed: Mapping[str, Any], limits: Mapping[str, Any]
) -> Verdict:
    return Verdict(
        breaker=rule.name,
        breaker_type=CircuitBreakerType.CUSTOM,
        action=action,
        breached=True,
        suspected=True,
        cleared=False,
        reason=reason[:REASON_LENGTH_MAX],
        observed=observed,
        limits=limits,
    )


def _checked(rule: BaseCircuitBreaker, verdict: object) -> Verdict:
    """The verdict with what it says made fit for records."""
    if not isinstance(verdict, Verdict):
        return _failed(rule, f"it answered with {type(verdict).__name__}, not with a Verdict")
    if verdict.breaker != rule.name:
        return _failed(rule, f"it answered for {verdict.breaker!r}; write Verdict(self.name, ...)")
    flags = (verdict.breached, verdict.suspected, verdict.undecided, verdict.cleared)
    if not all(isinstance(flag, bool) for flag in flags):
        return _failed(rule, "its breached, suspected, undecided and cleared must each be True or False")
    return replace(
        verdict,
        breaker_type=CircuitBreakerType.CUSTOM,
        action=max(rule.action, Action.VETO) if rule.has_given_action else max(Action.VETO, Action(verdict.action)),
        suspected=verdict.suspected or verdict.breached,
        warning=None if verdict.warning is None else finite(verdict.warning),
        reason=str(verdict.reason)[:REASON_LENGTH_MAX].encode(errors="replace").decode(),
        observed=_plain_data(verdict.observed),
        limits=_plain_data(verdict.limits),
        calm=None,
    )


def _plain_data(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON-able data: amounts as text, and as text whatever JSON has no word for."""
    return {str(key): _plain(value) for key, value in values.items()}


def _plain(value: object) -> Any:
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        return "a number too large to tell"
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return plain(value)
    if isinstance(value, Mapping):
        return _plain_data(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


# --- resetting -------------------------------------------------------------------------------------


def reset(rule: BaseCircuitBreaker, operator: str | None) -> None:
    """Reset it; one that fails at that stays tripped and says so."""
    before = rule.standing
    try:
        rule.reset(operator)
    except (Exception, SystemExit) as error:
        rule.standing = replace(before, reason=f"the rule {rule.name} can't be reset: {_told(error)}")
