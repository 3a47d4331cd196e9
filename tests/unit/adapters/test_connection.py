"""One connection without a venue: certificates, ends, and what is said to whom."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption
from websockets.asyncio.server import ServerConnection, serve

from adapters.connection import Connection, Terms
from adapters.wire import Ask, Said, Taken
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.clock import SystemClock
from tests.unit.api.test_tls import write_pair

ACCOUNT = frozenset({"account"})
DEADLINE_S = 5.0


@dataclass
class Talk:
    """Frames are `{"is": "frame"}`, answers `{"is": "yes"}`."""

    url: str
    silent_after_s: float = 60.0

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        return Ask(key=kind, kind=kind, names=names, message={"want": kind})

    def hear(self, message: Mapping[str, Any]) -> Said:
        words: dict[str, Said] = {"frame": Kind.BALANCES, "yes": Taken(), "both": (Kind.BALANCES, Kind.POSITIONS)}
        return words.get(str(message.get("is")))


@dataclass
class PingedTalk(Talk):
    """A venue that wants to be spoken to, and answers with a word that is no JSON."""

    ping_every_s: float = 0.01
    ping: str = '"ping"'
    pong: str = "pong"


@dataclass
class Heard:
    """Who listens to a connection, and what it was told."""

    frames: list[Any] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    ends: list[VenueError] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def on_frame(self, kind: Kind, arrived_mono: float, message: Any) -> None:
        self.frames.append(message)
        self.kinds.append(kind)
        self.told.set()

    def on_refused(self, kind: Kind, reason: VenueError) -> None:
        pytest.fail(f"{kind} was refused: {reason}")

    def on_end(self, connection: Connection, reason: VenueError) -> None:
        self.ends.append(reason)
        self.told.set()


class Venue:
    """A server that says yes and sends one frame; asked: what it was asked."""

    def __init__(self, context: ssl.SSLContext | None = None, says: str = '{"is": "frame"}') -> None:
        self.context = context
        self.says = says
        self.asked: list[Any] = []
        self.port = 0
        self.pinged_thrice = asyncio.Event()

    async def serve(self, connection: ServerConnection) -> None:
        async for text in connection:
            self.asked.append(json.loads(text))
            if self.asked[-1] == "ping":
                await connection.send("pong")
                if self.asked.count("ping") == 3:
                    self.pinged_thrice.set()
                continue
            await connection.send('{"is": "yes"}')
            await connection.send(self.says)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Venue]:
        async with serve(self.serve, "127.0.0.1", 0, ssl=self.context) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self


def connect(url: str, heard: Heard, tls: ssl.SSLContext | bool = True, talk: type[Talk] = Talk) -> Connection:
    async def open_wire() -> Talk:
        return talk(url)

    return Connection(open_wire, heard, Terms(clock=SystemClock(), secrets=("SECRET",), tls=lambda: tls))


async def told(heard: Heard) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await heard.told.wait()


async def ended(connection: Connection) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.wait({connection.task})


async def test_what_is_wanted_before_it_is_dialled_is_asked_for_once_it_is() -> None:
    heard = Heard()
    async with Venue().listening() as venue:
        connection = connect(f"ws://127.0.0.1:{venue.port}", heard)
        await connection.want(Kind.BALANCES, ACCOUNT)
        await connection.want(Kind.BALANCES, ACCOUNT)
        await told(heard)
        assert venue.asked == [{"want": "balances"}]
        assert heard.frames == [{"is": "frame"}]
        connection.end(VenueUnavailable("enough"))
        await ended(connection)


async def test_one_frame_may_be_of_two_streams() -> None:
    heard = Heard()
    async with Venue(says='{"is": "both"}').listening() as venue:
        connection = connect(f"ws://127.0.0.1:{venue.port}", heard)
        await connection.want(Kind.BALANCES, ACCOUNT)
        await told(heard)
        assert heard.kinds == [Kind.BALANCES, Kind.POSITIONS]
        connection.end(VenueUnavailable("enough"))
        await ended(connection)


async def test_it_ends_once_and_tells_the_first_reason() -> None:
    heard = Heard()
    async with Venue().listening() as venue:
        connection = connect(f"ws://127.0.0.1:{venue.port}", heard)
        await connection.want(Kind.BALANCES, ACCOUNT)
        await told(heard)
        connection.end(VenueUnavailable("first"))
        connection.end(VenueRejected("second"))
        await connection.want(Kind.ORDERS, ACCOUNT)
        await ended(connection)
        assert [str(reason) for reason in heard.ends] == ["first"]
        assert len(venue.asked) == 1, "nothing is asked after the end"


@pytest.mark.parametrize("when", ["at once", "while it is dialled"])
async def test_it_can_be_ended_before_it_stands(when: str) -> None:
    heard = Heard()
    async with Venue().listening() as venue:
        connection = connect(f"ws://127.0.0.1:{venue.port}", heard)
        if when != "at once":
            await asyncio.sleep(0)
        connection.end(VenueUnavailable("never mind"))
        await ended(connection)
        assert [str(reason) for reason in heard.ends] == ["never mind"]


async def test_nobody_there_is_unavailable() -> None:
    heard = Heard()
    await ended(connect("ws://127.0.0.1:1", heard))
    assert [type(reason) for reason in heard.ends] == [VenueUnavailable]


@dataclass
class KeyedTalk(Talk):
    key: str = "listen-key-of-the-account"


async def test_a_key_in_an_address_is_in_no_reason() -> None:
    heard, refused = Heard(), Venue()
    async with serve(refused.serve, "127.0.0.1", 0, process_request=lambda one, _: one.respond(404, "no")) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connection = connect(f"ws://127.0.0.1:{port}/ws/{KeyedTalk.key}", heard, talk=KeyedTalk)
        await told(heard)
        await ended(connection)
    assert "404" in str(heard.ends[0])
    assert KeyedTalk.key not in str(heard.ends[0])


async def test_what_can_not_be_opened_is_told() -> None:
    async def open_wire() -> Talk:
        raise MalformedReply("no token in the answer")

    heard = Heard()
    await ended(Connection(open_wire, heard, Terms(clock=SystemClock(), secrets=(), tls=lambda: True)))
    assert [str(reason) for reason in heard.ends] == ["no token in the answer"]


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, is_trusted: bool) -> None:
    write_pair(tmp_path, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    tls = ssl.create_default_context(cafile=tmp_path / "cert.pem" if is_trusted else None)
    heard = Heard()
    async with Venue(context).listening() as venue:
        connection = connect(f"wss://localhost:{venue.port}", heard, tls)
        await connection.want(Kind.BALANCES, ACCOUNT)
        await told(heard)
        assert heard.frames == ([{"is": "frame"}] if is_trusted else [])
        assert [type(reason) for reason in heard.ends] == ([] if is_trusted else [VenueUnavailable])
        connection.end(VenueUnavailable("enough"))
        await ended(connection)
    assert len(venue.asked) == is_trusted


async def test_what_is_sent_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    heard = Heard()
    async with Venue().listening() as venue:
        connection = connect(f"ws://127.0.0.1:{venue.port}", heard)
        await connection.want(Kind.BALANCES, ACCOUNT)
        await told(heard)
        connection.end(VenueUnavailable("enough"))
        await ended(connection)
    assert [record for record in caplog.records if record.name.startswith("adapters")] == []
    assert any(record.name.startswith("websockets.server") for record in caplog.records), "the other side writes all"


async def test_a_venue_that_wants_to_be_pinged_is_and_its_answer_is_no_frame() -> None:
    heard = Heard()
    async with Venue().listening() as venue:
        connection = connect(f"ws://127.0.0.1:{venue.port}", heard, talk=PingedTalk)
        async with asyncio.timeout(DEADLINE_S):
            await venue.pinged_thrice.wait()
        assert connection.ended is None
        assert heard.frames == []
        connection.end(VenueUnavailable("done"))
        await ended(connection)
