"""The last word of a guard that fails. How it starts and ends as a process is in e2e/, and in test_main.py."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app import service
from risk_daemon.app.hearers import Hearers
from risk_daemon.errors import CircuitBreakerError, ExitCode, GuardFailed, RecordError, StartUnavailable
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.journals import LogJournal


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
