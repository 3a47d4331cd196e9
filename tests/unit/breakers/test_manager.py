"""A breaker's states, many breakers together, and the public names."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import replace
from inspect import getsource
from types import ModuleType

import pytest

import risk_daemon
from risk_daemon import breakers
from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    BreakerState,
    CircuitBreakerManager,
    CircuitBreakerType,
    ManualCircuitBreaker,
)
from risk_daemon.breakers.base import Action, EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker, BlindSettings
from risk_daemon.breakers.manager import strongest
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.model.clock import Instant

NOW = Instant(1_000.0, 1_700_000_000.0)
CONTEXT = EvaluationContext(None, None, Baselines())


class Rule(BaseCircuitBreaker):
    """Says what it is told to say."""

    def __init__(self, name: str, action: Action = Action.VETO) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, name, action)
        self.says = {"breached": False, "undecided": False}

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        return Verdict(
            breaker=self.name,
            breaker_type=self.breaker_type,
            action=self.action,
            reason="told so",
            observed={"x": 1},
            **self.says,
        )  # type: ignore[arg-type]


def verdict(*, breached: bool, action: Action = Action.VETO) -> Verdict:
    return Verdict(
        breaker="r",
        breaker_type=CircuitBreakerType.CUSTOM,
        action=action,
        breached=breached,
        reason="why",
        observed={"x": 1},
    )


def test_a_veto_ends_by_itself() -> None:
    rule = Rule("r")
    assert rule.settle(verdict(breached=True))
    assert (rule.state, rule.get_trip_reason(), rule.get_trip_details()) == (BreakerState.TRIPPED, "why", {"x": 1})
    assert not rule.settle(verdict(breached=True))
    assert rule.settle(verdict(breached=False))
    assert (rule.state, rule.get_trip_reason(), rule.get_trip_details()) == (BreakerState.NORMAL, None, {})


@pytest.mark.parametrize("action", [Action.FREEZE, Action.TRIP])
def test_what_locks_ends_only_by_a_reset(action: Action) -> None:
    rule = Rule("r", action)
    rule.settle(verdict(breached=True, action=action))
    assert not rule.settle(verdict(breached=False, action=action))
    assert rule.is_tripped
    rule.reset("anna")
    assert rule.state is BreakerState.NORMAL
    with pytest.raises(CircuitBreakerError):
        rule.reset("anna")


def test_a_state_survives_a_restart() -> None:
    rule, again = Rule("r", Action.TRIP), Rule("r", Action.TRIP)
    rule.settle(verdict(breached=True))
    again.restore(rule.snapshot())
    assert again.snapshot() == rule.snapshot()
    assert again.is_tripped


def test_names_are_unique() -> None:
    manager = CircuitBreakerManager()
    manager.add_breaker(Rule("a"))
    with pytest.raises(CircuitBreakerError):
        manager.add_breaker(Rule("a"))


def test_every_rule_is_asked_and_the_blind_one_last() -> None:
    manager, seeing = CircuitBreakerManager(), Rule("a")
    manager.add_breaker(BlindCircuitBreaker(BlindSettings(0.0, 0.0)))
    manager.add_breaker(seeing)
    assert [v.breaker for v in manager.evaluate(CONTEXT, NOW)] == ["a", "blind"]
    assert not manager.evaluate(CONTEXT, NOW)[1].breached
    seeing.says["undecided"] = True
    assert manager.evaluate(CONTEXT, NOW)[1].breached


def test_what_the_manager_says_of_them_together() -> None:
    manager, manual = CircuitBreakerManager(), ManualCircuitBreaker()
    manager.add_breaker(Rule("a"))
    manager.add_breaker(manual)
    assert manager.can_trade()
    assert manager.get_status() == {"a": "NORMAL", "manual": "NORMAL"}
    manual.trigger_halt("enough", "anna")
    assert manager.any_tripped()
    assert not manager.can_trade()
    assert manager.get_tripped() == [manual]
    assert manager.get_trip_reasons() == {"manual": "enough"}
    assert [breaker.name for breaker in manager.get_all_breakers()] == ["a", "manual"]
    manager.reset_all("anna")
    assert manager.can_trade()


def test_states_come_back_by_name_and_a_new_rule_starts_normal() -> None:
    old, new = CircuitBreakerManager(), CircuitBreakerManager()
    for name in ("a", "gone"):
        old.add_breaker(Rule(name, Action.TRIP))
        old.get_breaker(name).settle(verdict(breached=True))
    for name in ("a", "added"):
        new.add_breaker(Rule(name, Action.TRIP))
    new.restore(old.snapshot())
    assert new.get_status() == {"a": "TRIPPED", "added": "NORMAL"}


def test_what_is_not_readable_counts_as_tripped() -> None:
    for saved in (
        {"state": "FINE", "reason": None, "details": {}},
        {"state": None},
        {"state": ["NORMAL"]},
        {"state": "RESETTING", "reason": "why", "details": {}},
        {},
        None,
    ):
        rule = Rule("r", Action.TRIP)
        rule.restore(saved)  # type: ignore[arg-type]
        assert rule.state is BreakerState.TRIPPED
        assert rule.get_trip_reason()
        assert not rule.settle(verdict(breached=False))
        rule.reset("anna")
        assert rule.state is BreakerState.NORMAL


def test_a_halt_survives_a_restart_and_is_persisted_as_json() -> None:
    rule, again = ManualCircuitBreaker(), ManualCircuitBreaker()
    rule.trigger_halt("enough", "anna")
    again.restore(json.loads(json.dumps(rule.snapshot())))
    assert again.state is BreakerState.MANUALLY_HALTED
    said = again.evaluate(CONTEXT, NOW)
    assert said.reason == "halted by anna: enough"
    assert (said.breached, said.suspected, said.cleared, said.action) == (True, True, False, Action.TRIP)


def test_no_verdict_ends_a_halt() -> None:
    rule = Rule("r")
    rule.restore({"state": "MANUALLY_HALTED", "reason": "why", "action": "VETO"})
    assert rule.ends_by_itself
    assert not rule.settle(verdict(breached=False))
    assert rule.state is BreakerState.MANUALLY_HALTED


@pytest.mark.parametrize(
    ("then", "now", "ends"),
    [
        (Action.VETO, Action.VETO, True),
        (Action.VETO, Action.TRIP, True),
        (Action.TRIP, Action.VETO, True),
        (Action.FREEZE, Action.TRIP, False),
        (Action.TRIP, Action.TRIP, False),
    ],
)
def test_it_ends_by_itself_if_it_was_or_is_a_veto(then: Action, now: Action, ends: bool) -> None:
    """What the breach did is remembered; the lock of a trip does not depend on it."""
    before, after = Rule("r", then), Rule("r", now)
    before.settle(verdict(breached=True, action=then))
    after.restore(json.loads(json.dumps(before.snapshot())))
    assert after.ends_by_itself is ends
    assert after.settle(verdict(breached=False, action=now)) is ends


def test_a_reset_passes_through_resetting_and_stays_there_if_it_fails() -> None:
    seen: list[BreakerState] = []

    class Forgetful(Rule):
        def _clear_conditions(self) -> None:
            seen.append(self.state)
            if len(seen) == 1:
                raise RuntimeError

    rule = Forgetful("r")
    rule.settle(verdict(breached=True))
    with pytest.raises(RuntimeError):
        rule.reset("anna")
    assert rule.is_tripped
    rule.reset("anna")
    assert seen == [BreakerState.RESETTING, BreakerState.RESETTING]
    assert rule.state is BreakerState.NORMAL


def test_a_tripped_rule_restrains_with_what_it_saw() -> None:
    rule = Rule("mine")
    rule.settle(replace(verdict(breached=True), limits={"most": 5}))
    restraint = rule.restraint(allows_reducing=True)
    assert (restraint.cause, restraint.reason, restraint.allows_reducing) == ("custom:mine", "why", True)
    assert (restraint.observed, restraint.limits) == ({"x": 1}, {"most": 5})
    assert not restraint.is_scoped


def test_observed_facts_may_have_any_name() -> None:
    rule = Rule("r")
    rule.settle(replace(verdict(breached=True), observed={"reason": 1, "self": 2}))
    assert rule.get_trip_details() == {"reason": 1, "self": 2}


def test_a_rule_for_programs_only_can_not_be_evaluated() -> None:
    with pytest.raises(NotImplementedError, match="evaluate"):
        BaseCircuitBreaker(CircuitBreakerType.DRAWDOWN).evaluate(CONTEXT, NOW)


# --- the strongest -------------------------------------------------------------------------------------


def said(breaker_type: CircuitBreakerType, action: Action, *, breached: bool = True) -> Verdict:
    return Verdict(breaker=breaker_type.value, breaker_type=breaker_type, action=action, breached=breached)


def test_the_strongest_action_wins_and_among_equals_the_gates_order() -> None:
    kind = CircuitBreakerType
    orders, errors = said(kind.ORDER_RATE, Action.VETO), said(kind.ERROR_RATE, Action.VETO)
    daily, drawdown = said(kind.DAILY_LOSS, Action.FREEZE), said(kind.DRAWDOWN, Action.FREEZE)
    quiet = said(kind.MANUAL, Action.TRIP, breached=False)
    assert strongest([quiet]) is strongest([]) is None
    assert strongest([orders, errors, quiet]) is errors
    assert strongest([orders, daily, drawdown, errors]) is drawdown
    assert strongest([drawdown, said(kind.CUSTOM, Action.TRIP)]).breaker == "custom"  # type: ignore[union-attr]


@pytest.mark.parametrize("module", [risk_daemon, breakers])
def test_every_public_name_is_there(module: object) -> None:
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name).__name__ == name
        assert name in dir(module)
    with pytest.raises(AttributeError):
        module.no_such_name  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("module", [risk_daemon, breakers])
def test_editors_and_type_checkers_see_every_public_name(module: ModuleType) -> None:
    """They do not follow `__getattr__`: a name that is missing there would be of any type."""
    imports = [node for node in ast.walk(ast.parse(getsource(module))) if isinstance(node, ast.ImportFrom)]
    imported = {name.asname or name.name for node in imports for name in node.names}
    assert set(module.__all__) <= imported


def test_importing_the_package_alone_pulls_in_nothing_heavy() -> None:
    code = "import sys, risk_daemon; print(sorted({'asyncio', 'decimal', 'pydantic', 'ccxt'} & set(sys.modules)))"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare)
    assert said.stdout.strip() == "[]"
