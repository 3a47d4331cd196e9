"""A Kafka broker in a process of its own: librdkafka's mock cluster, which speaks the real protocol over TCP.

It keeps what it gets in memory, and what it was asked for. It can be shut and opened, made to answer with errors,
stopped, killed, and started again at the same address. What it can't prove: that a cluster stores what it acknowledged,
and that an idempotent producer's repeats are dropped.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.kafka_wire import Asked, Requests

if TYPE_CHECKING:
    from tests.receivers.certificates import Certificates

ROOT = Path(__file__).resolve().parents[1]
TOPIC = "system-events"
PARTITIONS = 3
# As the protocol numbers them.
TOPIC_AUTHORIZATION_FAILED, MESSAGE_TOO_LARGE, NOT_ENOUGH_REPLICAS, KAFKA_STORAGE_ERROR = 29, 10, 19, 56
POLICY_VIOLATION = 44


# --- in the tests -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """One message as a consumer gets it."""

    key: str
    body: bytes
    headers: dict[str, bytes]
    partition: int
    offset: int

    @property
    def content(self) -> Any:
        return json.loads(self.body)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Broker:
    """Runs until `kill`. port: where it is, whatever was there before. certificates: it speaks TLS alone."""

    def __init__(self, port: int = 0, certificates: Certificates | None = None) -> None:
        self.port = port or free_port()
        self.certificates = certificates
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """An empty one, at the same address."""
        made = self.certificates
        files = [] if made is None else [str(made.certificate), str(made.key)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kafka", str(self.port), *files],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._answer() == {"ready": True}

    def shut(self) -> None:
        """Connections end, and new ones are refused; what it has stays."""
        self._ask(do="down")

    def open(self) -> None:
        self._ask(do="up")

    def fail(self, api: int, *codes: int) -> None:
        """Answer the next requests of that kind with these errors, one each."""
        self._ask(do="errors", api=api, codes=list(codes))

    def heal(self, api: int) -> None:
        self._ask(do="heal", api=api)

    def refuse(self, topic: str, code: int) -> None:
        """Say that of a topic, until it is said with 0."""
        self._ask(do="topic", topic=topic, code=code)

    def asked(self, client: str) -> list[Asked]:
        """What programs of that name asked for since it was started, in its order on each of their connections."""
        return [Asked(**one) for one in self._ask(do="asked", client=client)["asked"]]

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    def put(self, body: bytes, key: str = "", topic: str = TOPIC) -> None:
        """As any other program puts a message there."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "client.id": "somebody"})
        producer.produce(topic, body, key=key)
        assert producer.flush(10) == 0

    def records(self, topic: str = TOPIC) -> list[Record]:
        """All that is there now, by partition."""
        from confluent_kafka import Consumer, TopicPartition

        told = {"bootstrap.servers": self.address, "group.id": "tests", "enable.auto.commit": False}
        if self.certificates is not None:
            told |= {"security.protocol": "SSL", "ssl.ca.location": str(self.certificates.authority)}
        consumer = Consumer(told)
        found: list[Record] = []
        try:
            for partition in range(PARTITIONS):
                where = TopicPartition(topic, partition, 0)
                _, end = consumer.get_watermark_offsets(where, timeout=10)
                consumer.assign([where] if end else [])
                while end and (not found or (found[-1].partition, found[-1].offset) != (partition, end - 1)):
                    message = consumer.poll(10)
                    assert message is not None
                    assert message.error() is None
                    found.append(_record(message))
        finally:
            consumer.close()
        return found

    def wait_for(self, count: int, topic: str = TOPIC, within_s: float = 30.0) -> list[Record]:
        """At least so many."""
        deadline = time.monotonic() + within_s
        while len(found := self.records(topic)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} came in {within_s} s: {found}"
            time.sleep(0.02)
        return found

    def _ask(self, **command: Any) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        assert answer["done"] == command["do"]
        return answer

    def _answer(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _record(message: Any) -> Record:
    return Record(
        key=(message.key() or b"").decode(),
        body=message.value(),
        headers=dict(message.headers() or ()),
        partition=message.partition(),
        offset=message.offset(),
    )


# --- in the process ---------------------------------------------------------------------------------


def _library() -> ctypes.CDLL:
    import confluent_kafka  # noqa: F401  # its import loads what is looked for

    (path,) = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "librdkafka" in line}
    library = ctypes.CDLL(path)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_topic_set_error", None, [pointer, text, number]),
        ("rd_kafka_mock_broker_set_host_port", number, [pointer, ctypes.c_int32, text, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_push_request_errors_array", None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]),
        ("rd_kafka_mock_clear_request_errors", None, [pointer, ctypes.c_int16]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class _Cluster:
    """One broker that says it is at `port`, where a forwarder stands before it."""

    def __init__(self, port: int) -> None:
        self._library = library = _library()
        error = ctypes.create_string_buffer(512)
        self._client = library.rd_kafka_new(0, library.rd_kafka_conf_new(), error, len(error))
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        self.port = int(library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().rpartition(":")[2])
        library.rd_kafka_mock_broker_set_host_port(self._cluster, 1, b"127.0.0.1", port)
        library.rd_kafka_mock_topic_create(self._cluster, TOPIC.encode(), PARTITIONS, 1)

    def do(self, command: dict[str, Any]) -> None:
        library = self._library
        match command["do"]:
            case "down":
                library.rd_kafka_mock_broker_set_down(self._cluster, 1)
            case "up":
                library.rd_kafka_mock_broker_set_up(self._cluster, 1)
            case "errors":
                codes = (ctypes.c_int * len(command["codes"]))(*command["codes"])
                library.rd_kafka_mock_push_request_errors_array(self._cluster, command["api"], len(codes), codes)
            case "heal":
                library.rd_kafka_mock_clear_request_errors(self._cluster, command["api"])
            case "topic":
                library.rd_kafka_mock_topic_set_error(self._cluster, command["topic"].encode(), command["code"])


class _Forwarder:
    """Between clients and the cluster; it hears what they ask for."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self.asked: list[Asked] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            its_reader, its_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        requests = Requests()
        there = _pass_on(reader, its_writer, lambda data: self.asked.extend(requests.of(data)))
        ways = [asyncio.ensure_future(way) for way in (there, _pass_on(its_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        writer.transport.abort()
        its_writer.transport.abort()
        await asyncio.wait(ways)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Callable[[bytes], None] = lambda _: None
) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            hear(data)
            writer.write(data)
            await writer.drain()


async def _serve(port: int, tls: ssl.SSLContext | None) -> None:
    cluster = _Cluster(port)
    forwarder = _Forwarder(cluster.port)
    server = await asyncio.start_server(forwarder.serve, "127.0.0.1", port, ssl=tls)
    async with server:
        _say(ready=True)
        while line := await asyncio.to_thread(sys.stdin.readline):  # ends with whoever started it
            command = json.loads(line)
            if command["do"] == "asked":
                _say(done="asked", asked=[asdict(one) for one in forwarder.asked if one.client == command["client"]])
            else:
                cluster.do(command)
                _say(done=command["do"])


def _tls(certificate: str = "", key: str = "") -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), _tls(*sys.argv[2:])))
