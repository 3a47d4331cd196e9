"""The phase plan's table of daily snapshots, in a real PostgreSQL, and the loss of the day over all accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from risk_daemon.model.clock import ManualClock
from risk_daemon.runtime.day_snapshots import snapshots_of
from risk_daemon.state.store import postgres_schema, snapshots
from risk_daemon.state.store.postgres_link import connect
from risk_daemon.state.store.snapshots import Account, Snapshot, forget, loss_of_day, register, write
from tests.core_world import World, engine_settings, perp
from tests.postgres import Database, Server
from tests.seeds.test_000_freeze import zen

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(postgres_schema.__file__).with_name("migrations") / "postgresql"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
ACCOUNTS = [Account(venue=name, exchange=name, fingerprint="0" * 16) for name in ("perp", "spot")]
IDS = {one.venue: one.account_id for one in ACCOUNTS}

# What 0010 and the guard ask of the extension, where there is none: it notes what it was asked.
STAND_IN = """
CREATE SCHEMA timescaledb_information;
CREATE TABLE timescaledb_information.hypertables (hypertable_name name, dimension name, options text);
CREATE FUNCTION create_hypertable(
    relation regclass, time_column_name name, if_not_exists boolean DEFAULT FALSE, migrate_data boolean DEFAULT FALSE
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO timescaledb_information.hypertables
    VALUES (relation::text, time_column_name, concat_ws(',', if_not_exists, migrate_data))
$$;
CREATE FUNCTION drop_chunks(relation regclass, older_than timestamptz) RETURNS SETOF text LANGUAGE sql AS $$
    DELETE FROM daily_pnl_snapshots WHERE snapshot_time < older_than RETURNING 'a chunk of ' || relation::text
$$;
"""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Any]:
    connection = await connect(database.url, "")
    yield connection
    await connection.close()


def told(**changes: Any) -> Snapshot:
    of: dict[str, Any] = {
        "account_id": uuid4(),
        "guard": "main",
        "wall": NOON,
        "trading_day": "2026-11-22",
        "day_ends_wall": NOON + 43_200,
        "reference_currency": "USDT",
        "start_of_day_equity": Decimal(100_000),
        "current_equity": Decimal("98000.50"),
        "realized_pnl": Decimal("-1500.25"),
        "unrealized_pnl": Decimal("-499.25"),
        "guard_start_of_day": None,
    }
    return Snapshot(**(of | changes))


async def test_000_05_one_query_has_a_loss_over_all_accounts_as_soon_as_it_is_written(connection: Any) -> None:
    """Of the guard's own accounts, to the cent and the ratio; how long that takes is a row of the benchmarks."""
    world = World(engine_settings(), ManualClock(wall=NOON), rules=lambda: [zen()]).start()
    world.stream_price("BTC/USDT:USDT", 50_000)
    world.stream_position("perp", perp("0.1", 50_000))
    world.run(30)
    await register(connection, "main", ACCOUNTS)
    for price, ratio, is_breached in ((49_000, "0.01", False), (47_010, "0.0299", False), (47_000, "0.03", True)):
        world.stream_price("BTC/USDT:USDT", price)
        now = world.clock.advance(1)
        await write(connection, snapshots_of(world.engine, now, "main", IDS).values())
        found = await loss_of_day(connection, now.wall)
        assert (found.unknown, found.loss_ratio, found.is_breached) == ((), Decimal(ratio), is_breached)
        assert found.loss_ratio == world.engine.baselines.daily_loss_ratio(Decimal(found.current_equity or 0))


async def test_000_06_the_columns_of_a_snapshot_with_two_decimals(connection: Any) -> None:
    await write(connection, [told()])
    kept = await connection.fetchrow("SELECT * FROM daily_pnl_snapshots")
    columns = await connection.fetch(
        "SELECT column_name AS name, data_type AS kind, is_nullable = 'NO' AS needed, numeric_scale AS scale"
        " FROM information_schema.columns WHERE table_name = 'daily_pnl_snapshots'"
    )
    kinds = {one["name"]: (one["kind"], one["needed"], one["scale"]) for one in columns}
    assert kinds["id"] == kinds["account_id"] == ("uuid", True, None)
    assert kinds["snapshot_time"] == ("timestamp with time zone", True, None)
    assert kinds["start_of_day_equity"] == kinds["current_equity"] == ("numeric", True, 2)
    assert kinds["realized_pnl"] == kinds["unrealized_pnl"] == ("numeric", False, 2)
    assert kept["id"].version == 4
    assert kept["snapshot_time"] == datetime(2026, 11, 22, 12, tzinfo=UTC)
    amounts = ("start_of_day_equity", "current_equity", "realized_pnl", "unrealized_pnl")
    assert [str(kept[name]) for name in amounts] == ["100000.00", "98000.50", "-1500.25", "-499.25"]


@pytest.mark.parametrize(
    ("current", "drawdown", "is_breached"),
    [
        ("97000.01", "0.02999990", False),
        ("97000", "0.03000000", True),
        ("97004", "0.02996000", False),
        ("-1000000", "11.00000000", True),
    ],
)
async def test_000_07_drawdown_and_breach_are_worked_out_by_the_table(
    connection: Any, current: str, drawdown: str, is_breached: bool
) -> None:
    await write(connection, [told(current_equity=Decimal(current))])
    kept = await connection.fetchrow("SELECT total_drawdown_pct AS drawdown, is_breached FROM daily_pnl_snapshots")
    assert (str(kept["drawdown"]), kept["is_breached"]) == (drawdown, is_breached)
    with pytest.raises(Exception, match="generated column"):
        await connection.execute("UPDATE daily_pnl_snapshots SET is_breached = FALSE")


async def test_000_07_without_a_start_it_is_breached(connection: Any) -> None:
    await write(connection, [told(start_of_day_equity=Decimal(0))])
    assert await connection.fetchval("SELECT is_breached FROM daily_pnl_snapshots") is True


async def test_000_08_with_the_extension_the_table_is_a_hypertable(postgres: Server) -> None:
    """The real one where the server has it; else a stand-in shows that it is asked for what it should be."""
    database = Database(postgres, has_tables=False)
    connection = await connect(database.url, "")
    available = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')"
    is_real = await connection.fetchval(available)
    if not is_real:
        place = postgres.folder / "stand-in" / "extension"
        place.mkdir(parents=True, exist_ok=True)
        (place / "timescaledb.control").write_text("default_version = '0'\n")
        (place / "timescaledb--0.sql").write_text(STAND_IN)
        await connection.execute(f"SET extension_control_path = '{place.parent}:$system'")
        await connection.execute("CREATE EXTENSION timescaledb")
    database.migrate()
    rows = await connection.fetch(
        "SELECT * FROM timescaledb_information.hypertables WHERE hypertable_name = 'daily_pnl_snapshots'"
    )
    assert len(rows) == 1
    assert is_real or tuple(rows[0]) == ("daily_pnl_snapshots", "snapshot_time", "t,t")
    assert await snapshots._is_hypertable(connection)
    await register(connection, "main", ACCOUNTS)
    spot = IDS["spot"]
    await write(connection, [told(account_id=spot), told(account_id=spot, wall=NOON - 40 * 86_400)])
    await forget(connection, NOON - 20 * 86_400, keep_days=1)
    assert await connection.fetchval("SELECT count(*) FROM daily_pnl_snapshots") == 1
    await connection.close()


async def test_000_08_without_it_the_table_is_a_plain_one(connection: Any) -> None:
    if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"):
        return
    assert not await snapshots._is_hypertable(connection)
    kind = await connection.fetchval("SELECT relkind FROM pg_class WHERE relname = 'daily_pnl_snapshots'")
    assert kind == b"r"


def test_000_09_compose_has_a_timescaledb() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    service = compose["services"]["timescaledb"]
    assert service["image"].startswith("timescale/timescaledb:")
    assert service["healthcheck"]["test"]
    assert service["volumes"]


async def test_000_10_the_migration_is_a_file_and_may_run_again(connection: Any) -> None:
    [file] = FILES.glob("*_21_circuit_breaker.sql")
    await write(connection, [told()])
    await connection.execute(file.read_text())
    assert await connection.fetchval("SELECT count(*) FROM daily_pnl_snapshots") == 1
    names = await connection.fetch("SELECT name FROM risk_daemon_migrations")
    assert file.stem in [one["name"] for one in names]
