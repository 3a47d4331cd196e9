"""A breaker's states, many breakers together, and the public names."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import risk_daemon
from risk_daemon import breakers
from risk_daemon.baselines import Baselines
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    BreakerState,
    CircuitBreakerManager,
    CircuitBreakerType,
    ManualCircuitBreaker,
)
from risk_daemon.breakers.base import Action, EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker, BlindSettings
from risk_daemon.clock import Instant
from risk_daemon.errors import CircuitBreakerError

NOW = Instant(1_000.0, 1_700_000_000.0)
CONTEXT = EvaluationContext(None, None, Baselines())


class Rule(BaseCircuitBreaker):
    """Says what it is told to say."""

    def __init__(self, name: str, action: Action = Action.VETO) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, name, action)
        self.says = {"breached": False, "undecided": False}

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        return Verdict(self.name, self.breaker_type, self.action, reason="told so", observed={"x": 1}, **self.says)  # type: ignore[arg-type]


def verdict(*, breached: bool, action: Action = Action.VETO) -> Verdict:
    return Verdict("r", CircuitBreakerType.CUSTOM, action, breached=breached, reason="why", observed={"x": 1})


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


@pytest.mark.parametrize("module", [risk_daemon, breakers])
def test_every_public_name_is_there(module: object) -> None:
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name).__name__ == name
        assert name in dir(module)
    with pytest.raises(AttributeError):
        module.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_alone_pulls_in_nothing_heavy() -> None:
    code = "import sys, risk_daemon; print(sorted({'asyncio', 'decimal', 'pydantic', 'ccxt'} & set(sys.modules)))"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare)
    assert said.stdout.strip() == "[]"
