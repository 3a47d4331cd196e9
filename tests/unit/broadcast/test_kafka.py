"""The line to a broker that really speaks the protocol: errors, outages, a broker that is stopped, gone, or none."""

from __future__ import annotations

import asyncio
import builtins
import signal
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.broadcast import kafka
from risk_daemon.broadcast.kafka import KafkaLine, KafkaSettings, refuse_unusable
from risk_daemon.broadcast.relay import Delivered, NotDelivered
from risk_daemon.errors import ConfigError
from tests.kafka import (
    KAFKA_STORAGE_ERROR,
    MESSAGE_TOO_LARGE,
    NOT_ENOUGH_REPLICAS,
    POLICY_VIOLATION,
    TOPIC,
    TOPIC_AUTHORIZATION_FAILED,
    Broker,
)
from tests.kafka_wire import INIT_PRODUCER_ID, METADATA, NOBODY, PRODUCE, Asked

JSON = "application/json"


def to(bootstrap: str, **settings: Any) -> KafkaLine:
    return KafkaLine(KafkaSettings(bootstrap=bootstrap, topic=TOPIC, **settings))


@pytest.fixture
async def line(broker: Broker) -> AsyncIterator[KafkaLine]:
    one = to(broker.address)
    yield one
    await one.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is long enough for a broker on this machine that does not answer."""
    monkeypatch.setattr(kafka, "WITHIN_S", 1.0)
    monkeypatch.setattr(kafka, "_OPEN_WITHIN_S", 0.8)


async def refused(line: KafkaLine, key: str = "trip-1") -> str:
    with pytest.raises(NotDelivered) as caught:
        await line.send(key, b"{}", JSON)
    return str(caught.value)


async def keys(broker: Broker) -> list[str]:
    return [record.key for record in await asyncio.to_thread(broker.records)]


async def test_what_is_acknowledged_is_there_with_its_key_and_its_header(broker: Broker, line: KafkaLine) -> None:
    await line.look()
    sent = await line.send("trip-1", b'{"a": 1}', JSON)
    (record,) = await asyncio.to_thread(broker.records)
    assert sent == Delivered(topic=TOPIC, partition=record.partition, offset=record.offset)
    assert (record.key, record.body, record.headers) == ("trip-1", b'{"a": 1}', {"content-type": b"application/json"})
    again = await line.send("trip-1", b'{"a": 1}', JSON)
    assert (again.partition, again.offset) == (sent.partition, sent.offset + 1), "one key has one order"


async def produced(broker: Broker) -> list[Asked]:
    """What the line sent messages by, each after it was given an id."""
    asked = await asyncio.to_thread(broker.asked, kafka._CLIENT)
    apis = [one.api for one in asked]
    assert INIT_PRODUCER_ID in apis[: apis.index(PRODUCE)], "who sends has an id of the broker's, by which it knows it"
    return [one for one in asked if one.api == PRODUCE]


async def test_all_replicas_in_sync_acknowledge_and_a_broker_can_tell_a_repeat(broker: Broker, line: KafkaLine) -> None:
    for key in ("trip-1", "trip-1"):
        await line.send(key, b"{}", JSON)
    one, other = await produced(broker)
    assert (one.acks, other.acks) == (-1, -1)
    assert one.producer not in (NOBODY, None)
    assert other.producer == one.producer
    assert (one.sequence, other.sequence) == (0, 1), "one key, one partition: the second is no repeat"


async def test_what_is_read_off_the_wire_tells_one_who_is_content_with_less(broker: Broker) -> None:
    import aiokafka

    careless = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address, client_id="careless", acks=1)
    async with careless:
        await careless.send_and_wait(TOPIC, b"{}", key=b"trip-1")
    (sent,) = (one for one in await asyncio.to_thread(broker.asked, "careless") if one.api == PRODUCE)
    assert (sent.acks, sent.producer) == (1, NOBODY)


async def test_what_is_tried_again_says_that_it_is_a_repeat(broker: Broker, line: KafkaLine) -> None:
    broker.fail(PRODUCE, KAFKA_STORAGE_ERROR)
    await line.send("trip-1", b"{}", JSON)
    first, again = await produced(broker)
    assert (first.acks, first.sequence) == (-1, 0)
    assert first.producer not in (NOBODY, None)
    assert again == first


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (TOPIC_AUTHORIZATION_FAILED, "TopicAuthorizationFailed"),
        (MESSAGE_TOO_LARGE, "MessageSizeTooLarge"),
        (POLICY_VIOLATION, "PolicyViolation"),
    ],
)
async def test_a_refusal_is_said_by_its_name_and_the_next_try_is_heard(
    broker: Broker, line: KafkaLine, code: int, name: str
) -> None:
    broker.fail(PRODUCE, code)
    assert name in await refused(line)
    broker.heal(PRODUCE)
    await line.send("trip-1", b"{}", JSON)
    assert await keys(broker) == ["trip-1"]


@pytest.mark.parametrize("code", [NOT_ENOUGH_REPLICAS, KAFKA_STORAGE_ERROR])
async def test_what_passes_is_waited_for(broker: Broker, line: KafkaLine, code: int) -> None:
    broker.fail(PRODUCE, code, code)
    await line.send("trip-1", b"{}", JSON)
    assert await keys(broker) == ["trip-1"]


async def test_a_topic_that_may_not_be_written_is_known_before_a_trip(broker: Broker, line: KafkaLine) -> None:
    broker.refuse(TOPIC, TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(NotDelivered, match="TopicAuthorizationFailed"):
        await line.look()
    broker.refuse(TOPIC, 0)
    await line.look()


@pytest.mark.usefixtures("soon")
async def test_a_broker_that_goes_and_comes_back_is_found_again(broker: Broker, line: KafkaLine) -> None:
    await line.send("trip-1", b"{}", JSON)
    broker.shut()
    await refused(line, "trip-2")
    assert "Unable to bootstrap" in await refused(line, "trip-2")
    broker.open()
    await line.send("trip-2", b"{}", JSON)
    assert "trip-2" in await keys(broker)


@pytest.mark.usefixtures("soon")
async def test_one_that_is_killed_and_started_again_is_found_at_its_address(broker: Broker, line: KafkaLine) -> None:
    await line.send("trip-1", b"{}", JSON)
    broker.kill()
    await refused(line, "trip-2")
    broker.start()
    await line.send("trip-2", b"{}", JSON)
    assert set(await keys(broker)) == {"trip-2"}, "once, or twice where the first try still arrived"


@pytest.mark.usefixtures("soon")
async def test_no_answer_in_time_is_not_not_sent(broker: Broker, line: KafkaLine) -> None:
    await line.send("trip-1", b"{}", JSON)
    broker.signal(signal.SIGSTOP)
    assert "no answer from" in await refused(line, "trip-2")
    broker.signal(signal.SIGCONT)
    await line.send("trip-2", b"{}", JSON)
    found = await keys(broker)
    assert found.count("trip-2") in (1, 2), "listeners tell repeats by the key"


@pytest.mark.usefixtures("soon")
async def test_nobody_there_is_said_with_the_reason() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        line = to(f"127.0.0.1:{taken.getsockname()[1]}")
        assert "Connect call failed" in await refused(line)
        await line.close()


@pytest.mark.usefixtures("soon")
async def test_the_second_of_two_brokers_is_enough(broker: Broker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        line = to(f"127.0.0.1:{taken.getsockname()[1]},{broker.address}")
        await line.send("trip-1", b"{}", JSON)
        await line.close()


@contextmanager
def server(answer: bytes, *, hangs: bool = False) -> Iterator[int]:
    """Not Kafka: says that to everybody."""
    listening, ending = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        while not ending.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                connection.recv(4096)
                connection.sendall(answer)
                if hangs:
                    ending.wait(5)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listening.getsockname()[1])
    ending.set()
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(10)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x08\0\0\0\x01\xff\xff\xff\xff", b"\xff" * 64, b"\0" * 4096],
    ids=["nothing", "http", "short", "ones", "zeros"],
)
@pytest.mark.parametrize("hangs", [False, True], ids=["closed", "open"])
async def test_what_is_no_broker_is_told_in_time(answer: bytes, hangs: bool) -> None:
    with server(answer, hangs=hangs) as port:
        line, began = to(f"127.0.0.1:{port}"), time.monotonic()
        assert await refused(line)
        assert time.monotonic() - began < 5.0
        await line.close()


@pytest.mark.usefixtures("soon")
async def test_one_that_does_not_speak_tls_is_told(broker: Broker) -> None:
    line = to(broker.address, security_protocol="SSL")
    assert await refused(line)
    await line.close()


@pytest.mark.usefixtures("soon")
async def test_a_password_is_in_no_sentence(broker: Broker) -> None:
    login = {"sasl_mechanism": "PLAIN", "username": "guard", "password": "hunter2"}
    line = to(broker.address, security_protocol="SASL_PLAINTEXT", **login)
    assert "hunter2" not in await refused(line)
    assert "hunter2" not in repr(line._settings)
    await line.close()


async def test_metadata_that_is_refused_for_a_while_is_asked_again(broker: Broker, line: KafkaLine) -> None:
    broker.fail(METADATA, *[NOT_ENOUGH_REPLICAS] * 2)
    await line.send("trip-1", b"{}", JSON)
    assert await keys(broker) == ["trip-1"]


async def test_the_loop_here_turns_while_the_other_hangs(line: KafkaLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "WITHIN_S", 0.3)
    until = threading.Event()
    monkeypatch.setattr(KafkaLine, "_made", lambda _self: until.wait(30))
    began = time.monotonic()
    assert "no answer from" in await refused(line)
    assert time.monotonic() - began < 10.0
    until.set()


def test_what_can_never_reach_a_broker_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KafkaSettings(bootstrap="kafka:9092", topic=TOPIC)
    refuse_unusable(settings)
    no_certificates = tmp_path / "ca.pem"
    no_certificates.write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem: its certificates can't be read"):
        refuse_unusable(
            KafkaSettings(bootstrap="k:1", topic="t", security_protocol="SSL", ca_file=str(no_certificates))
        )
    imported = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "aiokafka":
            raise ImportError(name)
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="aiokafka is not installed"):
        refuse_unusable(settings)


def test_certificates_are_checked() -> None:
    context = kafka._tls(KafkaSettings(bootstrap="k:1", topic="t", security_protocol="SASL_SSL"))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert kafka._tls(KafkaSettings(bootstrap="k:1", topic="t", security_protocol="SASL_PLAINTEXT")) is None
