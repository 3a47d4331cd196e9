"""Connections of the Redis library that are made by a `Dialler`. Over TLS the server must still prove its name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from socket import socket
from typing import Any

from redis.asyncio import Connection, SSLConnection

from risk_daemon.state.dial import Dialler


class _Dialled(Connection):
    def __init__(self, *, dialler: Dialler, **more: Any) -> None:
        super().__init__(**more)
        self._dialler = dialler
        self._dialled: socket | None = None

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            self._dialled = await self._dialler.dial(self.host, int(self.port))
        await super()._connect()  # type: ignore[no-untyped-call]

    def _connection_arguments(self) -> Mapping[str, Any]:
        given = {name: value for name, value in super()._connection_arguments().items() if name not in ("host", "port")}
        if given.get("ssl"):
            given["server_hostname"] = self.host
        return {**given, "sock": self._dialled}


class DialledConnection(_Dialled):
    """Without TLS. dialler: what connects it."""


class DialledSSLConnection(_Dialled, SSLConnection):
    """With TLS. dialler: what connects it."""
