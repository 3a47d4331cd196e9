"""The story's profiles, and what it wants of the code as a whole."""

from __future__ import annotations

import tomllib
from decimal import Decimal

import pytest

from risk_daemon import config
from risk_daemon.breakers import (
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.rules import build_rules
from tests.seeds.common import ROOT, profile


def limits_of(name: str) -> dict[str, dict[str, object]]:
    return {rule.name: rule.describe()["limits"] for rule in build_rules(config.load(profile(f"{name}.toml")))}


def expected(drawdown: float, daily_loss: float, orders: int, errors: int) -> dict[str, dict[str, object]]:
    return {
        "drawdown": {"max_portfolio_dd_nav_pct": drawdown},
        "daily_loss": {"max_daily_loss_pct": daily_loss},
        "order_rate": {"max_orders": orders, "window_s": 60.0, "scope": "bot", "max_orders_total": orders},
        "error_rate": {"max_errors": errors, "window_s": 60.0, "scope": "bot", "max_errors_total": errors},
    }


def test_003_64_conservative() -> None:
    assert limits_of("conservative") == expected(0.05, 0.02, 50, 5)


def test_003_65_moderate() -> None:
    assert limits_of("moderate") == expected(0.10, 0.05, 100, 10)


def test_003_66_aggressive() -> None:
    assert limits_of("aggressive") == expected(0.20, 0.10, 200, 20)


def test_003_67_the_keys_of_the_dictionaries_are_keywords_of_the_classes() -> None:
    """With the size of the loss, and without a sign."""
    drawdown = DrawdownCircuitBreaker(threshold=0.05)
    daily, money = DailyLossCircuitBreaker(limit=0.02), DailyLossCircuitBreaker(limit=5000)
    orders = OrderRateCircuitBreaker(max_orders=50, window=60)
    errors = ErrorRateCircuitBreaker(max_errors=5, window=60)
    limits = [rule.describe()["limits"] for rule in (drawdown, daily, money, orders, errors)]
    assert limits == [
        {"max_portfolio_dd_nav_pct": 0.05},
        {"max_daily_loss_pct": 0.02},
        {"max_daily_loss": "5000"},
        {"max_orders": 50, "window_s": 60},
        {"max_errors": 5, "window_s": 60},
    ]
    with pytest.raises(ValueError, match="names of the same"):
        OrderRateCircuitBreaker(100, max_orders=50)
    with pytest.raises(ValueError, match="names of the same"):
        DailyLossCircuitBreaker(5000, limit=0.02)


@pytest.mark.parametrize("name", ["conservative", "moderate", "aggressive"])
def test_003_55_profiles_load_as_they_are_and_nothing_comes_before_their_drawdown(name: str) -> None:
    settings = config.load(profile(f"{name}.toml"))
    assert all(venue.simulated for venue in settings.venues.values())
    drawdown = limits_of(name)["drawdown"]["max_portfolio_dd_nav_pct"]
    assert settings.circuit_breaker.loss_threshold >= Decimal(str(drawdown))


def test_003_11_configuration_and_practice_are_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for heading in ("[breakers.drawdown]", "[breakers.daily_loss]", "[breakers.order_rate]", "[breakers.error_rate]"):
        assert f"## {heading}" in text
    assert "## Good practice" in text


def test_003_57_types_are_checked_strictly() -> None:
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert mypy["strict"] is True
    assert set(mypy["packages"]) == {"risk_daemon", "adapters", "oms"}
    assert not any(override.get("ignore_errors") for override in mypy.get("overrides", []))


def test_003_71_less_than_ninety_percent_covered_fails() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]["fail_under"] >= 90
    assert "--cov" in (ROOT / "Makefile").read_text()
