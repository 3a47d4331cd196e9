"""A new machine out of what the server has: all of it, halted, and nothing where it may not be."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app import init_from_store as moving
from risk_daemon.app.composition import accounts, capital_text
from risk_daemon.app.store import open_store
from risk_daemon.config.load import Settings, load
from risk_daemon.errors import StateError, UsageError
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.directory import LATCH, Paths, StateDir
from risk_daemon.state.latch import latch_document, unproven_latch
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.file import FileLock
from risk_daemon.state.log_anchor import LOG_DOCUMENTS
from risk_daemon.state.store.formats import IDENTITY
from tests.postgres import Database, until

NOW = SystemClock().now()
TRIP = {"trip_id": "t-1", "breaker": "manual", "reason": "r", "since_wall": 1.0, "proven": False}
MEMORY: dict[str, Any] = {
    "baselines": {"capital": "10000"},
    "log_anchor": {"seq": 9, "hash": "h"},
    "halts": {"halts": [{"venue": None, "bot": "b", "reason": "r", "operator": "o", "since_wall": 1.0}]},
}


def machine(root: Path, store: str, name: str = "main", capital: str = '"auto"') -> Settings:
    root.mkdir()
    file = root / "config.toml"
    file.write_text(
        f'[portfolio]\ninitial_capital = {capital}\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
        f'simulated = true\n[guard]\nname = "{name}"\n[state]\nstore = "{store}"\n'
    )
    return load(file)


async def guarded(settings: Settings, **more: Any) -> None:
    """A guard on the first machine, killed with all that it saved on the server."""
    text = {"accounts": accounts(settings), "initial_capital": capital_text(settings)}
    with StateDir.open(settings.state.dir, create=True, **text):
        async with AsyncExitStack() as stack:
            store = await open_store(settings, Paths(settings.state.dir), NOW, stack)
            await store.save({**MEMORY, **more})
            await store.append_sample({"time": 1_700_000_000.0})


@pytest.fixture
def first(tmp_path: Path, database: Database) -> Settings:
    return machine(tmp_path / "first", database.address)


@pytest.fixture
def second(tmp_path: Path, database: Database) -> Settings:
    return machine(tmp_path / "second", database.address)


async def test_everything_comes_along_and_everything_is_halted(
    first: Settings, second: Settings, database: Database
) -> None:
    await guarded(first)
    there = {key: json.loads(body) for key, body in database.documents().items()}
    assert set(MEMORY) <= set(there)
    database.is_left_alone()
    found = await moving.fetch(second)
    assert (found.is_locked, found.unproven) == (False, None)
    assert not Paths(second.state.dir).database.exists(), "looking changes nothing"
    await moving.set_up(second, found, "somebody")
    async with AsyncExitStack() as stack:
        store = await open_store(second, Paths(second.state.dir), NOW, stack)
        documents = await store.load()
        assert store.trouble is None
        assert await store.load_samples() == [{"time": 1_700_000_000.0}]
        await until(lambda: json.loads(database.documents()["halts"]) == documents["halts"])
    scoped, everything = documents["halts"]["halts"]
    assert scoped == MEMORY["halts"]["halts"][0]
    assert (everything["venue"], everything["bot"], everything["operator"]) == (None, None, "somebody")
    assert "set up from the server's save" in everything["reason"]
    assert "look for open orders on the venues" in everything["reason"]
    expected = {key: body for key, body in there.items() if key not in LOG_DOCUMENTS}
    assert {**documents, "halts": there["halts"]} == expected


async def test_a_trip_that_is_not_proven_comes_along(first: Settings, second: Settings, database: Database) -> None:
    await guarded(first, **{LATCH: latch_document(TRIP, NOW)})
    database.is_left_alone()
    found = await moving.fetch(second)
    assert (found.is_locked, found.unproven) == (True, "t-1")
    await moving.set_up(second, found, "somebody")
    latch, _ = unproven_latch(Paths(second.state.dir), NOW)
    assert latch is not None
    assert latch["trip_id"] == "t-1"


async def test_a_lock_that_is_missing_there_is_locked_here(
    first: Settings, second: Settings, database: Database
) -> None:
    await guarded(first)
    database.execute("DELETE FROM state_documents WHERE key = 'lock'")
    database.is_left_alone()
    found = await moving.fetch(second)
    assert found.is_locked
    await moving.set_up(second, found, "somebody")
    assert unproven_latch(Paths(second.state.dir), NOW)[0] is not None


async def test_where_it_may_not_be(first: Settings, second: Settings, database: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no guard 'main'"):
        await moving.fetch(second)
    await guarded(first)
    with pytest.raises(UsageError, match="was there 0 s ago: stop it there"):
        await moving.fetch(second)
    database.is_left_alone()
    with pytest.raises(StateError, match="there is a state here already"):
        await moving.fetch(first)
    other = machine(tmp_path / "other", database.address, capital='"5000"')
    with pytest.raises(StateError, match=r"guards other accounts \(initial_capital is 5000"):
        await moving.fetch(other)
    with pytest.raises(UsageError, match="there is no server"):
        await moving.fetch(machine(tmp_path / "alone", "sqlite"))
    with pytest.raises(StateError, match="PostgreSQL at"):
        await moving.fetch(machine(tmp_path / "away", "postgresql://guard@127.0.0.1:1/risk"))
    database.execute("UPDATE state_documents SET body = 'garbage' WHERE key = 'baselines'")
    with pytest.raises(StateError, match="'baselines' of guard main is damaged"):
        await moving.fetch(second)


async def test_a_machine_whose_files_tell_of_a_trip_is_refused(
    first: Settings, second: Settings, database: Database
) -> None:
    await guarded(first)
    database.is_left_alone()
    found = await moving.fetch(second)
    second.state.dir.mkdir(mode=0o700, exist_ok=True)
    paths = Paths(second.state.dir)
    await FileLock(paths.lock).write(LockRecord(True, "capital_loss", "t-9", 1.0), NOW)
    with pytest.raises(StateError, match="tells of trip t-9"):
        await moving.set_up(second, found, "somebody")
    assert IDENTITY not in unproven_latch(paths, NOW)[1]
