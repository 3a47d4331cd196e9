"""What a person does next, by the reason that the gate gives."""

from __future__ import annotations

import pytest

from risk_daemon.gate.hints import how_the_fund_stands, how_to_go_on, is_circuit_tripped, tripped_by, what_stands_open
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.status import LastKnown, State, Status

VETOES = [rule for rule in CircuitBreakerType if rule not in (CircuitBreakerType.MANUAL, CircuitBreakerType.CUSTOM)]


def hint(cause: str | None, **fields: object) -> str:
    return how_to_go_on(State.shown({"lock": {"cause": cause, **fields}}))


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


@pytest.mark.parametrize("proven", [False, None])
@pytest.mark.parametrize("until", [None, "2026-11-22T00:00:00.000+00:00"])
def test_without_a_daemon_nothing_goes_on_by_itself(proven: object, until: object) -> None:
    told = {"lock": {"trip_id": "t", "proven": proven, "until": until}}
    assert "leave it running" in how_to_go_on(State.shown(told))
    gone = how_to_go_on(LastKnown.shown(told))
    assert "leave it running" not in gone
    assert "no guard answers: `risk-daemon run`" in gone
    assert "by hand" in gone


def test_without_a_daemon_no_veto_ends_by_itself() -> None:
    assert "a running guard has a complete picture" in how_to_go_on(LastKnown.shown({"lock": {"cause": "daily_loss"}}))


def test_without_a_daemon_no_freeze_ends_by_itself() -> None:
    told = {"lock": {"trip_id": "t", "proven": True, "until": "2026-11-22T00:00:00.000+00:00"}}
    assert "by itself" not in how_to_go_on(LastKnown.shown(told))


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


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"lock": {"cause": "capital_loss"}}, "capital_loss"),
        ({"lock": {"cause": "manual_halt"}}, "manual_halt"),
        ({"lock": {"cause": "portfolio_dd_circuit"}}, None),
        ({"lock": {"cause": "capital_loss"}, "breakers": {"dd": "TRIPPED"}}, None),
        ({"lock": {"cause": "capital_loss"}, "circuit_breaker": {"active": True}}, None),
        ({"lock": {"cause": "capital_loss"}, "state": "ACTIVE"}, None),
        ({}, None),
    ],
)
def test_a_trip_of_another_rule_than_the_drawdowns_names_it(more: dict[str, object], rule: str | None) -> None:
    calm = {"state": "TRIGGERED", "rules": {"dd": {"breaker_type": "drawdown"}}, "breakers": {"dd": "NORMAL"}}
    assert tripped_by(Status.shown({**calm, **more})) == rule


def test_what_stands_open_is_named_in_a_trip_only_and_not_all_of_it() -> None:
    held = [{"venue": "v", "symbol": f"S{number}", "quantity": "1"} for number in range(5)]
    told = what_stands_open(State.shown({"positions": held, "lock": {"trip_id": "t"}}))
    assert told is not None
    assert told.startswith("5 positions stand open")
    assert "v S0 1, v S1 1, v S2 1 and 2 more." in told
    assert what_stands_open(State.shown({"positions": held})) is None
    assert what_stands_open(State.shown({"lock": {"trip_id": "t"}})) is None


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ({"trip_id": "t", "venues": {"v": {"proven": True, "kept": []}}}, "and no order guards them: v S 1."),
        (
            {"trip_id": "t", "venues": {"v": {"proven": True, "kept": ["7", "8"]}, "w": {"kept": []}}},
            "and of the orders that guarded them these are kept: 2 on v: v S 1.",
        ),
        (
            {"trip_id": "t", "venues": {"v": {"proven": False, "kept": []}}},
            "and whether an order guards them is not known",
        ),
        ({"trip_id": "t", "venues": {"w": {"proven": True}}}, "and whether an order guards them is not known: v S 1."),
        (
            {"trip_id": "old", "venues": {"v": {"proven": True, "kept": []}}},
            "and whether an order guards them is not known: v S 1.",
        ),
        (None, "and whether an order guards them is not known: v S 1."),
    ],
)
def test_which_orders_still_guard_positions_is_said_as_far_as_it_is_known(sweep: object, told: str) -> None:
    held = [{"venue": "v", "symbol": "S", "quantity": "1"}]
    said = what_stands_open(State.shown({"positions": held, "lock": {"trip_id": "t"}, "last_sweep": sweep}))
    assert said is not None
    assert told in said


def test_cancels_that_are_being_proven_are_nobodys_to_cancel_by_hand() -> None:
    at = {"since": "2026-11-22T00:00:00.000+00:00", "proven": False, "trip_id": "t"}
    proving = {"time": "2026-11-22T00:00:04.000+00:00", "lock": at}
    told = how_to_go_on(State.shown(proving))
    assert "being proven, 4 s by now" in told
    assert "by hand" not in told
    failing = {"trip_id": "t", "venues": {"v": {"proven": False, "failing": True}}}
    assert "by hand" in how_to_go_on(State.shown({**proving, "last_sweep": failing}))


def test_what_stands_open_says_of_which_moment_that_is_known() -> None:
    held = [{"venue": "v", "symbol": "S", "quantity": "1"}]
    status = State.shown({"positions": held, "lock": {"trip_id": "t"}, "time": "2026-11-22T18:31:19.250Z"})
    assert (what_stands_open(status) or "").startswith("As of 2026-11-22 18:31:19 UTC, 1 position stands open")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "Fund alpha, member b: a budget of 400 USDT, of which 10 is lost"),
        ({"most": "20"}, "between 10 and 20 is lost"),
        ({"least": None, "most": None}, "an unknown amount is lost"),
        ({"ledger_error": "gone"}, "the ledger does not answer (gone)"),
        ({"told": False}, "the others are NOT TOLD of the trip yet"),
        ({"is_joined": False}, "it has not joined, so nothing opens"),
        ({"is_joined": None}, "it has not joined, so nothing opens"),
    ],
)
def test_how_a_member_of_a_fund_stands_is_never_better_than_what_is_known(more: dict[str, object], words: str) -> None:
    fund = {"name": "alpha", "member": "b", "currency": "USDT", "is_joined": True, "budget": "400"}
    fund |= {"least": "10", "most": "10", "told": None, **more}
    assert words in str(how_the_fund_stands(State.shown({"fund": fund})))


def test_a_guard_of_no_fund_says_nothing_of_one() -> None:
    assert how_the_fund_stands(State.shown({})) is None
