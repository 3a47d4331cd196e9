"""A lookout goes on whatever the disk does, and looks feed the watchdog; whole processes are in e2e/test_watch.py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from risk_daemon.alerts.manager import AlertManager
from risk_daemon.app import watch as watching
from risk_daemon.app.watch import Lookout
from risk_daemon.model.clock import Instant, ManualClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import shut
from risk_daemon.watch.eyes import Eyes
from risk_daemon.watch.troubles import STARTING_S, Seen, Trouble


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_disk_that_does_not_answer_is_told_and_asked_only_once(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, asked = Event(), []

    def look(_: Eyes, now: Instant) -> Seen:
        asked.append(now)
        answers.wait()
        return Seen(stamp_age_s=0.0, risk_age_s=0.0, lines=(), free_bytes=1 << 40)

    monkeypatch.setattr(Eyes, "look", look)
    monkeypatch.setattr(watching, "_LOOK_WITHIN_S", 0.01)
    async with AlertManager([], clock=clock) as alerts:
        lookout = Lookout(tmp_path, alerts, clock, lambda _: None)
        clock.advance(STARTING_S)
        await lookout.look()
        await lookout.look()
        assert {Trouble.SILENT, Trouble.LOG_UNREADABLE} <= set(lookout.standing)
        assert len(asked) == 1
        monkeypatch.setattr(watching, "_LOOK_WITHIN_S", 10.0)
        answers.set()
        for _ in range(20):
            await lookout.look()
            clock.advance(0.5)
        assert lookout.standing == ()


TRIPPED = LockRecord(locked=True, cause="capital_loss", trip_id="t-1", since_wall=1.0)
STARTING = LockRecord(locked=True, cause="starting", since_wall=2.0)


async def repeats(directory: Path, clock: ManualClock) -> str | None:
    """What is repeated after a watch was started, and has looked for a while."""
    async with AlertManager([], directory=directory, clock=clock) as alerts:
        lookout = Lookout(directory, alerts, clock, lambda _: None)
        for _ in range(20):
            await lookout.look()
            clock.advance(0.5)
        return alerts.standing_trip


async def test_a_trip_stands_over_a_restart_and_not_longer_than_the_gate_says(tmp_path: Path) -> None:
    """A gate that can't be read ends nothing."""
    clock, path = ManualClock(), tmp_path / "gate.bin"
    shut(path, TRIPPED)
    assert await repeats(tmp_path, clock) == "t-1"
    path.write_bytes(b"")
    assert await repeats(tmp_path, clock) == "t-1"
    path.unlink()
    shut(path, STARTING)
    assert await repeats(tmp_path, clock) is None


async def test_who_has_acknowledged_a_trip_is_left_alone_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    shut(tmp_path / "gate.bin", TRIPPED)
    await repeats(tmp_path, clock)
    async with AlertManager([], directory=tmp_path, clock=clock) as alerts:
        assert alerts.acknowledge("t-1", "alice") == "t-1"
    await repeats(tmp_path, clock)
    async with AlertManager([], directory=tmp_path, clock=clock) as alerts:
        assert alerts.status()["standing"]["acknowledged_by"] == "alice"


async def test_looks_feed_the_watchdog_until_it_is_told_to_stop(tmp_path: Path, clock: ManualClock) -> None:
    said: list[str] = []
    stopped = asyncio.Event()

    def notify(text: str) -> None:
        said.append(text)
        if text.startswith("WATCHDOG"):
            stopped.set()

    async with AlertManager([], clock=clock) as alerts:
        await Lookout(tmp_path, alerts, clock, notify).look_until(stopped)
    assert said == ["READY=1", "WATCHDOG=1\nSTATUS=nothing is wrong", "STOPPING=1"]


async def test_what_a_command_writes_without_a_guard_is_told_as_of_then(tmp_path: Path, clock: ManualClock) -> None:
    log = EventLog.open(tmp_path / "events.jsonl")
    told: list[tuple[str, float | None]] = []

    class Listening(AlertManager):
        def tell(self, records: Sequence[RiskEvent], wall: float | None = None) -> None:
            told.extend((str(record.name), wall) for record in records)

    async with Listening([], clock=clock) as alerts:
        lookout = Lookout(tmp_path, alerts, clock, lambda _: None)
        await lookout.look()
        log.append(RiskEvent(EventName.BREAK_GLASS_BEGUN, {"who": "root"}), 1_790_000_000.25)
        await lookout.look()
        assert told == [], "a guard may be about to start, and would tell of it"
        clock.advance(STARTING_S)
        await lookout.look()
        await lookout.look()
    log.close()
    assert told == [("break_glass_begun", 1_790_000_000.25)]
