"""aiohttp's connections with our manners: each has a seat, and even a garbled request is answered as a problem.

Whoever says nothing for a few seconds, or never with a token, is hung up on; so is who is idle when others come. The
one that comes is never the one that is hung up on: aiohttp has not begun to serve it yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from risk_daemon.api.limits import Limits
from risk_daemon.api.problems import Refused, problem
from risk_daemon.api.seats import Room, Seat, Seats, room_of
from risk_daemon.api.tally import Away, Tally
from risk_daemon.auth.tokens import Role

_LOG = structlog.get_logger(__name__)

Answerer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """One connection. on_lost: told, once, when it is gone."""

    __slots__ = ("_first", "_seat", "_server", "on_lost")

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.on_lost: Callable[[], None] | None = None
        self._server = manager
        self._seat = Seat("", self._is_busy, self._hang_up)
        self._first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        address = transport.get_extra_info("peername") or ""
        self._seat.whose = str(address[0]) if isinstance(address, tuple) else "socket"
        self._server.make_room(self._server.seats.come(self._seat))
        self._hurry(self._server.limits.first_within_s)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._server.seats.leave(self._seat)
        self._calm()
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None

    def known_as(self, name: str, role: Role) -> None:
        """The caller of the request that is being served. Raises Refused (503) where its role has no seat left."""
        self._sit(name, room_of(role))

    def shows_page(self, name: str) -> None:
        """The request that is being served is of a browser that is logged in. Raises Refused (503)."""
        self._sit(name, Room.PAGES)

    def _sit(self, name: str, room: Room) -> None:
        seat, server = self._seat, self._server
        if self._first is None and seat.whose == name and seat.room is room:
            server.seats.use(seat)
            return
        has_seat, leaver = server.seats.move(seat, room, name)
        if not has_seat:
            server.tally.count(Away.FULL)
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are busy with requests", hangs_up=True)
        server.make_room(leaver)
        self._calm()

    def _hurry(self, within_s: float) -> None:
        self._first = asyncio.get_running_loop().call_later(within_s, self._is_late)

    def _calm(self) -> None:
        if self._first is not None:
            self._first.cancel()
        self._first = None

    def _is_late(self) -> None:
        if self._is_busy():  # a stranger's answer is on its way
            self._hurry(self._server.limits.first_within_s)
            return
        self._first = None
        if self._request_count == 0:
            self._server.tally.count(Away.SILENT)
        self._hang_up()

    def _is_busy(self) -> bool:
        return self._current_request is not None

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP gets a problem and is hung up on. Raises ConnectionError if an answer is under way."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOG.error("connection_failed", error=repr(exc))
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        garbled = "this is not an HTTP request that can be read"
        detail = garbled if status == HTTPStatus.BAD_REQUEST else "the request failed"
        return problem(Refused(HTTPStatus(status), detail, hangs_up=True))


class Server(web.Server):
    """Makes the connections of one listener, and gives them seats."""

    def __init__(self, answer: Answerer, limits: Limits, tally: Tally) -> None:
        super().__init__(
            answer,
            access_log=None,
            keepalive_timeout=limits.header_within_s,  # counts from the first byte on: a slow header ends with it
            lingering_time=limits.linger_s,
            auto_decompress=False,
        )
        self.limits = limits
        self.tally = tally
        self.seats = Seats(limits)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def make_room(self, leaver: Seat | None) -> None:
        """Hang up on who has to go, if anybody has."""
        if leaver is not None:
            self.tally.count(Away.CROWDED)
            leaver.hang_up()
