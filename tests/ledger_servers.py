"""Real servers that keep a fund's ledger, to be stopped, paused, emptied and restored; and a memory that does alike."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol

from risk_daemon.errors import RecordError
from risk_daemon.fund.ledger import JsonObject, Ledger, LedgerRead
from risk_daemon.state.fund.postgres import PostgresLedger
from risk_daemon.state.fund.redis import RedisLedger
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_schema import check
from tests.postgres import Database, Server
from tests.redis_server import RedisServer
from tests.simulated.fund_world import MemoryLedger

WITHIN_S = 0.9


class Place(Protocol):
    """A server that keeps ledgers. What is told of one is of the fund `alpha`."""

    def ledger(self, fund: str = "alpha") -> Ledger: ...

    def pause(self) -> None: ...

    def go_on(self) -> None: ...

    def kill(self) -> None: ...

    def start(self) -> None:
        """After `kill`: with all that was written before."""
        ...

    def forget(self) -> None:
        """All that it holds is gone."""
        ...

    def put(self, text: str) -> None:
        """Have `text` there, whatever was."""
        ...

    def backup(self) -> Any: ...

    def restore(self, backup: Any) -> None: ...

    async def aclose(self) -> None: ...


class InMemory:
    """A ledger for members that are simulated, asked as a server is."""

    def __init__(self, memory: MemoryLedger, place: MemoryPlace) -> None:
        self._memory = memory
        self._place = place

    async def read(self) -> LedgerRead:
        self._check()
        found = self._memory.read()
        try:
            document = json.loads(found.document) if isinstance(found.document, str) else found.document
        except (ValueError, RecursionError) as error:
            raise RecordError(f"it is no fund's ledger: {error}") from error
        return LedgerRead(revision=found.revision, document=document)

    async def compare_and_set(self, revision: str | None, document: JsonObject) -> bool:
        self._check()
        return self._memory.compare_and_set(revision, json.dumps(document))

    def _check(self) -> None:
        if self._place.is_away:
            raise RecordError("it does not answer")


class MemoryPlace:
    """The memory of the simulation."""

    def __init__(self) -> None:
        self.is_away = False
        self._funds: dict[str, MemoryLedger] = {}

    def _of(self, fund: str) -> MemoryLedger:
        return self._funds.setdefault(fund, MemoryLedger())

    def ledger(self, fund: str = "alpha") -> InMemory:
        return InMemory(self._of(fund), self)

    def pause(self) -> None:
        self.is_away = True

    def go_on(self) -> None:
        self.is_away = False

    kill, start = pause, go_on

    def forget(self) -> None:
        for ledger in self._funds.values():
            ledger.put(None)

    def put(self, text: str) -> None:
        self._of("alpha").put(text)

    def backup(self) -> Any:
        return self._of("alpha").document

    def restore(self, backup: Any) -> None:
        self._of("alpha").put(backup)

    async def aclose(self) -> None: ...


class PostgresPlace:
    """A database on a server."""

    def __init__(self, server: Server, *, has_tables: bool = True) -> None:
        self.server = server
        self.database = Database(server, has_tables=has_tables)
        self._made: list[PostgresLedger] = []

    def ledger(self, fund: str = "alpha") -> PostgresLedger:
        made = PostgresLedger(PostgresLink(self.database.url, "", timeout_s=WITHIN_S, first=check), fund)
        self._made.append(made)
        return made

    def pause(self) -> None:
        self.server.freeze()

    def go_on(self) -> None:
        self.server.thaw()

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def forget(self) -> None:
        self.database.execute("DELETE FROM fund_ledgers")

    def put(self, text: str) -> None:
        self.forget()
        self.database.execute("INSERT INTO fund_ledgers VALUES ('alpha', 'by hand', $1)", text)

    def backup(self) -> Any:
        return [tuple(row) for row in self.database.execute("SELECT * FROM fund_ledgers")]

    def restore(self, backup: Any) -> None:
        self.forget()
        for row in backup:
            self.database.execute("INSERT INTO fund_ledgers VALUES ($1, $2, $3)", *row)

    async def aclose(self) -> None:
        for ledger in self._made:
            await ledger.aclose()


class RedisPlace:
    """One Redis."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self._made: list[RedisLedger] = []

    def ledger(self, fund: str = "alpha") -> RedisLedger:
        address = RedisAddress.of(self.server.url)
        made = RedisLedger(redis_client(address, None, WITHIN_S), fund, where=f"Redis at {address}")
        self._made.append(made)
        return made

    def pause(self) -> None:
        self.server.pause()

    def go_on(self) -> None:
        self.server.resume()

    def kill(self) -> None:
        self.server.ask("SAVE")
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def forget(self) -> None:
        self.server.ask("FLUSHALL")

    def put(self, text: str) -> None:
        self.server.ask("HSET", "risk-daemon:fund:alpha", "revision", "by hand", "document", text)

    def backup(self) -> Any:
        with self.server.client() as client:
            return client.hgetall("risk-daemon:fund:alpha")

    def restore(self, backup: Any) -> None:
        self.forget()
        with self.server.client() as client:
            client.hset("risk-daemon:fund:alpha", mapping=backup)

    async def aclose(self) -> None:
        for ledger in self._made:
            await ledger.aclose()


async def until_it_answers(ledger: Ledger) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await ledger.read()
            except RecordError:
                await asyncio.sleep(0.02)
            else:
                return
