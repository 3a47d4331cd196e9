"""`top` through its command: it draws on a terminal, and says so where there is none."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.cli import screen
from risk_daemon.errors import ConfigError, ExitCode, UsageError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.toml").write_text("[state]\ndir = 'var'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


def test_without_a_terminal_it_names_what_does_without(place: Path) -> None:
    with pytest.raises(UsageError, match="status --json"):
        cli.main(["top"])


@pytest.mark.usefixtures("terminal")
def test_without_textual_it_says_how_to_get_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **values: Any) -> Any:
        if name == "risk_daemon.cli.screen":
            raise ModuleNotFoundError("No module named 'textual'")
        return real(name, *args, **values)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'risk-daemon\[top\]'"):
        cli.main(["top"])


@pytest.mark.usefixtures("terminal")
def test_it_looks_where_the_configuration_says_and_ends_with_0(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(screen.Screen, "run", lambda self: seen.append(self._place.socket))
    assert cli.main(["top"]) is ExitCode.STOPPED
    assert seen == [place / "var" / "risk-daemon.sock"]


@pytest.mark.usefixtures("terminal")
def test_without_a_configuration_it_ends_in_a_sentence(place: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        cli.main(["top", "--config", "other.toml"])
