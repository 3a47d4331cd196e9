"""Answers that are written bit by bit: the events as they happen, and the long history.

A reader who does not read is cut off; the daemon waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from risk_daemon.api.connections import Connection
from risk_daemon.api.feed import FeedEnded, FeedEvent, Subscription, TooManyReaders
from risk_daemon.api.handlers import Call
from risk_daemon.api.problems import COMMON_HEADERS, Refused, encoded
from risk_daemon.state.files import json_text, utc_text

EVENT_STREAM = "text/event-stream"
_POINTS_AT_ONCE = 500
_HELLO = b"retry: 3000\n\n"
_HEARTBEAT = b": still here\n\n"
_LOG = structlog.get_logger(__name__)


async def events(call: Call) -> web.StreamResponse:
    """Every event from now on, until the reader goes, is too slow, or may not listen any more."""
    if call.request.method == "HEAD":
        return web.Response(headers={**COMMON_HEADERS, "Content-Type": EVENT_STREAM})
    try:
        subscription = call.control.subscribe()
    except TooManyReaders:
        hint = {"Retry-After": "15"}
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many readers are listening", headers=hint) from None
    call.services.listeners.add(subscription)
    try:
        return await _stream(call, subscription)
    finally:
        call.services.listeners.discard(subscription)
        subscription.close()


async def _stream(call: Call, subscription: Subscription) -> web.StreamResponse:
    out = _Out(call, EVENT_STREAM)
    out.response.force_close()
    out.on_lost(subscription.close)
    return await out.carry(_relay(call, subscription, out))


async def _relay(call: Call, subscription: Subscription, out: _Out) -> None:
    """Raises FeedEnded, TimeoutError and ConnectionError; returns for a caller who may not stay."""
    await out.begin()
    await out.write(_HELLO)
    clock, every_s = call.services.clock, call.services.limits.heartbeat_every_s
    beat_mono = clock.now().mono + every_s
    while True:
        event = await subscription.next(beat_mono - clock.now().mono)
        if event is not None:
            await out.write(_written(event))
        elif clock.now().mono >= beat_mono:
            if not _may_stay(call):
                return
            await out.write(_HEARTBEAT)
            beat_mono = clock.now().mono + every_s


def _may_stay(call: Call) -> bool:
    """A token may have been revoked meanwhile."""
    try:
        return call.services.door.caller(call.request) == call.caller
    except Refused:
        return False


async def history(call: Call) -> web.StreamResponse:
    """A month of minutes is megabytes: encoded in pieces, so that nobody else waits for it."""
    if call.request.method == "HEAD":
        return encoded(b"")
    points = call.control.history()
    out = _Out(call, "application/json")
    return await out.carry(_recite(points, out))


async def _recite(points: Sequence[Mapping[str, Any]], out: _Out) -> None:
    """Raises TimeoutError and ConnectionError; InvariantError for a point that JSON can't say."""
    await out.begin()
    for start in range(0, len(points), _POINTS_AT_ONCE):
        piece = ",".join(json_text(point) for point in points[start : start + _POINTS_AT_ONCE])
        await out.write(("," if start else '{"points":[').encode("ascii") + piece.encode("ascii"))
        await asyncio.sleep(0)
    await out.write(b"]}" if points else b'{"points":[]}')


class _Out:
    """One answer under way."""

    def __init__(self, call: Call, content_type: str) -> None:
        self.response = web.StreamResponse(headers={**COMMON_HEADERS, "Content-Type": content_type})
        self._request = call.request
        self._within_s = call.services.limits.write_within_s

    def on_lost(self, tell: Callable[[], None]) -> None:
        """tell: called when the reader hangs up."""
        protocol = self._request.protocol
        if isinstance(protocol, Connection):
            protocol.on_lost = tell

    async def carry(self, work: Awaitable[None]) -> web.StreamResponse:
        """The answer, after `work` has written it. One that fails is cut off: a part must not pass for the whole."""
        try:
            await work
        except (ConnectionError, TimeoutError, FeedEnded) as error:
            _LOG.info("stream_ended", path=self._request.path, reason=type(error).__name__)
            self.cut()
        except Exception as error:
            _LOG.error("stream_failed", path=self._request.path, error=repr(error))
            self.cut()
        return self.response

    async def begin(self) -> None:
        async with asyncio.timeout(self._within_s):
            await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Raises TimeoutError for a reader that does not take it, ConnectionError for one that is gone."""
        async with asyncio.timeout(self._within_s):
            await self.response.write(data)

    def cut(self) -> None:
        """Hang up at once, so that nothing waits for the reader."""
        if self._request.transport is not None:
            self._request.transport.abort()


def _written(event: FeedEvent) -> bytes:
    """An event as server-sent. Its data are a line of the event log, without the hashes."""
    line: Mapping[str, Any] = {"seq": event.seq, "time": utc_text(event.wall), "event": event.name, **event.fields}
    return f"id: {event.seq}\nevent: {event.name}\ndata: {json_text(line)}\n\n".encode("ascii")
