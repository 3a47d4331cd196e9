"""The last word of a guard that fails, and of wardens who are asked. As a process: e2e/, and test_main.py."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app import service, serving
from risk_daemon.app.hearers import Hearers
from risk_daemon.app.overrides import SENTENCE, WardenAffairs
from risk_daemon.auth.desk import Desk, Opened
from risk_daemon.auth.override import OverrideRefused, Purpose
from risk_daemon.auth.wardens import WardenStore
from risk_daemon.errors import CircuitBreakerError, ExitCode, GuardFailed, RecordError, StartUnavailable
from risk_daemon.model.clock import SystemClock
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.journals import LogJournal
from tests.authenticator import code_at
from tests.override_world import SITE, Person
from tests.unit.runtime.fakes import FakeJournal, Machine


class LiesAboutItself(CircuitBreakerError):
    """Of a rule of a user's own: an error never means that everything is proven."""

    exit_code = ExitCode.TRIGGERED_AND_PROVEN


def failing(error: Exception, journal: Any) -> Any:
    async def run() -> ExitCode:
        raise error

    engine = SimpleNamespace(trip=SimpleNamespace(trip_id="t-1"))
    parts = SimpleNamespace(journal=journal, clock=SystemClock(), engine=engine)
    return SimpleNamespace(run=run, stop=lambda: None, parts=parts)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError("planted"), 70),
        (GuardFailed("planted"), 70),
        (StartUnavailable("planted"), 75),
        (LiesAboutItself("planted"), 70),
    ],
)
async def test_a_guard_that_fails_says_so_in_the_log(tmp_path: Path, error: Exception, code: int) -> None:
    journal = LogJournal(EventLog.open(tmp_path / "events.jsonl"))
    with pytest.raises(type(error), match="planted"):
        await service._guard(failing(error, journal), Hearers(), None)
    await journal.close()
    (line,) = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert (line["event"], line["exit_code"], line["trip_id"]) == ("system_shutdown", code, "t-1")
    assert "planted" in line["reason"]


@pytest.mark.parametrize("odd", [RecordError("the disk is full"), ValueError("it is closed")])
async def test_a_log_that_takes_no_last_word_hides_no_failure(odd: Exception) -> None:
    async def append(*_: Any, **__: Any) -> None:
        raise odd

    with pytest.raises(ZeroDivisionError):
        await service._guard(failing(ZeroDivisionError(), SimpleNamespace(append=append)), Hearers(), None)


# --- signals -------------------------------------------------------------------------------------------


class Heeds:
    """A daemon and what reloads it; what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self) -> None:
        self.told.append("stop")

    def by_signal(self) -> None:
        self.told.append("reload")


async def signalled(number: signal.Signals, *, reloads: bool = True) -> list[str]:
    heeds: Any = Heeds()
    with service._heeding_signals(heeds, heeds if reloads else None):
        heard = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGUSR1)
        await heard.wait()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
    return list(heeds.told)


async def test_a_hang_up_reads_the_file_again_and_the_others_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "has_terminal", lambda: False)
    assert await signalled(signal.SIGHUP) == ["reload"]
    assert await signalled(signal.SIGTERM) == ["stop"]
    assert await signalled(signal.SIGINT) == ["stop"]


async def test_after_the_end_a_hang_up_is_not_taken_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "has_terminal", lambda: False)
    before = signal.getsignal(signal.SIGHUP)
    try:
        assert await signalled(signal.SIGTERM) == ["stop"]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_while_a_trip_is_finished_a_hang_up_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service, "has_terminal", lambda: False)
    assert await signalled(signal.SIGHUP, reloads=False) == []
    assert "a trip is being finished" in capsys.readouterr().out


async def test_who_closes_the_window_of_a_guard_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([True, False, True, True, True, True])
    monkeypatch.setattr(service, "has_terminal", lambda: next(looks))
    assert await signalled(signal.SIGHUP) == ["stop"]
    assert await signalled(signal.SIGHUP) == ["reload"]


# --- where wardens are asked ---------------------------------------------------------------------------


async def asked(tmp_path: Path, done: list[str]) -> tuple[Daemon, FakeJournal, Desk, Opened, Person]:
    """A daemon's own desk, at which alice is asked for a reset."""
    settings: Any = SimpleNamespace(
        state=SimpleNamespace(dir=tmp_path), warden=SimpleNamespace(quorum=1, break_glass_after=3_600.0)
    )
    alice = Person("alice").enrolled(WardenStore.beside(tmp_path))
    machine = Machine()
    daemon = Daemon(machine.parts)
    desk = serving._desk(settings, daemon)
    desk.site = SITE

    async def carry_out(by: str) -> tuple[bool, str]:
        done.append(by)
        return True, "reset"

    opened = await desk.open(Purpose.RESET, asked_by="uid:0 (root)", reason="x", carry_out=carry_out)
    return daemon, machine.journal, desk, opened, alice


async def nothing(_by: str) -> tuple[bool, str]:
    raise NotImplementedError


async def agree(daemon: Daemon, desk: Desk, opened: Opened, person: Person) -> None:
    options = await desk.challenge(opened.code, opened.attempt, person.name)
    answer = person.device.get(options, SITE.origin)
    code = code_at(person.secret, daemon.parts.clock.now().wall)
    await desk.agree(opened.code, opened.attempt, person.name, code, answer)


async def test_what_wardens_agree_to_is_in_the_log_before_it_is_done(tmp_path: Path) -> None:
    done: list[str] = []
    daemon, journal, desk, opened, alice = await asked(tmp_path, done)
    assert journal.written == [("override_asked", True)]
    await agree(daemon, desk, opened, alice)
    assert done == ["alice"]
    assert journal.written[1:] == [("override_agreed", True), ("override_granted", True)]


async def test_with_a_log_that_can_t_be_written_nothing_is_done(tmp_path: Path) -> None:
    done: list[str] = []
    daemon, journal, desk, opened, alice = await asked(tmp_path, done)
    journal.breaks()
    with pytest.raises(RecordError):
        await agree(daemon, desk, opened, alice)
    with pytest.raises(RecordError):
        await WardenAffairs(desk, daemon.parts.clock).break_glass("uid:0 (root)", SENTENCE, is_root=True)
    assert done == []
    register = WardenStore.beside(tmp_path).read()
    assert (register.is_guarded, register.break_glass) == (True, None)


async def test_an_attempt_that_is_open_at_the_end_has_an_end_in_the_log(tmp_path: Path) -> None:
    daemon, journal, desk, _, _ = await asked(tmp_path, [])
    daemon.stop()
    assert await daemon.run() is ExitCode.STOPPED
    names = [name for name, _ in journal.written]
    assert names.index("override_refused") < names.index("system_shutdown") == len(names) - 1
    assert "has ended" in journal.fields["override_refused"]["why"]
    with pytest.raises(OverrideRefused, match="is ending"):
        await desk.open(Purpose.RESET, asked_by="uid:0 (root)", reason="x", carry_out=nothing)
