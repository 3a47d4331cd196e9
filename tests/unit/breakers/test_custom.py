"""Rules of the user's own: what is refused at the start, and what becomes of one that fails."""

from __future__ import annotations

import json
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.breakers import (
    Action,
    BaseCircuitBreaker,
    BreakerState,
    CircuitBreakerManager,
    CircuitBreakerType,
    DrawdownCircuitBreaker,
    EvaluationContext,
    Verdict,
)
from risk_daemon.breakers.custom import load_rule
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.model.clock import Instant

NOW = Instant(1_000.0, 1_700_000_000.0)  # 22:13 UTC
CONTEXT = EvaluationContext(None, None, Baselines())

SOURCE = """
from risk_daemon.breakers import Action, BaseCircuitBreaker, CircuitBreakerType, DrawdownCircuitBreaker, Verdict

class Good(BaseCircuitBreaker):
    def __init__(self, limit, word="x"):
        super().__init__(breaker_type=CircuitBreakerType.CUSTOM)
        self.limit, self.word = limit, word
    def evaluate(self, context, now):
        return Verdict(self.name, self.breaker_type, self.action)

class Strict(Good):
    def __init__(self):
        super().__init__(1)
        self.action = Action.TRIP

class Blindfolded(BaseCircuitBreaker):
    def can_trade(self):
        return True

class Headless(Good):
    def __init__(self):
        pass

class Picky(Good):
    def __init__(self, limit):
        raise RuntimeError("not this one")

class Leaving(Good):
    def __init__(self):
        raise SystemExit(1)

class Renamed(DrawdownCircuitBreaker):
    pass

class Plain:
    pass

def function():
    pass
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_rules.py").write_text(SOURCE)
    (tmp_path / "own_broken.py").write_text("this is no python")
    (tmp_path / "own_leaving.py").write_text("raise SystemExit(1)")
    (tmp_path / "own_failing.py").write_text("1 / 0")


# --- loading -----------------------------------------------------------------------------------------------


def test_a_rule_is_loaded_with_its_name_action_hours_and_options() -> None:
    hours = ActiveHours(time(9), time(10))
    rule = load_rule("own_rules:Good", "mine", Action.FREEZE, {"limit": "5%", "word": "y"}, active_hours=hours)
    assert (rule.name, rule.action, rule.active_hours) == ("mine", Action.FREEZE, hours)
    assert (rule.limit, rule.word) == ("5%", "y")  # type: ignore[attr-defined]
    assert rule.cause == "custom:mine"


def test_without_an_action_its_own_holds_and_it_is_a_veto_at_least() -> None:
    assert load_rule("own_rules:Strict", "mine", None, {}).action is Action.TRIP
    assert load_rule("own_rules:Good", "mine", None, {"limit": 1}).action is Action.VETO
    assert load_rule("own_rules:Good", "mine", Action.NONE, {"limit": 1}).action is Action.VETO


@pytest.mark.parametrize(
    ("class_path", "options", "sentence"),
    [
        ("own_rules.Good", {}, "names no class"),
        (":Good", {}, "names no class"),
        ("own_rules:", {}, "names no class"),
        ("own_missing:Good", {}, "can't be imported: ModuleNotFoundError"),
        ("own_rules:Missing", {}, "can't be imported: AttributeError"),
        ("own_broken:Good", {}, "can't be imported: SyntaxError"),
        ("own_failing:Good", {}, "can't be imported: ZeroDivisionError"),
        ("own_leaving:Good", {}, "can't be imported: SystemExit"),
        ("own_rules:Plain", {}, "no subclass of BaseCircuitBreaker"),
        ("own_rules:function", {}, "no subclass of BaseCircuitBreaker"),
        ("own_rules:Blindfolded", {}, "does not override evaluate"),
        ("own_rules:Good", {}, "can't be made from its options: TypeError"),
        ("own_rules:Good", {"limit": 1, "limt": 2}, "limt"),
        ("own_rules:Picky", {"limit": 1}, "not this one"),
        ("own_rules:Leaving", {}, "can't be made from its options: SystemExit"),
        ("own_rules:Headless", {}, "must call super"),
        ("own_rules:Renamed", {}, "CircuitBreakerType.CUSTOM"),
    ],
)
def test_what_can_not_be_used_is_refused(class_path: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CircuitBreakerError, match=sentence) as refused:
        load_rule(class_path, "mine", Action.VETO, options)
    assert "\n" not in str(refused.value)


# --- asking ------------------------------------------------------------------------------------------------


class Own(BaseCircuitBreaker):
    """Does what it is told to do."""

    def __init__(self, does: Any, action: Action = Action.VETO) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, "own", action)
        self.does = does

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        return self.does(self)  # type: ignore[no-any-return]

    def answer(self, **fields: Any) -> Verdict:
        return Verdict(
            breaker=self.name, breaker_type=self.breaker_type, action=fields.pop("action", self.action), **fields
        )


def ask(rule: BaseCircuitBreaker) -> Verdict:
    manager = CircuitBreakerManager()
    manager.add_breaker(rule)
    (verdict,) = manager.evaluate(CONTEXT, NOW)
    return verdict


def fails(_: Own) -> Verdict:
    raise ZeroDivisionError("by zero")


def leaves(_: Own) -> Verdict:
    raise SystemExit(1)


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (fails, "ZeroDivisionError: by zero"),
        (leaves, "SystemExit: 1"),
        (lambda rule: None, "answered with NoneType"),
        (lambda rule: False, "answered with bool"),
        (
            lambda rule: Verdict(breaker="other", breaker_type=rule.breaker_type, action=rule.action),
            "answered for 'other'",
        ),
        (lambda rule: rule.answer(breached=None), "True or False"),
        (lambda rule: rule.answer(breached=0), "True or False"),
        (lambda rule: rule.answer(action="veto"), "ValueError"),
        (lambda rule: rule.answer(warning=float("nan")), "not finite"),
        (lambda rule: rule.answer(observed=None), "AttributeError"),
    ],
)
@pytest.mark.parametrize("action", [Action.VETO, Action.TRIP])
def test_a_rule_that_fails_counts_as_a_breach_that_vetoes(does: Any, told: str, action: Action) -> None:
    rule = Own(does, action)
    verdict = ask(rule)
    assert (verdict.breaker, verdict.breaker_type) == ("own", CircuitBreakerType.CUSTOM)
    assert (verdict.breached, verdict.action, verdict.cleared) == (True, Action.VETO, False)
    assert told in verdict.reason
    assert verdict.cause == "custom:own"


def test_a_failure_ends_when_the_rule_works_again_though_it_would_trip() -> None:
    rule = Own(fails, Action.TRIP)
    rule.settle(ask(rule))
    assert rule.is_tripped
    assert rule.ends_by_itself
    rule.does = lambda rule: rule.answer()
    rule.settle(ask(rule))
    assert not rule.is_tripped


def test_its_own_action_holds_but_is_never_weaker_than_a_veto() -> None:
    for given, meant in ((Action.NONE, Action.VETO), (Action.VETO, Action.VETO), (Action.TRIP, Action.TRIP)):
        assert ask(Own(lambda rule, given=given: rule.answer(action=given, breached=True))).action is meant


def test_what_it_says_is_made_fit_for_records() -> None:
    said = {"d": Decimal("1.50"), "n": float("nan"), "o": CONTEXT, 5: [Decimal(2), (None, True)], "m": {"x": 1.5}}
    verdict = ask(Own(lambda rule: rule.answer(breached=True, observed=said, limits=said, warning=3, reason=5)))
    assert verdict.observed["d"] == "1.5"
    assert verdict.observed["5"] == ["2", [None, True]]
    assert verdict.observed["m"] == {"x": 1.5}
    assert verdict.suspected
    assert (verdict.warning, verdict.reason) == (Decimal(3), "5")
    json.dumps([dict(verdict.observed), dict(verdict.limits)], allow_nan=False)


def test_tripping_itself_while_it_is_asked_is_a_breach_as_long_as_it_does() -> None:
    def trips(rule: Own) -> Any:
        rule._trip("too much", x=Decimal(1), reason_code=7)
        return rule.answer()

    rule = Own(trips, Action.FREEZE)
    for _ in range(3):
        verdict = ask(rule)
        assert (verdict.breached, verdict.action, verdict.reason) == (True, Action.FREEZE, "too much")
        assert verdict.observed == {"x": "1", "reason_code": 7}
        rule.settle(verdict)
        assert rule.state is BreakerState.TRIPPED


def test_a_rule_can_not_free_itself_while_it_is_asked() -> None:
    def frees(rule: Own) -> Verdict:
        if rule.is_tripped:
            rule.reset()
        return rule.answer(breached=True)

    rule = Own(frees, Action.TRIP)
    rule.settle(ask(rule))
    ask(rule)
    assert rule.is_tripped


def test_a_failing_rule_of_ours_is_a_bug_and_is_not_hidden() -> None:
    class Broken(DrawdownCircuitBreaker):
        def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(Broken())


def test_outside_its_hours_a_rule_is_not_asked() -> None:
    rule = Own(fails)
    rule.active_hours = ActiveHours(time(9), time(10))
    verdict = ask(rule)
    assert (verdict.breached, verdict.cleared, verdict.reason) == (False, True, "outside its active hours")
    rule.active_hours = ActiveHours(time(22), time(23))
    assert ask(rule).breached
