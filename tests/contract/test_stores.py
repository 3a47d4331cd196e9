"""One contract for every store: all or none, thirty days of samples, nothing odd taken for empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import InvariantError, RecordError, StateError
from risk_daemon.state.store import postgres, sqlite
from risk_daemon.state.store.base import Store
from risk_daemon.state.store.lineage import Head
from risk_daemon.state.store.mirrored import MirroredStore
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.revised import RevisedState
from risk_daemon.state.store.sqlite import SqliteStore, connect
from tests.postgres import Database

KINDS = ("sqlite", "postgresql", "mirrored")
NOON = 1_700_000_000.0
YEAR_S = 365 * 86_400.0

Open = Callable[[], Awaitable[Store]]


async def walls(store: Store) -> list[float]:
    return [document["time"] for document in await store.load_samples()]


def sample(wall: float, **more: Any) -> dict[str, Any]:
    return {"time": wall, "low": "9.5", **more}


class Place:
    """A store that can be opened again, and spoilt by hand."""

    def __init__(self, kind: str, path: Path, database: Database) -> None:
        self.kind = kind
        self.path = path
        self.database = database
        self.stores: list[Store] = []
        if kind != "postgresql":
            connect(path, create=True).close()

    async def open(self) -> Store:
        store: Store
        if self.kind == "sqlite":
            store = SqliteStore.open(self.path)
        elif self.kind == "postgresql":
            store = PostgresStore(PostgresLink(self.database.url, ""), "main")
        else:
            remote = PostgresStore(PostgresLink(self.database.url, ""), "main")
            store = MirroredStore(SqliteStore.open(self.path), RevisedState.open(self.path), remote)
            await store.begin()
        self.stores.append(store)
        return store

    async def close(self) -> None:
        while self.stores:
            await self.stores.pop().close()

    def spoil(self, key: str, body: str) -> None:
        if self.kind == "postgresql":
            self.database.execute("UPDATE state_documents SET body = $2 WHERE key = $1", key, body)
        else:
            self._sql("UPDATE document SET body = ? WHERE key = ?", body, key)

    def spoil_sample(self, wall: float, document: str) -> None:
        if self.kind == "postgresql":
            self.database.execute("UPDATE equity_samples SET document = $2 WHERE wall = $1", wall, document)
        else:
            self._sql("UPDATE equity_samples SET document = ? WHERE wall = ?", document, wall)

    def _sql(self, statement: str, *values: Any) -> None:
        import sqlite3

        with sqlite3.connect(self.path) as connection:
            assert connection.execute(statement, values).rowcount == 1
        connection.close()


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> AsyncIterator[Place]:
    place = Place(request.param, tmp_path / "state.db", database)
    yield place
    await place.close()


async def test_what_is_saved_is_there_and_the_others_stay(place: Place) -> None:
    store = await place.open()
    assert await store.load() == {}
    await store.save({"lock": {"locked": True, "n": [1, None, "é", "\ud800", "\x00"]}, "peak": {"equity": "1.5"}})
    await store.save({"peak": {"equity": "2"}})
    expected = {"lock": {"locked": True, "n": [1, None, "é", "\ud800", "\x00"]}, "peak": {"equity": "2"}}
    assert await store.load() == expected
    await place.close()
    assert await (await place.open()).load() == expected


async def test_saves_at_once_are_one_after_the_other(place: Place) -> None:
    store = await place.open()
    await asyncio.gather(*(store.save({"last": {"n": n}, f"own{n}": {"n": n}}) for n in range(20)))
    found = await store.load()
    assert found["last"] == {"n": 19}
    assert len(found) == 21


async def test_all_or_none(place: Place) -> None:
    store = await place.open()
    await store.save({"a": {"n": 1}})
    with pytest.raises(InvariantError):
        await store.save({"a": {"n": 2}, "b": {"x": float("nan")}})
    assert await store.load() == {"a": {"n": 1}}


@pytest.mark.parametrize("body", ["{", "[]", "null", ""])
async def test_a_damaged_document_is_not_an_empty_one(place: Place, body: str) -> None:
    store = await place.open()
    await store.save({"a": {"n": 1}, "b": {}})
    place.spoil("a", body)
    with pytest.raises(StateError, match="damaged"):
        await store.load()


@pytest.fixture
def keeps_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of thirty days of minutes."""
    for module in (sqlite, postgres):
        monkeypatch.setattr(module, "KEEP_SAMPLES", 4)


