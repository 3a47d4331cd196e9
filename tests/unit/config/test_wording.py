"""Settings in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.config.notation import LossSize
from risk_daemon.config.wording import Premises, all_of, limit_text, one_of, percent, span

D = Decimal


@pytest.mark.parametrize(
    ("ratio", "told"),
    [("0.05", "5 %"), ("0.125", "12.5 %"), ("1.5", "150 %"), ("1", "100 %"), ("0.123456", "12.3456 %")],
)
def test_a_ratio(ratio: str, told: str) -> None:
    assert percent(D(ratio)) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.25, "0.25 s"), (59, "59 s"), (60, "1 min"), (90, "90 s"), (3_600, "1 h"), (5_400, "90 min")],
)
def test_a_duration(seconds: float, told: str) -> None:
    assert span(seconds) == told


def test_a_limit_is_percent_or_money() -> None:
    assert limit_text(LossSize(D("0.05"))) == "5 %"
    assert limit_text(LossSize(D(5_000), "USDT")) == "5000 USDT"


def test_money_has_its_currency_and_two_places_at_most() -> None:
    premises = Premises(capital=None, currency="USDC", day_start="00:00 UTC", venues=("kraken",))
    assert (premises.money(D(500)), premises.money(D("0.125"))) == ("500 USDC", "0.12 USDC")


def test_lists() -> None:
    assert (one_of(["a"]), one_of(["a", "b"]), one_of(["a", "b", "c"])) == ("a", "a or b", "a, b or c")
    assert all_of(["a", "b", "c"]) == "a, b and c"
