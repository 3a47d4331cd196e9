"""Changes of the tokens in the event log: once each, by the guard or by the command, wherever it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app.composition import open_journal
from risk_daemon.app.token_telling import TokenTeller, tell_stopped, told_before
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from risk_daemon.errors import RecordError, StateOwned
from risk_daemon.model.events import RiskEvent, Tick
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.event_log import read_log, verify_log
from risk_daemon.state.store.sqlite import SqliteStore
from tests.core_world import World

WALL = 1_790_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    StateDir.open(tmp_path, accounts={"kraken": "x"}, initial_capital="1", create=True).close()
    return tmp_path


def tokens(root: Path) -> TokenStore:
    return TokenStore.open(root / FILE_NAME)


def lines(root: Path) -> list[tuple[str, str]]:
    return [(line.event, line.fields["name"]) for line in read_log(Paths(root).events)]


class Guard:
    """A guard's teller, with the log and the store of its own. dies_at: at the so manieth write of either."""

    def __init__(self, store: SqliteStore, journal: Any, documents: dict[str, Any], root: Path, dies_at: int) -> None:
        self.left = dies_at
        self.journal = journal
        self._store = store
        before = told_before(Paths(root).events, documents)
        self.teller = TokenTeller(tokens(root), before, self, journal, self.write)  # type: ignore[arg-type]

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise RecordError("killed")

    async def save(self, documents: dict[str, Any]) -> None:
        self._step()
        await self._store.save(documents)

    async def write(self, event: RiskEvent) -> None:
        self._step()
        await self.journal.append([event], WALL, durable=True)


@asynccontextmanager
async def guard(root: Path, dies_at: int = 0) -> AsyncIterator[Guard]:
    paths = Paths(root)
    store = SqliteStore.open(paths.database)
    documents = dict(await store.load())
    journal = await open_journal(paths, store, documents)
    try:
        yield Guard(store, journal, documents, root, dies_at)
    finally:
        await journal.close()
        await store.close()


async def test_what_was_changed_before_the_start_and_while_it_runs(root: Path) -> None:
    tokens(root).create(Role.BOT, "before")
    async with guard(root) as running:
        await running.teller.tell()
        tokens(root).create(Role.OPERATOR, "desk")
        tokens(root).revoke("before")
        await running.teller.tell()
        await running.teller.tell()
    async with guard(root) as running:
        await running.teller.tell()
    assert lines(root) == [("token_created", "before"), ("token_created", "desk"), ("token_revoked", "before")]
    assert verify_log(Paths(root).events).ok


@pytest.mark.parametrize("dies_at", range(1, 8))
async def test_killed_anywhere_each_change_has_one_line(root: Path, dies_at: int) -> None:
    for name in ("a", "b", "c"):
        tokens(root).create(Role.BOT, name)
    for at in (dies_at, 0, 0):
        async with guard(root, at) as running:
            try:
                await running.teller.tell()
            except RecordError:
                assert at
    assert lines(root) == [("token_created", "a"), ("token_created", "b"), ("token_created", "c")]


async def test_it_is_looked_at_when_time_passes_and_tried_again_later(root: Path) -> None:
    world = World()
    async with guard(root, dies_at=1) as running:
        tokens(root).create(Role.BOT, "grid")

        async def tick(seconds: float) -> None:
            world.clock.advance(seconds)
            running.teller.heard(world.send(Tick()))
            if running.teller._telling is not None:
                await asyncio.wait({running.teller._telling})

        await tick(1.0)
        await tick(1.0)
        assert lines(root) == [], "not at once again"
        await tick(10.0)
        await tick(1.0)
        assert lines(root) == [("token_created", "grid")]


async def test_a_command_tells_where_no_guard_runs_and_never_beside_one(root: Path) -> None:
    tokens(root).create(Role.BOT, "first")
    await tell_stopped(root)
    assert not Paths(root).events.exists(), "the first start begins the log"
    async with guard(root):
        pass
    await tell_stopped(root)
    await tell_stopped(root)
    assert lines(root) == [("token_created", "first")]
    tokens(root).revoke("first")
    with StateDir.take(root), pytest.raises(StateOwned):
        await tell_stopped(root)
    async with guard(root) as running:
        await running.teller.tell()
    assert lines(root) == [("token_created", "first"), ("token_revoked", "first")]


async def test_a_note_that_makes_no_sense_tells_all_that_there_is(root: Path) -> None:
    tokens(root).create(Role.BOT, "grid")
    async with guard(root) as running:
        await running.teller.tell()
        await running._store.save({"tokens_told": {"tokens": 7, "changes": []}})
    async with guard(root) as running:
        await running.teller.tell()
    assert lines(root) == [("token_created", "grid")] * 2, "told twice is better than never"
