"""The broadcast of the whole process, to a broker that really speaks the protocol."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config
from tests.kafka import TOPIC

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"', "cancel_deadline": '"60s"'}
TRIGGERED = "circuit_breaker_triggered"
LISTS_NOTHING = {"listing": "empty_result"}  # then nothing is proven, and the trip lasts


def table(broker) -> str:
    return f'[broadcast.kafka]\nbootstrap = "{broker.address}"\n'


def started(venue, daemon_for, broker, config: str = "", **circuit_breaker: str) -> Daemon:
    text = kraken_config(venue.endpoint, **{**QUICK, **circuit_breaker}) + config + table(broker)
    daemon = daemon_for(text, KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    return daemon


def crash(venue) -> None:
    venue.post(price={"BTC": 43000})


def kept(daemon: Daemon) -> dict:
    """The outbox as the state has it."""
    with sqlite3.connect(daemon.state / "state.db") as connection:
        (body,) = connection.execute("SELECT body FROM document WHERE key = 'broadcast'").fetchone()
    return json.loads(body)


def shown(daemon: Daemon, *options: str) -> tuple[int, dict]:
    said = daemon.command("broadcast", "--json", *options)
    assert said.stdout, said.stderr
    return said.returncode, json.loads(said.stdout)


def test_a_trip_is_on_the_topic_within_a_second_with_its_loss(documented_kraken, daemon_for, broker):
    daemon = started(documented_kraken, daemon_for, broker)
    crash(documented_kraken)
    assert daemon.exit_code() == 1, daemon.output()
    (record,) = broker.records()
    (trip,) = daemon.of(TRIGGERED)
    body = record.content
    assert (record.key, record.headers) == (trip["trip_id"], {"content-type": b"application/json"})
    assert (body["event_type"], body["action"], body["urgency"], body["kind"]) == (
        "The3PercentFreeze", "CANCEL_ALL_OPEN_ORDERS", "high", "trip",
    )  # fmt: skip
    assert (body["trip_id"], body["rule"], body["reason"]) == (trip["trip_id"], trip["breaker"], trip["reason"])
    assert float(body["loss_ratio"]) == trip["observed"]["loss_ratio"]
    assert float(body["equity_loss"]) == pytest.approx(10_000 - float(trip["observed"]["equity"]))
    assert datetime.fromisoformat(body["timestamp"]) == datetime.fromisoformat(trip["time"])
    (sent,) = daemon.of("broadcast_sent")
    assert (sent["trip_id"], sent["topic"], sent["offset"]) == (record.key, TOPIC, record.offset)
    assert sent["after_s"] <= 1.0
    assert sent["seq"] < daemon.of("system_shutdown")[0]["seq"]
    assert kept(daemon) == {"owed": [], "sent": [record.key]}
    assert shown(daemon)[0] == 0
    daemon.start()
    assert daemon.exit_code() == 1, "it still stands"
    assert len(broker.records()) == 1, "and was broadcast"
