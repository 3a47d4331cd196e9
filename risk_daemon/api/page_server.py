"""The wardens' page while no daemon runs: at the daemon's own address, served by the command that asks."""

from __future__ import annotations

import errno
import socket
import ssl
from http import HTTPStatus

import structlog
from aiohttp import web

from risk_daemon.api.connections import Server
from risk_daemon.api.limits import Limits
from risk_daemon.api.listening import ListeningSite, tcp_listener
from risk_daemon.api.override_page import OverridePage
from risk_daemon.api.problems import Refused, problem
from risk_daemon.api.tally import Tally
from risk_daemon.errors import StateError
from risk_daemon.model.addresses import host_and_port, is_loopback

_LOG = structlog.get_logger(__name__)
_STOP_WITHIN_S = 2.0
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_BOTH = ("127.0.0.1", "::1")


class PageServer:
    """Serves a page at `listen`, the daemon's `host:port`; on another port of this machine where that one is taken.

    A browser may take `localhost` for either loopback address, so both are held: nobody else can be the page.
    """

    def __init__(self, page: OverridePage, listen: str, tls: ssl.SSLContext | None) -> None:
        self._page = page
        self._listen = listen
        self._tls = tls
        self._limits = Limits()
        self._tally = Tally(self._limits.tell_every_s)
        self._runners: list[web.ServerRunner] = []

    async def start(self) -> None:
        """Listen. Raises StateError if there is no address to be had."""
        try:
            listeners = self._listeners()
        except OSError as error:
            raise StateError(f"api.listen: {self._listen} can't be listened on: {error}") from error
        for listener in listeners:
            runner = web.ServerRunner(Server(self._answer, self._limits, self._tally), shutdown_timeout=_STOP_WITHIN_S)
            self._runners.append(runner)
            await runner.setup()
            await ListeningSite(runner, listener, self._tls, self._limits.first_within_s).start()
        self._page.listens_at(listeners[0].getsockname()[1], is_tls=self._tls is not None)

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self._runners = []
        self._tally.stop()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._page.serves(request.rel_url.raw_path):
            return await self._page.answer(request)
        return problem(Refused(HTTPStatus.SERVICE_UNAVAILABLE, "no daemon runs: this is only the wardens' page"))

    def _listeners(self) -> list[socket.socket]:
        host, port = host_and_port(self._listen)
        if not is_loopback(host):
            return [tcp_listener(self._listen)]
        if port == 0:
            return _on_any()
        try:
            return _on_both(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        _LOG.warning("page_elsewhere", wanted=self._listen, reason="another process has that port")
        return _on_any()


def _on_any(tries: int = 5) -> list[socket.socket]:
    """A free port may be taken on the other address. Raises OSError."""
    for left in reversed(range(tries)):
        try:
            return _on_both(0)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or left == 0:
                raise
    return []


def _on_both(port: int) -> list[socket.socket]:
    """One port on every loopback address that this machine has. Raises OSError."""
    found: list[socket.socket] = []
    try:
        for host in _BOTH:
            try:
                found.append(tcp_listener(f"[{host}]:{found[0].getsockname()[1] if found else port}"))
            except OSError as error:
                if not found or error.errno not in _ABSENT:
                    raise
    except OSError:
        for listener in found:
            listener.close()
        raise
    return found
