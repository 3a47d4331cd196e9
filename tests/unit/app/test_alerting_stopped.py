"""Commands with the daemon stopped tell people what they write down, and are held up by nobody for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.alerts.manager import FILE_NAME
from risk_daemon.app import alerting_stopped
from risk_daemon.app.alerting_stopped import telling
from risk_daemon.config.settings import Settings
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog, read_log
from risk_daemon.state.journals import LogJournal
from risk_daemon.watch.eyes import Tail
from risk_daemon.watch.unheard import Unheard
from tests.receivers.http import hanging
from tests.receivers.webhook import SECRET, WebhookReceiver
from tests.unit.app.test_alerts import configured, events

WALL = 1_790_000_000.25
NOW = Instant(0.0, WALL)
BEGUN = RiskEvent(EventName.BREAK_GLASS_BEGUN, {"who": "uid:0 (root)", "outcome": "waiting", "due": "later"})


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookReceiver]:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("RISK_DAEMON_ALERTS_ONCALL_SECRET", SECRET)
    with WebhookReceiver() as one:
        yield one


async def command(settings: Settings, directory: Path) -> None:
    """One that writes a line."""
    journal = LogJournal(EventLog.open(directory / "events.jsonl"))
    async with telling(settings, journal) as log:
        await log.append([BEGUN], WALL, durable=True)
        assert log.anchor() == journal.anchor()
    await journal.close()


async def test_what_is_written_is_told_and_nothing_of_the_daemon_s_is_touched(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    await command(configured(tmp_path, receiver.url), tmp_path)
    assert events(receiver) == ["break_glass_begun"]
    assert receiver.alerts[0]["severity"] == "critical"
    assert [line.event for line in read_log(tmp_path / "events.jsonl")] == ["break_glass_begun"]
    assert not (tmp_path / FILE_NAME).exists()


async def test_it_has_the_id_that_the_watch_and_the_next_start_give_it(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    settings, tail, unheard = configured(tmp_path, receiver.url), Tail(tmp_path / "events.jsonl"), Unheard()
    assert tail.news() == ()
    await command(settings, tmp_path)
    unheard.take((), NOW, is_down=True, is_running=False)
    ((wall, records),) = unheard.take(tail.news() or (), NOW, is_down=True, is_running=False)
    journal = LogJournal(EventLog.open(tmp_path / "other.jsonl"))
    async with telling(settings, journal) as log:
        await log.append(records, wall, durable=True)
    await journal.close()
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


async def test_a_channel_that_hangs_holds_up_no_command_for_long(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alerting_stopped.WAIT_S <= 5.0
    monkeypatch.setattr(alerting_stopped, "WAIT_S", 0.2)
    receiver.answering = hanging
    began = time.monotonic()
    await command(configured(tmp_path, receiver.url), tmp_path)
    assert time.monotonic() - began < 5.0
    assert [line.event for line in read_log(tmp_path / "events.jsonl")] == ["break_glass_begun"]


async def test_a_channel_that_can_not_be_used_is_left_out(tmp_path: Path, receiver: WebhookReceiver) -> None:
    await command(configured(tmp_path, receiver.url, receiver.url), tmp_path)
    assert events(receiver) == ["break_glass_begun"]


async def test_alerts_that_are_broken_keep_nothing_from_being_done(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Settings) -> None:
        raise AttributeError("PersistentStoreMode")

    monkeypatch.setattr(alerting_stopped, "channels_of", broken)
    await command(configured(tmp_path, receiver.url), tmp_path)
    assert [line.event for line in read_log(tmp_path / "events.jsonl")] == ["break_glass_begun"]


async def test_what_could_not_be_written_is_not_told(tmp_path: Path, receiver: WebhookReceiver) -> None:
    log = EventLog.open(tmp_path / "events.jsonl")
    journal = LogJournal(log)
    async with telling(configured(tmp_path, receiver.url), journal) as told:
        log.close()
        with pytest.raises((RecordError, OSError)):
            await told.append([BEGUN], WALL, durable=True)
    assert receiver.alerts == []
    await journal.close()
