"""What `check` says of a server, before the gate would say it."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from risk_daemon.app.composition import accounts, capital_text
from risk_daemon.app.findings import Level
from risk_daemon.app.store import open_store
from risk_daemon.app.store_findings import store_findings
from risk_daemon.config.load import Settings, load
from risk_daemon.errors import ExitCode
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.directory import Paths, StateDir
from tests.postgres import Database, Server


def configured(tmp_path: Path, store: str) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(
        '[portfolio]\ninitial_capital = "auto"\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
        f'simulated = true\n[state]\nstore = "{store}"\n'
    )
    return load(file)


async def test_without_a_server_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert await store_findings(configured(tmp_path, "sqlite")) == []


async def test_a_server_with_and_without_this_guard_and_with_another(tmp_path: Path, database: Database) -> None:
    settings = configured(tmp_path, database.address)
    [finding] = await store_findings(settings)
    assert (finding.level, finding.exit_code) == (Level.OK, ExitCode.STOPPED)
    assert "it has nothing of guard main" in finding.sentence
    text = {"accounts": accounts(settings), "initial_capital": capital_text(settings)}
    with StateDir.open(settings.state.dir, create=True, **text):
        async with AsyncExitStack() as stack:
            await open_store(settings, Paths(settings.state.dir), SystemClock().now(), stack)
    [finding] = await store_findings(settings)
    assert finding.level is Level.OK
    assert "it has save 1 of guard main" in finding.sentence
    foreign = json.dumps({"accounts": {"kraken": "another"}, "initial_capital": "auto"})
    database.execute("UPDATE state_documents SET body = $1 WHERE key = 'identity'", foreign)
    [finding] = await store_findings(settings)
    assert (finding.level, finding.exit_code) == (Level.PROBLEM, ExitCode.REFUSED)
    assert "kraken is another account" in finding.sentence


async def test_what_would_keep_the_gate_shut_is_a_problem(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, why in (
        ("postgresql://guard@127.0.0.1:1/risk", "PostgreSQL at 127.0.0.1:1/risk"),
        (Database(postgres, has_tables=False).address, "run `risk-daemon migrate`"),
    ):
        [finding] = await store_findings(configured(tmp_path, address))
        assert (finding.level, finding.exit_code) == (Level.PROBLEM, ExitCode.REFUSED)
        assert "THE GATE WOULD STAY SHUT" in finding.sentence
        assert why in finding.sentence
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    [finding] = await store_findings(configured(tmp_path, address))
    assert "risk-daemon[postgres]" in finding.sentence
