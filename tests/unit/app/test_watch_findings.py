"""What `check` says of the watch: that one runs, that none does, or what can't be known."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.app.findings import Finding, Level
from risk_daemon.app.watch_findings import watch_findings
from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ExitCode
from risk_daemon.install.units import Names
from risk_daemon.state.directory import StateDir

CONFIG = """
[portfolio]
initial_capital = 10000
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""


def config_in(directory: Path) -> Path:
    (directory / "var").mkdir(parents=True)
    path = directory / "config.toml"
    path.write_text(CONFIG)
    return path


def found(config: Path, root: Path) -> Finding:
    [finding] = watch_findings(load_config(config), root)
    assert (finding.subject, finding.exit_code) == ("watch", ExitCode.STOPPED)
    return finding


def place_of(root: Path, watch: str) -> Path:
    path = root / "var" / "lib" / watch
    path.mkdir(parents=True)
    return path


def test_where_no_watch_was_ever_it_is_said_and_what_can_t_be_known(tmp_path: Path) -> None:
    said = found(config_in(tmp_path / "mine"), tmp_path)
    assert said.level is Level.NOTE
    assert f"no watch has left a trace here ({tmp_path}/mine/var/watch)" in said.sentence
    assert "another place or machine can't be known here" in said.sentence


@pytest.mark.parametrize("instance", [None, "two"])
def test_an_installed_watch_is_looked_for_in_its_place(tmp_path: Path, instance: str | None) -> None:
    """Where `install-service` puts it: another file's guard is not watched by it."""
    names = Names(instance=instance or "")
    etc = tmp_path / names.etc.relative_to("/")
    config, elsewhere = config_in(etc), config_in(tmp_path / "home" / etc.name)
    name = f"risk-daemon-watch{'-two' if instance else ''}"
    assert str(tmp_path / "var" / "lib" / name) in found(config, tmp_path).sentence
    place = place_of(tmp_path, name)
    with StateDir.take(place):
        runs = found(config, tmp_path)
        assert found(elsewhere, tmp_path).level is Level.NOTE
    assert (runs.level, runs.sentence) == (Level.OK, f"`risk-daemon watch` runs, its place is {place}")
    gone = found(config, tmp_path)
    assert gone.level is Level.WARNING
    assert gone.sentence.startswith(f"the watch whose place is {place} does NOT RUN: ")


def test_looking_takes_the_place_from_nobody(tmp_path: Path) -> None:
    config = config_in(tmp_path / "mine")
    place = tmp_path / "mine" / "var" / "watch"
    place.mkdir()
    for _ in range(3):
        StateDir.take(place).close()
        assert found(config, tmp_path).level is Level.WARNING
    with StateDir.take(place):
        assert found(config, tmp_path).level is Level.OK


def test_a_place_that_may_not_be_looked_into_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, place = config_in(tmp_path / "etc" / "risk-daemon-two"), place_of(tmp_path, "risk-daemon-watch-two")
    opened = os.open

    def refuse(path: Any, *arguments: Any, **named: Any) -> int:
        if Path(path).parent == place:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)  # whoever runs the tests may be root
    said = found(config, tmp_path)
    assert said.level is Level.NOTE
    assert f"can't be seen from here, {place} is not ours" in said.sentence
    assert f"`systemctl is-active {Names(instance='two').watch}`" in said.sentence


def test_check_says_it_and_ends_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_in(tmp_path / "mine")
    assert cli.main(["check", "--config", str(config), "--json"]) is ExitCode.STOPPED
    [said] = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["subject"] == "watch"]
    assert (said["level"], said["exit_code"]) == ("note", 0)
    assert "nobody tells when the guard is gone" in said["sentence"]
