"""Frames of a venue's streams over connections of our own, none lost.

A stream lasts as long as its connection. What it said is void when that ends: its reader is told once, and
whoever reads on begins with a new connection and a new snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.connection import Connection, Terms
from adapters.wire import SocketDialect, Wire
from risk_daemon.errors import MalformedReply, VenueError, VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.events import Input

MAX_UNREAD = 50_000
"""Frames that may wait to be read: ten seconds of the busiest market, while a reading is awaited."""


@dataclass(eq=False, slots=True)
class _Stream:
    """connections: all that carry it, none before it is wanted. frames: (arrival, raw), unread."""

    connections: tuple[Connection, ...] = ()
    frames: deque[tuple[float, Any]] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: VenueError | None = None

    def end(self, reason: VenueError) -> None:
        self.ended = self.ended or reason
        self.changed.set()


class SocketStreams:
    """One stream a kind, over as many connections as the dialect has lines; it lasts as long as each of its own."""

    def __init__(self, dialect: SocketDialect, terms: Terms) -> None:
        self._dialect = dialect
        self._terms = terms
        self._streams: dict[Kind, _Stream] = {}
        self._lines: dict[str, Connection] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def next(self, kind: Kind) -> Sequence[Input]:
        """The inputs of all frames since the last call. Raises a VenueError when the stream is lost."""
        if self._is_closed:
            raise VenueUnavailable("the adapter is closed")
        stream = self._streams.setdefault(kind, _Stream())
        while True:
            stream.changed.clear()
            if stream.ended is not None:
                self._forget(kind, stream)
                raise stream.ended
            inputs = self._read(kind, stream) if stream.frames else None
            if inputs is not None:
                return inputs
            await self._subscribe(kind, stream)
            await stream.changed.wait()

    def heartbeat_mono(self, kind: Kind) -> float | None:
        """Up to when this stream vouches for what it did not change; None if it does not."""
        stream = self._streams.get(kind)
        if stream is None or not stream.connections or stream.ended is not None:
            return None
        if not self._dialect.is_confirming(kind):
            return None
        return stream.frames[0][0] if stream.frames else min(each.heard_mono for each in stream.connections)

    def what_is_watched_changed(self) -> None:
        """The dialect may want to watch more than it did: let readers look."""
        for stream in self._streams.values():
            stream.changed.set()

    # --- called by connections -------------------------------------------------------------------

    def on_frame(self, kind: Kind, arrived_mono: float, message: Any) -> None:
        """A frame of a stream."""
        stream = self._streams.get(kind)
        if stream is None or not stream.connections:
            return
        stream.frames.append((arrived_mono, message))
        stream.changed.set()
        if len(stream.frames) > MAX_UNREAD:
            for connection in stream.connections:
                connection.end(VenueUnavailable(f"more than {MAX_UNREAD} frames came that nobody has read"))

    def on_refused(self, kind: Kind, reason: VenueError) -> None:
        """The venue took nothing of what was wanted of a stream."""
        stream = self._streams.get(kind)
        if stream is not None:
            stream.end(reason)

    def on_end(self, connection: Connection, reason: VenueError) -> None:
        """A connection is lost, and with it all that came over it."""
        self._closing.add(connection.task)
        connection.task.add_done_callback(self._closing.discard)
        self._lines = {line: other for line, other in self._lines.items() if other is not connection}
        for stream in self._streams.values():
            if connection in stream.connections:
                stream.end(reason)

    # --- inside ----------------------------------------------------------------------------------

    async def _subscribe(self, kind: Kind, stream: _Stream) -> None:
        names = self._dialect.watched(kind)
        if not names:
            return
        if not stream.connections:
            self._dialect.stream_began(kind)
            lines = self._dialect.line_of(kind)
            stream.connections = tuple(map(self._connection, (lines,) if isinstance(lines, str) else lines))
        for connection in stream.connections:
            await connection.want(kind, names)

    def _connection(self, line: str) -> Connection:
        if line not in self._lines:

            async def open_wire() -> Wire:
                return await self._dialect.open_wire(line)

            self._lines[line] = Connection(open_wire, self, self._terms)
        return self._lines[line]

    def _read(self, kind: Kind, stream: _Stream) -> Sequence[Input] | None:
        arrived_mono = stream.frames[-1][0]
        frames = [frame for _, frame in stream.frames]
        stream.frames.clear()
        try:
            return self._dialect.read_frames(kind, frames, arrived_mono)
        except Exception as error:
            unread = MalformedReply(f"a frame of {kind} could not be read: {type(error).__name__} {error}")
            self._forget(kind, stream)
            for connection in stream.connections:
                connection.end(unread)
            raise unread from error

    def _forget(self, kind: Kind, stream: _Stream) -> None:
        if self._streams.get(kind) is stream:
            del self._streams[kind]
            for connection in stream.connections:
                connection.forget(kind)

    # --- the end ---------------------------------------------------------------------------------

    def drop_all(self) -> None:
        """End every connection: who waits is told, and the next read dials, signs in and takes a snapshot anew."""
        for connection in list(self._lines.values()):
            connection.end(VenueUnavailable("the socket was dropped, to begin anew"))
        self._streams = {kind: stream for kind, stream in self._streams.items() if not stream.connections}

    async def close(self) -> None:
        """End everything for good, and wait until the sockets are closed."""
        self._is_closed = True
        for stream in self._streams.values():
            stream.end(VenueUnavailable("the adapter is closed"))
        for connection in list(self._lines.values()):
            connection.end(VenueUnavailable("the adapter is closed"))
        if self._closing:
            await asyncio.wait(self._closing)
