"""Real servers that keep a board, to be stopped, paused and emptied."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from risk_daemon.state.board.base import Board
from risk_daemon.state.board.postgres import PostgresBoard
from risk_daemon.state.board.redis import RedisBoard
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from risk_daemon.state.store.postgres_link import PostgresLink
from tests.postgres import Database, Server
from tests.redis_server import RedisServer

if TYPE_CHECKING:
    from redis.asyncio import Redis

_TABLES = ("boards", "board_standings")
_KEYS = "risk-daemon:main:board:"


class Place(Protocol):
    """A server that keeps boards."""

    def board(self, name: str, others: Sequence[str], *, run: str = "1", group: str = "main") -> Board: ...

    def pause(self) -> None: ...

    def go_on(self) -> None: ...

    def forget(self) -> None:
        """All that it holds is gone."""
        ...

    def say_of(self, guard: str, body: str) -> None:
        """Write `body` as what a guard of the group `main` said."""
        ...

    def take_off(self, guard: str) -> None:
        """As docs/scale.md says it is done, with a guard of the group `main`."""
        ...

    def say_at(self, guard: str, seconds: float) -> None:
        """What a guard of the group `main` said, it said that long from now; negative: ago."""
        ...

    def set_epoch(self, epoch: int) -> None: ...

    def restart(self) -> None:
        """What it holds stays."""
        ...

    def begin(self, seconds: float) -> None:
        """The board of the group `main` was made that long from now; negative: ago."""
        ...

    def saved(self) -> Any:
        """All that it holds, for `restore`."""
        ...

    def restore(self, saved: Any) -> None:
        """What it holds is what was saved, and the server goes on."""
        ...

    def hold_for(self, seconds: float) -> None:
        """Who holds the epoch of the group `main` does so for that long from now, as when the clock was set back."""
        ...


class PostgresPlace:
    """A server with the tables of this version; without, where `has_tables` is false."""

    def __init__(self, server: Server, *, has_tables: bool = True) -> None:
        self._server = server
        self.database = Database(server, has_tables=has_tables)
        self.links: list[PostgresLink] = []

    def board(self, name: str, others: Sequence[str], *, run: str = "1", group: str = "main") -> PostgresBoard:
        link = PostgresLink(self.database.url, "", timeout_s=0.9)
        self.links.append(link)
        return PostgresBoard(link, place="postgresql", group=group, name=name, run=run, others=others)

    def pause(self) -> None:
        self._server.freeze()

    def go_on(self) -> None:
        self._server.thaw()

    def forget(self) -> None:
        self.database.execute("DELETE FROM boards")

    def say_of(self, guard: str, body: str) -> None:
        self.database.execute("UPDATE board_standings SET body = $2 WHERE guard = $1", guard, body)

    def take_off(self, guard: str) -> None:
        self.database.execute("DELETE FROM board_standings WHERE board = 'main' AND guard = $1", guard)

    def say_at(self, guard: str, seconds: float) -> None:
        moved = "UPDATE board_standings SET said_at = now() + $2::float8 * INTERVAL '1 s' WHERE guard = $1"
        self.database.execute(moved, guard, seconds)

    def set_epoch(self, epoch: int) -> None:
        self.database.execute("UPDATE boards SET epoch = $1", epoch)

    def restart(self) -> None:
        self._server.kill()
        self._server.start()

    def begin(self, seconds: float) -> None:
        self.database.execute("UPDATE boards SET since = now() + $1::float8 * INTERVAL '1 s'", seconds)

    def saved(self) -> None:
        for table in _TABLES:
            self.database.execute(f"CREATE TABLE {table}_saved AS SELECT * FROM {table}")

    def restore(self, saved: None) -> None:
        self.forget()
        for table in _TABLES:
            self.database.execute(f"INSERT INTO {table} SELECT * FROM {table}_saved")

    def hold_for(self, seconds: float) -> None:
        self.database.execute("UPDATE boards SET held_until = now() + $1::float8 * INTERVAL '1 s'", seconds)

    def move_clock(self, seconds: float) -> None:
        """From now on the board's clock is so far ahead of what it was, in one step."""
        (row,) = self.database.execute("SELECT pg_get_functiondef('exchange_on_board'::regproc) AS text")
        moved = f"(clock_timestamp() + INTERVAL '{seconds} s')"
        self.database.execute(row["text"].replace("clock_timestamp()", moved))

    def answer_with(self, text: str) -> None:
        """From now on the function of this board gives `text`, whatever it is asked."""
        self.database.execute(f"""DO $do$ BEGIN EXECUTE format(
            'CREATE OR REPLACE FUNCTION exchange_on_board(%s) RETURNS TEXT LANGUAGE sql AS %L',
            pg_get_function_arguments('exchange_on_board'::regproc), format('SELECT %L', $text${text}$text$)
        ); END $do$""")


