"""The daemon's HTTP API on its two listeners: the Unix socket for people of this machine, TCP for bots.

Nothing is decided here: a question goes to the gate, a command becomes an event for the engine, and the answer is
passed on. What fails, fails as a no.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from aiohttp import web

from risk_daemon.api.connections import Answerer, Server
from risk_daemon.api.dashboard.site import Dashboard
from risk_daemon.api.dispatch import Dispatcher
from risk_daemon.api.doors import Door, SocketDoor, TokenDoor
from risk_daemon.api.handlers import Services
from risk_daemon.api.limits import Limits
from risk_daemon.api.listening import ListeningSite, address_of, tcp_listener, unix_listener
from risk_daemon.api.openapi import document
from risk_daemon.api.override_page import OverridePage
from risk_daemon.api.port import Control, Wardens
from risk_daemon.api.routes import ROUTES
from risk_daemon.api.tally import Tally
from risk_daemon.auth.tokens import FILE_NAME, TokenStore
from risk_daemon.errors import ConfigError, StateError
from risk_daemon.model.addresses import host_and_port, is_loopback
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.state.files import json_text

_STOP_WITHIN_S = 2.0
_WATCH_EVERY_S = 2.0


class ControlServer:
    """Serves a Control on a Unix socket and, where `listen` says so, on TCP.

    The caller owns the state directory, so a socket there is stale. listen: `host:port`, port 0 for any. tls: the
    server's context; needed where others than this machine can reach it. tokens: by default the file beside the
    socket. limits: see there. page: where wardens agree, on TCP. wardens: what is asked about them.
    page_host: what addresses of the operator's page, on TCP too, call this machine besides its loopback names; None:
    there is no such page.
    tally: counts who is turned away, on the page as well.
    """

    def __init__(
        self,
        control: Control,
        socket_path: Path,
        *,
        listen: str | None = None,
        tokens: TokenStore | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        page: OverridePage | None = None,
        wardens: Wardens | None = None,
        page_host: str | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.path = socket_path
        self._control = control
        self._listen = listen
        self._tokens = tokens or TokenStore.open(socket_path.with_name(FILE_NAME))
        self._tls = tls
        self.limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._page = page
        self._wardens = wardens
        self._rates = self.limits.rate_limits()
        self._tally = tally or Tally(self.limits.tell_every_s)
        self.dashboard = None if page_host is None else self._made_dashboard(page_host)
        self._runners: list[web.ServerRunner] = []
        self._services: list[Services] = []
        self._addresses: list[str] = []
        self._inode: int | None = None
        self._watch: asyncio.TimerHandle | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it really listens: `unix:<path>`, and `host:port` as in the configuration."""
        return tuple(self._addresses)

    async def start(self) -> None:
        """Listen. Raises StateError if an address can't be had, ConfigError for TCP that others could listen in on."""
        try:
            if self._listen is not None:
                await self._start_tcp(self._listen)
            await self._start_socket()
            self._watch_tokens()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and remove the socket, unless another daemon has put its own there by now."""
        if self.dashboard is not None:
            await self.dashboard.close()
        for services in self._services:
            for listener in tuple(services.listeners):
                listener.close()
        for runner in self._runners:
            await runner.cleanup()
        self._tally.stop()
        if self._watch is not None:
            self._watch.cancel()
        self._runners, self._services, self._addresses = [], [], []
        try:
            if self._inode is not None and self.path.stat().st_ino == self._inode:
                self.path.unlink()
        except FileNotFoundError:
            return  # somebody was quicker

    def _watch_tokens(self) -> None:
        """The journal hears of a token that was made or revoked also while nobody asks for anything."""
        self._tokens.version()
        self._watch = asyncio.get_running_loop().call_later(_WATCH_EVERY_S, self._watch_tokens)

    async def _start_socket(self) -> None:
        try:
            listener = unix_listener(self.path)
            self._inode = self.path.stat().st_ino
            await self._serve(SocketDoor(self._tokens), listener, None, is_tcp=False)
        except OSError as error:
            raise StateError(f"{self.path}: the socket can't be made: {error}") from error
        self._addresses.append(f"unix:{self.path}")

    async def _start_tcp(self, listen: str) -> None:
        host, _ = host_and_port(listen)
        if self._tls is None and not is_loopback(host):
            raise ConfigError(f"api.listen: {listen} is reachable from elsewhere, and that needs TLS")
        failures, is_local = self._rates["failed_logins"], is_loopback(host)
        door = TokenDoor(self._tokens, failures, self._clock, self._tally, is_loopback_only=is_local)
        try:
            listener = tcp_listener(listen)
            await self._serve(door, listener, self._tls, is_tcp=True)
        except OSError as error:
            raise StateError(f"api.listen: {listen} can't be listened on: {error}") from error
        self._addresses.append(address_of(listener))
        port, is_tls = listener.getsockname()[1], self._tls is not None
        for page in self._pages:
            page.listens_at(port, is_tls=is_tls)

    @property
    def _pages(self) -> list[OverridePage | Dashboard]:
        return [page for page in (self._page, self.dashboard) if page is not None]

    def _made_dashboard(self, host: str) -> Dashboard:
        known = (self._tokens, self._clock, self.limits, self._rates, self._tally)
        dashboard = Dashboard(self._control, *known, host)
        if self._page is not None:
            dashboard.override = self._page.address
        return dashboard

    async def _serve(self, door: Door, listener: socket.socket, tls: ssl.SSLContext | None, *, is_tcp: bool) -> None:
        known = (self._tokens, self._clock, self.limits, _document(), self._tally, self._wardens)
        services = Services(self._control, door, *known)
        dispatcher = Dispatcher(services, ROUTES, self._rates)
        answers = _beside(self._pages, dispatcher) if is_tcp else dispatcher.answer
        runner = web.ServerRunner(Server(answers, self.limits, self._tally), shutdown_timeout=_STOP_WITHIN_S)
        self._runners.append(runner)
        self._services.append(services)
        await runner.setup()
        await ListeningSite(runner, listener, tls, self.limits.first_within_s).start()


def _beside(pages: Sequence[OverridePage | Dashboard], dispatcher: Dispatcher) -> Answerer:
    """Browsers are let in to the pages, and to nothing else."""

    async def answers(request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        page = next((one for one in pages if one.serves(path)), None)
        return await (dispatcher if page is None else page).answer(request)

    return answers


@cache
def _document() -> bytes:
    return json_text(document(ROUTES, version("risk-daemon"))).encode("ascii")
