"""The phase plan: the freeze at 3 % is broadcast over Kafka, and whoever listens cancels. The broker is real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app.broadcast import Broadcaster
from risk_daemon.config.load import load as load_config
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from tests.e2e.harness import Venue, simulated
from tests.e2e.test_protector_agent import Agent, opened, place
from tests.kafka import Broker, Record
from tests.seeds.common import LEAST_CONFIG, guarded, lose
from tests.seeds.test_000_freeze import zen
from tests.unit.runtime.fakes import FakeStore

Broadcast = Callable[..., list[Record]]


@pytest.fixture
def venues() -> Iterator[list[Venue]]:
    """Two accounts."""
    found = [simulated("kraken"), simulated("kraken")]
    yield found
    for venue in found:
        venue.kill()


@pytest.fixture
def broadcast(tmp_path: Path, broker: Broker) -> Broadcast:
    """What is on a topic after a freeze at a loss of so much."""
    settings_of, written = tmp_path / "config.toml", list[RiskEvent]()

    async def write(event: RiskEvent) -> None:
        written.append(event)

    async def sent(records: list[RiskEvent], wall: float) -> None:
        engine, site = SimpleNamespace(trip=None), SimpleNamespace(clock=SystemClock())
        opened: Any = SimpleNamespace(documents={}, engine=engine, store=FakeStore(), site=site)
        broadcaster = Broadcaster(load_config(settings_of), opened)
        broadcaster.prepare(write, takes_what_it_gets=False)
        broadcaster.begin()
        broadcaster.heard(records, wall)
        await broadcaster.flushed(10.0)
        await broadcaster.aclose()

    def of(loss: str = "0.03", *rows: str) -> list[Record]:
        settings_of.write_text(
            LEAST_CONFIG + f'[broadcast.kafka]\nbootstrap = "{broker.address}"\n' + "".join(f"{row}\n" for row in rows)
        )
        world = guarded(zen())
        lose(world, loss)
        asyncio.run(sent(world.records(*EventName), world.clock.now().wall))
        assert {event.name for event in written} <= {EventName.BROADCAST_SENT}
        return broker.records()

    return of


def test_000_27_the_freeze_is_broadcast_over_kafka(broadcast: Broadcast) -> None:
    assert broadcast("0.0299") == [], "and a loss below the limit is not"
    (record,) = broadcast("0.03")
    assert (record.content["kind"], record.content["rule"]) == ("freeze", "daily_loss")
    assert record.key == record.content["trip_id"]


@pytest.mark.long
def test_000_28_every_agent_hears_of_it_and_cancels(
    broadcast: Broadcast, broker: Broker, venues: list[Venue], tmp_path: Path
) -> None:
    """Two of them, a desktop's and a phone's say, each in a group of its own and with an account of its own."""
    agents: list[Agent] = []
    try:
        for name, venue in zip(("desktop", "mobile"), venues, strict=True):
            (tmp_path / name).mkdir()
            place(venue, 2)
            agents.append(Agent(tmp_path / name, broker, venue, group=name))
            agents[-1].start()
        for agent in agents:
            agent.wait_for("listening")
        broadcast()
        for agent in agents:
            agent.wait_for("2 orders were cancelled, and none is open")
    finally:
        for agent in agents:
            agent.kill()
    assert [opened(venue) for venue in venues] == [0, 0]


def test_000_29_it_is_of_high_urgency(broadcast: Broadcast) -> None:
    """What urgency means in numbers is in tests/unit/broadcast: at once, before all that is refused, without end."""
    (record,) = broadcast()
    assert record.content["urgency"] == "high"


def test_000_30_the_topic_is_system_events(broadcast: Broadcast, broker: Broker) -> None:
    assert len(broadcast()) == len(broker.records("system-events")) == 1
    broadcast("0.03", 'topic = "freezes"')
    assert len(broker.records("freezes")) == 1
    assert len(broker.records("system-events")) == 1


def test_000_31_it_says_what_happened_what_was_lost_when_and_what_to_do(broadcast: Broadcast) -> None:
    (record,) = broadcast()
    body = record.content
    assert (body["event_type"], body["action"]) == ("The3PercentFreeze", "CANCEL_ALL_OPEN_ORDERS")
    assert (body["equity_loss"], body["currency"], body["loss_ratio"]) == ("300", "USDT", "0.03")
    assert datetime.fromisoformat(body["timestamp"]).utcoffset() is not None
