"""aiohttp's connections with our manners: bounded in number, and even a garbled request is answered as a problem."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from risk_daemon.api.limits import Limits
from risk_daemon.api.problems import Refused, problem

_LOG = structlog.get_logger(__name__)

Answerer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """One connection. on_lost: told, once, when it is gone."""

    __slots__ = ("on_lost",)

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.on_lost: Callable[[], None] | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None

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
    """Makes the connections of one listener; hangs up on those that are too many."""

    def __init__(self, answer: Answerer, limits: Limits) -> None:
        super().__init__(
            answer,
            access_log=None,
            keepalive_timeout=limits.header_within_s,  # counts from the first byte on: a slow header ends with it
            lingering_time=limits.linger_s,
            auto_decompress=False,
        )
        self._limit = limits.connections

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > self._limit:
            transport.abort()
