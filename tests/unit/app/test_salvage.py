"""What is used of a configuration that is refused: whole venues, the times of a sweep, the place of the state."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.app.salvage import Salvaged, salvage

VENUE = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nendpoint = "http://127.0.0.1:1"\n'
CAPITAL = "[portfolio]\ninitial_capital = 10000\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def of(config: Path, text: str) -> Salvaged:
    config.write_text(text)
    return salvage(config)


@pytest.mark.parametrize(
    "wrong",
    [
        '[circuit_breaker]\nloss_threshold = "500%"\nsettle = "7s"\n',
        '[circuit_breaker]\nloss_treshold = "5%"\nsettle = "7s"\n',
        '[circuit_breaker]\nloss_threshold = "2%"\nsettle = "7s"\n',
        '[breakers.drawdown]\nlimit = "0%"\n[circuit_breaker]\nsettle = "7s"\n',
        '[circuit_breaker]\nsettle = "7s"\n[api]\nlisten = "0.0.0.0:1"\n',
        '[circuit_breaker]\nsettle = "7s"\n[nonsense]\n',
        '[circuit_breaker]\nsettle = "7s"\ncancel_deadline = "5s"\n',
    ],
)
def test_a_limit_that_is_refused_takes_no_venue_with_it(config: Path, wrong: str) -> None:
    found = of(config, CAPITAL + wrong + VENUE + '[state]\ndir = "here"\n')
    assert found.left_out == {}
    assert found.settings is not None
    assert found.settings.venues["kraken"].endpoint == "http://127.0.0.1:1"
    assert found.settings.circuit_breaker.settle == 7
    assert found.settings.portfolio.initial_capital == 10000
    assert found.settings.state.dir == found.state_dir == config.parent / "here"


@pytest.mark.parametrize("wrong", ['endpont = "http://127.0.0.1:1"', "sandbox = 1", 'api_key = "secret-of-mine"'])
def test_a_venue_is_taken_whole_or_not_at_all(config: Path, wrong: str) -> None:
    """Half a table would be another account."""
    found = of(config, CAPITAL + VENUE + f'[venues.other]\nexchange = "kraken"\nmarkets = ["spot"]\n{wrong}\n')
    assert found.settings is not None
    assert found.settings.venues.keys() == {"kraken"}
    assert found.left_out.keys() == {"other"}
    assert "secret-of-mine" not in str(found)


@pytest.mark.parametrize("text", [CAPITAL, "venues = 5\n", '[venues.kraken]\nexchange = "kraken"\n', ""])
def test_without_a_venue_there_is_only_the_place(config: Path, text: str) -> None:
    found = of(config, text)
    assert found.settings is None
    assert found.state_dir == config.parent / "var"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[portfolio\n[state]\ndir = "here"\n', "here"),
        ("[state]\n# where\ndir = 'there'\n[oops", "there"),
        ('[oops\n[state]\nstore = "sqlite"\n[venues.dir]\ndir = "no"\n', "var"),
        ("[oops", "var"),
    ],
)
def test_what_is_no_toml_still_says_where_the_state_is(config: Path, text: str, place: str) -> None:
    assert of(config, text) == Salvaged(config.parent / place)


def test_no_file_at_all(config: Path) -> None:
    assert salvage(config) == Salvaged(config.parent / "var")
