"""What every ledger of a fund promises: one document, changed by whoever read it last; no answer is not "empty"."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.fund.escrow import Escrow, step
from risk_daemon.fund.ledger import LARGEST, Ledger
from risk_daemon.fund.membership import found, join
from risk_daemon.fund.messages import Actions, Durable, Event, Give, MakeDurable, Publish, Refuse, Tell
from risk_daemon.state.fund.redis import RedisLedger
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from tests.ledger_servers import WITHIN_S, MemoryPlace, Place, PostgresPlace, RedisPlace, until_it_answers
from tests.postgres import Server, until
from tests.proxy import Proxy
from tests.redis_server import VERSIONS, RedisServer
from tests.unit.fund.fund import CHARTER, NOWHERE, TERMS, lost, row

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scale.md").read_text()
KINDS = ["memory", "postgresql", *VERSIONS]


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Server]:
    """One that may be killed."""
    server = Server()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made: Place
    match request.param:
        case "memory":
            made = MemoryPlace()
        case "postgresql":
            made = PostgresPlace(request.getfixturevalue("own_postgres"))
        case _:
            made = RedisPlace(RedisServer(tmp_path / "redis", request.param).start())
    yield made
    await made.aclose()
    if isinstance(made, RedisPlace):
        made.server.kill()


everywhere = pytest.mark.parametrize("place", KINDS, indirect=True)
on_redis = pytest.mark.parametrize("place", VERSIONS, indirect=True)
on_servers = pytest.mark.parametrize("place", [kind for kind in KINDS if kind != "memory"], indirect=True)


# --- what is compared and set ------------------------------------------------------------------------


@everywhere
async def test_nothing_is_there_before_the_first(place: Place) -> None:
    ledger = place.ledger()
    assert await ledger.read() == NOWHERE
    assert not await ledger.compare_and_set("some revision", {"a": 1})
    assert await ledger.read() == NOWHERE
    assert await ledger.compare_and_set(None, {"a": 1})
    assert not await ledger.compare_and_set(None, {"a": 2}), "something is there"
    assert (await ledger.read()).document == {"a": 1}


@everywhere
async def test_only_what_was_read_is_changed_and_no_revision_comes_twice(place: Place) -> None:
    ledger, other = place.ledger(), place.ledger()
    assert await ledger.compare_and_set(None, {"n": 0})
    revisions = set()
    for number in range(1, 6):
        read = await ledger.read()
        assert read == await other.read()
        assert read.revision not in revisions
        revisions.add(read.revision)
        assert await other.compare_and_set(read.revision, {"n": number})
        assert not await ledger.compare_and_set(read.revision, {"n": -1})
    assert (await ledger.read()).document == {"n": 5}


@everywhere
async def test_of_many_at_once_one_is_taken(place: Place) -> None:
    ledgers = [place.ledger() for _ in range(12)]
    first = await asyncio.gather(*(ledger.compare_and_set(None, {"n": n}) for n, ledger in enumerate(ledgers)))
    assert first.count(True) == 1
    read = await ledgers[0].read()
    assert read.document == {"n": first.index(True)}
    taken = await asyncio.gather(*(one.compare_and_set(read.revision, {"n": n}) for n, one in enumerate(ledgers)))
    assert taken.count(True) == 1
    assert (await ledgers[0].read()).document == {"n": taken.index(True)}


@everywhere
async def test_funds_do_not_see_each_other(place: Place) -> None:
    await place.ledger().compare_and_set(None, {"n": 0})
    assert await place.ledger("beta").read() == NOWHERE
    assert await place.ledger("beta").compare_and_set(None, {"n": 1})
    assert (await place.ledger().read()).document == {"n": 0}


@everywhere
async def test_what_was_restored_has_the_revision_of_nothing_newer(place: Place) -> None:
    """Whoever read before the backup was brought back can't write over it as if nothing had been."""
    ledger = place.ledger()
    await ledger.compare_and_set(None, {"n": 0})
    backup = place.backup()
    await ledger.compare_and_set((await ledger.read()).revision, {"n": 1})
    newer = await ledger.read()
    place.restore(backup)
    assert (await ledger.read()).document == {"n": 0}
    assert not await ledger.compare_and_set(newer.revision, {"n": 2})
    assert await ledger.compare_and_set((await ledger.read()).revision, {"n": 3})
    assert (await ledger.read()).revision != newer.revision


