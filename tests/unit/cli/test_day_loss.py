"""`check-drawdown --store`, as typed, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon import cli
from risk_daemon.errors import ExitCode, UsageError
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.snapshot_place import SnapshotPlace
from risk_daemon.state.store.snapshots import Snapshot
from tests.postgres import Database
from tests.unit.app.test_day_loss import settings
from tests.unit.state.store.test_snapshots import BINANCE, KRAKEN, told


def now(snapshot: Snapshot, age_s: float = 1.0) -> Snapshot:
    wall = SystemClock().now().wall
    return replace(snapshot, wall=wall - age_s, day_ends_wall=wall + 3_600)


def fill(of: Database, snapshots: Sequence[Snapshot]) -> None:
    async def work() -> None:
        place = SnapshotPlace(PostgresLink(of.url, ""), "main", [KRAKEN, BINANCE])
        await place.keep(snapshots)
        await place.close()

    asyncio.run(work())


@pytest.fixture
def words(database: Database, tmp_path: Path) -> list[str]:
    settings(tmp_path, database.address)
    return ["check-drawdown", "--store", "--config", str(tmp_path / "config.toml")]


def test_the_loss_over_all_accounts(database: Database, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fill(database, [now(told()), now(told(BINANCE, current_equity=Decimal(99_000)))])
    assert cli.main(words) is ExitCode.STOPPED
    out = capsys.readouterr().out
    assert "Loss since the start of the day: 1.50 % (limit 3.00 %)" in out
    assert "3,000.00 USDT of 200,000.00, 197,000.00 are left" in out
    assert "BREACHED" not in out
    [kraken] = [line for line in out.splitlines() if line.startswith("main/kraken")]
    assert kraken.split()[1:7] == ["100,000.00", "98,000.00", "-1,500.00", "-500.00", "2.00", "%"]


def test_a_breach_is_told_and_is_no_failure(
    database: Database, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(database, [now(told(current_equity=Decimal(94_000))), now(told(BINANCE, current_equity=Decimal(100_000)))])
    assert cli.main(words) is ExitCode.STOPPED
    assert "3.00 % (limit 3.00 %), BREACHED" in capsys.readouterr().out
    assert cli.main([*words, "--json"]) is ExitCode.STOPPED
    document = json.loads(capsys.readouterr().out)
    assert (document["known"], document["daily_loss_ratio"], document["daily_loss"], document["breached"]) == (
        True, 0.03, "6000", True,
    )  # fmt: skip


@pytest.mark.parametrize("age_s", [None, 500.0])
def test_what_is_not_known_ends_with_78_and_no_zero(
    database: Database, words: list[str], age_s: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(database, [now(told()), *([] if age_s is None else [now(told(BINANCE), age_s)])])
    assert cli.main(words) is ExitCode.REFUSED
    out = capsys.readouterr().out
    assert "The loss of the day is NOT KNOWN, which is not a loss of zero:" in out
    assert "main/binance" in out
    assert "Loss since the start of the day" not in out
    assert cli.main([*words, "--json"]) is ExitCode.REFUSED
    document = json.loads(capsys.readouterr().out)
    assert (document["known"], document["daily_loss_ratio"], document["breached"]) == (False, None, None)


def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    assert cli.main(["check-drawdown", "--store", "--config", str(tmp_path / "config.toml")]) is ExitCode.REFUSED
    assert "PostgreSQL at 127.0.0.1:1/none: " in capsys.readouterr().out


def test_it_is_asked_for_all_accounts(words: list[str]) -> None:
    with pytest.raises(UsageError, match="give --store or --venue"):
        cli.main([*words, "--venue", "kraken"])
