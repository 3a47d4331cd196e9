"""Frames of a client's streams, none lost.

ccxt hands out only the newest value between two awaits, hangs on a refused subscription and opens a
new session when asked after it was closed. So frames are taken off the sockets as they arrive, and
the watch calls of ccxt only keep a subscription alive: one task a kind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from adapters.dialect import Dialect
from adapters.failures import failure
from adapters.guarded import Shell
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.events import Input, Kind

_KIND: ContextVar[Kind | None] = ContextVar("stream_kind", default=None)
_BEGIN = object()


@dataclass(eq=False, slots=True)
class _Tap:
    """frames: (arrival, raw), unread. sockets: by address, those the subscription runs over."""

    frames: deque[tuple[float, Any]] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    pump: asyncio.Task[None] | None = None
    watched: frozenset[str] = frozenset()
    sockets: dict[str, Any] = field(default_factory=dict)
    data_url: str | None = None
    ended: VenueError | None = None

    def put(self, mono: float, raw: Any) -> None:
        self.frames.append((mono, raw))
        self.changed.set()

    def end(self, reason: VenueError) -> None:
        self.ended = reason
        self.changed.set()


class Taps:
    """One tap a kind, over the sockets of one guarded client."""

    def __init__(self, dialect: Dialect, shell: Shell, client: Any) -> None:
        self._dialect = dialect
        self._shell = shell
        self._client = client
        self._taps: dict[Kind, _Tap] = {}
        self._is_closed = False

    async def next(self, kind: Kind) -> Sequence[Input]:
        """The inputs of all frames since the last call. Raises a VenueError when the stream is lost."""
        while True:
            tap = self._tap(kind)
            self._check_alive(kind, tap)
            inputs = self._read(kind, tap) if tap.frames else None
            if inputs is not None:
                return inputs
            self._keep_pump(kind, tap)
            tap.changed.clear()
            if not tap.frames and tap.ended is None:
                await _first_of(tap.changed, tap.pump)

    def heartbeat_mono(self, kind: Kind) -> float | None:
        """Up to when this stream vouches for what it did not change; None if it does not."""
        tap = self._taps.get(kind)
        if tap is None or tap.pump is None or tap.pump.done() or tap.ended is not None or tap.data_url is None:
            return None
        if not self._dialect.is_confirming(kind):
            return None
        return tap.frames[0][0] if tap.frames else self._shell.heard_mono.get(tap.data_url)

    def what_is_watched_changed(self) -> None:
        """The dialect may want to watch more than it did: let readers look."""
        for tap in self._taps.values():
            tap.changed.set()

    # --- called by the guarded client -----------------------------------------------------------

    def on_socket(self, socket: Any) -> None:
        """A subscription uses this socket."""
        kind = _KIND.get()
        tap = self._taps.get(kind) if kind is not None else None
        if tap is None:
            return
        known = tap.sockets.setdefault(socket.url, socket)
        if known is not socket:
            tap.end(VenueUnavailable("the socket was replaced behind our back"))

    def on_frame(self, socket: Any, message: Any) -> bool:
        """A decoded frame, before ccxt sees it. True if it is taken: ccxt need not parse it a second time."""
        if not self._dialect.is_tapped:
            return False
        kind = self._dialect.kind_of(message)
        if kind is None:
            refusal = self._dialect.refusal_of(message)
            if refusal is not None:
                self._refuse(socket, refusal)
            return False
        tap = self._taps.get(kind)
        if tap is not None:
            tap.data_url = socket.url
            tap.put(self._shell.clock.now().mono, message)
        return True

    def _refuse(self, socket: Any, reason: str) -> None:
        """A refusal does not name its subscription: it ends those of the socket that have shown nothing yet."""
        for tap in self._taps.values():
            if tap.sockets.get(socket.url) is socket and tap.data_url is None:
                tap.end(failure(VenueRejected(f"the subscription was refused: {reason}")))

    # --- inside ---------------------------------------------------------------------------------

    def _tap(self, kind: Kind) -> _Tap:
        if self._is_closed:
            raise VenueUnavailable("the adapter is closed")
        return self._taps.setdefault(kind, _Tap())

    def _read(self, kind: Kind, tap: _Tap) -> Sequence[Input] | None:
        arrived_mono = tap.frames[-1][0]
        frames = [frame for _, frame in tap.frames]
        tap.frames.clear()
        if _BEGIN in frames:
            return ()
        try:
            return self._dialect.read_frames(kind, frames, arrived_mono)
        except Exception as error:
            self.drop(kind)
            raise MalformedReply(f"a frame of {kind} could not be read: {type(error).__name__} {error}") from error

    def _check_alive(self, kind: Kind, tap: _Tap) -> None:
        if tap.ended is None and tap.pump is not None and tap.pump.done():
            tap.ended = _why_ended(kind, tap.pump, self._shell.secrets)
        if tap.ended is not None:
            self.drop(kind)
            raise tap.ended

    def _keep_pump(self, kind: Kind, tap: _Tap) -> None:
        watched = self._dialect.watched(kind)
        if tap.pump is not None and watched != tap.watched:
            tap.pump.cancel()
            tap.pump = None
        if tap.pump is not None or not watched:
            return
        if not tap.watched:
            self._dialect.stream_began(kind)
            if not self._dialect.is_tapped:
                tap.put(self._shell.clock.now().mono, _BEGIN)
        tap.watched = watched
        tap.pump = asyncio.ensure_future(self._pump(kind, tap))

    async def _pump(self, kind: Kind, tap: _Tap) -> None:
        _KIND.set(kind)
        while True:
            value = await self._dialect.watch(kind)
            if not self._dialect.is_tapped:
                tap.put(self._shell.clock.now().mono, value)

    # --- the end --------------------------------------------------------------------------------

    def drop(self, kind: Kind) -> None:
        """End a stream and the sockets under it: the next read dials, signs in and takes a snapshot anew."""
        tap = self._taps.pop(kind, None)
        if tap is None:
            return
        if tap.pump is not None:
            tap.pump.cancel()
        for url, socket in tap.sockets.items():
            if self._client.clients.get(url) is socket:
                socket.on_error(VenueUnavailable(f"dropped because the {kind} stream was lost"))

    def drop_all(self) -> None:
        """End every stream and every socket, also those no stream is known to use."""
        for kind in list(self._taps):
            self.drop(kind)
        for socket in list(self._client.clients.values()):
            socket.on_error(VenueUnavailable("dropped"))

    async def close(self) -> None:
        """End everything for good, and wait until the pumps have ended."""
        self._is_closed = True
        pumps = [tap.pump for tap in self._taps.values() if tap.pump is not None]
        for tap in self._taps.values():
            tap.end(VenueUnavailable("the adapter is closed"))
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
