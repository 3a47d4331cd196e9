"""A network between a client and a server on loopback: it delays, holds back, cuts, and repeats itself."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Proxy:
    """delay_s: of every piece, each way. hold: what a piece to the server must contain to be held back, with all that
    comes after it on its connection, until `release`. is_deaf: nothing comes through. repeats: the first answer of a
    connection is given again to every question, and the server is not asked any more. to: the port that connections
    lead to from now on; those that are there stay where they are.
    """

    def __init__(self, port: int) -> None:
        self.to = port
        self.port = 0
        self.delay_s = 0.0
        self.hold: bytes | None = None
        self.is_deaf = False
        self.repeats: bytes | None = None
        self.last_answer = b""
        self.held = asyncio.Event()
        self.release = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
        """tls: what clients meet; the server behind it needs none."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._there(reader, far_writer, writer), self._back(far_reader, writer))
        for one in (far_writer, writer):
            one.close()

    async def _there(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            if self.hold is not None and self.hold in data:
                self.held.set()
                await self.release.wait()
            if self.repeats is not None and b"EXEC" in data:
                back.write(self.repeats)
                continue
            await self._pass(data, writer)
        writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.last_answer = data
            await self._pass(data, writer)
        writer.close()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if not self.is_deaf:
            writer.write(data)
            await writer.drain()
