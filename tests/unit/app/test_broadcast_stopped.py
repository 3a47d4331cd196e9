"""What is owed while no guard runs: shown, and sent by hand, to a real broker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from risk_daemon.app import broadcast_stopped
from risk_daemon.app.broadcast_stopped import send_stopped, show_broadcast
from risk_daemon.broadcast import kafka
from risk_daemon.broadcast.message import Message
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.config.load import Settings
from risk_daemon.errors import ConfigError, StateError, UsageError
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.event_log import read_log
from risk_daemon.state.latch import LATCH, latch_document
from risk_daemon.state.store.sqlite import SqliteStore
from tests.kafka import Broker
from tests.unit.app.test_broadcast import configured

LATCHED = {"trip_id": "trip-2", "breaker": "manual", "reason": "drill", "since_wall": 2.0, "proven": True}


async def left(settings: Settings, *, latched: bool = False, proven: bool = True) -> Paths:
    """A state as a guard leaves it, that owes trip-1."""
    outbox = Outbox()
    outbox.put(Message(trip_id="trip-1", wall=1_790_000_000.0, equity_loss="300", reason="too much"))
    directory = StateDir.open(settings.state.dir, accounts={"kraken": "0" * 16}, initial_capital="10000", create=True)
    directory.close()
    store = SqliteStore.open(directory.paths.database)
    latch = latch_document({**LATCHED, "proven": proven} if latched else None, SystemClock().now())
    await store.save({BROADCAST: outbox.document(), LATCH: latch})
    await store.close()
    return directory.paths


def owed(document: object) -> list[str]:
    assert isinstance(document, dict)
    return [one["trip_id"] for one in document["owed"]]


async def test_what_is_owed_is_shown_sent_and_then_owed_no_more(tmp_path: Path, broker: Broker) -> None:
    settings = configured(tmp_path, broker.address)
    paths = await left(settings)
    assert owed(show_broadcast(settings)) == ["trip-1"]
    done = await send_stopped(settings)
    assert (owed(done), done["acknowledged"]) == ([], ("trip-1",))
    assert (owed(show_broadcast(settings)), show_broadcast(settings)["topic"]) == ([], "system-events")
    (record,) = await asyncio.to_thread(broker.records)
    assert record.content["equity_loss"] == "300"
    assert [line.event for line in read_log(paths.events)] == ["broadcast_sent"]
    assert owed(await send_stopped(settings)) == []
    assert len(await asyncio.to_thread(broker.records)) == 1


async def test_a_trip_that_stands_is_owed_though_nobody_wrote_it_down(tmp_path: Path, broker: Broker) -> None:
    settings = configured(tmp_path, broker.address)
    await left(settings, latched=True)
    assert owed(show_broadcast(settings)) == ["trip-1", "trip-2"]
    assert owed(await send_stopped(settings)) == []
    bodies = [record.content for record in await asyncio.to_thread(broker.records)]
    (standing,) = [body for body in bodies if body["trip_id"] == "trip-2"]
    assert (standing["equity_loss"], standing["loss_ratio"], standing["reason"]) == (None, None, "drill")


async def test_what_no_broker_takes_stays_owed(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "WITHIN_S", 0.5)
    monkeypatch.setattr(broadcast_stopped, "_FOR_ALL_S", 2.0)
    settings = configured(tmp_path, broker.address)
    await left(settings)
    broker.shut()
    assert owed(await send_stopped(settings)) == ["trip-1"]
    assert owed(show_broadcast(settings)) == ["trip-1"]


async def test_while_a_guard_runs_it_is_the_guard_s(tmp_path: Path, broker: Broker) -> None:
    settings = configured(tmp_path, broker.address)
    await left(settings)
    with StateDir.take(settings.state.dir):
        with pytest.raises(UsageError, match="sends what is owed by itself"):
            await send_stopped(settings)
        assert owed(show_broadcast(settings)) == ["trip-1"]


async def test_while_a_trip_is_not_proven_the_guard_s_start_comes_first(tmp_path: Path, broker: Broker) -> None:
    settings = configured(tmp_path, broker.address)
    await left(settings, latched=True, proven=False)
    with pytest.raises(StateError, match="trip-2 is not proven yet: let the guard finish it first"):
        await send_stopped(settings)
    assert owed(show_broadcast(settings)) == ["trip-1", "trip-2"]
    StateDir.take(settings.state.dir).close()


async def test_a_state_that_can_not_be_read_does_not_owe_nothing(tmp_path: Path) -> None:
    settings = configured(tmp_path, "kafka:9092")
    with pytest.raises(StateError, match="what is still to be broadcast can't be read"):
        show_broadcast(settings)
    paths = await left(settings)
    paths.database.write_bytes(b"spoilt" * 1_000)
    with pytest.raises(StateError, match="what is still to be broadcast can't be read"):
        show_broadcast(settings)


async def test_without_the_table_there_is_nowhere_to_send_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no table \[broadcast\.kafka\]"):
        await send_stopped(configured(tmp_path))
