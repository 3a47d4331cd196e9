"""The tables on a server: made once, in order, and said where they are not this version's."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from risk_daemon.errors import RecordError, StateError
from risk_daemon.state.store import postgres_schema
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import PostgresLink, Refused
from risk_daemon.state.store.postgres_schema import Migration, check, migrate, migrations
from tests.postgres import Database, Server


@pytest.fixture
def bare(postgres: Server) -> Database:
    return Database(postgres, has_tables=False)


async def checked(database: Database) -> None:
    link = PostgresLink(database.url, "")
    try:
        await link.run(check)
    finally:
        await link.close()


def test_files_are_numbered_once() -> None:
    numbers = [migration.number for migration in migrations()]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


async def test_no_tables_then_all_of_them_then_nothing_to_do(bare: Database) -> None:
    with pytest.raises(Refused, match="has no tables of risk-daemon yet: run `risk-daemon migrate`"):
        await checked(bare)
    assert await migrate(bare.url, "") == tuple(migration.name for migration in migrations())
    await checked(bare)
    assert await migrate(bare.url, "") == ()


async def test_two_at_once_do_it_once(bare: Database) -> None:
    done = await asyncio.gather(*(migrate(bare.url, "") for _ in range(3)))
    assert sorted(map(len, done)) == [0, 0, len(migrations())]


async def test_one_of_the_future_is_refused_and_left_alone(bare: Database) -> None:
    await migrate(bare.url, "")
    bare.execute("INSERT INTO risk_daemon_migrations VALUES (9999, '9999_of_tomorrow')")
    for refused in (checked(bare), migrate(bare.url, "")):
        with pytest.raises(Refused, match=r"newer risk-daemon \(9999_of_tomorrow\)"):
            await refused


async def test_an_older_one_says_what_to_do(bare: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(bare.url, "")
    more = Migration(9998, "9998_new", "CREATE TABLE more (a INTEGER)")
    monkeypatch.setattr(postgres_schema, "migrations", lambda: (*migrations(), more))
    with pytest.raises(Refused, match=r"older risk-daemon \(9998_new is new\): run `risk-daemon migrate`"):
        await checked(bare)
    broken = dataclasses.replace(more, sql="CREATE TABLE more (a INTEGER); SELECT none_such")
    monkeypatch.setattr(postgres_schema, "migrations", lambda: (*migrations(), broken))
    with pytest.raises(RecordError, match="none_such"):
        await migrate(bare.url, "")
    monkeypatch.setattr(postgres_schema, "migrations", lambda: (*migrations(), more))
    assert await migrate(bare.url, "") == ("9998_new",), "the one that failed left nothing behind"


async def test_a_user_without_any_privilege_of_the_server_makes_them_and_another_only_reads_and_writes(
    own_postgres: Server,
) -> None:
    """As the documentation has it: to create tables once, and after that four rights and no more."""
    bare = Database(own_postgres, has_tables=False)
    bare.execute("CREATE ROLE maker LOGIN")
    bare.execute("CREATE ROLE guard LOGIN")
    bare.execute("GRANT CREATE ON SCHEMA public TO maker")
    made = await migrate(own_postgres.url(bare.name, "maker"), "")
    assert made == tuple(migration.name for migration in migrations())
    link = PostgresLink(own_postgres.url(bare.name, "guard"), "")
    with pytest.raises(StateError, match="permission denied"):
        await PostgresStore(link, "main").load()
    bare.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guard")
    store = PostgresStore(PostgresLink(own_postgres.url(bare.name, "guard"), "", first=check), "main")
    assert await store.load() == {}
    await store.close()
