"""The story's profiles, and what it wants of the code as a whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app.rules import build_rules
from risk_daemon.breakers import (
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.config.load import load as load_config
from tests.seeds.common import ROOT, profile

MAKEFILE = (ROOT / "Makefile").read_text()


def limits_of(name: str) -> dict[str, dict[str, object]]:
    return {rule.name: rule.describe()["limits"] for rule in build_rules(load_config(profile(f"{name}.toml")))}


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
    settings = load_config(profile(f"{name}.toml"))
    assert all(venue.simulated for venue in settings.venues.values())
    drawdown = limits_of(name)["drawdown"]["max_portfolio_dd_nav_pct"]
    assert settings.circuit_breaker.loss_threshold >= Decimal(str(drawdown))


def test_003_11_the_profiles_are_what_the_document_says_of_them() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| \[([\w-]+)\]\(\S+\) \| (.+?) \| (.+?) \| (.+?) \|", text, re.MULTILINE)
    assert {name for name, *_ in rows} == {path.stem for path in profile("").glob("*.toml")}
    for name, *told in rows:
        rules: Any = load_config(profile(f"{name}.toml")).breakers.rules
        drawdown, daily = rules.get("drawdown"), rules["daily_loss"]
        orders, errors = rules.get("order_rate"), rules.get("error_rate")
        loss = str(daily.limit).replace("%", " %") + (", freeze" if daily.action == "freeze" else "")
        counts = f"{orders.max_orders if orders else 'off'}, {errors.max_errors if errors else 'off'}"
        assert told[0] == (f"{drawdown.limit:.0%}".replace("%", " %") if drawdown else "off"), name
        assert told[1].partition(" of ")[0] == loss, name
        assert told[2] == counts, name


def test_003_57_types_are_checked_strictly(tmp_path: Path) -> None:
    """With the project's own settings a function without types is an error, and so is a dict of anything."""
    bad, settings = tmp_path / "bad.py", str(ROOT / "pyproject.toml")
    bad.write_text("def f(x): return x\ndef g(x: dict) -> None: ...\n")
    words = [sys.executable, "-m", "mypy", "--config-file", settings, "--cache-dir", os.devnull, str(bad)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert {"no-untyped-def", "type-arg"} <= set(re.findall(r"\[([a-z-]+)\]$", done.stdout, re.MULTILINE))
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert set(mypy["packages"]) == {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    excepted = {name.partition(".")[0] for override in mypy["overrides"] for name in override["module"]}
    assert excepted.isdisjoint(mypy["packages"])
    assert "$(BIN)/mypy\n" in recipe("lint")
    assert "test: lint" in MAKEFILE


def test_003_71_less_than_ninety_percent_covered_fails(tmp_path: Path) -> None:
    """With the project's own settings: nine lines of ten pass, eight do not."""
    (tmp_path / "risk_daemon").mkdir()
    for missed, passes in ((1, True), (2, False)):
        lines = ["import sys", *["a = 1"] * (8 - missed), "if not sys.argv:  # pragma: no branch"]
        (tmp_path / "risk_daemon" / "__init__.py").write_text("\n".join([*lines, *["    a = 2"] * missed]) + "\n")
        words = "erase", "run -m risk_daemon.__init__", "combine", "report"
        codes = [covered(word, tmp_path) for word in words]
        assert codes == [0, 0, 0, 0 if passes else 2], codes
    assert "--cov " in recipe("cover")
    assert "--no-cov" not in MAKEFILE
    assert "--cov-fail-under" not in MAKEFILE


def covered(words: str, directory: Path) -> int:
    """The exit code of coverage, which is told nothing of a coverage that this test itself may run under."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "COVERAGE"))}
    environment["COVERAGE_RCFILE"] = str(ROOT / "pyproject.toml")
    command = [sys.executable, "-m", "coverage", *words.split()]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, check=False).returncode


def recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found is not None
    return found[1]
