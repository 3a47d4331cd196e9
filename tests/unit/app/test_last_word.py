"""Why a start was refused stands in the event log: once, and never beside a guard that runs."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.app.last_word import note_refusal
from risk_daemon.errors import CircuitBreakerError, ConfigError, GuardFailed, StartUnavailable
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.directory import StateDir
from risk_daemon.state.event_log import EventLog, read_log, verify_log

REFUSED = ConfigError("config.toml: it is looser")


def a_log(directory: Path, *events: RiskEvent) -> Path:
    log = EventLog.open(directory / "events.jsonl")
    for event in (RiskEvent(EventName.PORTFOLIO_UPDATE), *events):
        log.append(event, 1_790_000_000.0)
    log.close()
    return log.path


def ends(path: Path) -> list[tuple[int, str]]:
    assert verify_log(path).ok
    return [
        (line.fields["exit_code"], line.fields["reason"]) for line in read_log(path) if line.event == "system_shutdown"
    ]


def test_it_says_the_exit_code_and_the_reason(tmp_path: Path) -> None:
    path = a_log(tmp_path)
    note_refusal(tmp_path, REFUSED)
    note_refusal(tmp_path, StartUnavailable("kraken does not answer"))
    note_refusal(tmp_path, CircuitBreakerError("x"))
    note_refusal(tmp_path, ZeroDivisionError())
    assert ends(path) == [
        (78, "config.toml: it is looser"),
        (75, "kraken does not answer"),
        (78, "x"),
        (70, "ZeroDivisionError()"),
    ]


def test_the_same_start_again_and_again_is_one_line(tmp_path: Path) -> None:
    path = a_log(tmp_path)
    for _ in range(3):
        note_refusal(tmp_path, REFUSED)
    assert len(ends(path)) == 1


def test_what_the_guard_said_itself_is_not_said_again(tmp_path: Path) -> None:
    failed = GuardFailed("planted")
    path = a_log(tmp_path, RiskEvent(EventName.SYSTEM_SHUTDOWN, {"exit_code": 70, "reason": repr(failed)}))
    note_refusal(tmp_path, failed)
    assert len(ends(path)) == 1


def test_a_guard_that_runs_is_left_alone(tmp_path: Path) -> None:
    path = a_log(tmp_path)
    with StateDir.take(tmp_path):
        note_refusal(tmp_path, REFUSED)
    assert ends(path) == []


def test_where_nothing_is_nothing_is_made(tmp_path: Path) -> None:
    note_refusal(tmp_path, REFUSED)
    note_refusal(tmp_path / "nowhere", REFUSED)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_damaged_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("no entry\n")
    note_refusal(tmp_path, REFUSED)
    assert (tmp_path / "events.jsonl").read_text() == "no entry\n"
