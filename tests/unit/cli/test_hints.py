"""What a person does next, by the reason that the gate gives."""

from __future__ import annotations

import pytest

from risk_daemon.cli.hints import how_to_go_on
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
