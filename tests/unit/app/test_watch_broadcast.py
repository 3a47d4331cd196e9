"""The watch broadcasts the trip that stands while the guard is down, once, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.app.watch_broadcast import FILE_NAME, WAITS_S, WatchBroadcast
from risk_daemon.model.clock import ManualClock
from risk_daemon.watch.troubles import Line, Seen
from tests.kafka import Broker
from tests.unit.app.test_broadcast import configured

WALL = 1_790_000_000.0
TRIPPED = {"trip_id": "trip-1", "breaker": "daily_loss", "reason": "too much", "observed": {"loss": "300"}}


def seen(*lines: tuple[str, dict[str, Any]], trip_id: str | None = None) -> Seen:
    told = tuple(Line(event=event, fields=fields, wall=WALL) for event, fields in lines)
    return Seen(stamp_age_s=None, risk_age_s=None, lines=told, free_bytes=1, trip_id=trip_id, trip_cause="daily_loss")


@asynccontextmanager
async def watching(tmp_path: Path, broker: Broker) -> AsyncIterator[WatchBroadcast]:
    one = await WatchBroadcast.open(configured(tmp_path, broker.address), tmp_path, ManualClock())
    assert one is not None
    yield one
    await one.aclose()


async def sent(broker: Broker) -> list[Any]:
    return [record.content for record in await asyncio.to_thread(broker.records)]


async def test_the_trip_of_a_guard_that_is_down_is_broadcast_with_its_figures_and_once(
    tmp_path: Path, broker: Broker
) -> None:
    clock, tripped = ManualClock(), seen(("circuit_breaker_triggered", TRIPPED), trip_id="trip-1")
    async with watching(tmp_path, broker) as one:
        one.look(tripped, clock.now(), is_down=False)
        clock.advance(3_600)
        one.look(seen(trip_id="trip-1"), clock.now(), is_down=False)
        one.look(seen(trip_id="trip-1"), clock.now(), is_down=True)
        assert await sent(broker) == [], "a guard that is just ending sends it itself"
        one.look(seen(trip_id="trip-1"), clock.advance(WAITS_S), is_down=True)
        one.look(seen(trip_id="trip-1"), clock.advance(WAITS_S), is_down=True)
        await asyncio.to_thread(broker.wait_for, 1)
    (body,) = await sent(broker)
    assert (body["trip_id"], body["equity_loss"]) == ("trip-1", "300")
    assert (tmp_path / FILE_NAME).exists()
    async with watching(tmp_path, broker) as again:
        again.look(seen(trip_id="trip-1"), clock.now(), is_down=True)
        again.look(seen(trip_id="trip-1"), clock.advance(WAITS_S), is_down=True)
    assert len(await sent(broker)) == 1


async def test_what_the_log_says_was_heard_is_not_broadcast_and_neither_is_a_trip_that_is_over(
    tmp_path: Path, broker: Broker
) -> None:
    clock = ManualClock()
    heard = seen(("circuit_breaker_triggered", TRIPPED), ("broadcast_sent", {"trip_id": "trip-1"}), trip_id="trip-1")
    async with watching(tmp_path, broker) as one:
        for look in (heard, seen(trip_id="trip-1"), seen(("circuit_breaker_triggered", {"trip_id": "trip-0"}))):
            one.look(look, clock.advance(WAITS_S), is_down=True)
    assert await sent(broker) == []


async def test_a_trip_that_only_the_gate_knows_is_broadcast_without_figures(tmp_path: Path, broker: Broker) -> None:
    clock = ManualClock()
    async with watching(tmp_path, broker) as one:
        one.look(seen(trip_id="trip-7"), clock.now(), is_down=True)
        one.look(seen(trip_id="trip-7"), clock.advance(WAITS_S), is_down=True)
        await asyncio.to_thread(broker.wait_for, 1)
    (body,) = await sent(broker)
    assert (body["trip_id"], body["equity_loss"], body["rule"]) == ("trip-7", None, "daily_loss")


async def test_a_table_that_can_not_be_used_keeps_no_watch_from_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("RISK_DAEMON_BROADCAST_KAFKA_PASSWORD", raising=False)
    login = 'security_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nusername = "guard"'
    with capture_logs() as logs:
        assert await WatchBroadcast.open(configured(tmp_path, "k:1", login), tmp_path, ManualClock()) is None
    assert [log["event"] for log in logs] == ["broadcast_left_out"]
    assert await WatchBroadcast.open(configured(tmp_path), tmp_path, ManualClock()) is None
