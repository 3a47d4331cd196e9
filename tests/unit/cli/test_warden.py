"""`risk-daemon warden`, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.app.overrides import SENTENCE
from risk_daemon.auth.wardens import Register, Rules, WardenStore
from risk_daemon.cli import remote
from risk_daemon.errors import ExitCode, StateError, UsageError
from tests.unit.auth.test_wardens import full
from tests.unit.cli.test_asking import ASKED, DONE, VIEW
from tests.unit.cli.test_commands import VENUE, FakeDaemon


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration, made the working directory."""
    (tmp_path / "config.toml").write_text(f"[portfolio]\ninitial_capital = 10000\n{VENUE}simulated = true\n")
    (tmp_path / "var").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def daemon(place: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    fake = FakeDaemon()
    monkeypatch.setattr(remote, "request", fake)
    return fake


def test_nobody_is_listed_at_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["warden", "list"]) is ExitCode.STOPPED
    assert "No warden is enrolled" in capsys.readouterr().out


def test_wardens_are_listed_without_their_secrets(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = WardenStore.beside(place / "var")
    store.change(lambda _: full())
    cli.main(["warden", "list"])
    shown = capsys.readouterr().out
    cli.main(["warden", "list", "--json"])
    document = json.loads(capsys.readouterr().out)

    assert [row["name"] for row in document["wardens"]] == ["alice", "bob"]
    assert document["quorum"] == 2
    assert document["break_glass_due"] is not None
    assert "THE GLASS IS BEING BROKEN" in shown
    assert "locked until" in shown
    for warden in store.read().wardens.values():
        assert warden.secret not in shown + json.dumps(document)


def test_a_list_that_can_t_be_read_is_said(place: Path) -> None:
    (place / "var" / "wardens.json").write_text("")
    with pytest.raises(StateError, match="can't be read"):
        cli.main(["warden", "list"])


@pytest.mark.parametrize(
    ("words", "target", "body"),
    [
        (["enroll", "dave"], "enroll", {"name": "dave"}),
        (["revoke", "dave", "--reason", "left"], "revoke", {"name": "dave", "reason": "left"}),
    ],
)
def test_the_running_daemon_asks(
    words: list[str],
    target: str,
    body: Any,
    daemon: FakeDaemon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [remote.Answer(202, ASKED), remote.Answer(200, {**VIEW, "stage": "ended", "end": DONE})]

    def request(path: Path, method: str, to: str, said: Any = None, **_: Any) -> remote.Answer:
        daemon.asked.append((method, to, said))
        return answers.pop(0)

    monkeypatch.setattr(remote, "request", request)
    assert cli.main(["warden", *words]) is ExitCode.STOPPED
    assert daemon.asked == [("POST", f"/api/v1/wardens/{target}", body), ("GET", "/api/v1/override", None)]


def test_a_refusal_is_no_success(daemon: FakeDaemon) -> None:
    daemon.answer = remote.Answer(409, {"detail": "too many attempts failed"})
    with pytest.raises(UsageError, match="too many attempts failed"):
        cli.main(["warden", "enroll", "dave"])


def test_breaking_the_glass_takes_the_sentence(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.answer = remote.Answer(200, {"begun": True, "done": False, "due": "2026-11-20T12:00:00Z"})
    monkeypatch.setattr("typer.prompt", lambda *_, **__: f" {SENTENCE} ")
    assert cli.main(["warden", "break-glass"]) is ExitCode.STOPPED
    assert daemon.asked == [("POST", "/api/v1/wardens/break-glass", {"sentence": SENTENCE})]


def test_leaving_it_whole_takes_none(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.answer = remote.Answer(200, {"begun": False, "done": False, "due": None})
    assert cli.main(["warden", "break-glass", "--stop"]) is ExitCode.STOPPED
    assert daemon.asked == [("POST", "/api/v1/wardens/break-glass", {"stop": True})]
    assert "stays whole" in capsys.readouterr().out


def test_without_a_daemon_and_without_root_the_glass_stays_whole(
    daemon: FakeDaemon,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = WardenStore.beside(place / "var")
    store.change(lambda _: Register().enrolled(full().wardens["alice"], Rules()))
    daemon.answer = remote.DaemonAbsent("no daemon")
    monkeypatch.setattr("typer.prompt", lambda *_, **__: SENTENCE)
    monkeypatch.setattr("os.geteuid", lambda: 1_000)
    with pytest.raises(UsageError, match="only root"):
        cli.main(["warden", "break-glass"])
    assert store.read().break_glass is None
