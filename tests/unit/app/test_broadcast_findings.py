"""What `check` says of the broadcast. The broker is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.app.broadcast_findings import broadcast_findings
from risk_daemon.app.findings import Finding, Level
from risk_daemon.broadcast import kafka
from risk_daemon.broadcast.kafka import KafkaLine
from risk_daemon.broadcast.message import Message
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.errors import ExitCode
from risk_daemon.state.store.sqlite import SqliteStore
from tests.kafka import TOPIC, TOPIC_AUTHORIZATION_FAILED, Broker
from tests.unit.app.test_broadcast import configured

LOGIN = 'security_protocol = "SASL_PLAINTEXT"\nsasl_mechanism = "PLAIN"\nusername = "guard"'


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("RISK_DAEMON_BROADCAST_KAFKA_PASSWORD", raising=False)
    monkeypatch.setattr(kafka, "WITHIN_S", 1.0)


async def test_nothing_is_said_where_nothing_is_broadcast(tmp_path: Path) -> None:
    assert await broadcast_findings(configured(tmp_path)) == []


async def test_a_broker_that_is_there_is_sent_nothing(tmp_path: Path, broker: Broker) -> None:
    (found,) = await broadcast_findings(configured(tmp_path, broker.address))
    assert found == Finding(Level.OK, "broadcast.kafka", f"reached; a trip is broadcast on the topic {TOPIC}")
    assert broker.records() == []


async def test_one_that_is_away_or_refuses_the_topic_is_a_warning_and_no_refusal(
    tmp_path: Path, broker: Broker
) -> None:
    broker.refuse(TOPIC, TOPIC_AUTHORIZATION_FAILED)
    (refused,) = await broadcast_findings(configured(tmp_path, broker.address))
    broker.shut()
    (away,) = await broadcast_findings(configured(tmp_path, broker.address))
    assert [one.level for one in (refused, away)] == [Level.WARNING, Level.WARNING]
    assert "TopicAuthorizationFailed" in refused.sentence
    assert away.sentence.startswith("a trip would not be broadcast now, but when the broker is back: ")
    assert away.exit_code == ExitCode.STOPPED


async def test_a_password_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    (found,) = await broadcast_findings(configured(tmp_path, "kafka:9092", LOGIN))
    assert (found.level, found.exit_code) == (Level.PROBLEM, ExitCode.REFUSED)
    assert "its password is missing" in found.sentence


@pytest.mark.parametrize(
    ("rows", "said"),
    [("", "who reaches the broker can forge a trip"), (LOGIN, "the password can be read on the way")],
    ids=["open", "with a password"],
)
async def test_what_others_can_read_or_forge_is_said_but_for_this_machine(
    rows: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(_: KafkaLine) -> None:
        """It is there."""

    monkeypatch.setattr(KafkaLine, "look", look)
    monkeypatch.setenv("RISK_DAEMON_BROADCAST_KAFKA_PASSWORD", "hunter2")
    _, warning = await broadcast_findings(configured(tmp_path, "localhost:1,kafka:9092", rows))
    assert (warning.level, warning.sentence.startswith(said)) == (Level.WARNING, True)
    assert len(await broadcast_findings(configured(tmp_path, "localhost:1,127.0.0.1:2,[::1]:3", rows))) == 1
    encrypted = rows.replace("SASL_PLAINTEXT", "SASL_SSL") or 'security_protocol = "SSL"'
    assert len(await broadcast_findings(configured(tmp_path, "kafka:9092", encrypted))) == 1


async def test_what_is_owed_and_can_be_sent_nowhere_is_said(tmp_path: Path) -> None:
    settings, outbox = configured(tmp_path), Outbox()
    outbox.put(Message(trip_id="trip-1", wall=1.0))
    settings.state.dir.mkdir()
    store = SqliteStore.open(settings.state.dir / "state.db", create=True)
    await store.save({BROADCAST: outbox.document()})
    await store.close()
    (found,) = await broadcast_findings(settings)
    assert found.level is Level.WARNING
    assert found.sentence.startswith("1 owed to whoever listens, and there is no table [broadcast.kafka] any more")
