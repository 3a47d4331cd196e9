"""What a server has of a guard, read step by step: of one save, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.state.store import fetching
from risk_daemon.state.store.fetching import documents_of, samples_of
from risk_daemon.state.store.formats import FORMAT, IDENTITY
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import PostgresLink, Refused
from risk_daemon.state.store.postgres_schema import check
from tests.postgres import Database

OURS = {"format": FORMAT, "accounts": {"kraken": "f00"}, "initial_capital": "auto"}
NOON = 1_700_000_000.0


@pytest.fixture
async def remote(database: Database) -> AsyncIterator[PostgresStore]:
    remote = PostgresStore(PostgresLink(database.url, "", first=check), "main")
    await remote.save({IDENTITY: OURS, "peak": {"equity": "2"}})
    yield remote
    await remote.close()


async def test_every_document_of_one_save(remote: PostgresStore) -> None:
    head = await remote.head()
    assert head is not None
    assert await documents_of(remote, head) == {IDENTITY: OURS, "peak": {"equity": "2"}}


async def test_what_is_saved_meanwhile_is_no_half_of_it(remote: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    head, answered = await remote.head(), PostgresStore.document
    assert head is not None

    async def and_saves(one: PostgresStore, key: str) -> Any:
        found = await answered(one, key)
        await one.save({"peak": {"equity": "3"}})
        return found

    monkeypatch.setattr(PostgresStore, "document", and_saves)
    with pytest.raises(Refused, match="saved there meanwhile"):
        await documents_of(remote, head)


@pytest.mark.parametrize("body", ["{", "[]", ""])
async def test_a_damaged_document_is_none(remote: PostgresStore, database: Database, body: str) -> None:
    head = await remote.head()
    assert head is not None
    database.execute("UPDATE state_documents SET body = $1 WHERE key = 'peak'", body)
    with pytest.raises(Refused, match="damaged"):
        await documents_of(remote, head)


async def test_a_step_that_hangs_ends(remote: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    head = await remote.head()
    assert head is not None

    async def never(_: PostgresStore) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(fetching, "STEP_WITHIN_S", 0.05)
    monkeypatch.setattr(PostgresStore, "keys", never)
    with pytest.raises(RecordError, match=r"does not answer within 0.05 s"):
        await documents_of(remote, head)


async def test_samples_come_in_pieces_and_it_is_told_how_many(
    remote: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SAMPLES_AT_ONCE", 2)
    told: list[int] = []
    assert await samples_of(remote, told.append) == ([], None)
    for minute in range(5):
        await remote.append_sample({"time": NOON + 60 * minute})
    rows, why_not = await samples_of(remote, told.append)
    assert ([wall for wall, _ in rows], why_not) == ([NOON + 60 * minute for minute in range(5)], None)
    assert told == [2, 4, 5]
