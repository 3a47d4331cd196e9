"""The gate: whom a restraint concerns, which one is named, and when it is shut for all."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from risk_daemon.gate.restraints import (
    CAUSES,
    GateState,
    OrderAnswer,
    OrderRequest,
    Restraint,
    Veto,
    cause_of,
    check_order,
    gate_of,
    severity,
    strongest_first,
)

# As the contract names them, strongest first.
ORDER_OF_REASONS = (
    "manual_halt",
    "portfolio_dd_circuit",
    "capital_loss",
    "daily_loss",
    "weekly_loss",
    "venue_loss",
    "position_loss",
    "volatility",
    "error_rate",
    "order_rate",
    "custom:mine",
    "blind",
    "confirming",
    "starting",
    "locked",
    "price_unknown",
    "max_notional",
    "max_quantity",
    "price_collar",
    "duplicate_order",
    "bot_order_rate",
)


def order(venue: str = "kraken", bot: str | None = "alpha") -> OrderRequest:
    return OrderRequest(venue, "BTC/USDT", "buy", Decimal(1), price=Decimal(50_000), bot=bot)


def test_a_lock_repeats_its_cause() -> None:
    assert cause_of("manual") == "manual_halt"
    assert cause_of("drawdown") == "portfolio_dd_circuit"
    assert cause_of("capital_loss") == "capital_loss"
    assert cause_of("locked") == "locked"
    assert cause_of("my_rule") == "custom:my_rule"


def test_a_rule_of_the_users_own_goes_by_its_name_even_if_that_is_taken() -> None:
    assert cause_of("custom", "mine") == "custom:mine"
    assert cause_of("custom", "blind") == "custom:blind"
    assert cause_of("custom:mine") == "custom:mine"
    assert cause_of("drawdown", "night") == "portfolio_dd_circuit"
    assert cause_of("order_rate", "night") == "order_rate"


def test_only_the_time_of_entering_may_differ() -> None:
    gate = GateState(True, "blind", None, 5.0)
    assert gate.same_as(replace(gate, since_wall=9.0))
    for change in ({"locked": False}, {"cause": "confirming"}, {"trip_id": "t"}, {"until_wall": 1.0}):
        assert not gate.same_as(replace(gate, **change))


def test_the_order_of_reasons_is_the_contracts() -> None:
    assert sorted(set(ORDER_OF_REASONS), key=severity) == list(ORDER_OF_REASONS)
    assert set(ORDER_OF_REASONS) - {"custom:mine"} <= set(CAUSES)


def test_what_nobody_knows_is_the_most_severe() -> None:
    for cause in ("", "unheard_of", "manual", "CAPITAL_LOSS"):
        assert severity(cause) < severity("manual_halt")


def test_equals_keep_their_order() -> None:
    first, second = Restraint("venue_loss", "first"), Restraint("venue_loss", "second")
    assert strongest_first([Restraint("blind", ""), first, second])[:2] == (first, second)


def test_a_veto_says_all_that_the_restraint_says() -> None:
    observed, limits = {"current_dd_pct": 0.12}, {"max_portfolio_dd_nav_pct": 0.1}
    restraint = Restraint("portfolio_dd_circuit", "12 % below", observed, limits, trip_id="t1", until_wall=9.0)
    expected = Veto("portfolio_dd_circuit", "12 % below", observed, limits, "t1", 9.0)
    assert check_order(order(), [restraint]) == expected
    assert not OrderAnswer(wall=1.0, veto=expected).allowed
    assert OrderAnswer(wall=1.0).allowed


@pytest.mark.parametrize(
    ("venue", "bot", "concerned"),
    [
        (None, None, [True, True, True, True]),
        ("kraken", None, [True, True, False, True]),
        (None, "alpha", [True, False, True, False]),
        ("kraken", "alpha", [True, False, False, False]),
    ],
)
def test_whom_a_restraint_concerns(venue: str | None, bot: str | None, concerned: list[bool]) -> None:
    restraint = Restraint("error_rate", "too many errors", venue=venue, bot=bot)
    orders = [order(), order(bot="beta"), order(venue="binance"), order(bot=None)]
    assert [check_order(each, [restraint]) is not None for each in orders] == concerned
    assert restraint.is_scoped == (venue is not None or bot is not None)


def test_the_gate_for_all_is_shut_by_the_first_that_concerns_all() -> None:
    scoped = Restraint("manual_halt", "", bot="alpha", trip_id="t1")
    of_all = Restraint("daily_loss", "", trip_id="t2", until_wall=99.0)
    weaker = Restraint("blind", "")
    assert gate_of([scoped, of_all, weaker], 5.0) == GateState(True, "daily_loss", "t2", 5.0, 99.0)
    assert gate_of([scoped], 5.0) == GateState(False, None, None, 5.0, None)
    assert gate_of([], 5.0) == GateState(False, None, None, 5.0, None)


def test_an_order_that_reduces_passes_only_what_allows_it() -> None:
    veto, trip = Restraint("daily_loss", "", allows_reducing=True), Restraint("blind", "")
    assert check_order(order(), [veto], is_reducing=True) is None
    assert check_order(order(), [veto], is_reducing=False) is not None
    answer = check_order(order(), [veto, trip], is_reducing=True)
    assert answer is not None
    assert answer.veto_reason == "blind"
