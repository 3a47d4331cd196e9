"""Any order of saves, kills, lost answers, outages, backups brought back: the history there is never cut or forked.

Every save adds an entry to a history. Whatever a guard writes to the server begins with what the server had.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.state.store.formats import FORMAT, IDENTITY
from risk_daemon.state.store.mirrored import MirroredStore
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.revised import RevisedState
from risk_daemon.state.store.sqlite import SqliteStore, connect, write_documents
from tests.postgres import Database, Dump

STEPS = 60
SEEDS = 16
OURS = {"format": FORMAT, "accounts": {"kraken": "f00"}, "initial_capital": "auto"}


class FlakyLink(PostgresLink):
    """Now and then nothing gets there, and now and then no answer comes back."""

    def __init__(self, database: Database, rng: random.Random, is_away: Any) -> None:
        super().__init__(database.url, "")
        self._rng = rng
        self._is_away = is_away

    async def run(self, work: Any) -> Any:
        if self._is_away():
            raise RecordError("it is away")
        answer = await super().run(work)
        if self._rng.random() < 0.05:
            raise RecordError("the answer was lost")
        return answer


class World:
    """Two machines with a directory each, a server, and backups of all of them."""

    def __init__(self, root: Path, database: Database, seed: int) -> None:
        self.rng = random.Random(seed)
        self.root = root
        self.database = database
        self.is_away = False
        self.running: dict[str, MirroredStore] = {}
        self.backups: list[Path] = []
        self.dumps: list[Dump] = []
        self.entries = 0
        self.brought = 0

    def path(self, machine: str) -> Path:
        return self.root / machine / "state.db"

    def on_server(self) -> list[int]:
        return json.loads(self.database.documents().get("history", '{"entries": []}'))["entries"]

    async def start(self, machine: str) -> None:
        path = self.path(machine)
        if not path.exists():
            path.parent.mkdir()
            with closing(connect(path, create=True)) as connection:
                write_documents(path, connection, {IDENTITY: OURS, "history": {"entries": [self._new()]}})
        if self.rng.random() < 0.7 and not self.is_away:
            self.database.is_left_alone()
        remote = PostgresStore(FlakyLink(self.database, self.rng, lambda: self.is_away), "main")
        store = MirroredStore(SqliteStore.open(path), RevisedState.open(path), remote)
        await store.begin()
        assert store._keeping is not None
        store._keeping.cancel()  # tries are steps of their own here
        await asyncio.wait({store._keeping})
        self.running[machine] = store

    async def stop(self, machine: str, *, is_killed: bool) -> None:
        store = self.running.pop(machine)
        if is_killed:
            store._keeping = None  # no last words
        await store.close()

    def _new(self) -> int:
        self.entries += 1
        return self.entries

    async def step(self) -> str:
        machine = self.rng.choice("ab")
        store = self.running.get(machine)
        chance = self.rng.random()
        if chance < (0.2 if self.is_away else 0.04):
            self.is_away = not self.is_away
            return "the server goes or comes"
        if chance < 0.07 and self.dumps and not self.is_away:
            self.database.put_back(self.rng.choice(self.dumps))
            return "restored the server"
        if chance < 0.1:
            self.dumps.append(self.database.dump())
            return "backup of the server"
        if store is None:
            if self.backups and (chance < 0.4 or not self.path(machine).exists()):
                backup = self.rng.choice(self.backups)
                shutil.rmtree(self.root / machine, ignore_errors=True)
                shutil.copytree(backup, self.root / machine)
                return f"{machine} restored or cloned"
            if chance < 0.65 and self.path(machine).exists():
                backup = self.root / f"backup{len(self.backups)}"
                shutil.copytree(self.root / machine, backup)
                self.backups.append(backup)
                return f"backup of {machine}"
            await self.start(machine)
            return f"{machine} starts"
        if chance < 0.35:
            is_killed = chance < 0.25
            await self.stop(machine, is_killed=is_killed)
            return f"{machine} {'killed' if is_killed else 'stops'}"
        entries = (await store.load())["history"]["entries"]
        await store.save({"history": {"entries": [*entries, self._new()]}})
        if chance < 0.85:
            await store._try()
            if store._trouble is None:  # as of this try: that nothing tries by itself is trouble too
                assert self.on_server() == [*entries, self.entries], "said to be safe, and it is not there"
                self.brought += 1
        return f"{machine} saves: {store._trouble}"


async def played(seed: int, root: Path, database: Database) -> int:
    """How often something was brought to the server."""
    database.empty()
    world = World(root, database, seed)
    told: list[str] = []
    try:
        for _ in range(STEPS):
            before = world.on_server()
            told.append(await world.step())
            after = world.on_server()
            if told[-1] != "restored the server":
                assert after[: len(before)] == before, "\n".join(told)
    finally:
        for machine in list(world.running):
            await world.stop(machine, is_killed=True)
    return world.brought


@pytest.mark.long
async def test_nothing_on_the_server_is_overwritten_but_by_what_follows_it(tmp_path: Path, database: Database) -> None:
    brought = 0
    for seed in range(SEEDS):
        root = tmp_path / str(seed)
        root.mkdir()
        brought += await played(seed, root, database)
    assert brought > 5 * SEEDS, "hardly anything was tried"
