"""The line to Kafka: an idempotent producer that every in-sync replica must acknowledge to.

It lives on a loop of its own and is bounded in time: a broker that hangs, lies or floods costs the guard nothing. A
try that ran out of time may have been delivered all the same: it is owed on, and whoever listens tells repeats by key.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from risk_daemon.broadcast.own_loop import OwnLoop
from risk_daemon.broadcast.relay import Delivered, NotDelivered
from risk_daemon.errors import ConfigError

T = TypeVar("T")

WITHIN_S = 10.0  # of any call, with the connecting that it needs
_OPEN_WITHIN_S = 6.0  # or the first broker of a list that hangs would be asked for ever
_CLOSE_WITHIN_S = 1.0
_LAST_S = 0.3
_REQUEST_TIMEOUT_MS = 5_000
_CLIENT = "risk-daemon"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """bootstrap: `host:port`, several with commas. ca_file: trusted instead of the system's certificates, or ""."""

    bootstrap: str
    topic: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str = ""


class _LastWords(logging.Handler):
    """What the library says of a failure: its exceptions leave out why a broker could not be reached."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said = ""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # the edge of a foreign log: a line that can't be put into words says nothing
            self.said = record.getMessage()[:300]


def refuse_unusable(settings: KafkaSettings) -> None:
    """Raises ConfigError, a sentence, for what could never reach a broker. Nothing is connected."""
    _library()
    _tls(settings)


def _library() -> Any:
    try:
        import aiokafka
    except ImportError:
        raise ConfigError(
            'aiokafka is not installed: `pip install "aiokafka>=0.14,<0.15"` with the python that runs risk-daemon.'
        ) from None
    return aiokafka


def _tls(settings: KafkaSettings) -> ssl.SSLContext | None:
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{settings.ca_file}: its certificates can't be read: {error}.") from None


class KafkaLine:
    """See `Line`. Connected by the first `look` or `send`, and anew after each failure."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._own = OwnLoop("broadcast")
        self._producer: Any = None
        self._words = _LastWords()
        self._opening = asyncio.Lock()  # of the other loop: who sends beside another shares its producer
        self._leaving: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """See that the broker is there and has the topic. Raises NotDelivered."""
        await self._bounded(self._look)

    async def send(self, key: str, body: bytes, content_type: str) -> Delivered:
        """Send it, and wait for the acknowledgement. Raises NotDelivered, also for what may have been delivered."""
        return await self._bounded(lambda: self._send(key, body, content_type))

    async def close(self) -> None:
        """Let go of it. Never raises. What hangs is left where it is: nothing there is worth waiting for."""
        with suppress(Exception):
            async with asyncio.timeout(_LAST_S):
                await self._own.run(self._drop)
        self._own.stop()

    async def _bounded(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Here time runs out too: the other loop may be the one that hangs."""
        try:
            async with asyncio.timeout(WITHIN_S + _CLOSE_WITHIN_S):
                return await self._own.run(lambda: self._tried(work))
        except TimeoutError:
            raise NotDelivered(self._silent) from None

    # --- on the other loop -----------------------------------------------------------------------------

    async def _tried(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Whatever went wrong, the next try begins with a new connection. One that is only cut off leaves it open."""
        self._words.said = ""
        try:
            async with asyncio.timeout(WITHIN_S):
                return await work()
        except TimeoutError:
            why = self._silent
        except NotDelivered as error:
            why = str(error)
        except Exception as error:  # whatever a broker or the library made of it
            name, text = type(error).__name__, str(error)
            why = text if name in text else f"{name}: {text}"
        self._forget()
        raise NotDelivered(self._why(why))

    @property
    def _silent(self) -> str:
        return f"no answer from {self._settings.bootstrap} within {WITHIN_S:g} s"

    def _why(self, what: str) -> str:
        return f"{what} ({self._words.said})" if self._words.said and self._words.said not in what else what

    async def _look(self) -> None:
        producer = await self._opened()
        if not await producer.client.force_metadata_update():
            raise NotDelivered(f"{self._settings.bootstrap} does not say where {self._settings.topic} is")
        await producer.partitions_for(self._settings.topic)

    async def _send(self, key: str, body: bytes, content_type: str) -> Delivered:
        producer = await self._opened()
        headers = [("content-type", content_type.encode("ascii"))]
        told = await producer.send_and_wait(self._settings.topic, body, key=key.encode("utf-8"), headers=headers)
        return Delivered(topic=str(told.topic), partition=int(told.partition), offset=int(told.offset))

    async def _opened(self) -> Any:
        """With all that a message would else wait for."""
        async with self._opening:
            if self._producer is None:
                producer = self._made()
                try:
                    async with asyncio.timeout(_OPEN_WITHIN_S):
                        await producer.start()
                        await producer.partitions_for(self._settings.topic)
                except BaseException:
                    self._let_go(producer)
                    raise
                self._producer = producer
            return self._producer

    def _made(self) -> Any:
        settings = self._settings
        logger = logging.getLogger("aiokafka")
        logger.propagate = False  # what it says is told once, with what is owed
        logger.addHandler(self._words)
        return _library().AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap,
            client_id=_CLIENT,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            security_protocol=settings.security_protocol,
            ssl_context=_tls(settings),
            sasl_mechanism=settings.sasl_mechanism or "PLAIN",
            sasl_plain_username=settings.username,
            sasl_plain_password=settings.password,
        )

    def _forget(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            self._let_go(producer)

    def _let_go(self, producer: Any) -> None:
        """Nobody waits for its end: it may hang as the try did."""
        task = asyncio.get_running_loop().create_task(_stopped(producer))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _drop(self) -> None:
        producer, self._producer = self._producer, None
        logging.getLogger("aiokafka").removeHandler(self._words)
        if producer is not None:
            await _stopped(producer)


async def _stopped(producer: Any) -> None:
    """What it still holds is owed by the outbox. Its connections are closed even where its end hangs."""
    with suppress(Exception):
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await producer.stop()
    with suppress(Exception):
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await producer.client.close()
