"""Sockets to listen on, TCP and Unix, and aiohttp's sites on them with an end to a TLS handshake."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from pathlib import Path

from aiohttp import web

from risk_daemon.errors import InvariantError, StateError
from risk_daemon.model.addresses import host_and_port, short_address

_BACKLOG = 128


class ListeningSite(web.BaseSite):
    """As aiohttp's SockSite, with an end to a TLS handshake: until it is over there is no connection to hang up on."""

    def __init__(
        self, runner: web.ServerRunner, listener: socket.socket, tls: ssl.SSLContext | None, tls_within_s: float
    ):
        super().__init__(runner, ssl_context=tls, backlog=_BACKLOG)
        self._listener = listener
        self._within_s = None if tls is None else tls_within_s

    @property
    def name(self) -> str:
        return str(self._listener.getsockname())

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        if server is None:
            raise InvariantError("the runner was not set up")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            server,
            sock=self._listener,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=self._within_s,
        )


def tcp_listener(listen: str) -> socket.socket:
    """Raises OSError."""
    host, port = host_and_port(listen)
    family, kind, protocol, _, address = socket.getaddrinfo(
        "127.0.0.1" if host == "localhost" else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unix_listener(path: Path) -> socket.socket:
    """A socket bound at `path` for its owner only: nobody can connect before its mode is set. Raises OSError."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_address(path) as address:
            listener.bind(address)
        path.chmod(0o600)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StateError(f"{path}: this is not a socket: move it away")
    path.unlink()