async def test_so_many_samples_are_kept_oldest_first(place: Place, keeps_four: None) -> None:
    store = await place.open()
    assert await store.load_samples() == []
    for wall in (NOON, NOON + 60, NOON - 60):
        await store.append_sample(sample(wall))
    await store.append_sample(sample(NOON, again=True))
    assert await store.load_samples() == [sample(NOON - 60), sample(NOON, again=True), sample(NOON + 60)]
    for wall in (NOON + 120, NOON + 180):
        await store.append_sample(sample(wall))
    assert await walls(store) == [NOON, NOON + 60, NOON + 120, NOON + 180]


@pytest.mark.parametrize("far_s", [YEAR_S, -YEAR_S])
async def test_a_clock_that_jumps_there_and_back_costs_no_more_than_it_wrote(
    place: Place, keeps_four: None, far_s: float
) -> None:
    """And what it wrote goes first, so that it keeps nothing of what is true away for ever."""
    store = await place.open()
    for minute in range(4):
        await store.append_sample(sample(NOON + 60 * minute))
    await store.append_sample(sample(NOON + far_s))
    assert len({NOON + 60 * minute for minute in range(4)}.intersection(await walls(store))) == 3
    for minute in (4, 5, 6, 7):
        await store.append_sample(sample(NOON + 60 * minute))
    assert await walls(store) == [NOON + 60 * minute for minute in (4, 5, 6, 7)]


async def test_a_young_history_loses_nothing_to_a_clock_that_jumps(place: Place) -> None:
    store = await place.open()
    told = [NOON, NOON + 60, NOON + YEAR_S, NOON + YEAR_S + 60, NOON - YEAR_S, NOON + 120]
    for wall in told:
        await store.append_sample(sample(wall))
    assert await walls(store) == sorted(told)


async def test_a_sample_without_a_time_is_a_bug_and_a_damaged_one_is_left_out(place: Place) -> None:
    store = await place.open()
    with pytest.raises(InvariantError):
        await store.append_sample({"low": "1"})
    await store.append_sample(sample(NOON))
    await store.append_sample(sample(NOON + 60))
    place.spoil_sample(NOON, "{")
    assert await store.load_samples() == [sample(NOON + 60)]


async def test_a_store_that_is_well_says_so(place: Place) -> None:
    store = await place.open()
    await store.save({"a": {}})
    assert store.trouble is None


async def test_two_places_of_one_server_do_not_see_each_other(database: Database) -> None:
    one, other = (PostgresStore(PostgresLink(database.url, ""), name) for name in ("a", "b"))
    await one.save({"x": {"n": 1}})
    await one.append_sample(sample(NOON))
    assert await other.load() == {}
    assert await other.load_samples() == []
    assert await other.head() is None
    assert (await one.head()) is not None
    await one.close()
    await other.close()


async def test_a_save_of_somebody_else_is_not_overwritten(database: Database) -> None:
    one, other = (PostgresStore(PostgresLink(database.url, ""), "main") for _ in range(2))
    head = await one.put(None, 5, [("a", "{}")])
    assert head == Head(5, one.run)
    taken = await other.put(head, 6, [("b", "{}")])
    for late in (lambda: one.put(head, 7, []), lambda: one.put(None, 7, []), lambda: one.beat(head)):
        with pytest.raises(RecordError, match="another state"):
            await late()
    with pytest.raises(RecordError, match="another state"):
        await other.put(taken, 6, [])
    assert database.documents() == {"b": "{}"}
    assert database.revision() == 6
    await one.close()
    await other.close()
