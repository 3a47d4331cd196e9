"""What a guard says: each event as loud as it is, in the form that its reader wants."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from risk_daemon.app.telling import Terminal, say_events, say_records
from risk_daemon.cli import loop
from risk_daemon.cli.log_format import LogFormat
from risk_daemon.engine.decision import SetGate
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.event_names import LEVELS, EventName, Level, RiskEvent, level_of


def test_every_event_has_its_level() -> None:
    assert set(LEVELS) == set(EventName)


def test_what_must_wake_somebody_does() -> None:
    loud = {name.value for name in EventName if level_of(name) in (Level.ERROR, Level.CRITICAL)}
    assert {"circuit_breaker_triggered", "breaker_tripped", "unlistable_started", "venue_unproven"} <= loud
    assert level_of(EventName.CIRCUIT_BREAKER_TRIGGERED) is Level.CRITICAL
    quiet = {name for name in EventName if level_of(name) is Level.INFO}
    assert not quiet & {EventName.VENUE_LOST, EventName.WARNING_TRIGGERED, EventName.ORDER_VETOED}


def decision(*records: EventName, gate: GateState | None = None) -> Any:
    actions = () if gate is None else (SetGate(gate),)
    return SimpleNamespace(records=tuple(RiskEvent(name) for name in records), actions=actions)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What is written to standard error under a format, as lines."""
    before = structlog.get_config()

    def written(log_format: LogFormat, *decisions: Any, is_journal: bool = False) -> list[str]:
        path = tmp_path / "stderr"
        with path.open("w") as file:
            monkeypatch.setattr("sys.stderr", file)
            status = os.fstat(file.fileno())
            known = f"{status.st_dev}:{status.st_ino}" if is_journal else "1:2"
            monkeypatch.setenv("JOURNAL_STREAM", known)
            loop.configure_logs(log_format)
            for one in decisions:
                say_events(one)
        return path.read_text().splitlines()

    yield written
    structlog.configure(**before)


TRIP = decision(EventName.CIRCUIT_BREAKER_TRIGGERED, gate=GateState(True, "capital_loss"))


def test_the_journal_gets_priorities_before_each_line(lines: Any) -> None:
    said = lines(
        LogFormat.AUTO,
        decision(EventName.PORTFOLIO_UPDATE, EventName.VENUE_CONNECTED, EventName.VENUE_LOST, EventName.VENUE_UNPROVEN),
        TRIP,
        is_journal=True,
    )
    assert [line[:3] for line in said] == ["<6>", "<4>", "<3>", "<2>", "<4>"]
    assert json.loads(said[3][3:])["event"] == "circuit_breaker_triggered"


def test_a_file_gets_json_without_priorities_though_the_journal_is_somewhere_else(lines: Any) -> None:
    said = lines(LogFormat.AUTO, TRIP)
    assert [json.loads(line)["level"] for line in said] == ["critical", "warning"]


def test_the_format_may_be_named(lines: Any) -> None:
    assert lines(LogFormat.JOURNAL, TRIP)[0].startswith("<2>{")
    assert lines(LogFormat.JSON, TRIP, is_journal=True)[0].startswith("{")
    assert "circuit_breaker_triggered" in lines(LogFormat.TEXT, TRIP)[0]


def test_a_person_is_told_where_it_listens_and_when_the_gate_moves() -> None:
    out = io.StringIO()
    people = Terminal(out)
    people.began(["krakenfutures", "kraken"], ["unix:/x.sock", "127.0.0.1:8787"])
    people.heard(decision(gate=GateState(False)))
    people.heard(decision(EventName.VENUE_LOST))
    people.heard(decision(gate=GateState(True, "unlistable:kraken")))
    first, second, opened, shut = out.getvalue().splitlines()
    assert "guarding kraken and krakenfutures" in first
    assert "http://127.0.0.1:8787" in first
    assert "Ctrl-C" in second
    assert "OPEN" in opened
    assert "SHUT (unlistable:kraken)" in shut


def test_over_a_trip_that_stands_nobody_is_told_of_guarding() -> None:
    out = io.StringIO()
    Terminal(out).found_trip("trip-1", is_proven=True)
    Terminal(out).found_trip("trip-2", is_proven=False)
    proven, unproven = out.getvalue().splitlines()
    assert "trip trip-1 stands, and is proven: nothing is guarded" in proven
    assert "trip trip-2 is not proven: its cancels go on" in unproven


def test_the_address_is_one_that_can_be_asked() -> None:
    out = io.StringIO()
    Terminal(out).began(["kraken"], ["10.0.0.1:8787", "unix:/x.sock"], is_tls=True)
    Terminal(out).began(["kraken"], ["unix:/x.sock"])
    tls, _, socket, _ = out.getvalue().splitlines()
    assert tls.endswith("bots ask at https://10.0.0.1:8787.")
    assert socket.endswith("bots ask at its socket.")


def test_beside_the_sentences_of_a_terminal_the_gate_is_no_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as both:
        say_events(TRIP)
    with structlog.testing.capture_logs() as beside:
        say_records(TRIP)
    assert [line["event"] for line in both] == ["circuit_breaker_triggered", "gate"]
    assert [line["event"] for line in beside] == ["circuit_breaker_triggered"]


def test_a_standard_error_that_takes_nothing_costs_lines_and_nothing_else() -> None:
    code = (
        "import structlog\nfrom risk_daemon.cli import loop\nloop.configure_logs()\n"
        "structlog.get_logger().critical('event_log_failed')\nprint('it goes on')\n"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, timeout=60)
    assert done.stdout == "it goes on\n"


CLOSED_WINDOW = """
import fcntl, os, signal, sys, termios
from risk_daemon.app.telling import has_terminal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
none = has_terminal()
fcntl.ioctl(0, termios.TIOCSCTTY)
print(none, has_terminal(), flush=True)
signal.sigwait({signal.SIGHUP})
print(has_terminal(), flush=True)
"""


def test_a_window_that_is_closed_is_no_terminal_any_more() -> None:
    window, terminal_side = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", CLOSED_WINDOW],
        stdin=terminal_side,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(terminal_side)
    assert child.stdout is not None
    assert child.stdout.readline() == "False True\n"
    os.close(window)
    assert child.communicate(timeout=30)[0] == "False\n"
    assert child.returncode == 0