class RedisPlace:
    """One Redis. Boards made here share it."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.clients: list[Redis] = []

    def board(self, name: str, others: Sequence[str], *, run: str = "1", group: str = "main") -> RedisBoard:
        return self.board_at(self.server.port, name, others, run=run, group=group)

    def board_at(
        self, port: int, name: str, others: Sequence[str], *, run: str = "1", group: str = "main"
    ) -> RedisBoard:
        client = redis_client(RedisAddress.of(f"redis://127.0.0.1:{port}/0"), None, 0.5)
        self.clients.append(client)
        return RedisBoard(client, place="redis", group=group, name=name, run=run, others=others)

    def pause(self) -> None:
        self.server.pause()

    def go_on(self) -> None:
        self.server.resume()

    def forget(self) -> None:
        self.server.ask("FLUSHALL")

    def say_of(self, guard: str, body: str) -> None:
        self.server.ask("HSET", f"{_KEYS}guard:{guard}", "body", body)

    def take_off(self, guard: str) -> None:
        self.server.ask("SREM", f"{_KEYS}guards", guard)

    def say_at(self, guard: str, seconds: float) -> None:
        self.server.ask("HSET", f"{_KEYS}guard:{guard}", "at", int((self._now() + seconds) * 1000))

    def _now(self) -> float:
        whole, micros = self.server.ask("TIME")
        return int(whole) + int(micros) / 1e6

    def set_epoch(self, epoch: int) -> None:
        self.write("epoch", str(epoch))

    def restart(self) -> None:
        self.server.ask("SAVE")
        self.server.kill()
        self.server.start()

    def begin(self, seconds: float) -> None:
        self.write("since", str(int((self._now() + seconds) * 1000)))

    def saved(self) -> dict[bytes, tuple[int, bytes]]:
        with self.server.client() as client:
            return {key: (max(client.pttl(key), 0), client.dump(key)) for key in client.scan_iter(f"{_KEYS}*")}

    def restore(self, saved: dict[bytes, tuple[int, bytes]]) -> None:
        with self.server.client() as client:
            client.flushall()
            for key, (left_ms, value) in saved.items():
                client.restore(key, left_ms, value)

    def hold_for(self, seconds: float) -> None:
        _, holder = self.server.ask("GET", f"{_KEYS}holder").split(" ")
        self.write("holder", f"{int((self._now() + seconds) * 1000)} {holder}")

    def exchanges(self) -> int:
        """How many scripts it has run."""
        with self.server.client() as client:
            told = client.info("commandstats")
        return sum(of["calls"] for command, of in told.items() if command.startswith("cmdstat_eval"))

    def delete(self, key: str) -> None:
        assert self.server.ask("DEL", _KEYS + key) == 1

    def write(self, key: str, value: str) -> None:
        self.server.ask("SET", _KEYS + key, value)


async def until(holds: Callable[[], Any], within_s: float = 10.0) -> None:
    """Wait for it. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - the other side is a server, which sets no event of ours
            await asyncio.sleep(0.02)
