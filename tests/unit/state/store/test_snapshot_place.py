"""The connection of the day's snapshots, against a PostgreSQL that stops, hangs, is read only or has no tables."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import psutil
import pytest

from risk_daemon.errors import RecordError
from risk_daemon.state.store.snapshot_place import SnapshotPlace
from tests.postgres import database, postgres_server
from tests.unit.state.store.test_snapshots import BINANCE, FILE, KRAKEN, told

__all__ = ["database", "postgres_server"]


@contextmanager
def frozen(server: Any) -> Iterator[None]:
    """The whole server stands still."""
    first = psutil.Process(server.get_pid())
    processes = [first, *first.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


def place(address: str, within_s: float = 5.0) -> SnapshotPlace:
    return SnapshotPlace(lambda: asyncpg.connect(address), "main", [KRAKEN, BINANCE], within_s)


@pytest.fixture
async def tables(database: str) -> str:
    connection = await asyncpg.connect(database)
    await connection.execute(FILE.read_text())
    await connection.close()
    return database


async def kept(address: str) -> int:
    connection = await asyncpg.connect(address)
    found = await connection.fetchval("SELECT count(*) FROM daily_pnl_snapshots")
    await connection.close()
    return int(found)


async def test_accounts_are_registered_before_the_first_row(tables: str) -> None:
    of = place(tables)
    await of.keep([told()])
    connection = await asyncpg.connect(tables)
    rows = await connection.fetch("SELECT venue FROM guarded_accounts ORDER BY venue")
    assert [one["venue"] for one in rows] == ["binance", "kraken"]
    await connection.close()
    await of.close()


async def test_without_tables_it_says_what_to_do(database: str) -> None:
    with pytest.raises(RecordError, match="run `risk-daemon migrate`"):
        await place(database).keep([told()])


async def test_a_server_that_is_not_there(tables: str) -> None:
    with pytest.raises(RecordError, match="the database can't be used: "):
        await place("postgresql://127.0.0.1:1/none").keep([told()])


async def test_a_server_that_hangs_takes_no_longer_than_the_time_there_is(tables: str, postgres_server: Any) -> None:
    of = place(tables, within_s=0.3)
    await of.keep([told()])
    with frozen(postgres_server):
        for _ in range(2):  # on the connection there was, and on a new one
            with pytest.raises(RecordError, match="the database does not answer"):
                await of.keep([told()])
    await of.keep([told()])
    assert await kept(tables) >= 2
    await of.close()


async def test_after_a_lost_connection_it_opens_another(tables: str) -> None:
    of = place(tables)
    await of.keep([told()])
    connection = await asyncpg.connect(tables)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(RecordError):
        await of.keep([told()])
    await of.keep([told()])
    assert await kept(tables) == 2
    await connection.close()
    await of.close()


async def test_a_server_that_is_read_only(tables: str) -> None:
    connection = await asyncpg.connect(tables)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(RecordError, match="read-only transaction"):
        await place(tables).keep([told()])
    await connection.close()
