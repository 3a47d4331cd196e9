"""Streams by ccxt's watch calls: signs that something changed, or values that are read as they come.

ccxt hands out only the newest value between two awaits and opens a new session when asked after it was
closed. So one task a kind keeps asking, and a socket that is replaced behind its back ends the stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.dialect import Dialect
from adapters.failures import failure
from risk_daemon.errors import MalformedReply, VenueError, VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import Input

_BEGIN = object()


class WatchedDialect(Dialect, Protocol):
    """A dialect whose streams are ccxt's."""

    async def watch(self, kind: Kind) -> Any:
        """Subscribe, and wait for the next value of ccxt's own. Called again and again by one task a kind."""
        ...


@dataclass(eq=False, slots=True)
class _Stream:
    """values: (arrival, value), unread. sockets: by address, those that the watch call uses."""

    values: deque[tuple[float, Any]] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    pump: asyncio.Task[None] | None = None
    watched: frozenset[str] = frozenset()
    sockets: dict[str, Any] = field(default_factory=dict)
    ended: VenueError | None = None

    def put(self, mono: float, value: Any) -> None:
        self.values.append((mono, value))
        self.changed.set()

    def end(self, reason: VenueError) -> None:
        self.ended = reason
        self.changed.set()


_STREAM: ContextVar[_Stream | None] = ContextVar("stream", default=None)


def uses(socket: Any) -> None:
    """Called by the guarded client: the watch call that is being made runs over this socket of ccxt's."""
    stream = _STREAM.get()
    if stream is not None and stream.sockets.setdefault(socket.url, socket) is not socket:
        stream.end(VenueUnavailable("the socket was replaced behind our back"))


class WatchedStreams:
    """One stream a kind, over the sockets of one guarded client."""

    def __init__(self, dialect: WatchedDialect, client: Any, clock: Clock, secrets: Sequence[str]) -> None:
        self._dialect = dialect
        self._client = client
        self._clock = clock
        self._secrets = secrets
        self._streams: dict[Kind, _Stream] = {}
        self._is_closed = False

    async def next(self, kind: Kind) -> Sequence[Input]:
        """The inputs of all values since the last call; the first says only "read over REST".

        Raises a VenueError when the stream is lost.
        """
        while True:
            if self._is_closed:
                raise VenueUnavailable("the adapter is closed")
            stream = self._streams.setdefault(kind, _Stream())
            self._check_alive(kind, stream)
            inputs = self._read(kind, stream) if stream.values else None
            if inputs is not None:
                return inputs
            self._keep_pump(kind, stream)
            stream.changed.clear()
            if not stream.values and stream.ended is None:
                await _first_of(stream.changed, stream.pump)

    def heartbeat_mono(self, kind: Kind) -> float | None:
        """None: nobody knows whether ccxt hands on every change, so these streams vouch for nothing."""
        return None

    def what_is_watched_changed(self) -> None:
        """The dialect may want to watch more than it did: let readers look."""
        for stream in self._streams.values():
            stream.changed.set()

    # --- inside ---------------------------------------------------------------------------------

    def _read(self, kind: Kind, stream: _Stream) -> Sequence[Input] | None:
        arrived_mono = stream.values[-1][0]
        values = [value for _, value in stream.values]
        stream.values.clear()
        if _BEGIN in values:
            return ()
        try:
            return self._dialect.read_frames(kind, values, arrived_mono)
        except Exception as error:
            self.drop(kind)
            raise MalformedReply(f"a frame of {kind} could not be read: {type(error).__name__} {error}") from error

    def _check_alive(self, kind: Kind, stream: _Stream) -> None:
        if stream.ended is None and stream.pump is not None and stream.pump.done():
            stream.ended = _why_ended(kind, stream.pump, self._secrets)
        if stream.ended is not None:
            self.drop(kind)
            raise stream.ended

    def _keep_pump(self, kind: Kind, stream: _Stream) -> None:
        watched = self._dialect.watched(kind)
        if stream.pump is not None and watched != stream.watched:
            stream.pump.cancel()
            stream.pump = None
        if stream.pump is not None or not watched:
            return
        if not stream.watched:
            stream.put(self._clock.now().mono, _BEGIN)
        stream.watched = watched
        stream.pump = asyncio.ensure_future(self._pump(kind, stream))

    async def _pump(self, kind: Kind, stream: _Stream) -> None:
        _STREAM.set(stream)
        while True:
            value = await self._dialect.watch(kind)
            stream.put(self._clock.now().mono, value)

    # --- the end --------------------------------------------------------------------------------

    def drop(self, kind: Kind) -> None:
        """End a stream and the sockets under it: the next read dials, signs in and takes a snapshot anew."""
        stream = self._streams.pop(kind, None)
        if stream is None:
            return
        if stream.pump is not None:
            stream.pump.cancel()
        for url, socket in stream.sockets.items():
            if self._client.clients.get(url) is socket:
                socket.on_error(VenueUnavailable(f"dropped because the {kind} stream was lost"))

    def drop_all(self) -> None:
        """End every stream and every socket, also those no stream is known to use."""
        for kind in list(self._streams):
            self.drop(kind)
        for socket in list(self._client.clients.values()):
            socket.on_error(VenueUnavailable("dropped"))

    async def close(self) -> None:
        """End everything for good, and wait until the pumps have ended."""
        self._is_closed = True
        pumps = [stream.pump for stream in self._streams.values() if stream.pump is not None]
        for stream in self._streams.values():
            stream.end(VenueUnavailable("the adapter is closed"))
        for pump in pumps:
            pump.cancel()
        if pumps:
            await asyncio.wait(pumps)


async def _first_of(changed: asyncio.Event, pump: asyncio.Task[None] | None) -> None:
    arrived = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait({arrived} if pump is None else {arrived, pump}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        arrived.cancel()


def _why_ended(kind: Kind, pump: asyncio.Task[None], secrets: Sequence[str]) -> VenueError:
    error = None if pump.cancelled() else pump.exception()
    if error is None:
        return VenueUnavailable(f"the {kind} stream was cancelled inside the client")
    return failure(error, secrets=secrets)