@everywhere
async def test_texts_of_all_kinds_come_back_as_they_were(place: Place) -> None:
    ledger, document = place.ledger(), {"a": "ü \u0000 \U0001f600 '\"\\", "b": [None, True, 1, "1.10"]}
    await ledger.compare_and_set(None, document)
    assert (await ledger.read()).document == document


# --- what is no answer -------------------------------------------------------------------------------


@everywhere
async def test_a_server_that_is_gone_is_an_error_and_what_it_had_is_there_again(place: Place) -> None:
    ledger = place.ledger()
    await ledger.compare_and_set(None, {"n": 0})
    revision = (await ledger.read()).revision
    place.kill()
    for _ in range(2):
        await refused(ledger, revision)
    place.start()
    assert (await ledger.read()).revision == revision
    assert await ledger.compare_and_set(revision, {"n": 2})


@everywhere
async def test_a_server_that_hangs_is_an_error_in_time(place: Place) -> None:
    ledger = place.ledger()
    await ledger.compare_and_set(None, {"n": 0})
    revision = (await ledger.read()).revision
    place.pause()
    try:
        began = time.monotonic()
        await refused(ledger, revision)
        assert time.monotonic() - began < 3 * WITHIN_S
    finally:
        place.go_on()
    await until_it_answers(ledger)
    # What was written while it hung is there now or is not: reading says so.
    assert (await ledger.read()).document in ({"n": 0}, {"n": -1})


async def refused(ledger: Ledger, revision: str | None) -> None:
    """Neither says anything."""
    with pytest.raises(RecordError):
        await ledger.read()
    with pytest.raises(RecordError):
        await ledger.compare_and_set(revision, {"n": -1})


@everywhere
async def test_emptied_is_empty(place: Place) -> None:
    ledger = place.ledger()
    await ledger.compare_and_set(None, {"n": 0})
    revision = (await ledger.read()).revision
    place.forget()
    assert await ledger.read() == NOWHERE
    assert not await ledger.compare_and_set(revision, {"n": 1})
    assert await ledger.read() == NOWHERE


@everywhere
@pytest.mark.parametrize("text", ["{", "[" * 100_000, ""])
async def test_what_is_no_json_is_not_nothing(place: Place, text: str) -> None:
    place.put(text)
    with pytest.raises(RecordError, match="is no fund's ledger"):
        await place.ledger().read()
    assert not await place.ledger().compare_and_set(None, {"n": 0}), "something is there"


@on_servers
async def test_what_is_far_too_large_is_not_read(place: Place) -> None:
    place.put('"' + "x" * LARGEST + '"')
    with pytest.raises(RecordError, match="is no fund's ledger"):
        await place.ledger().read()


@on_servers
async def test_the_sentence_names_the_server(place: Place) -> None:
    ledger = place.ledger()
    place.kill()
    with pytest.raises(RecordError, match=ledger.where):  # type: ignore[attr-defined]
        await ledger.read()
    place.start()


# --- PostgreSQL --------------------------------------------------------------------------------------


@pytest.fixture
async def postgresql(postgres: Server) -> AsyncIterator[PostgresPlace]:
    made = PostgresPlace(postgres)
    yield made
    await made.aclose()


async def test_without_the_tables_it_says_what_to_do(postgres: Server) -> None:
    place = PostgresPlace(postgres, has_tables=False)
    ledger = place.ledger()
    with pytest.raises(RecordError, match="run `risk-daemon migrate`"):
        await ledger.read()
    place.database.migrate()
    assert await ledger.read() == NOWHERE
    await place.aclose()


async def test_a_table_of_another_shape_is_an_error(postgresql: PostgresPlace) -> None:
    postgresql.database.execute("ALTER TABLE fund_ledgers RENAME COLUMN revision TO version")
    await refused(postgresql.ledger(), None)


