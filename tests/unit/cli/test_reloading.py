"""`risk-daemon reload`: what it asks of the daemon, what it shows, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.cli import remote
from risk_daemon.errors import ExitCode, UsageError

CHANGE = {"key": "breakers.drawdown.limit", "old": "10 %", "new": "8 %"}
BREACH = {"breaker": "drawdown", "action": "trip", "reason": "drawdown of 9 %, limit 8 %"}


class Daemon:
    """Answers dry runs and takes what it is asked to take. refusal: it refuses, by that sentence."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.changes: list[Mapping[str, str]] = [CHANGE]
        self.acts: list[Mapping[str, str]] = []
        self.looser: list[str] = []
        self.refusal: str | None = None
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, _path: Path, method: str, target: str, body: Any, *, timeout_s: float) -> remote.Answer:
        assert (method, target) == ("POST", "/api/v1/reload")
        assert timeout_s > 60.0
        self.asked.append(body)
        if self.refusal is not None:
            return remote.Answer(409, {"detail": self.refusal, "accepted": False})
        taken = not body.get("dry_run", False)
        rows = {"changes": self.changes, "looser": self.looser, "acts_at_once": self.acts}
        return remote.Answer(200, {"accepted": True, "taken": taken, "file": str(self.file), "digest": "d1", **rows})


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    (tmp_path / "config.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    found = Daemon(tmp_path / "config.toml")
    monkeypatch.setattr(remote, "request", found)
    return found


def test_it_looks_first_and_takes_the_file_that_was_looked_at(daemon: Daemon, capsys: Any) -> None:
    assert cli.main(["reload"]) is ExitCode.STOPPED
    assert daemon.asked == [{"dry_run": True}, {"digest": "d1", "acts": False}]
    shown = capsys.readouterr().out
    for word in ("in force", "before", "now", "breakers.drawdown.limit", "10 %", "8 %"):
        assert word in shown


def test_check_changes_nothing(daemon: Daemon, capsys: Any) -> None:
    daemon.acts, daemon.looser = [BREACH], ["gate.max_notional 100 -> off"]
    assert cli.main(["reload", "--check"]) is ExitCode.STOPPED
    assert daemon.asked == [{"dry_run": True}]
    shown = " ".join(capsys.readouterr().out.split())
    assert "It would be taken" in shown
    assert "key │ in force │ in the file" in shown.replace("┃", "│")
    assert "before" not in shown
    assert "LOOSER: gate.max_notional 100 -> off" in shown
    assert "drawdown is passed already (drawdown of 9 %, limit 8 %) and trips: all is stopped." in shown


def test_json_is_what_the_daemon_said(daemon: Daemon, capsys: Any) -> None:
    assert cli.main(["reload", "--json"]) is ExitCode.STOPPED
    document = json.loads(capsys.readouterr().out)
    assert (document["taken"], document["changes"]) == (True, [CHANGE])


def test_a_file_that_says_what_is_in_force_is_not_asked_for_twice(daemon: Daemon, capsys: Any) -> None:
    daemon.changes = []
    assert cli.main(["reload"]) is ExitCode.STOPPED
    assert daemon.asked == [{"dry_run": True}]
    assert "Nothing to take" in capsys.readouterr().out


def test_what_acts_at_once_is_confirmed_first(daemon: Daemon) -> None:
    daemon.acts = [BREACH]
    with pytest.raises(UsageError, match=r"passed already.*trips.*--yes"):
        cli.main(["reload"])
    assert daemon.asked == [{"dry_run": True}]
    assert cli.main(["reload", "--yes"]) is ExitCode.STOPPED
    assert daemon.asked[-1] == {"digest": "d1", "acts": True}


def test_a_refusal_is_its_sentence_and_is_had_in_earnest(daemon: Daemon) -> None:
    """So that the event log of the daemon has it; --check leaves no line there."""
    daemon.refusal = "config.toml: api.listen: it needs a new start."
    with pytest.raises(UsageError, match="it needs a new start") as refused:
        cli.main(["reload"])
    assert refused.value.exit_code is ExitCode.REFUSED
    assert daemon.asked == [{"dry_run": True}, {"dry_run": False}]
    with pytest.raises(UsageError, match="it needs a new start"):
        cli.main(["reload", "--check"])
    assert daemon.asked[2:] == [{"dry_run": True}, {"dry_run": True}]


def test_another_file_than_the_daemons_is_not_taken_for_it(daemon: Daemon, tmp_path: Path) -> None:
    daemon.file = tmp_path / "elsewhere.toml"
    with pytest.raises(UsageError, match=r"reads .*elsewhere.toml, not config.toml"):
        cli.main(["reload", "--yes"])
    assert daemon.asked == [{"dry_run": True}]


def test_without_a_daemon_the_next_start_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no daemon is running .*the next start reads the file"):
        cli.main(["reload"])
