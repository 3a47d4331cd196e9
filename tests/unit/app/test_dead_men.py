"""What the configuration says of a venue's own switch, held against what the venue has; and what `check` tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import PERP_MARKETS
from adapters.registry import VENUES
from risk_daemon.app import dead_men
from risk_daemon.app.dead_men import dead_man_findings, dead_man_settings, refuse_wrong_dead_men
from risk_daemon.app.findings import Level
from risk_daemon.config.load import load
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, ExitCode

BASE = "[portfolio]\ninitial_capital = 10000\n"


def settings(
    tmp_path: Path, exchange: str = "kraken", markets: str = '"spot"', timeout: str | None = "60s"
) -> Settings:
    path = tmp_path / "config.toml"
    venue = f'[venues.main]\nexchange = "{exchange}"\nmarkets = [{markets}]\n'
    switch = "" if timeout is None else f'[venues.main.dead_man]\ntimeout = "{timeout}"\nexclusive = true\n'
    path.write_text(BASE + venue + switch)
    return load(path)


def test_what_fits_is_told_the_engine(tmp_path: Path) -> None:
    read = settings(tmp_path)
    refuse_wrong_dead_men(read)
    switch = dead_man_settings(read)["main"]
    assert (switch.timeout_s, switch.refresh_every_s) == (60.0, 15.0)
    assert switch.covers.startswith("all open orders of the account")


def test_none_is_configured(tmp_path: Path) -> None:
    read = settings(tmp_path, timeout=None)
    refuse_wrong_dead_men(read)
    assert dead_man_settings(read) == {}


@pytest.mark.parametrize(
    ("exchange", "timeout", "said"),
    [
        ("kraken", "2d", "venues.main.dead_man.timeout: this venue takes 1 to 86400 s, not 172800s."),
        ("mexc", "60s", "venues.main.dead_man: mexc has no switch for spot that is known: take the table out"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, exchange: str, timeout: str, said: str) -> None:
    read = settings(tmp_path, exchange, timeout=timeout)
    with pytest.raises(ConfigError) as refused:
        refuse_wrong_dead_men(read)
    assert said in str(refused.value)
    assert str(read.file) in str(refused.value)
    assert dead_man_settings(read) == {}, "a trip is finished without it"
    (finding,) = dead_man_findings(read, "main", None)
    assert (finding.level, finding.exit_code) == (Level.PROBLEM, ExitCode.REFUSED)


def test_those_that_have_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"these have one: .*kraken, krakenfutures"):
        refuse_wrong_dead_men(settings(tmp_path, "mexc"))


def test_a_market_without_one_is_named_in_what_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = replace(VENUES["krakenfutures"].dead_men[0], markets=PERP_MARKETS)
    venue = replace(VENUES["kraken"], dead_men=(switch,))
    monkeypatch.setattr(dead_men, "venue_of", lambda _: venue)
    told = dead_man_settings(settings(tmp_path, markets='"spot", "perp"'))["main"]
    assert told.leaves.startswith("all orders of spot; ")


@pytest.mark.parametrize(
    ("armed", "told"), [(None, "can't be asked"), (True, "it is armed now"), (False, "it is not armed now")]
)
def test_check_says_how_it_stands(tmp_path: Path, armed: bool | None, told: str) -> None:
    (finding,) = dead_man_findings(settings(tmp_path), "main", armed)
    assert finding.level is Level.OK
    assert "dead man's switch of 60s" in finding.sentence
    assert told in finding.sentence
    assert "It covers all open orders" in finding.sentence
    assert "It leaves" in finding.sentence


def test_check_says_that_it_is_there_and_not_configured(tmp_path: Path) -> None:
    (finding,) = dead_man_findings(settings(tmp_path, timeout=None), "main", None)
    assert (finding.level, "not configured" in finding.sentence) == (Level.NOTE, True)
    (finding,) = dead_man_findings(settings(tmp_path, timeout=None), "main", True)
    assert "ARMED NOW, by somebody else" in finding.sentence


def test_check_says_that_there_is_none(tmp_path: Path) -> None:
    (finding,) = dead_man_findings(settings(tmp_path, "mexc", timeout=None), "main", None)
    assert (finding.level, finding.sentence.startswith("no dead man's switch")) == (Level.NOTE, True)


@pytest.mark.parametrize(
    ("exchange", "markets", "timeout", "is_warned"),
    [
        ("kraken", '"spot"', "24s", True),  # 4 calls in 24 s are 0.167 a second, half of 0.33 is 0.165
        ("kraken", '"spot"', "25s", False),
        ("krakenfutures", '"perp"', "3s", True),
        ("krakenfutures", '"perp"', "4s", False),
    ],
)
def test_one_that_takes_most_of_the_calls_is_warned_of(
    tmp_path: Path, exchange: str, markets: str, timeout: str, is_warned: bool
) -> None:
    found = list(dead_man_findings(settings(tmp_path, exchange, markets, timeout), "main", None))
    assert [finding.level for finding in found] == [Level.OK] + [Level.WARNING] * is_warned