async def test_a_database_that_takes_no_writes_is_an_error(postgresql: PostgresPlace) -> None:
    ledger = postgresql.ledger()
    await ledger.compare_and_set(None, {"n": 0})
    name = postgresql.database.name
    postgresql.database.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    fresh = postgresql.ledger()
    revision = (await fresh.read()).revision
    with pytest.raises(RecordError, match="read-only"):
        await fresh.compare_and_set(revision, {"n": 1})
    assert (await fresh.read()).document == {"n": 0}


async def test_commits_wait_for_the_disk(postgresql: PostgresPlace) -> None:
    """Whatever the server's own default is."""
    name = postgresql.database.name
    postgresql.database.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    ledger = postgresql.ledger()
    assert await ledger._link.run(lambda one: one.fetchval("SHOW synchronous_commit")) == "on"  # type: ignore[attr-defined]


# --- Redis -------------------------------------------------------------------------------------------


@on_redis
async def test_a_replica_gives_no_answer(place: RedisPlace, tmp_path: Path) -> None:
    await place.ledger().compare_and_set(None, {"n": 0})
    behind = RedisPlace(RedisServer(tmp_path / "behind", place.server.version).start())
    try:
        behind.server.follow(place.server)
        with pytest.raises(RecordError, match="it is a replica"):
            await behind.ledger().read()
        revision = (await place.ledger().read()).revision
        with pytest.raises(RecordError, match="can't be written"):
            await behind.ledger().compare_and_set(revision, {"n": 1})
    finally:
        await behind.aclose()
        behind.server.kill()


@on_redis
async def test_a_ledger_that_moved_while_its_old_server_stays_as_a_replica_is_found_again(
    place: RedisPlace, tmp_path: Path
) -> None:
    new = RedisServer(tmp_path / "new", place.server.version).start()
    try:
        async with Proxy(place.server.port).running() as proxy:
            ledger = RedisLedger(redis_client(RedisAddress.of(f"redis://127.0.0.1:{proxy.port}/0"), None, 1.0), "alpha")
            await ledger.compare_and_set(None, {"n": 0})
            new.follow(place.server)
            new.ask("REPLICAOF", "NO", "ONE")
            place.server.follow(new)
            proxy.to = new.port
            with pytest.raises(RecordError, match="it is a replica"):
                await ledger.read()
            assert (await ledger.read()).document == {"n": 0}
            await ledger.aclose()
    finally:
        new.kill()


@on_redis
async def test_an_answer_that_is_lost_is_an_error_and_reading_says_what_became(place: RedisPlace) -> None:
    """Put there, and nobody heard: the one who asked must not take that for another's."""
    async with Proxy(place.server.port).running() as proxy:
        client = redis_client(RedisAddress.of(f"redis://127.0.0.1:{proxy.port}/0"), None, 0.3)
        ledger = RedisLedger(client, "alpha")
        assert await ledger.compare_and_set(None, {"n": 0})
        read = await ledger.read()
        proxy.delay_s = 0.25  # each way: it is done there before the answer is late
        with pytest.raises(RecordError, match="can't be written"):
            await ledger.compare_and_set(read.revision, {"n": 1})
        proxy.delay_s = 0.0
        await until(lambda: place.server.ask("HGET", ledger.key, "document") == '{"n": 1}')
        await until_it_answers(ledger)
        assert (await ledger.read()).document == {"n": 1}
        await ledger.aclose()


@on_redis
async def test_a_user_with_the_rules_of_the_page_is_enough_and_sees_no_other_fund(place: RedisPlace) -> None:
    [rules] = re.findall(r"^user member on >\.\.\. (.*)$", PAGE, re.MULTILINE)
    place.server.ask("ACL", "SETUSER", "member", "on", ">members", *rules.split())
    address = RedisAddress.of(place.server.url.replace("redis://", "redis://member@"))
    own, other = (RedisLedger(redis_client(address, "members", WITHIN_S), fund) for fund in ("alpha", "beta"))
    assert await own.read() == NOWHERE
    assert await own.compare_and_set(None, {"n": 0})
    assert await own.compare_and_set((await own.read()).revision, {"n": 1})
    assert (await own.read()).document == {"n": 1}
    await refused(other, None)
    for ledger in (own, other):
        await ledger.aclose()


