"""A server that fails over: a standby is nobody's server until it is promoted, and what it lacks is brought to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.state.fund.postgres import PostgresLedger
from risk_daemon.state.store import mirrored
from risk_daemon.state.store.formats import FORMAT, IDENTITY
from risk_daemon.state.store.mirrored import MirroredStore, News, NewsKind
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_schema import check
from risk_daemon.state.store.postgres_url import parse
from risk_daemon.state.store.revised import RevisedState
from risk_daemon.state.store.sqlite import SqliteStore, connect, write_documents
from tests.postgres import Database, until
from tests.standby import Pair, pair

OURS = {"format": FORMAT, "accounts": {"kraken": "f00"}, "initial_capital": "auto"}
NOON = 1_700_000_000.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored, "BEAT_EVERY_S", 0.1)
    monkeypatch.setattr(mirrored, "RETRY_EVERY_S", 0.05)


@pytest.fixture
def servers() -> Iterator[Pair]:
    with pair() as made:
        yield made


class Guard:
    """A guard's state in a directory, mirrored to whichever of the two servers takes writes."""

    def __init__(self, path: Path, servers: Pair) -> None:
        self.path, self._servers = path, servers
        self.news: list[NewsKind] = []
        self.make()

    def make(self) -> None:
        with closing(connect(self.path, create=True)) as connection:
            write_documents(self.path, connection, {IDENTITY: OURS})

    async def start(self, session: str = "read-write") -> MirroredStore:
        address = self._servers.address.replace("read-write", session)
        link = PostgresLink(parse(address), "", timeout_s=0.5, first=check)
        self.store = MirroredStore(
            SqliteStore.open(self.path), RevisedState.open(self.path), PostgresStore(link, "main")
        )
        self.store.tell_news(self._heard)
        await self.store.begin()
        return self.store

    def _heard(self, news: News) -> None:
        self.news.append(news.kind)

    async def write(self, number: int) -> None:
        await self.store.save({"lock": {"n": number}})
        await self.store.append_sample({"time": NOON + 60 * number})

    async def has(self) -> tuple[dict[str, Any], list[float]]:
        """Documents and the times of samples, as they are here."""
        return dict(await self.store.load()), [row["time"] for row in await self.store.load_samples()]

    async def is_well(self) -> None:
        await until(lambda: self.store.trouble is None)

    async def is_in_trouble(self) -> None:
        await until(lambda: self.store.trouble is not None)


@pytest.fixture
async def guard(tmp_path: Path, servers: Pair) -> AsyncIterator[Guard]:
    made = Guard(tmp_path / "state.db", servers)
    await made.start()
    yield made
    await made.store.close()


def there(database: Database) -> tuple[dict[str, Any], list[float]]:
    """The same, as a server has it."""
    rows = database.execute("SELECT wall FROM equity_samples WHERE guard = 'main' ORDER BY wall")
    return {key: json.loads(body) for key, body in database.documents().items()}, [row["wall"] for row in rows]


def written(number: int) -> tuple[dict[str, Any], list[float]]:
    """All there is after `write` of all numbers up to that one."""
    return {IDENTITY: OURS, "lock": {"n": number}}, [NOON + 60 * each for each in range(1, number + 1)]


async def no_server_is_believed(guard: Guard, servers: Pair) -> None:
    """The standby alone is there: it is looked at again and again, and that is all."""
    before = servers.standby.visits(servers.on_primary.name)

    def was_looked_at() -> bool:
        assert guard.store.trouble is not None, "a standby was taken for the server"
        return servers.standby.visits(servers.on_primary.name) >= before + 3

    await until(was_looked_at)


async def was_acknowledged(database: Database) -> None:
    """What is there was answered: a sign of life came after it, and one comes only then."""
    last = database.execute("SELECT seen_at FROM guards")
    await until(lambda: database.execute("SELECT seen_at FROM guards") != last)


@pytest.mark.parametrize("way", ["killed", "frozen"])
async def test_a_standby_that_is_promoted_is_brought_what_it_lacks(guard: Guard, servers: Pair, way: str) -> None:
    """Replication is asynchronous: what the primary had and the standby not yet was acknowledged all the same."""
    await guard.write(1)
    await until(lambda: there(servers.on_standby) == written(1))
    await servers.standby.stop_receiving()
    await guard.write(2)
    await until(lambda: there(servers.on_primary) == written(2))
    await was_acknowledged(servers.on_primary)
    assert there(servers.on_standby) == written(1), "it has not heard of it"

    servers.primary.kill() if way == "killed" else servers.primary.freeze()
    await guard.is_in_trouble()
    await guard.write(3)
    await no_server_is_believed(guard, servers)
    assert there(servers.on_standby) == written(1)
    assert await guard.has() == written(3)

    servers.standby.promote()
    await guard.is_well()
    await until(lambda: there(servers.on_standby) == written(3))
    assert await guard.has() == written(3), "what is older there was not believed"
    assert guard.news == [NewsKind.BEHIND]
    await guard.write(4)
    await until(lambda: there(servers.on_standby) == written(4))
    assert guard.store.trouble is None


