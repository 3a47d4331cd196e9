"""Where the day's snapshots are written, against a PostgreSQL that stops, hangs, is read only or has no tables."""

from __future__ import annotations

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_url import parse
from risk_daemon.state.store.snapshot_place import SnapshotPlace
from tests.postgres import Database, Server
from tests.unit.state.store.test_snapshots import BINANCE, KRAKEN, told


def place(of: Database, timeout_s: float = 3.0) -> SnapshotPlace:
    return SnapshotPlace(PostgresLink(of.url, "", timeout_s=timeout_s), "main", [KRAKEN, BINANCE])


def kept(of: Database) -> int:
    return int(of.execute("SELECT count(*) FROM daily_pnl_snapshots")[0][0])


async def test_accounts_are_registered_before_the_first_row(database: Database) -> None:
    of = place(database)
    await of.keep([told()])
    rows = database.execute("SELECT guard, venue FROM guarded_accounts ORDER BY venue")
    assert [tuple(one) for one in rows] == [("main", "binance"), ("main", "kraken")]
    await of.close()


async def test_without_tables_it_says_what_to_do(postgres: Server) -> None:
    with pytest.raises(RecordError, match="does not exist: run `risk-daemon migrate`"):
        await place(Database(postgres, has_tables=False)).keep([told()])


async def test_a_server_that_is_not_there() -> None:
    link = PostgresLink(parse("postgresql://nobody@127.0.0.1:1/none"), "")
    with pytest.raises(RecordError, match=r"PostgreSQL at 127\.0\.0\.1:1/none: "):
        await SnapshotPlace(link, "main", [KRAKEN]).keep([told()])


async def test_a_server_that_stands_still_and_goes_on(own_postgres: Server) -> None:
    on = Database(own_postgres)
    of = place(on, timeout_s=0.3)
    await of.keep([told()])
    own_postgres.freeze()
    for _ in range(2):  # on the connection there was, and on a new one
        with pytest.raises(RecordError, match="does not answer within"):
            await of.keep([told()])
    own_postgres.thaw()
    await place(on).keep([told()])
    assert kept(on) >= 2
    await of.close()


async def test_after_a_lost_connection_it_opens_another_and_registers_again(database: Database) -> None:
    of = place(database)
    await of.keep([told()])
    database.execute("DELETE FROM guarded_accounts")
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(RecordError):
        await of.keep([told()])
    await of.keep([told()])
    assert kept(database) == 2
    assert len(database.execute("SELECT FROM guarded_accounts")) == 2
    await of.close()


async def test_a_server_that_is_read_only(postgres: Server) -> None:
    database = Database(postgres)
    database.execute(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = on')
    of = place(database)
    with pytest.raises(RecordError, match="read-only transaction"):
        await of.keep([told()])
    await of.close()


async def test_what_is_old_is_forgotten(database: Database) -> None:
    of = place(database)
    await of.keep([told(), told(wall=told().wall - 100)])
    await of.forget(told().wall - 50, keep_days=2)
    assert kept(database) == 2
    await of.keep([told(wall=told().wall + 86_400)])
    await of.forget(told().wall + 50, keep_days=1)
    assert kept(database) == 1
    await of.close()