# --- members over it ---------------------------------------------------------------------------------


class Member:
    """A member on a disk that takes everything, whose ledger may not answer: then it is read later."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.state: Escrow | None = None
        self.said: list[str] = []

    async def begun(self, state: Escrow, actions: Actions) -> Escrow:
        self.state = state
        waiting = list(actions)
        while waiting:
            action, more = waiting.pop(0), ()
            match action:
                case MakeDurable(sequence):
                    self.state, more = step(self.state, Durable(sequence))
                case Publish(revision, document):
                    try:
                        await self._ledger.compare_and_set(revision, document)
                    except RecordError:
                        continue
                    self.state, more = step(self.state, await self._ledger.read())
                case Refuse(sentence) | Tell(sentence):
                    self.said.append(sentence)
            waiting.extend(more)
        return self.state

    async def hears(self, event: Event) -> Escrow:
        assert self.state is not None
        return await self.begun(*step(self.state, event))

    async def reads(self) -> Escrow:
        return await self.hears(await self._ledger.read())


async def two(place: Place) -> tuple[Member, Member]:
    ledger = place.ledger()
    a, b = Member(ledger), Member(place.ledger())
    await a.begun(*found(CHARTER, row("a"), await ledger.read()))
    await b.begun(*join(row("b"), await ledger.read(), **TERMS))
    await a.hears(lost(0))
    await b.hears(lost(0))
    await a.reads()
    return a, b


@everywhere
async def test_a_fund_is_founded_joined_and_lends_and_outlives_an_empty_ledger(place: Place) -> None:
    a, b = await two(place)
    await a.hears(Give(to="b", amount=Decimal(400)))
    assert (await b.reads()).budget == 400
    place.forget()
    for _ in range(2):
        await a.reads()
        await b.reads()
    assert a.state is not None
    assert b.state is not None
    assert a.state.books is not None
    assert (a.state.budget, b.state.budget) == (600, 400)
    assert list(a.state.books.wrong()) == []


@everywhere
async def test_a_ledger_of_yesterday_credits_nothing_twice_and_is_written_again(place: Place) -> None:
    a, b = await two(place)
    await a.hears(Give(to="b", amount=Decimal(300)))
    await b.reads()
    yesterday = place.backup()
    await a.reads()
    await a.hears(Give(to="b", amount=Decimal(100)))
    assert (await b.reads()).budget == 400
    place.restore(yesterday)
    for _ in range(3):
        await b.reads()
        await a.reads()
    assert a.state is not None
    assert b.state is not None
    assert a.state.books is not None
    assert (a.state.budget, b.state.budget) == (600, 400)
    assert list(a.state.books.wrong()) == []


@everywhere
@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"format": 2}', '{"format": true, "charter": {}, "rows": {}}', "7", "null", '"x"']
)
async def test_another_version_or_garbage_changes_nothing(place: Place, text: str) -> None:
    a, _ = await two(place)
    before = a.state
    assert before is not None
    if text == "null":
        with_nothing = (await a.reads()).budget
        assert with_nothing == before.budget
    place.put(text)
    after = await a.reads()
    assert (after.budget, after.kept, after.wanted) == (before.budget, before.kept, before.wanted)
    assert text == "null" or any("nothing was changed by it" in sentence for sentence in a.said)


@everywhere
async def test_a_trip_is_told_over_a_server_that_was_away(place: Place) -> None:
    a, b = await two(place)
    await a.hears(Give(to="b", amount=Decimal(400)))
    await b.reads()
    place.kill()
    await b.hears(lost(400))
    assert b.state is not None
    assert b.state.wanted.trip is not None
    place.start()
    await until_it_answers(place.ledger())
    await b.reads()
    assert (await a.reads()).wanted.trip == b.state.wanted.trip
