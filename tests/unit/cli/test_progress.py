"""Steps for people at a terminal: on standard error, nothing where nobody sits there, and nothing that disturbs."""

from __future__ import annotations

import io
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.cli import guarding, progress, remote
from risk_daemon.errors import ExitCode


class Screen(io.StringIO):
    """A standard error that is a terminal. said: set with every line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.said = threading.Semaphore(0)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.lines += text.splitlines()
        self.said.release()
        return len(text)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    one = Screen()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=one))
    return one


def verdict(cancelled: int, *, proven: bool) -> SimpleNamespace:
    return SimpleNamespace(proven=proven, cancelled=cancelled)


def line_of(venue: str, one: Any) -> str:
    return f"{venue}: {one.cancelled} cancelled"


def test_each_change_of_a_venue_is_a_line(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    show = progress.changes(line_of)
    assert show is not None
    show({"kraken": verdict(1, proven=False)})
    show({"kraken": verdict(1, proven=False), "okx": verdict(0, proven=True)})
    show({"kraken": verdict(2, proven=True)})
    assert screen.lines == ["kraken: 1 cancelled", "okx: 0 cancelled", "kraken: 2 cancelled"]
    assert capsys.readouterr().out == ""


def test_where_nobody_sits_there_is_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    assert progress.changes(line_of) is None
    progress.say("reading")
    with progress.patience("reading"):
        assert not [thread for thread in threading.enumerate() if thread.name == "patience"]
    assert capsys.readouterr() == ("", "")


def test_what_is_over_soon_is_not_told_of(screen: Screen) -> None:
    with progress.patience("reading"):
        pass
    assert screen.lines == []


def test_what_takes_long_is_told_of_again_and_again(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    monkeypatch.setattr(progress, "EVERY_S", 0.001)
    with progress.patience("the daemon cancels"):
        for _ in range(3):
            assert screen.said.acquire(timeout=10)
    assert screen.lines[0] == "risk-daemon: the daemon cancels ..."
    assert screen.lines[1].startswith("risk-daemon: ... still at it, ")
    told = len(screen.lines)
    assert not [thread for thread in threading.enumerate() if thread.name == "patience"]
    assert len(screen.lines) == told


class Full(Screen):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_terminal_that_takes_nothing_disturbs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=Full()))
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    show = progress.changes(line_of)
    assert show is not None
    show({"kraken": verdict(1, proven=False)})
    progress.say("reading")
    with progress.patience("reading"):
        pass


def test_an_error_passes_through(screen: Screen) -> None:
    with pytest.raises(ValueError, match="odd"), progress.patience("reading"):
        raise ValueError("odd")


# --- in commands ---------------------------------------------------------------------------------------


async def test_check_tells_of_each_venue_before_and_after_it_also_where_it_fails(screen: Screen) -> None:
    @asynccontextmanager
    async def open_venue(_settings: Any, venue: str) -> Any:
        if venue == "okx":
            raise OSError("out of reach")
        yield venue

    told = guarding._telling(open_venue)
    async with told(None, "kraken") as adapter:  # type: ignore[arg-type]
        assert adapter == "kraken"
        assert len(screen.lines) == 1
    with pytest.raises(OSError, match="out of reach"):
        async with told(None, "okx"):  # type: ignore[arg-type]
            pass
    assert [line.split(":")[1].strip() for line in screen.lines] == [
        "looking at kraken",
        "kraken",
        "looking at okx",
        "okx",
    ]


def test_a_sweep_by_the_daemon_is_not_silent(
    tmp_path: Path, screen: Screen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text('[venues.kraken]\nexchange = "kraken"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "FIRST_S", 0.0)

    def sweeps(*_: Any, **__: Any) -> remote.Answer:
        assert screen.said.acquire(timeout=10), "it waits until something was said"
        return remote.Answer(200, {"proven": True, "venues": {}, "elapsed_s": 3.0})

    monkeypatch.setattr(remote, "request", sweeps)
    assert cli.main(["cancel-all"]) is ExitCode.STOPPED
    assert screen.lines == ["risk-daemon: the daemon cancels every order and proves that they are gone ..."]
    assert "Every open order is gone" in capsys.readouterr().out