async def test_what_a_synchronous_standby_has_not_was_never_acknowledged(guard: Guard, servers: Pair) -> None:
    """So none of it is lacking that anybody was told is there."""
    servers.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", database="postgres")
    servers.primary.execute("SELECT pg_reload_conf()", database="postgres")
    state = "SELECT sync_state FROM pg_stat_replication"
    await until(lambda: [row[0] for row in servers.primary.execute(state, database="postgres")] == ["sync"])
    await guard.write(1)
    await until(lambda: there(servers.on_standby) == written(1))
    await was_acknowledged(servers.on_primary)
    await servers.standby.stop_receiving()
    await guard.write(2)
    await guard.is_in_trouble()

    servers.primary.kill()
    await no_server_is_believed(guard, servers)
    servers.standby.promote()
    await guard.is_well()
    await until(lambda: there(servers.on_standby) == written(2))
    assert guard.news == []


async def test_a_guard_that_starts_while_only_a_standby_is_there_believes_and_takes_nothing(
    guard: Guard, servers: Pair
) -> None:
    """Its directory was restored from a copy: what the standby has is later, and may not be all."""
    await guard.write(1)
    await until(lambda: there(servers.on_standby) == written(1))
    await guard.store.close()
    servers.primary.kill()
    guard.path.unlink()
    guard.make()
    await guard.start()
    assert guard.store.trouble is not None
    await no_server_is_believed(guard, servers)
    assert await guard.has() == ({IDENTITY: OURS}, [])


@pytest.mark.parametrize("session", ["any", "standby"])
async def test_a_standby_that_is_asked_for_is_not_believed_either(servers: Pair, tmp_path: Path, session: str) -> None:
    """Its state is later than what is here, and nobody writes it: taken over it would be the primary's past."""
    first = Guard(tmp_path / "one.db", servers)
    await first.start()
    await first.write(1)
    await until(lambda: there(servers.on_standby) == written(1))
    await first.store.close()
    servers.on_primary.is_left_alone()
    await until(lambda: servers.on_standby.execute("SELECT 1 FROM guards WHERE seen_at < now() - INTERVAL '30 min'"))
    servers.primary.kill()
    second = Guard(tmp_path / "two.db", servers)
    await second.start(session)
    assert "it is a standby" in (second.store.trouble or "")
    assert await second.has() == ({IDENTITY: OURS}, [])
    assert second.news == []
    servers.standby.promote()
    await until(lambda: "it is a standby" not in (second.store.trouble or ""))
    await second.store.close()


async def test_an_old_primary_that_comes_back_is_older_than_what_is_here(guard: Guard, servers: Pair) -> None:
    """Nobody fenced it, so it takes writes, and it is the first in the list. Whoever runs stays where it is."""
    await guard.write(1)
    await until(lambda: there(servers.on_standby) == written(1))
    servers.primary.kill()
    await guard.is_in_trouble()
    servers.standby.promote()
    await guard.write(2)
    await until(lambda: there(servers.on_standby) == written(2))
    await was_acknowledged(servers.on_standby)
    servers.primary.start()
    await guard.write(3)
    await until(lambda: there(servers.on_standby) == written(3))
    assert there(servers.on_primary) == written(1)
    await guard.store.close()
    assert guard.news == []
    await guard.start()
    await guard.is_well()
    await until(lambda: there(servers.on_primary) == written(3))
    assert await guard.has() == written(3)
    assert guard.news == [NewsKind.BEHIND]


async def test_a_fund_reads_no_ledger_of_a_standby(servers: Pair) -> None:
    """It has the document, and nobody knows whether it is the last one."""
    primary, standby = (
        PostgresLedger(PostgresLink(one.url, "", first=check), "alpha")
        for one in (servers.on_primary, servers.on_standby)
    )
    assert await primary.compare_and_set(None, {"n": 0})
    ledgers = "SELECT 1 FROM fund_ledgers"
    await until(lambda: servers.on_standby.execute(ledgers))
    for _ in range(2):
        with pytest.raises(RecordError, match="it is a standby"):
            await standby.read()
    with pytest.raises(RecordError, match="read-only"):
        await standby.compare_and_set(None, {"n": 1})
    servers.primary.kill()
    servers.standby.promote()
    assert (await standby.read()).document == {"n": 0}
    for one in (primary, standby):
        await one.aclose()
