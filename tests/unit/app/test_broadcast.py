"""The broadcast beside a daemon: what is owed is saved with the latch, and no mistake reaches the guard's turn."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.app.broadcast import Broadcaster, usable_settings, voice_of
from risk_daemon.broadcast.kafka import KafkaSettings
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.config.load import Settings
from risk_daemon.config.load import load as load_config
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.latch import LATCH
from tests.kafka import Broker
from tests.unit.runtime.fakes import FakeStore
from tests.unit.runtime.test_daemon import Running
from tests.virtual import pass_time

BASE = (
    '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
)
PASSWORD = "RISK_DAEMON_BROADCAST_KAFKA_PASSWORD"
TRIP = RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, {"trip_id": "trip-1", "breaker": "manual", "reason": "drill"})


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv(PASSWORD, raising=False)


def configured(tmp_path: Path, bootstrap: str = "", *rows: str) -> Settings:
    path = tmp_path / "config.toml"
    table = f'[broadcast.kafka]\nbootstrap = "{bootstrap}"\n' if bootstrap else ""
    path.write_text(BASE + table + "".join(f"{row}\n" for row in rows))
    return load_config(path)


def opened(trip: Trip | None = None, store: FakeStore | None = None, **documents: Any) -> Any:
    return SimpleNamespace(
        documents=documents,
        engine=SimpleNamespace(trip=trip),
        store=store or FakeStore(),
        site=SimpleNamespace(clock=SystemClock()),
    )


async def nobody(_: RiskEvent) -> None:
    """Writes nothing."""


def owed(broadcaster: Broadcaster) -> list[str]:
    return [one["trip_id"] for one in broadcaster.documents[BROADCAST]()["owed"]]


async def test_what_is_owed_is_sent_told_and_kept_as_sent(tmp_path: Path, broker: Broker) -> None:
    written: list[RiskEvent] = []

    async def write(event: RiskEvent) -> None:
        written.append(event)

    store = FakeStore()
    broadcaster = Broadcaster(configured(tmp_path, broker.address), opened(store=store))
    broadcaster.prepare(write, takes_what_it_gets=False)
    broadcaster.begin()
    broadcaster.heard([TRIP], 1_790_000_000.0)
    await broadcaster.flushed(30.0)
    await broadcaster.aclose()
    (record,) = await asyncio.to_thread(broker.records)
    assert record.content["trip_id"] == "trip-1"
    assert [event.name for event in written] == [EventName.BROADCAST_SENT]
    assert store.documents[BROADCAST] == {"owed": [], "sent": ["trip-1"]}


async def test_a_store_that_can_not_be_written_keeps_nobody_from_sending(tmp_path: Path, broker: Broker) -> None:
    store = FakeStore()
    store.breaks()
    broadcaster = Broadcaster(configured(tmp_path, broker.address), opened(store=store))
    broadcaster.prepare(nobody, takes_what_it_gets=False)
    broadcaster.begin()
    broadcaster.heard([TRIP], 1_790_000_000.0)
    with capture_logs() as logs:
        await asyncio.to_thread(broker.wait_for, 1)
        await broadcaster.flushed(30.0)
        await broadcaster.aclose()
    assert "broadcast_not_kept" in [log["event"] for log in logs]


def test_a_log_that_can_not_be_written_reaches_nobody(tmp_path: Path, broker: Broker) -> None:
    async def write(_: RiskEvent) -> None:
        raise RecordError("no space left on device")

    async def sent() -> None:
        broadcaster = Broadcaster(configured(tmp_path, broker.address), opened())
        broadcaster.prepare(write, takes_what_it_gets=False)
        broadcaster.heard([TRIP], 1_790_000_000.0)
        broadcaster.begin()
        await broadcaster.flushed(30.0)
        await broadcaster.aclose()

    with capture_logs() as logs:
        asyncio.run(sent())
    assert "event_log_failed" in [log["event"] for log in logs]
    assert len(broker.records()) == 1


async def test_what_an_earlier_process_left_is_owed_and_so_is_a_trip_that_it_could_not_write_down(
    tmp_path: Path,
) -> None:
    left = Outbox()
    left.hear([TRIP], 1.0)
    settings, now = configured(tmp_path, "kafka:9092"), SystemClock().now()
    trip = Trip("trip-2", "daily_loss", "too much", 2.0, now.mono, is_freeze=True, until_wall=3.0)
    broadcaster = Broadcaster(settings, opened(trip, broadcast=left.document()))
    first, second = broadcaster.documents[BROADCAST]()["owed"]
    assert first["trip_id"] == "trip-1"
    assert second == {
        "trip_id": "trip-2", "wall": 2.0, "equity_loss": None, "loss_ratio": None, "rule": "daily_loss",
        "reason": "too much", "is_freeze": True, "until_wall": 3.0,
    }  # fmt: skip
    left.settle("trip-2")
    assert owed(Broadcaster(settings, opened(trip, broadcast=left.document()))) == ["trip-1"]
    assert owed(Broadcaster(settings, opened(None, broadcast="spoilt"))) == []


async def test_without_the_table_nothing_is_owed_and_what_is_left_is_said(tmp_path: Path) -> None:
    left = Outbox()
    left.hear([TRIP], 1.0)
    with capture_logs() as logs:
        broadcaster = Broadcaster(configured(tmp_path), opened(broadcast=left.document()))
    assert [log["event"] for log in logs] == ["broadcast_owed"]
    broadcaster.heard([TRIP], 1.0)
    broadcaster.prepare(nobody, takes_what_it_gets=False)
    broadcaster.begin()
    await broadcaster.flushed(1.0)
    await broadcaster.aclose()
    assert broadcaster.documents == {}
    with pytest.raises(ConfigError, match=r"there is no table \[broadcast\.kafka\]"):
        voice_of(configured(tmp_path))
    assert usable_settings(configured(tmp_path)) is None


async def test_a_password_that_is_missing_refuses_a_start_and_not_the_end_of_a_trip(tmp_path: Path) -> None:
    login = 'security_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nusername = "guard"'
    settings = configured(tmp_path, "kafka:9092", login)
    broadcaster = Broadcaster(settings, opened())
    with pytest.raises(ConfigError, match="its password is missing"):
        broadcaster.prepare(nobody, takes_what_it_gets=False)
    with capture_logs() as logs:
        broadcaster.prepare(nobody, takes_what_it_gets=True)
    assert [log["event"] for log in logs] == ["broadcast_left_out"]
    broadcaster.heard([TRIP], 1.0)
    await broadcaster.aclose()
    assert owed(broadcaster) == ["trip-1"], "and what is owed is kept"


def test_certificates_that_can_not_be_read_refuse_a_start_with_file_and_table(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    settings = configured(tmp_path, "kafka:9092", 'security_protocol = "SSL"', 'ca_file = "ca.pem"')
    with pytest.raises(ConfigError, match=r"config\.toml: broadcast\.kafka: .*ca\.pem: its certificates"):
        usable_settings(settings)


async def test_a_mistake_of_ours_does_not_reach_the_guard_s_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("a bug")

    broadcaster = Broadcaster(configured(tmp_path, "kafka:9092"), opened())
    monkeypatch.setattr(Outbox, "hear", broken)
    with capture_logs() as logs:
        broadcaster.heard([TRIP], 1.0)
    assert [(log["event"], log["events"]) for log in logs] == [("broadcast_lost", ["circuit_breaker_triggered"])]


def test_settings_go_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "hunter2")
    login = 'security_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nusername = "guard"'
    assert usable_settings(configured(tmp_path, "kafka:9092", 'topic = "t"', login)) == KafkaSettings(
        bootstrap="kafka:9092",
        topic="t",
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        username="guard",
        password="hunter2",
    )


@pytest.mark.looptime
async def test_the_first_save_of_the_latch_has_the_message_in_it(tmp_path: Path) -> None:
    """Whatever kills the process after that: the next one owes it."""
    broadcaster = Broadcaster(configured(tmp_path, "kafka:9092"), opened())
    running = await Running(beside=broadcaster.documents).ready()
    running.daemon.read_along(broadcaster.heard)
    trip_id = await running.halted()
    await pass_time(0.01)
    first = next(save for save in running.machine.store.saves if LATCH in save)
    assert [one["trip_id"] for one in first[BROADCAST]["owed"]] == [trip_id]
    assert first[LATCH]["trip_id"] == trip_id
    running.daemon.stop()
    await running.ends()
