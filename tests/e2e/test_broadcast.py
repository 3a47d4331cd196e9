"""The broadcast of the whole process, to a broker that really speaks the protocol."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import datetime

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for
from tests.e2e.harness import documented_kraken as start_kraken
from tests.kafka import NOT_ENOUGH_REPLICAS, TOPIC, TOPIC_AUTHORIZATION_FAILED
from tests.kafka_wire import PRODUCE

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"', "cancel_deadline": '"60s"'}
SLACK_S = 2.0  # of two runs on a machine that does other things too
LAST_S = 2.3  # for what was not tried to its end
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


@pytest.mark.long
def test_a_freeze_is_broadcast_as_one_and_the_trip_that_follows_it_too(documented_kraken, daemon_for, broker):
    daily = '[breakers.daily_loss]\nlimit = "3%"\naction = "freeze"\n'
    daemon = started(documented_kraken, daemon_for, broker, daily, loss_threshold='"20%"')
    documented_kraken.post(price={"BTC": 45000})
    (record,) = broker.wait_for(1)
    body, frozen = record.content, daemon.wait_for(TRIGGERED)
    assert (body["trip_id"], body["kind"], body["rule"]) == (frozen["trip_id"], "freeze", "daily_loss")
    assert body["action"] == "CANCEL_ALL_OPEN_ORDERS"
    assert 0.03 <= float(body["loss_ratio"]) < 0.05
    assert datetime.fromisoformat(body["until"]).timestamp() == pytest.approx(frozen["until_wall"])
    assert daemon.command("halt", "--reason", "more").returncode == 0
    assert daemon.exit_code() == 1, daemon.output()
    assert {one.key: one.content["kind"] for one in broker.records()} == {
        event["trip_id"]: event["action"] for event in daemon.of(TRIGGERED)
    }


@pytest.mark.long
def test_killed_between_latch_and_send_it_is_sent_by_the_next_start(documented_kraken, daemon_for, broker):
    daemon = started(documented_kraken, daemon_for, broker)
    broker.shut()
    documented_kraken.post(**LISTS_NOTHING)
    crash(documented_kraken)
    trip_id = daemon.wait_for("broadcast_failed")["owed"][0]
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    assert [one["trip_id"] for one in kept(daemon)["owed"]] == [trip_id]
    assert shown(daemon)[0] == 78
    daemon.start()
    daemon.wait_for("sweep_started", 2)
    broker.open()
    (record,) = broker.wait_for(1)
    assert record.key == trip_id
    assert record.content["equity_loss"] is not None, "with the figures of then"
    assert daemon.wait_for("broadcast_sent")["trip_id"] == trip_id
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 4


@pytest.mark.long
@pytest.mark.parametrize("moment", ["sweep_started", "venue_unproven", TRIGGERED])
def test_killed_at_any_moment_of_a_trip_it_is_broadcast_at_least_once(
    documented_kraken, daemon_for, broker, moment: str
):
    daemon = started(documented_kraken, daemon_for, broker, cancel_deadline='"2s"')
    documented_kraken.post(**LISTS_NOTHING)
    crash(documented_kraken)
    wait_for(lambda: daemon.of(moment) or not daemon.is_running(), moment)
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    trip_id = daemon.of(TRIGGERED)[0]["trip_id"]
    daemon.start()
    broker.wait_for(1)
    assert {record.key for record in broker.records()} == {trip_id}
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()


@pytest.mark.long
def test_a_trip_ends_with_its_code_though_the_broker_is_away_and_is_sent_by_hand(documented_kraken, daemon_for, broker):
    broker.shut()
    daemon = started(documented_kraken, daemon_for, broker)
    assert daemon.wait_for("broadcast_failed")["owed"] == []
    crash(documented_kraken)
    assert daemon.exit_code() == 1, daemon.output()
    trip_id = daemon.of(TRIGGERED)[0]["trip_id"]
    assert daemon.wait_for("broadcast_failed", 2)["owed"] == [trip_id]
    code, document = shown(daemon)
    assert (code, [one["trip_id"] for one in document["owed"]]) == (78, [trip_id])
    refused, _ = shown(daemon, "--send")
    assert refused == 78
    broker.open()
    sent, document = shown(daemon, "--send")
    assert (sent, document["owed"], document["acknowledged"]) == (0, [], [trip_id])
    assert broker.records()[0].key == trip_id
    assert daemon.command("verify-log").returncode == 0


@pytest.mark.long
def test_a_start_that_only_finds_the_trip_sends_what_is_owed(documented_kraken, daemon_for, broker):
    broker.shut()
    daemon = started(documented_kraken, daemon_for, broker)
    crash(documented_kraken)
    assert daemon.exit_code() == 1, daemon.output()
    broker.open()
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    (record,) = broker.records()
    assert record.key == daemon.of(TRIGGERED)[0]["trip_id"]
    assert kept(daemon)["owed"] == []


@pytest.mark.long
def test_a_process_that_only_finishes_a_trip_sends_what_is_owed(documented_kraken, daemon_for, broker):
    daemon = started(documented_kraken, daemon_for, broker)
    broker.shut()
    documented_kraken.post(**LISTS_NOTHING)
    crash(documented_kraken)
    trip_id = daemon.wait_for("broadcast_failed")["owed"][0]
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    daemon.config.write_text("[gate]\nmistyped = 1\n" + daemon.config.read_text())
    broker.open()
    daemon.start()
    assert broker.wait_for(1)[0].key == trip_id
    assert daemon.wait_for("broadcast_sent")["trip_id"] == trip_id
    wait_for(lambda: kept(daemon)["sent"] == [trip_id], "the state to know that it was sent")
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()


@pytest.mark.long
def test_a_broker_that_refuses_for_a_while_is_told_of_and_asked_again(documented_kraken, daemon_for, broker):
    daemon = started(documented_kraken, daemon_for, broker)
    documented_kraken.post(**LISTS_NOTHING)
    broker.fail(PRODUCE, *[TOPIC_AUTHORIZATION_FAILED] * 2, *[NOT_ENOUGH_REPLICAS] * 2)
    crash(documented_kraken)
    assert "TopicAuthorizationFailed" in daemon.wait_for("broadcast_failed")["reason"]
    assert daemon.wait_for("broadcast_sent")["tries"] == 3
    assert len(broker.records()) == 1
    daemon.signal(signal.SIGTERM)
    daemon.exit_code()


@pytest.mark.long
def test_a_broker_that_is_killed_and_comes_back_is_found(documented_kraken, daemon_for, broker):
    daemon = started(documented_kraken, daemon_for, broker)
    broker.kill()
    documented_kraken.post(**LISTS_NOTHING)
    crash(documented_kraken)
    daemon.wait_for("broadcast_failed")
    broker.start()
    assert broker.wait_for(1)[0].key == daemon.wait_for("broadcast_sent")["trip_id"]
    daemon.signal(signal.SIGTERM)
    daemon.exit_code()


def phases_s(daemon: Daemon) -> dict[str, float]:
    """From the trip to each of its steps, by the log."""
    began = datetime.fromisoformat(daemon.of(TRIGGERED)[0]["time"])
    steps = ("gate_shut", "sweep_started", "venue_proven", "sweep_finished", "system_shutdown")
    return {step: (datetime.fromisoformat(daemon.of(step)[-1]["time"]) - began).total_seconds() for step in steps}


@pytest.mark.long
@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_broker_that_is_stopped_makes_no_step_of_a_trip_longer(tmp_path, broker, turn: str):
    """In pairs, on equal venues: without the table, and with a broker that takes connections and says nothing.

    A step that waited for the broker would be ten seconds longer.
    """
    took: dict[str, dict[str, float]] = {}
    ended: dict[str, float] = {}
    for case in ("without", "stopped") if turn == "first" else ("stopped", "without"):
        venue = start_kraken()
        (tmp_path / case).mkdir()
        text = kraken_config(venue.endpoint, **QUICK) + (table(broker) if case == "stopped" else "")
        daemon = Daemon(tmp_path / case, text, KEYS)
        try:
            assert daemon.command("init", "--yes").returncode == 0
            daemon.start()
            daemon.wait_open()
            if case == "stopped":
                broker.signal(signal.SIGSTOP)
            crash(venue)
            daemon.wait_for("system_shutdown")
            since = time.monotonic()
            assert daemon.exit_code() == 1, daemon.output()
            ended[case], took[case] = time.monotonic() - since, phases_s(daemon)
        finally:
            daemon.close()
            venue.kill()
    broker.signal(signal.SIGCONT)
    assert all(took["stopped"][step] <= took["without"][step] + SLACK_S for step in took["without"]), took
    assert ended["stopped"] <= ended["without"] + LAST_S + SLACK_S, ended


@pytest.mark.long
def test_the_watch_broadcasts_what_a_guard_that_is_gone_could_not(documented_kraken, daemon_for, broker):
    hook = '[alerts.channels.a]\nkind = "webhook"\nurl = "http://127.0.0.1:9/"\nallow = ["127.0.0.1"]\n'
    broker.shut()
    daemon = started(documented_kraken, daemon_for, broker)
    crash(documented_kraken)
    assert daemon.exit_code() == 1, daemon.output()
    daemon.config.write_text(daemon.config.read_text() + hook)
    daemon.environment["RISK_DAEMON_ALERTS_A_SECRET"] = "whsec_" + "QUJD" * 11
    broker.open()
    words = ["watch", "--directory", str(daemon.directory / "watch"), "--config", str(daemon.config)]
    watch = subprocess.Popen([sys.executable, "-m", "risk_daemon", *words], env=daemon.environment)
    try:
        (record,) = broker.wait_for(1)
        assert record.key == daemon.of(TRIGGERED)[0]["trip_id"]
        assert record.content["loss_ratio"] is not None
    finally:
        watch.terminate()
        assert watch.wait(30) == 0
    assert shown(daemon)[0] == 78, "the state is the guard's: it sends it once more"
