"""Frames of a client's streams, none lost.

ccxt hands out only the newest value between two awaits, hangs on a refused subscription and opens a
new session when asked after it was closed. So frames are taken off the sockets as they arrive, and
the watch calls of ccxt only keep a subscription alive: one task a kind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.dialect import Dialect
from adapters.guarded import Shell
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.events import Input, Kind


@dataclass(eq=False, slots=True)
class _Tap:
    frames: deque[tuple[float, Any]] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    pump: asyncio.Task[None] | None = None
    socket: Any = None
    watched: frozenset[str] = frozenset()
    refusal: VenueError | None = None
    is_fresh: bool = True


class Taps:
    """One tap a kind, over the sockets of one client."""

    def __init__(self, dialect: Dialect, shell: Shell) -> None:
        self._dialect = dialect
        self._shell = shell
        self._taps: dict[Kind, _Tap] = {}
        self._kind_of_task: dict[asyncio.Task[Any], Kind] = {}

    async def next(self, kind: Kind) -> Sequence[Input]:
        """The inputs of all frames since the last call. Raises a VenueError when the stream is lost."""
        tap = self._taps.setdefault(kind, _Tap())
        while True:
            self._check_alive(kind, tap)
            if tap.frames:
                inputs = self._read(kind, tap)
                if inputs is not None:
                    return inputs
                continue
            self._keep_pump(kind, tap)
            tap.arrived.clear()
            await self._something(tap)

    def _read(self, kind: Kind, tap: _Tap) -> Sequence[Input] | None:
        arrived_mono = tap.frames[-1][0]
        frames = [frame for _, frame in tap.frames]
        tap.frames.clear()
        try:
            return self._dialect.read_frames(kind, frames, arrived_mono)
        except Exception as error:  # noqa: BLE001 - it is raised again as what it means
            self.drop(kind)
            raise MalformedReply(f"a frame of {kind} could not be read: {type(error).__name__} {error}") from error

    def _check_alive(self, kind: Kind, tap: _Tap) -> None:
        reason = tap.refusal
        if reason is None and tap.pump is not None and tap.pump.done():
            if tap.pump.cancelled():
                reason = VenueUnavailable(f"the {kind} stream was cancelled inside the client")
            else:
                reason = _lost(kind, tap.pump.exception())
        if reason is not None:
            self.drop(kind)
            raise reason

    def _keep_pump(self, kind: Kind, tap: _Tap) -> None:
        watched = self._dialect.watched(kind)
        if tap.pump is not None and watched != tap.watched:
            self._stop_pump(tap)
        if tap.pump is None and watched:
            tap.watched = watched
            if tap.is_fresh:
                self._dialect.stream_began(kind)
                tap.is_fresh = False
            tap.pump = asyncio.ensure_future(self._pump(kind, tap))
            self._kind_of_task[tap.pump] = kind

    async def _pump(self, kind: Kind, tap: _Tap) -> None:
        while True:
            value = await self._dialect.watch(kind)
            if self._dialect.kind_of(_SAMPLE) is None and not self._is_tapped(kind):
                self._put(tap, value)

    async def _something(self, tap: _Tap) -> None:
        arrived = asyncio.ensure_future(tap.arrived.wait())
        waiting = {arrived} if tap.pump is None else {arrived, tap.pump}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrived.cancel()
