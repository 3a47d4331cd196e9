"""Numbers as people read them: what is not known is never 0."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.api.dashboard import words

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
    assert words.clock(noon) == "12:03:04"
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
