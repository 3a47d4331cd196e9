from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.model.units import finite, fixed, parse_duration, parse_money, parse_ratio, percent, plain


@pytest.mark.parametrize(
    ("value", "expected"), [("5%", "0.05"), (0.05, "0.05"), ("0.05", "0.05"), (0, "0"), ("99.9 %", "0.999")]
)
def test_ratios(value: object, expected: str) -> None:
    assert parse_ratio(value) == Decimal(expected)


@pytest.mark.parametrize("value", [5, "5", 1, 1.0, "100%", -0.05, "-5%", "five", None, True, "nan%", float("nan")])
def test_what_is_no_ratio_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_ratio(value)


def test_a_bare_percent_gets_a_hint() -> None:
    with pytest.raises(ValueError, match='write "5%"'):
        parse_ratio(5)


@pytest.mark.parametrize(
    "value", [None, True, float("nan"), float("inf"), "-inf", "", "x", Decimal("NaN"), Decimal("sNaN")]
)
def test_what_is_not_finite_never_passes(value: object) -> None:
    with pytest.raises(ValueError):
        finite(value)


def test_a_float_is_read_by_its_shortest_text() -> None:
    assert finite(0.1) == Decimal("0.1")
    assert finite(1e-8) == Decimal("0.00000001")


@pytest.mark.parametrize(("value", "expected"), [(5000, "5000"), ("5000.5 USDT", "5000.5"), (0.5, "0.5")])
def test_money(value: object, expected: str) -> None:
    assert parse_money(value, "USDT") == Decimal(expected)


@pytest.mark.parametrize("value", [0, -1, "5000 EUR", "-5 USDT", "USDT", "5,000", None, float("inf")])
def test_what_is_no_amount_of_the_currency_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_money(value, "USDT")


@pytest.mark.parametrize(
    ("value", "seconds"), [("250ms", 0.25), ("10s", 10.0), ("1.5m", 90.0), ("1h", 3600.0), ("30d", 2_592_000.0)]
)
def test_durations(value: str, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", [10, "10", "-10s", "10 sec", None, "s"])
def test_a_duration_needs_a_unit(value: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(value)


def test_rounding_and_writing() -> None:
    assert fixed(Decimal("0.0000000000005")) == 0
    assert fixed(Decimal("0.0499999999999999999")) == Decimal("0.05")
    assert percent(Decimal("0.055")) == "5.50 %"
    assert [plain(Decimal(text)) for text in ("1E+3", "1.500", "0.000", "1E-7", "-2.50")] == [
        "1000",
        "1.5",
        "0",
        "0.0000001",
        "-2.5",
    ]
