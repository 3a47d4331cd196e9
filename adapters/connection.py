"""One websocket of a venue, from its dialling to its end.

One task dials it, asks for what is wanted, sees each answer, and hands every frame on as it arrives. It ends
once, with a reason, and is never dialled again: a new one is made instead. Nothing is silent for ever: a
dialling, an answer, a pong and the next frame each have their time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.failures import HttpReply, blot, failure, without_query
from adapters.subscriptions import Subscriptions
from adapters.wire import Keyed, Pinging, Said, Wire
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.clock import Clock

DIAL_WITHIN_S = 10.0
ANSWER_WITHIN_S = 10.0
PING_EVERY_S = 5.0
PONG_WITHIN_S = 10.0
CLOSE_WITHIN_S = 0.25
MAX_FRAME_BYTES = 16 * 2**20
"""The longest honest frame, a snapshot of thousands of orders, has some megabytes."""

# At DEBUG the library writes whole frames, tokens and signatures included; and what ends a connection, we tell.
_LOG = logging.getLogger("adapters.connection")
_LOG.setLevel(logging.CRITICAL)

_MEANINGS = {
    1000: "it was done",
    1001: "it goes away",
    1002: "a protocol error",
    1003: "data of a wrong type",
    1007: "text that is none",
    1008: "against its policy",
    1009: "a frame too long",
    1011: "an error inside",
    1012: "it restarts",
    1013: "try again later",
}
_ITS_RULES = frozenset({1008})
_NOT_READABLE = frozenset({1002, 1007, 1009})


class Listener(Protocol):
    """Whom a connection tells."""

    def on_frame(self, kind: Kind, arrived_mono: float, message: Any) -> None: ...

    def on_refused(self, kind: Kind, reason: VenueError) -> None:
        """Nothing of what was wanted of this stream was taken; the connection lives on."""
        ...

    def on_end(self, connection: Connection, reason: VenueError) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all connections of an account share. secrets: never to be written. tls: by what certificates are judged.

    local_address: the one of this machine's that they leave from; None: as it comes.
    """

    clock: Clock
    secrets: Sequence[str]
    tls: Callable[[], ssl.SSLContext | bool]
    local_address: str | None = None


