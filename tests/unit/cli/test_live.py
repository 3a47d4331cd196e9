"""`status --watch`: what stands on the screen, what is told in a pipe, and how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.cli import live, remote, render
from risk_daemon.errors import ExitCode, UsageError

CALM = {"state": "ACTIVE", "started": True, "locked": False, "equity": "10000.00", "trusted": True, "loss_ratio": 0.0}
LOCK = {"cause": "blind", "reason": "blind for 31 s"}
SHUT = {**CALM, "locked": True, "lock": LOCK}
GONE = remote.DaemonAbsent("no daemon is running at x")


class Answers:
    """A daemon that gives these answers one after the other; then somebody presses Ctrl-C."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.left = list(answers)

    def __call__(self, *_: Any, **__: Any) -> remote.Answer:
        if not self.left:
            raise KeyboardInterrupt
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return remote.Answer(200, answer)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.toml").write_text('[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n')
    (tmp_path / "var").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live, "EVERY_S", 0.0)
    return tmp_path


def told(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | Exception) -> None:
    monkeypatch.setattr(remote, "request", Answers(*answers))


def sentences(text: str) -> list[str]:
    """Lines without their moment."""
    return [line.partition("Z  ")[2] for line in text.splitlines()]


def test_in_a_pipe_there_is_a_line_for_each_change_and_none_for_figures(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, CALM, {**CALM, "equity": "9990.00", "loss_ratio": 0.001}, SHUT, SHUT, CALM)
    assert cli.main(["status", "--watch"]) is ExitCode.STOPPED
    assert sentences(capsys.readouterr().out) == [
        "ACTIVE  new orders are allowed",
        "ACTIVE  new orders are locked out: blind for 31 s",
        "ACTIVE  new orders are allowed",
    ]


def test_a_daemon_that_goes_away_and_comes_back_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = remote.NotConfirmed("the daemon took the call but gave no answer")
    told(monkeypatch, CALM, GONE, GONE, silent, CALM)
    assert cli.main(["status", "-w"]) is ExitCode.STOPPED
    assert sentences(capsys.readouterr().out) == [
        "ACTIVE  new orders are allowed",
        "DAEMON NOT RUNNING: no daemon is running at x. Nothing is guarded.",
        "NO ANSWER: the daemon took the call but gave no answer",
        "ACTIVE  new orders are allowed",
    ]


def screen(place: Path, *, width: int = 80) -> tuple[str, render.PlainConsole]:
    out = io.StringIO()
    terminal = render.PlainConsole(
        file=out, force_terminal=True, width=width, height=40, markup=False, highlight=False, soft_wrap=True
    )
    live.watch(live_place(place), terminal)
    return out.getvalue(), terminal


def live_place(directory: Path) -> Any:
    from risk_daemon.config.place import locate

    return locate(directory / "config.toml")


def test_on_a_terminal_the_picture_is_drawn_anew_and_the_last_one_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, CALM, SHUT)
    text, _ = screen(place)
    drawn, _, left = text.partition("\x1b[?1049l")
    assert drawn.startswith("\x1b[?1049h"), "a screen of its own: what stood there before comes back"
    assert drawn.count("Initial capital") == 2
    assert "new orders are allowed" in drawn
    assert "blind for 31 s" in left
    assert "Ctrl-C ends this" in left
    assert "new orders are allowed" not in left


def test_on_a_terminal_what_was_known_last_stands_below_that_it_is_gone(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "var" / "risk.json").write_text(json.dumps({**CALM, "equity": "1234.00"}))
    told(monkeypatch, GONE)
    text, _ = screen(place)
    assert "DAEMON NOT RUNNING" in text
    assert "Last known values, 0." in text
    assert "1,234.00" in text


def test_nothing_known_at_all_is_said_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, GONE)
    text, _ = screen(place)
    assert "DAEMON NOT RUNNING" in text
    assert "Equity" not in text


def test_a_reader_that_is_gone_ends_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, CALM, SHUT)
    out = render.console(io.StringIO())
    looked: Iterable[live.Look] = []
    monkeypatch.setattr(live, "look", lambda place: looked.append(1) or live.Look(None, "x"))  # type: ignore[attr-defined]
    live.watch(live_place(place), out, lambda _s: setattr(out, "quiet", True))
    assert looked == [1]


def test_for_programs_there_is_something_better(place: Path) -> None:
    with pytest.raises(UsageError, match="give --watch or --json"):
        cli.main(["status", "--watch", "--json"])
