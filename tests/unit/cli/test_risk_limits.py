"""From a risk_limits.json to a configuration: the limit as it was meant, and nothing lost in silence."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.cli.risk_limits import (
    CircuitBreakerConfig,
    RiskLimitsConfig,
    config_text,
    load_risk_limits,
    normalize_percentage,
    remarks,
)
from risk_daemon.config.load import load as load_config
from risk_daemon.config.rules.drawdown import Drawdown
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, ExitCode, UsageError


def written(directory: Path, document: Any) -> Path:
    path = directory / "risk_limits.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def limits(value: Any) -> dict[str, Any]:
    return {"circuit_breakers": {"max_portfolio_dd_nav_pct": value}}


# --- one helper for every percentage ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "ratio"),
    [(0.10, 0.10), (10, 0.10), (10.0, 0.10), (0.5, 0.5), (0.999, 0.999), (1, 0.01), (1.0, 0.01), (99.5, 0.995),
     (100, 1.0), (0.003, 0.003), (Decimal("12.5"), 0.125)],
)  # fmt: skip
def test_fraction_or_percent(value: Any, ratio: float) -> None:
    found = normalize_percentage(value)

    assert isinstance(found, float)
    assert found == ratio


@pytest.mark.parametrize(
    "value", [-0.1, -10, 0, 0.0, 100.01, 1e9, math.nan, math.inf, -math.inf, "10", "10%", "", True, False, None, [10]]
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        normalize_percentage(value)


# --- reading ---------------------------------------------------------------------------------------


def test_the_limit_is_read(tmp_path: Path) -> None:
    found = load_risk_limits(written(tmp_path, limits(0.10)))

    assert found == RiskLimitsConfig(CircuitBreakerConfig(max_portfolio_dd_nav_pct=0.10))
    assert load_risk_limits(str(written(tmp_path, limits(10)))).circuit_breakers.max_portfolio_dd_nav_pct == 0.10


@pytest.mark.parametrize(
    "document", [{}, {"circuit_breakers": None}, {"circuit_breakers": {}}, limits(None), {"other": 1}]
)
def test_missing_or_null_is_disabled(document: Any, tmp_path: Path) -> None:
    found = load_risk_limits(written(tmp_path, document))

    assert found.circuit_breakers.max_portfolio_dd_nav_pct is None
    assert "the drawdown circuit is DISABLED" in next(remarks(found))


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    document = {"global": {"max_lev": 3, "per_symbol": {"BTC": {"cap": 1}}}, **limits(0.2), "x": []}
    document["circuit_breakers"]["max_daily"] = 0.03  # type: ignore[index]
    found = load_risk_limits(written(tmp_path, document))

    assert found.other_keys == ("global.max_lev", "global.per_symbol.BTC.cap", "circuit_breakers.max_daily", "x")
    assert list(remarks(found)) == [f"not converted: {', '.join(found.other_keys)}"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (limits("10%"), "circuit_breakers.max_portfolio_dd_nav_pct: '10%' is not a number: write a fraction"),
        (limits(-0.1), "-0.1 is not above zero"),
        (limits(250), "250 is more than 100 percent"),
        (limits(0), "0 is not above zero"),
        ('{"circuit_breakers": {"max_portfolio_dd_nav_pct": NaN}}', "nan is not finite"),
        ({"circuit_breakers": [0.1]}, "circuit_breakers: it is not an object"),
        ({"circuit_breakers": "0.1"}, "circuit_breakers: it is not an object"),
        ([], "it is not a JSON object"),
        ("", "it is not valid JSON"),
        ("{", "it is not valid JSON"),
        ("[" * 100_000, "it is not valid JSON"),
        ('{"circuit_breakers": {}, "circuit_breakers": {"max_portfolio_dd_nav_pct": 0.1}}', "a key stands there twice"),
    ],
)
def test_an_odd_file_is_refused(document: Any, why: str, tmp_path: Path) -> None:
    path = written(tmp_path, document)

    with pytest.raises(ConfigError) as caught:
        load_risk_limits(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert why in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_risk_limits(tmp_path / "none.json")


# --- writing ---------------------------------------------------------------------------------------


def converted(directory: Path, document: Any) -> Settings:
    text = config_text(load_risk_limits(written(directory, document)), "risk_limits.json")
    (directory / "config.toml").write_text(text)
    return load_config(directory / "config.toml")


@pytest.mark.parametrize("value", [0.10, 10])
def test_the_limit_becomes_a_veto_from_the_highest_value_ever(value: Any, tmp_path: Path) -> None:
    settings = converted(tmp_path, limits(value))

    drawdown = settings.breakers.rules["drawdown"]
    assert isinstance(drawdown, Drawdown)
    assert (drawdown.limit, drawdown.action, drawdown.lookback_days) == (Decimal("0.1"), "veto", None)
    assert all(venue.simulated for venue in settings.venues.values())


@pytest.mark.parametrize("value", [0.001, 0.0333, 0.10, 0.24, 0.3, 0.5, 0.7, 0.99])
def test_the_limit_that_is_always_on_does_not_come_before_the_veto(value: float, tmp_path: Path) -> None:
    settings = converted(tmp_path, limits(value))

    assert settings.circuit_breaker.loss_threshold >= Decimal(str(value))


def test_disabled_is_said_in_the_file(tmp_path: Path) -> None:
    settings = converted(tmp_path, limits(None))

    assert settings.breakers.rules == {}
    assert "so the drawdown circuit is DISABLED" in (tmp_path / "config.toml").read_text()


def test_what_is_not_converted_stands_in_the_file_and_can_t_leave_its_comment(tmp_path: Path) -> None:
    key = "evil\n[breakers.blind]\nveto_after = '300d'\n#"
    settings = converted(tmp_path, {key: 1, "tame": 2, **limits(0.1)})

    assert settings.breakers.blind.veto_after == 30
    text = (tmp_path / "config.toml").read_text()
    assert "\n#     tame\n" in text
    assert "\n#     evil\\n[breakers.blind]" in text


def test_everything_is_no_limit(tmp_path: Path) -> None:
    found = load_risk_limits(written(tmp_path, limits(100)))

    with pytest.raises(ConfigError, match="nothing would be left to guard"):
        config_text(found, "risk_limits.json")


# --- the command -----------------------------------------------------------------------------------


def test_the_command_writes_a_configuration_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = written(tmp_path, {"x": 1, **limits(0.1)}), tmp_path / "new.toml"

    assert cli.main(["convert-risk-limits", str(source), "--output", str(target)]) is ExitCode.STOPPED
    assert list(load_config(target).breakers.rules) == ["drawdown"]
    told = capsys.readouterr()
    assert told.out == ""
    assert "not converted: x" in told.err


def test_the_command_prints_where_no_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert-risk-limits", str(written(tmp_path, {}))]) is ExitCode.STOPPED

    told = capsys.readouterr()
    (tmp_path / "printed.toml").write_text(told.out)
    assert load_config(tmp_path / "printed.toml").breakers.rules == {}
    assert "WARNING: circuit_breakers.max_portfolio_dd_nav_pct is missing or null" in told.err


def test_the_command_overwrites_nothing(tmp_path: Path) -> None:
    target = tmp_path / "config.toml"
    target.write_text("mine")

    with pytest.raises(UsageError, match="nothing is overwritten"):
        cli.main(["convert-risk-limits", str(written(tmp_path, limits(0.1))), "--output", str(target)])
    assert target.read_text() == "mine"


def test_the_command_writes_nothing_for_a_file_it_refuses(tmp_path: Path) -> None:
    target = tmp_path / "new.toml"

    with pytest.raises(ConfigError):
        cli.main(["convert-risk-limits", str(written(tmp_path, limits("10"))), "--output", str(target)])
    assert not target.exists()
