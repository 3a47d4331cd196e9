"""What a person does next, by the reason that the gate gives."""

from __future__ import annotations

import pytest

from risk_daemon.gate.hints import how_to_go_on, is_circuit_tripped, what_stands_open
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.status import Status

VETOES = [rule for rule in CircuitBreakerType if rule not in (CircuitBreakerType.MANUAL, CircuitBreakerType.CUSTOM)]


def hint(cause: str | None, **fields: object) -> str:
    return how_to_go_on(Status.shown({"lock": {"cause": cause, **fields}}).lock)


@pytest.mark.parametrize("rule", VETOES)
def test_every_veto_ends_by_itself_and_says_so(rule: CircuitBreakerType) -> None:
    assert "ends by itself" in hint(rule.cause)


def test_rates_age_out() -> None:
    assert "as the errors age out" in hint("error_rate")
    assert "as the orders age out" in hint("order_rate")


def test_names_are_known_by_their_beginning() -> None:
    assert "your own rule" in hint("custom:mine")
    assert "good listing" in hint("unlistable:kraken")


@pytest.mark.parametrize("cause", ["starting", "", "nobody_knows"])
def test_else_the_gate_opens_with_a_running_guard(cause: str) -> None:
    assert "a running guard has a complete picture" in hint(cause)


def test_a_trip_goes_on_until_it_is_proven_and_ends_by_a_reset() -> None:
    assert "not proven yet" in hint(None, trip_id="t", proven=None)
    assert "risk-daemon reset" in hint(None, trip_id="t", proven=True)
    assert "ends by itself at that time" in hint(None, trip_id="t", proven=True, until="00:00")


@pytest.mark.parametrize(
    ("more", "is_tripped"),
    [
        ({}, False),
        ({"circuit_breaker": {"active": True}}, True),
        ({"state": "TRIGGERED"}, True),
        ({"breakers": {"dd": "TRIPPED"}}, True),
        ({"breakers": {"dd": "NORMAL", "day": "TRIPPED"}}, False),
    ],
)
def test_a_circuit_is_tripped_as_long_as_its_rule_is(more: dict[str, object], is_tripped: bool) -> None:
    calm = {"state": "ACTIVE", "rules": {"dd": {"breaker_type": "drawdown"}}, "breakers": {"dd": "NORMAL"}}
    assert is_circuit_tripped(Status.shown({**calm, **more})) is is_tripped


def test_what_stands_open_is_named_in_a_trip_only_and_not_all_of_it() -> None:
    held = [{"venue": "v", "symbol": f"S{number}", "quantity": "1"} for number in range(5)]
    told = what_stands_open(Status.shown({"positions": held, "lock": {"trip_id": "t"}}))
    assert told is not None
    assert told.startswith("5 positions stand open")
    assert "v S0 1, v S1 1, v S2 1 and 2 more." in told
    assert what_stands_open(Status.shown({"positions": held})) is None
    assert what_stands_open(Status.shown({"lock": {"trip_id": "t"}})) is None


def test_what_stands_open_says_of_which_moment_that_is_known() -> None:
    held = [{"venue": "v", "symbol": "S", "quantity": "1"}]
    status = Status.shown({"positions": held, "lock": {"trip_id": "t"}, "time": "2026-11-22T18:31:19.250Z"})
    assert (what_stands_open(status) or "").startswith("As of 2026-11-22 18:31:19 UTC, 1 position stands open")
