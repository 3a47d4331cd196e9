"""Numbers as people read them: what is not known is never 0."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.api.dashboard import words
from risk_daemon.breakers import (
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.breakers.blind import BlindCircuitBreaker, BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker, CapitalLossSettings
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.headroom import LIMITS
from risk_daemon.state.files import json_text

UNKNOWN = '<span class="unknown">not known</span>'


@pytest.mark.parametrize("nothing", [None, "", "NaN", "Infinity", "abc", True])
def test_what_is_no_number_is_not_known(nothing: Any) -> None:
    for say in (words.money, words.gain, words.percent, words.age):
        assert say(nothing) == UNKNOWN


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("9400.5", "9,400.50"),
        ("-1234567.891", "\N{MINUS SIGN}1,234,567.89"),
        ("0", "0.00"),
        ("0.00012", "0.00012"),
        (Decimal("-0.001"), "\N{MINUS SIGN}0.001"),
    ],
)
def test_money(given: Any, said: str) -> None:
    assert words.money(given) == said


def test_a_gain_has_a_sign_besides_its_colour() -> None:
    assert words.gain("5", "USDT") == '<span class="up">+5.00 USDT</span>'
    assert words.gain("-5") == '<span class="down">\N{MINUS SIGN}5.00</span>'
    assert words.gain("0") == '<span class="even">0.00</span>'


def test_every_digit_of_a_price() -> None:
    assert words.quantity("61250.123456789") == "61,250.123456789"
    assert words.quantity("-0.00000001") == "\N{MINUS SIGN}0.00000001"
    assert words.quantity("<b>") == "&lt;b&gt;"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (-1, "0 s")]
)
def test_ages(seconds: float, said: str) -> None:
    assert words.age(seconds) == said


def test_moments_are_of_the_server_s_day() -> None:
    noon = "2026-11-20T12:03:04+00:00"
    assert words.clock(noon) == "2026-11-20 12:03:04"
    assert words.clock("tomorrow") == "not known"
    assert words.clock("2026-11-20T12:03:04") == "not known"  # no zone: nobody knows which moment
    now = words.wall_of(noon)
    assert ">12:03:04<" in words.when(noon, now)
    assert ">2026-11-19 12:03:04<" in words.when("2026-11-19T12:03:04+00:00", now)
    assert words.when(1e300) == UNKNOWN
    assert words.when(float("nan")) == UNKNOWN


def test_what_is_typed_stands_apart() -> None:
    assert words.told("Say `risk-daemon reset <x>`.") == "Say <code>risk-daemon reset &lt;x&gt;</code>."


def test_limits() -> None:
    assert words.short_percent(0.1) == "10%"
    assert words.short_percent(0.125) == "12.5%"
    assert words.size("500", "USDT") == "500.00 USDT"
    assert words.size(0.05, "USDT") == "5.00%"


# Every rule there is, as it describes itself.
RULES = {
    "a loss of 5% of the initial capital": CapitalLossCircuitBreaker(CapitalLossSettings(Decimal("0.05"))),
    "a drawdown of 10% from the peak, looking back 30 days": DrawdownCircuitBreaker(Decimal("0.1")),
    "a drawdown of 10% from the peak": DrawdownCircuitBreaker(Decimal("0.1"), lookback_days=None),
    "a loss of 3% since the day began": DailyLossCircuitBreaker(max_daily_loss_pct=0.03),
    "a loss of 500.00 USDT since the day began": DailyLossCircuitBreaker(max_daily_loss=500),
    "a loss of 7.5% since the week began": WeeklyLossCircuitBreaker(max_weekly_loss_pct=0.075),
    "a loss of 700.00 USDT since the week began": WeeklyLossCircuitBreaker(max_weekly_loss=700),
    "a loss of 4% on a venue since the day began, on okx only": VenueLossCircuitBreaker(
        max_venue_loss_pct=0.04, venue="okx"
    ),
    "a loss of 1,200.00 USDT on a venue since the day began": VenueLossCircuitBreaker(max_venue_loss=1_200),
    "a position 20% below its entry": PositionLossCircuitBreaker(max_position_loss_pct=0.2),
    "a position that lost 90.00 USDT since its entry": PositionLossCircuitBreaker(max_position_loss=90),
    "a volatility of 80% a year, within 1 h": VolatilityCircuitBreaker(0.8),
    "more than 100 orders, within 1 min": OrderRateCircuitBreaker(100, 60),
    "more than 20 orders, within 90 s, of each bot, more than 1,000 orders of all together": OrderRateCircuitBreaker(
        20, 90, "bot", 1_000
    ),
    "more than 5 errors, within 5 min, of each venue": ErrorRateCircuitBreaker(5, 300, "venue"),
    "vetoes new orders after 30 s blind, trips after 10 min blind": BlindCircuitBreaker(
        BlindSettings(veto_after_s=30.0, trip_after_s=600.0)
    ),
    "a halt by a person": ManualCircuitBreaker(),
}


@pytest.mark.parametrize("said", list(RULES))
def test_at_what_every_rule_acts_is_said_in_words_with_units(said: str) -> None:
    described = json.loads(json_text(RULES[said].describe()))
    assert words.limits_text(described, "USDT") == said


def test_every_kind_of_rule_has_words() -> None:
    assert {rule.breaker_type for rule in RULES.values()} == set(CircuitBreakerType) - {CircuitBreakerType.CUSTOM}
    assert LIMITS.keys() <= words.LIMITS.keys()


def test_limits_of_nobody_s_are_not_dressed_up() -> None:
    assert words.limits_text({}, "USDT") == "a rule of your own"
    assert words.limits_text({"breaker_type": "custom", "limits": {}}, "USDT") == "a rule of your own"
    assert words.limits_text({"breaker_type": "drawdown", "limits": {}}, "USDT") == words.UNKNOWN
    assert words.limits_text({"breaker_type": "x", "limits": {"max_moons": 3}}, "USDT") == "max moons 3"
    assert words.limits_text({"breaker_type": "x", "limits": {"max_orders": "odd"}}, "USDT") == "max orders odd"


def test_a_rule_that_sleeps_says_when_it_acts() -> None:
    rule = {"breaker_type": "x", "limits": {"max_errors": 3}, "active_hours": "09:00-17:00 UTC"}
    assert words.limits_text(rule, "USDT") == "more than 3 errors, from 09:00-17:00 UTC only"
