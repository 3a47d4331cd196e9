"""Files on a thread of their own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog, verify_log
from risk_daemon.state.journals import LogJournal, RiskJournal
from risk_daemon.state.risk_file import RiskFile

EVENTS = [RiskEvent(EventName.SWEEP_STARTED), RiskEvent(EventName.SWEEP_FINISHED)]


def test_events_are_appended_and_the_anchor_follows_what_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    async def write() -> None:
        journal = LogJournal(EventLog.open(path))
        empty = journal.anchor()
        await journal.append(EVENTS[:1], 100.0, durable=False)
        first = journal.anchor()
        await journal.append(EVENTS[1:], 101.0, durable=False)
        assert journal.anchor() == first != empty, "a moment later it is not forced again"
        await journal.append((), 102.0, durable=True)
        assert journal.anchor()["seq"] == first["seq"] + 1
        await journal.close()

    asyncio.run(write())
    assert verify_log(path).ok
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["sweep_started", "sweep_finished"]


def test_one_line_that_fails_keeps_no_other_from_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = EventLog.append

    def picky(self: EventLog, event: RiskEvent, wall: float) -> None:
        if event.name is EventName.SWEEP_STARTED:
            raise RecordError("planted")
        append(self, event, wall)

    monkeypatch.setattr(EventLog, "append", picky)

    async def write() -> None:
        journal = LogJournal(EventLog.open(tmp_path / "events.jsonl"))
        before = journal.anchor()
        with pytest.raises(RecordError, match="planted"):
            await journal.append(EVENTS, 100.0, durable=True)
        assert journal.anchor() == before, "nothing is claimed of a batch that failed"
        await journal.close()

    asyncio.run(write())
    assert "sweep_finished" in (tmp_path / "events.jsonl").read_text()


def test_the_risk_file_is_written_though_it_is_not_due(tmp_path: Path) -> None:
    clock = ManualClock()

    async def write() -> None:
        journal = RiskJournal(RiskFile(tmp_path / "risk.json"))
        assert journal.due(clock.now())
        for state in ("ACTIVE", "TRIGGERED"):
            await journal.write({"state": state}, clock.now())
        assert not journal.due(clock.now())
        journal.close()

    asyncio.run(write())
    assert json.loads((tmp_path / "risk.json").read_text())["state"] == "TRIGGERED"
