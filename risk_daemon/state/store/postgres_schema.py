"""The tables on a PostgreSQL server: numbered files, each applied once, in order, in a transaction of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from risk_daemon.state.store.postgres_link import PostgresLink, Refused
from risk_daemon.state.store.postgres_url import PostgresUrl

if TYPE_CHECKING:
    from asyncpg import Connection

_FILES = Path(__file__).with_name("migrations") / "postgresql"
_TABLE = """CREATE TABLE IF NOT EXISTS risk_daemon_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())"""
_LOCK = int.from_bytes(b"RDmn", "big")
_WITHIN_S = 60.0
_REMEDY = "run `risk-daemon migrate`"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str


def migrations() -> tuple[Migration, ...]:
    """All of this version, in order."""
    paths = sorted(_FILES.glob("*.sql"))
    return tuple(Migration(int(path.name[:4]), path.stem, path.read_text("utf-8")) for path in paths)


async def check(connection: Connection) -> None:
    """Raises Refused, with what to do, where the tables are not this version's."""
    known = {migration.number: migration.name for migration in migrations()}
    there = await _applied(connection)
    newer = sorted(there.keys() - known.keys())
    missing = sorted(known.keys() - there.keys())
    if newer:
        raise Refused(
            f"the tables on the server are of a newer risk-daemon ({there[newer[-1]]}): use the one that made them"
        )
    if not there:
        raise Refused(f"the database on the server has no tables of risk-daemon yet: {_REMEDY}")
    if missing:
        raise Refused(f"the tables on the server are of an older risk-daemon ({known[missing[0]]} is new): {_REMEDY}")


async def migrate(url: PostgresUrl, password: str) -> tuple[str, ...]:
    """Make the tables this version's; the names of what was done, none where nothing was to be done.

    Two at once wait for each other. Raises Refused, RecordError; whatever was done before that stays whole.
    """
    link = PostgresLink(url, password, timeout_s=_WITHIN_S)
    try:
        return await link.run(_migrated)
    finally:
        await link.close()


async def _migrated(connection: Connection) -> tuple[str, ...]:
    done: list[str] = []
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        there, all_known = await _applied(connection), migrations()
        if there.keys() - {migration.number for migration in all_known}:
            await check(connection)
        for migration in all_known:
            if migration.number not in there:
                async with connection.transaction():
                    await connection.execute(_TABLE)
                    await connection.execute(migration.sql)
                    await connection.execute(
                        "INSERT INTO risk_daemon_migrations (number, name) VALUES ($1, $2)",
                        migration.number,
                        migration.name,
                    )
                done.append(migration.name)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return tuple(done)


async def _applied(connection: Connection) -> dict[int, str]:
    if await connection.fetchval("SELECT to_regclass('risk_daemon_migrations')") is None:
        return {}
    rows = await connection.fetch("SELECT number, name FROM risk_daemon_migrations")
    return {row["number"]: row["name"] for row in rows}