class _Dial(connect):
    """A dialling that follows no redirect: it would take the key along to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """One connection. open_wire: gives what is said on it, a token fetched for it, say. terms: see there."""

    def __init__(self, open_wire: Callable[[], Awaitable[Wire]], listener: Listener, terms: Terms) -> None:
        self._open_wire = open_wire
        self._listener = listener
        self._clock = terms.clock
        self._secrets = terms.secrets
        self._tls = terms.tls
        self._local_address = terms.local_address
        self._wire: Wire | None = None
        self._pong = ""
        self._socket: ClientConnection | None = None
        self._subscriptions = Subscriptions()
        self._answer_timer: asyncio.TimerHandle | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        self.heard_mono = terms.clock.now().mono
        self.ended: VenueError | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def want(self, kind: Kind, names: frozenset[str]) -> None:
        """Subscribe to these names of a stream, as soon as may be; those that were asked for are not asked again."""
        self._subscriptions.wanted[kind] = names
        await self._go_on()

    def forget(self, kind: Kind) -> None:
        """Whoever wants this stream next asks for it anew."""
        self._subscriptions.forget(kind)

    def end(self, reason: VenueError) -> None:
        """End it, and tell. Returns at once: the closing goes on behind."""
        if self.ended is not None:
            return
        self.ended = reason
        for timer in (self._answer_timer, self._silence_timer):
            if timer is not None:
                timer.cancel()
        if asyncio.current_task() is not self.task:
            self.task.cancel()
        self._listener.on_end(self, reason)

    # --- the task --------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            self._wire = await self._open_wire()
            if isinstance(self._wire, Keyed):
                self._secrets = (*self._secrets, self._wire.key)
            async with self._dial(self._wire.url) as socket, _pinged(socket, self._wire) as self._pong:
                self._socket = socket
                await self._listen(socket)
        except Exception as error:
            self.end(self._why(error))
        finally:
            self.end(VenueUnavailable("the socket was dropped"))

    def _dial(self, url: str) -> connect:
        bound: dict[str, Any] = {} if self._local_address is None else {"local_addr": (self._local_address, 0)}
        return _Dial(
            url,
            **bound,
            ssl=self._tls() if url.startswith("wss:") else None,
            proxy=None,
            compression=None,
            open_timeout=DIAL_WITHIN_S,
            ping_interval=PING_EVERY_S,
            ping_timeout=PONG_WITHIN_S,
            close_timeout=CLOSE_WITHIN_S,
            max_size=MAX_FRAME_BYTES,
            max_queue=1024,
            logger=_LOG,
        )

    async def _listen(self, socket: ClientConnection) -> None:
        self.heard_mono = self._clock.now().mono
        self._watch_silence()
        await self._go_on()
        try:
            while self.ended is None:
                if self._hear(await socket.recv()):
                    await self._go_on()
        except Exception as error:
            self.end(self._why(error))  # before the closing handshake: whoever reads is to know at once

    def _hear(self, frame: str | bytes) -> bool:
        """Take one frame. True if it was an answer, so that the next thing may be asked."""
        self.heard_mono = self._clock.now().mono
        if self._pong and frame == self._pong:
            return False
        message = _parse(frame, self._secrets, self._wire)
        said = self._said(message)
        if said is None:
            return False
        if isinstance(said, Kind | tuple):
            for kind in (said,) if isinstance(said, Kind) else said:
                self._listener.on_frame(kind, self.heard_mono, message)
            return False
        lost = self._subscriptions.answer(said)
        if lost is not None:
            kind, reason = lost
            sentence = f"the subscription was refused: {blot(reason[:240], self._secrets)}"
            self._listener.on_refused(kind, VenueRejected(sentence))
        return True

    def _said(self, message: Any) -> Said:
        if self._wire is None or not isinstance(message, dict):
            raise MalformedReply("a frame is no JSON object")
        return self._wire.hear(message)

    async def _go_on(self) -> None:
        """Ask for what is wanted and was not asked for, if nothing else is waiting for its answer."""
        if self._socket is None or self._wire is None or self.ended is not None:
            return
        try:
            await self._ask(self._socket, self._wire)
        except Exception as error:
            self.end(self._why(error))

    async def _ask(self, socket: ClientConnection, wire: Wire) -> None:
        ask = self._subscriptions.next(wire)
        if self._answer_timer is not None and (ask is not None or not self._subscriptions.is_waiting):
            self._answer_timer.cancel()
            self._answer_timer = None
        if ask is None:
            return
        late = VenueUnavailable(f"no answer to the subscription of {ask.kind} within {ANSWER_WITHIN_S:.0f} s")
        self._answer_timer = asyncio.get_running_loop().call_later(ANSWER_WITHIN_S, self.end, late)
        await socket.send(json.dumps(ask.message))

    def _watch_silence(self) -> None:
        if self._wire is None or self.ended is not None:
            return
        limit_s = self._wire.silent_after_s
        left_s = limit_s - (self._clock.now().mono - self.heard_mono)
        if left_s <= 0:
            self.end(VenueUnavailable(f"the socket said nothing for {limit_s:.0f} s"))
        else:
            self._silence_timer = asyncio.get_running_loop().call_later(left_s, self._watch_silence)

    def _why(self, error: Exception) -> VenueError:
        """The error in our words."""
        if isinstance(error, ConnectionClosed):
            return _closed(error)
        url = "" if self._wire is None else self._wire.url
        if not isinstance(error, InvalidStatus):
            return failure(error, HttpReply("GET", url), self._secrets)
        status, headers = error.response.status_code, dict(error.response.headers.raw_items())
        if 300 <= status < 400:
            return MalformedReply(f"{without_query(url)} sends us elsewhere, where nothing of ours goes")
        return failure(error, HttpReply("GET", url, status, headers), self._secrets)


@contextlib.asynccontextmanager
async def _pinged(socket: ClientConnection, wire: Wire) -> AsyncIterator[str]:
    """While it lasts the venue is pinged, if it wants to be; gives the word that it answers with."""
    if not isinstance(wire, Pinging):
        yield ""
        return
    pinging = asyncio.create_task(_ping(socket, wire))
    try:
        yield wire.pong
    finally:
        pinging.cancel()


async def _ping(socket: ClientConnection, wire: Pinging) -> None:
    with contextlib.suppress(ConnectionClosed):  # who listens is told
        while True:
            await asyncio.sleep(wire.ping_every_s)
            await socket.send(wire.ping)


def _no_number(literal: str) -> Any:
    raise MalformedReply(f"a frame has {literal} for a number")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _parse(frame: str | bytes, secrets: Sequence[str], wire: Wire | None) -> Any:
    if isinstance(frame, bytes):
        decode = getattr(wire, "decode", None)
        if decode is None:
            raise MalformedReply("a frame is not text")
        return decode(frame)
    try:
        return _DECODER.decode(frame)
    except ValueError:
        raise MalformedReply(f"a frame could not be read; it began {blot(frame[:80], secrets)!r}") from None


def _closed(error: ConnectionClosed) -> VenueError:
    """Who ended it, and why, as the close code says. Without a word from either side it was cut."""
    is_theirs = error.rcvd is not None and error.rcvd_then_sent is not False
    close = error.rcvd if is_theirs else error.sent
    if close is None:
        return VenueUnavailable("the socket was cut without a word")
    who, meaning = "the venue" if is_theirs else "we", _MEANINGS.get(close.code, "a code of its own")
    said = f": {close.reason[:120]}" if close.reason else ""
    sentence = f"{who} ended the socket with {close.code}, {meaning}{said}"
    if is_theirs:
        return VenueRejected(sentence) if close.code in _ITS_RULES else VenueUnavailable(sentence)
    return MalformedReply(sentence) if close.code in _NOT_READABLE else VenueUnavailable(sentence)
