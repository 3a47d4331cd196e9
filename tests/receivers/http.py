"""An HTTP server in a thread of its own: it keeps what it got, and answers as it is told to."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ENDING = web.AppKey("_ENDING", asyncio.Event)


@dataclass(frozen=True)
class Request:
    """What came in, when (monotonic), and what was made of it. taken: it was told that we have it."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    taken: bool = False
    content: Mapping[str, Any] = field(default_factory=dict)


# --- ways to answer ---------------------------------------------------------------------------------


def status(code: int, text: str = "", **headers: str) -> Answering:
    """`Retry_After="7"` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, text=text, headers=named)

    return answer


async def hanging(request: web.Request) -> web.StreamResponse:
    """Never; it ends with the connection or the server."""
    await request.app[_ENDING].wait()
    return await silent(request)


async def silent(request: web.Request) -> web.StreamResponse:
    """The connection is closed without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def slow(code: int) -> Answering:
    """A body without an end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=code)
        await response.prepare(request)
        await response.write(b"so far ")
        await request.app[_ENDING].wait()
        return response

    return answer


endless = slow(200)


def cut(code: int) -> Answering:
    """The connection ends in the middle of the body."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=code, headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"sid": ')
        await silent(request)
        return response

    return answer


# --- the server -------------------------------------------------------------------------------------


class HttpReceiver:
    """Takes every POST. `answering` overrules what it would say; None: it is in its right mind."""

    def __init__(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = 0
        self.requests: list[Request] = []
        self.answering: Answering | None = None
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/"

    @property
    def taken(self) -> list[Request]:
        return [request for request in self.requests if request.taken]

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        """Listen, on the port of last time if there was one."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def shut(self) -> None:
        """Refuse connections, as a machine that is down."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()

    async def judge(self, request: web.Request, body: bytes) -> tuple[web.Response, Mapping[str, Any] | None]:
        """The answer, and what was taken; None: nothing."""
        return web.Response(status=204), {}

    async def _open(self) -> None:
        app = web.Application()
        app[_ENDING] = asyncio.Event()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self._tls, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _shut(self) -> None:
        if self._runner is not None:
            self._runner.app[_ENDING].set()
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        at, body = time.monotonic(), await request.read()
        answering = self.answering
        answer, content = await self.judge(request, body)
        taken = content is not None and answering is None
        self.requests.append(Request(request.path, dict(request.headers), body, at, taken, content or {}))
        return answer if answering is None else await answering(request)
