"""What `check` says of a server for the state, and of peers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from risk_daemon.app.findings import Level
from risk_daemon.app.store_findings import peer_findings, store_findings
from risk_daemon.config.load import Settings, load
from tests.postgres import Database, Server
from tests.unit.config.files import PORTFOLIO, SIMULATED, write


def settings(tmp_path: Path, store: str, more: str = "") -> Settings:
    return load(write(tmp_path, PORTFOLIO, SIMULATED, f'[state]\nstore = "{store}"\n{more}'))


async def test_without_a_server_nothing_is_said(tmp_path: Path) -> None:
    assert await store_findings(settings(tmp_path, "sqlite")) == []


async def test_a_server_says_what_it_has(tmp_path: Path, database: Database) -> None:
    of_it = settings(tmp_path, database.address)
    (finding,) = await store_findings(of_it)
    assert finding.level is Level.OK
    assert "has nothing of guard main yet" in finding.sentence

    database.execute("INSERT INTO guards (name, revision, run) VALUES ('main', 7, 'r')")
    (finding,) = await store_findings(of_it)
    assert "guard main was there 0 s ago" in finding.sentence
    database.is_left_alone()
    (finding,) = await store_findings(of_it)
    assert "has save 7 of guard main" in finding.sentence


async def test_a_server_without_tables_is_a_warning_that_says_what_to_do(tmp_path: Path, postgres: Server) -> None:
    (finding,) = await store_findings(settings(tmp_path, Database(postgres, has_tables=False).address))
    assert finding.level is Level.WARNING
    assert "risk-daemon migrate" in finding.sentence
    assert "its gate shut" in finding.sentence


async def test_one_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    (finding,) = await store_findings(settings(tmp_path, f"postgresql://guard@/risk?host={tmp_path}"))
    assert finding.level is Level.WARNING


async def test_without_the_client_it_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    (finding,) = await store_findings(settings(tmp_path, "postgresql://guard@127.0.0.1/risk"))
    assert finding.level is Level.PROBLEM
    assert "risk-daemon[postgres]" in finding.sentence


def test_peers_are_named_with_the_place_where_they_meet(tmp_path: Path) -> None:
    peers = '[guard]\nname = "a"\npeers = ["b"]\n'
    (finding,) = peer_findings(settings(tmp_path, "postgresql://guard@127.0.0.1/risk", peers))
    assert "a and b heed each other" in finding.sentence
    assert "state.store" in finding.sentence
    assert peer_findings(settings(tmp_path, "sqlite")) == []
