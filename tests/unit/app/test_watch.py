"""A lookout goes on whatever the disk does, and looks feed the watchdog; whole processes are in e2e/test_watch.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest

from risk_daemon.alerts.manager import AlertManager
from risk_daemon.app import watch as watching
from risk_daemon.app.watch import Lookout
from risk_daemon.model.clock import Instant, ManualClock
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
        await lookout.look()
        assert lookout.standing == ()


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
