"""The profiles are what they say, load as they are, and are explained."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app import check as checking
from risk_daemon.app.check import Level
from risk_daemon.app.explain import explanations
from risk_daemon.app.rules import build_rules
from risk_daemon.breakers.base import Action
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ExitCode

PROFILES = Path(__file__).parents[3] / "examples" / "profiles"
FILES = {path.stem: path for path in sorted(PROFILES.glob("*.toml"))}


def loaded(name: str) -> Settings:
    return load_config(FILES[name])


def rule(name: str, which: str) -> Any:
    return loaded(name).breakers.rules[which]


def test_all_are_there() -> None:
    assert set(FILES) == {"conservative", "moderate", "aggressive", "minimum", "zen-3-percent", "prop-firm"}


@pytest.mark.parametrize(
    ("name", "drawdown", "daily", "orders", "errors"),
    [
        ("conservative", "0.05", "0.02", 50, 5),
        ("moderate", "0.10", "0.05", 100, 10),
        ("aggressive", "0.20", "0.10", 200, 20),
    ],
)
def test_the_three_appetites(name: str, drawdown: str, daily: str, orders: int, errors: int) -> None:
    assert rule(name, "drawdown").limit == Decimal(drawdown)
    assert rule(name, "daily_loss").limit.ratio == Decimal(daily)
    assert (rule(name, "order_rate").max_orders, rule(name, "order_rate").window) == (orders, 60)
    assert (rule(name, "error_rate").max_errors, rule(name, "error_rate").window) == (errors, 60)


def test_the_minimum() -> None:
    assert set(loaded("minimum").breakers.rules) == {"drawdown", "daily_loss", "order_rate"}
    assert rule("minimum", "drawdown").limit == Decimal("0.10")
    assert rule("minimum", "daily_loss").limit.money == Decimal(5000)
    assert (rule("minimum", "order_rate").max_orders, rule("minimum", "order_rate").window) == (10, 60)


def test_zen_freezes_at_three_percent_until_midnight_utc() -> None:
    settings = loaded("zen-3-percent")
    daily = next(made for made in build_rules(settings) if made.name == "daily_loss")

    assert rule("zen-3-percent", "daily_loss").limit.ratio == Decimal("0.03")
    assert daily.action is Action.FREEZE
    assert (settings.baselines.reset_at, settings.baselines.timezone) == (dt.time(0), "UTC")
    assert settings.circuit_breaker.loss_threshold > 3 * Decimal("0.03"), "a frozen day must not become a trip"


def test_the_prop_firm_s_figures_are_of_initial_capital_and_its_day_is_its_own() -> None:
    settings = loaded("prop-firm")
    capital = settings.portfolio.initial_capital
    assert capital is not None

    assert rule("prop-firm", "daily_loss").limit.money == capital * Decimal("0.05")
    assert settings.circuit_breaker.loss_threshold == Decimal("0.10")
    assert (settings.baselines.reset_at, settings.baselines.timezone) == (dt.time(0), "Europe/Prague")


@pytest.mark.parametrize("name", ["conservative", "moderate", "aggressive", "minimum"])
def test_the_limit_that_is_always_on_stands_where_the_drawdown_does(name: str) -> None:
    assert loaded(name).circuit_breaker.loss_threshold == rule(name, "drawdown").limit


@pytest.mark.parametrize("name", FILES)
def test_it_can_be_tried_as_it_is(name: str) -> None:
    settings = loaded(name)
    report = asyncio.run(checking.check(settings, explain=True))

    assert all(venue.simulated for venue in settings.venues.values())
    assert report.exit_code == ExitCode.STOPPED
    assert len(build_rules(settings)) == len(settings.breakers.rules)
    off = {
        finding.subject for finding in report.findings if finding.level is Level.WARNING and "OFF" in finding.sentence
    }
    assert off == {"alerts"} | ({"drawdown"} if name == "prop-firm" else set())


@pytest.mark.parametrize("name", FILES)
def test_it_says_in_sentences_what_would_happen(name: str) -> None:
    settings = loaded(name)
    told = "\n".join(explanations(settings))

    lost = settings.circuit_breaker.loss_threshold * 10_000
    assert f"When the portfolio has lost {lost:.0f} USDT of 10000 USDT" in told
    assert all(f"`{made.cause}`" in told for made in build_rules(settings))
    assert ("It freezes" in told) is (name == "zen-3-percent")


@pytest.mark.parametrize("name", FILES)
def test_each_has_a_state_of_its_own_and_says_how_to_try_it(name: str) -> None:
    text = FILES[name].read_text()

    assert loaded(name).state.dir == PROFILES / "var" / name
    assert f"risk-daemon check --explain --config examples/profiles/{name}.toml" in text
    assert "To go live" in text
    assert re.match(r"# [A-Z][\w ]+: ", text), "it begins with whom it is for"
