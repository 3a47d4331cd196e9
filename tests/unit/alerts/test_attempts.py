"""One line an attempt, whatever the disk does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from structlog.testing import capture_logs

from risk_daemon.alerts.attempts import Attempt, AttemptLog, read_attempts
from risk_daemon.alerts.channels.base import delivered, later
from risk_daemon.state.worker import inline
from tests.unit.alerts.scripted import alert


def attempt(number: int, *, is_good: bool = True) -> Attempt:
    outcome = delivered("204") if is_good else later("503", "come back later")
    return Attempt(
        channel="a", alert=alert("1"), number=number, outcome=outcome, seconds=0.12345, wall=1.0, is_last=is_good
    )


async def test_a_line_says_what_was_tried_and_what_came_of_it(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "alerts.jsonl", inline)
    log.note(attempt(1, is_good=False))
    log.note(attempt(2))
    await log.write()
    failed, good = map(json.loads, (tmp_path / "alerts.jsonl").read_text().splitlines())
    assert failed == {
        "time": "1970-01-01T00:00:01.000000Z",
        "channel": "a",
        "event": "venue_lost",
        "id": "1",
        "attempt": 1,
        "delivered": False,
        "given_up": False,
        "status": "503",
        "answer": "come back later",
        "seconds": 0.1235,
    }
    assert (good["attempt"], good["delivered"], good["status"]) == (2, True, "204")
    assert read_attempts(tmp_path / "alerts.jsonl") == [failed, good] == list(log.recent)


def test_tries_are_counted_by_what_came_of_them() -> None:
    log = AttemptLog(None, inline)
    for is_good in (False, False, True):
        log.note(attempt(1, is_good=is_good))
    assert (log.sent["a"], log.failed["a"], log.failed["b"]) == (1, 2, 0)


async def test_a_disk_that_takes_nothing_is_told_once_and_gets_every_line_later(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "gone" / "alerts.jsonl", inline)
    with capture_logs() as logs:
        for number in (1, 2):
            log.note(attempt(number))
            await log.write()
        (tmp_path / "gone").mkdir()
        await log.write()
    assert [line["event"] for line in logs] == ["alert_attempts_not_written", "alert_attempts_written_again"]
    assert [line["attempt"] for line in read_attempts(tmp_path / "gone" / "alerts.jsonl")] == [1, 2]
    assert len(log.recent) == 2


async def test_a_dead_disk_costs_lines_and_no_memory_and_they_are_counted(tmp_path: Path) -> None:
    log = AttemptLog(tmp_path / "gone" / "alerts.jsonl", inline)
    for number in range(1_500):
        log.note(attempt(number))
    assert log.untold == 500
    (tmp_path / "gone").mkdir()
    await log.write()
    assert len(read_attempts(tmp_path / "gone" / "alerts.jsonl", 9_999)) == 1_000


def test_no_file_is_no_attempt_and_a_half_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    assert read_attempts(path) == []
    path.write_text('{"id":"1"}\n{"id":"2"}\n{"id":')
    assert [line["id"] for line in read_attempts(path)] == ["1", "2"]
    path.write_text("".join(f'{{"id":"{number:0100}"}}\n' for number in range(10_000)))
    assert [line["id"] for line in read_attempts(path, 1)] == [f"{9_999:0100}"]
    shutil.rmtree(tmp_path)
