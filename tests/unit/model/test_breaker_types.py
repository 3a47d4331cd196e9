"""The list of rules: names, what bots are told, and the order in which they are."""

from __future__ import annotations

from risk_daemon import breakers
from risk_daemon.breakers import base
from risk_daemon.gate.restraints import severity
from risk_daemon.model.breaker_types import ALWAYS_ON, CircuitBreakerType


def test_a_type_is_its_name_and_comes_back_from_it() -> None:
    assert CircuitBreakerType("drawdown") is CircuitBreakerType.DRAWDOWN
    assert (CircuitBreakerType.DRAWDOWN.value, str(CircuitBreakerType.DRAWDOWN)) == ("drawdown", "drawdown")
    assert base.CircuitBreakerType is breakers.CircuitBreakerType is CircuitBreakerType


def test_bots_are_told_the_name_where_nothing_else_stands() -> None:
    told = {rule.value: rule.cause for rule in CircuitBreakerType if rule.cause != rule.value}
    assert told == {"manual": "manual_halt", "drawdown": "portfolio_dd_circuit", "custom": "custom:"}


def test_the_order_of_the_list_is_that_of_severity() -> None:
    causes = [rule.cause for rule in CircuitBreakerType]
    assert sorted(causes, key=severity) == causes
    assert causes[0] == "manual_halt"


def test_what_is_always_on_has_no_table() -> None:
    without = {rule for rule in CircuitBreakerType if not rule.has_table}
    assert without == {*ALWAYS_ON, CircuitBreakerType.CUSTOM}


def test_the_stem_of_its_classes() -> None:
    assert (CircuitBreakerType.DAILY_LOSS.stem, CircuitBreakerType.BLIND.stem) == ("DailyLoss", "Blind")
