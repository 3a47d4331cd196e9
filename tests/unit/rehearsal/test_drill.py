"""How the drill judges what it finds: nothing missing, odd or half-done passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from risk_daemon.broadcast import kafka
from risk_daemon.config.load import Settings
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.rehearsal import drill
from risk_daemon.rehearsal.rehearsal import Book
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.lock.base import UNREADABLE, LockRecord
from tests.kafka import Broker
from tests.unit.app.test_broadcast import configured

TRIP = "trip-1"
CANCELLED: tuple[dict[str, Any], ...] = ({"order_id": "1"}, {"order_id": "2"})


def test_no_steps_is_no_pass() -> None:
    assert drill.Steps(lambda _: None).document()["passed"] is False


def test_one_failure_fails_it_all() -> None:
    told: list[Any] = []
    steps = drill.Steps(told.append)
    assert steps.note("first", True, "good")
    assert not steps.note("second", False, "bad")
    assert steps.document() == {
        "passed": False,
        "failed": ["second"],
        "steps": {"first": "good", "second": "FAILED: bad"},
    }
    assert [step["event"] for step in told] == ["step_passed", "step_failed"]


@pytest.mark.parametrize(
    ("book", "placed", "good"),
    [
        (Book({}, CANCELLED, 0, 1.0), 2, True),
        (Book({}, CANCELLED, 0, 1.0), 3, False),
        (Book({"spot_plain": 1}, CANCELLED, 0, 1.0), 2, False),
        (None, 2, False),
        (Book({}, (), 0, None), None, False),
    ],
    ids=["all cancelled", "one vanished", "one open", "never read", "never placed"],
)
def test_books(book: Book | None, placed: int | None, good: bool) -> None:
    assert drill.emptied(book, placed)[0] is good


@pytest.mark.parametrize(
    ("record", "good"),
    [
        (LockRecord(True, "capital_loss", TRIP, 1.0), True),
        (LockRecord(True, "capital_loss", "trip-2", 1.0), False),
        (LockRecord(False, "", None, 1.0), False),
        (UNREADABLE, False),
    ],
    ids=["this trip", "another trip", "open", "unreadable"],
)
def test_locks(record: LockRecord, good: bool) -> None:
    assert drill.locked(record, TRIP)[0] is good


def written(path: Path, names: list[EventName]) -> Path:
    log = EventLog.open(path)
    for name in names:
        log.append(RiskEvent(name, {"trip_id": TRIP}), 1.0)
    log.close()
    return path


def test_a_whole_log(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl", list(drill.STORY))
    assert drill.logged(path, TRIP, 1)[0] is True
    assert drill.logged(path, TRIP, 2)[0] is False, "one venue of two is proven"
    assert drill.logged(path, "trip-2", 1)[0] is False, "another trip's story"


@pytest.mark.parametrize("left_out", drill.STORY)
def test_a_log_that_misses_something(tmp_path: Path, left_out: EventName) -> None:
    path = written(tmp_path / "events.jsonl", [name for name in drill.STORY if name is not left_out])
    found, told = drill.logged(path, TRIP, 1)
    assert found is False
    assert left_out.value in told


def test_a_log_out_of_order(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl", list(reversed(drill.STORY)))
    assert drill.logged(path, TRIP, 1)[0] is False


def test_a_log_that_was_changed(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl", list(drill.STORY))
    path.write_text(path.read_text().replace("sweep_started", "sweep_skipped"))
    assert drill.logged(path, TRIP, 1)[0] is False
    assert drill.logged(tmp_path / "none.jsonl", TRIP, 1)[0] is False


async def test_a_drill_is_never_broadcast_and_says_whether_a_trip_would_be(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listens there cancels for real."""
    monkeypatch.setattr(kafka, "WITHIN_S", 1.0)
    settings = configured(tmp_path, broker.address)
    assert drill.without_broadcast(settings).broadcast.kafka is None
    steps = drill.Steps(lambda _: None)
    await drill._note_broadcast(settings, steps)
    assert steps.told["broadcast"].endswith("the drill sends nothing")
    broker.shut()
    await drill._note_broadcast(settings, steps)
    assert steps.failed == ["broadcast"]
    silent = drill.Steps(lambda _: None)
    await drill._note_broadcast(drill.without_broadcast(settings), silent)
    assert silent.told == {}


async def test_a_whole_drill_sends_nothing(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Settings] = []

    async def played(settings: Settings, steps: drill.Steps, crash: object) -> dict[str, Any]:
        used.append(settings)
        return {}

    monkeypatch.setattr(drill, "_drill", played)
    await drill.simulate_breach(configured(tmp_path, broker.address))
    assert [settings.broadcast.kafka for settings in used] == [None]
