"""The loss of the day from the store, with no daemon: from a real PostgreSQL, and from one that does not answer."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.app.day_loss import day_loss_in_store
from risk_daemon.config.load import load
from risk_daemon.config.settings import Settings
from risk_daemon.errors import UsageError
from risk_daemon.model.clock import ManualClock
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.snapshot_place import SnapshotPlace
from tests.postgres import Database, Server
from tests.unit.state.store.test_snapshots import BINANCE, KRAKEN, NOON, told


def settings(folder: Path, store: str, guard: str = "main") -> Settings:
    path = folder / "config.toml"
    venue = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
    path.write_text(
        f'[portfolio]\ninitial_capital = 10000\n{venue}[guard]\nname = "{guard}"\n[state]\nstore = "{store}"\n'
    )
    return load(path)


@pytest.fixture
async def filled(database: Database) -> Database:
    place = SnapshotPlace(PostgresLink(database.url, ""), "main", [KRAKEN, BINANCE])
    await place.keep([told(), told(BINANCE)])
    await place.close()
    return database


async def test_over_all_accounts(filled: Database, tmp_path: Path) -> None:
    loss = await day_loss_in_store(settings(tmp_path, filled.address), ManualClock(wall=NOON + 5))
    assert (loss.unknown, loss.loss_ratio, loss.loss) == ((), Decimal("0.02"), 4_000)


async def test_a_venue_of_the_configuration_that_never_told_anything_is_missed(
    filled: Database, tmp_path: Path
) -> None:
    loss = await day_loss_in_store(settings(tmp_path, filled.address, "other"), ManualClock(wall=NOON + 5))
    assert (loss.loss_ratio, loss.unknown) == (None, ("other/kraken was never registered by a guard",))


async def test_what_is_stale_is_not_known(filled: Database, tmp_path: Path) -> None:
    loss = await day_loss_in_store(settings(tmp_path, filled.address), ManualClock(wall=NOON + 200))
    assert loss.loss_ratio is None
    assert len(loss.unknown) == 2


async def test_a_store_that_can_not_be_asked_says_why_and_no_loss(postgres: Server, tmp_path: Path) -> None:
    away = settings(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    empty = settings(tmp_path, Database(postgres, has_tables=False).address)
    for of, why in ((away, "PostgreSQL at 127.0.0.1:1/none: "), (empty, "run `risk-daemon migrate`")):
        loss = await day_loss_in_store(of)
        assert not loss.is_known
        assert loss.document()["daily_loss_ratio"] is None
        assert why in loss.unknown[0]


async def test_without_a_server_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--store asks a server: \[state\] store is \"sqlite\""):
        await day_loss_in_store(settings(tmp_path, "sqlite"))
