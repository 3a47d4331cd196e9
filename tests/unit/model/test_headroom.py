"""How far a rule is from its limit, and how much money that is."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.model.headroom import Headroom, Unit, headrooms, nearest_trip
from risk_daemon.model.status import Status


def status(equity: str | None = "9500", **rules: dict[str, Any]) -> Status:
    return Status.shown({"equity": equity, "rules": rules})


def rule(kind: str, observed: object, limit: object, unit: str = "ratio", action: str = "trip") -> dict[str, Any]:
    return {"breaker_type": kind, "action": action, "observed": observed, "limit": limit, "unit": unit}


def only(found: tuple[Headroom, ...]) -> Headroom:
    [one] = found
    return one


def test_a_ratio_is_of_what_the_loss_is_measured_from() -> None:
    """5 % of 10,000 are lost; at 10 % the rule acts: 500 more."""
    one = only(headrooms(status(drawdown=rule("drawdown", 0.05, 0.1))))
    assert one.used == pytest.approx(0.5)
    assert one.money == pytest.approx(500.0)


def test_beyond_the_limit_there_is_less_than_nothing_left() -> None:
    one = only(headrooms(status("8500", drawdown=rule("drawdown", 0.15, 0.1))))
    assert one.used == pytest.approx(1.5)
    assert one.money == pytest.approx(-500.0)


def test_money_is_what_it_is() -> None:
    one = only(headrooms(status(None, night=rule("daily_loss", "150", "400", "money"))))
    assert (one.rule, one.unit, one.used, one.money) == ("night", Unit.MONEY, 0.375, 250.0)


@pytest.mark.parametrize("observed", [None, "NaN", float("inf"), "much", True])
def test_what_is_not_known_is_not_far_away(observed: object) -> None:
    one = only(headrooms(status(drawdown=rule("drawdown", observed, 0.1))))
    assert (one.observed, one.used, one.money) == (None, None, None)


@pytest.mark.parametrize(
    ("equity", "table"),
    [
        (None, rule("drawdown", 0.05, 0.1)),
        ("9500", rule("drawdown", 1.0, 0.1)),
        ("9500", rule("venue_loss", 0.05, 0.1)),
        ("9500", rule("order_rate", 7, 100, "count", "veto")),
    ],
    ids=["no equity", "all is lost", "a part only", "no loss at all"],
)
def test_where_it_is_no_money_of_all_none_is_told(equity: str | None, table: dict[str, Any]) -> None:
    one = only(headrooms(status(equity, one=table)))
    assert one.money is None
    assert one.used is not None


@pytest.mark.parametrize("table", [{}, {"limit": 0.1}, {"limit": 0.1, "unit": "apples"}, {"unit": "ratio"}])
def test_a_rule_without_a_limit_has_no_distance(table: dict[str, Any]) -> None:
    assert headrooms(status(blind={"breaker_type": "blind", **table})) == ()


def test_the_nearest_is_the_one_that_stops_trading_first() -> None:
    found = headrooms(
        status(
            capital_loss=rule("capital_loss", 0.01, 0.05),
            drawdown=rule("drawdown", 0.08, 0.1),
            weekly=rule("weekly_loss", 0.05, 0.051, action="veto"),
            hidden=rule("daily_loss", None, 0.05, action="freeze"),
        )
    )
    nearest = nearest_trip(found)
    assert nearest is not None
    assert nearest.rule == "drawdown"
    assert nearest_trip(()) is None
