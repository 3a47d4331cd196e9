"""Connections to hosts that are given by a name, where the name server may hang.

The event loop looks names up in a few threads that all share. One name server that hangs would take them all within
seconds, and then no venue can be reached. Here a name has a thread of its own while it is looked up, never two.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from risk_daemon.state.worker import Worker

_Address = tuple[int, int, int, Any]


class Dialler:
    """Connects. It has no end in time: whoever waits gives up, and the next one waits for the same look-up."""

    def __init__(self) -> None:
        self._finding: dict[tuple[str, int], asyncio.Task[list[_Address]]] = {}

    async def dial(self, host: str, port: int) -> socket.socket:
        """Connected to the first of its addresses that takes it; it does not block. Raises OSError of the last."""
        error = OSError(f"{host}: the name has no address")
        for family, kind, protocol, address in await self._found(host, port):
            try:
                return await _connected(socket.socket(family, kind, protocol), address)
            except OSError as failure:
                error = failure
        raise error

    async def _found(self, host: str, port: int) -> list[_Address]:
        finding = self._finding.get((host, port))
        if finding is None or finding.done():
            finding = asyncio.get_running_loop().create_task(_looked_up(host, port), name=f"look-up {host}")
            finding.add_done_callback(_heed)
            self._finding[host, port] = finding
        return await asyncio.shield(finding)


async def _looked_up(host: str, port: int) -> list[_Address]:
    worker = Worker(f"look-up {host}")
    try:
        return await worker.run(_look_up, host, port)
    finally:
        worker.stop()


def _look_up(host: str, port: int) -> list[_Address]:
    """Raises OSError where the name leads nowhere."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


async def _connected(made: socket.socket, address: Any) -> socket.socket:
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _heed(found: asyncio.Task[Any]) -> None:
    """An error that nobody waits for any more is no surprise to the loop."""
    if not found.cancelled():
        found.exception()
