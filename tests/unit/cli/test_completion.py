"""What a shell is told when it asks what a value may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon import cli
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from risk_daemon.errors import ExitCode

CONFIG = """
[venues.kraken]
exchange = "kraken"
[venues.krakenfutures]
exchange = "krakenfutures"
[venues.okx]
exchange = "okx"
[alerts.channels.oncall]
kind = "webhook"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "var").mkdir(mode=0o700)
    store = TokenStore.open(tmp_path / "var" / FILE_NAME)
    for role, name in ((Role.BOT, "grid-1"), (Role.BOT, "maker"), (Role.OPERATOR, "alice")):
        store.create(role, name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """What bash is told for a line whose last word is not done."""

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("_RISK_DAEMON_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(("risk-daemon", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        assert cli.main([]) is ExitCode.STOPPED
        told = capsys.readouterr()
        assert told.err == ""
        return told.out.split()

    return ask


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("halt", "--venue", ""), ["kraken", "krakenfutures", "okx"]),
        (("cancel-all", "--venue", "krakenf"), ["krakenfutures"]),
        (("close-positions", "--venue", "b"), []),
        (("halt", "--bot", ""), ["grid-1", "maker"]),
        (("release", "--bot", "m"), ["maker"]),
        (("token", "revoke", ""), ["alice", "grid-1", "maker"]),
        (("alerts", "test", ""), ["oncall"]),
        (("record-venue", "o"), ["okx"]),
        (("warden", "revoke", ""), []),
        (("simulate-venue", "krak"), ["kraken", "krakenfutures"]),
        (("reset", "--rebaseline", ""), ["keep", "current"]),
    ],
)
def test_values_come_from_what_is_configured(
    place: Path, asked: object, words: tuple[str, ...], names: list[str]
) -> None:
    assert asked(*words) == names  # type: ignore[operator]


def test_the_configuration_that_the_line_names_is_the_one(place: Path, asked: object) -> None:
    (place / "other.toml").write_text('[venues.bybit]\nexchange = "bybit"\n')
    assert asked("halt", "--config", "other.toml", "--venue", "") == ["bybit"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("halt", "--venue", ""), "venues = 3"),
        (("halt", "--venue", ""), "[venues"),
        (("halt", "--bot", ""), "[venues"),
        (("halt", "--bot", ""), "[state]\ndir = 5\n"),
        (("warden", "revoke", ""), "[state]\ndir = 5\n"),
    ],
)
def test_a_file_that_is_no_configuration_completes_nothing(
    place: Path, asked: object, words: tuple[str, ...], text: str
) -> None:
    (place / "config.toml").write_text(text)
    assert asked(*words) == []  # type: ignore[operator]
    (place / "config.toml").unlink()
    assert asked(*words) == []  # type: ignore[operator]
