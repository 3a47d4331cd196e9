"""The mirror: first here, then there; what keeps it from being there is trouble; nothing is overwritten."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.state.store import fetching, mirrored
from risk_daemon.state.store.formats import FORMAT, IDENTITY
from risk_daemon.state.store.mirrored import MirroredStore, News, NewsKind
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_schema import check
from risk_daemon.state.store.revised import RevisedState
from risk_daemon.state.store.sqlite import SqliteStore, connect, write_documents
from tests.postgres import Database, Server, until

OURS = {"format": FORMAT, "accounts": {"kraken": "f00"}, "initial_capital": "auto"}
WITHIN_S = 0.5
NOON = 1_700_000_000.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored, "BEAT_EVERY_S", 0.1)
    monkeypatch.setattr(mirrored, "RETRY_EVERY_S", 0.05)


def set_up(path: Path, **more: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    with closing(connect(path, create=True)) as connection:
        write_documents(path, connection, {IDENTITY: OURS, **more})
    return path


class Guards:
    """Mirrored stores by directory, closed at the end."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.database = database
        self.open: list[MirroredStore] = []
        self.news: list[News] = []

    async def start(self, name: str = "one", *, may_take_over: bool = True, server: Database | None = None) -> Any:
        path = self.root / name / "state.db"
        if not path.exists():
            set_up(path)
        link = PostgresLink((server or self.database).url, "", timeout_s=WITHIN_S, first=check)
        store = MirroredStore(SqliteStore.open(path), RevisedState.open(path), PostgresStore(link, "main"))
        store.tell_news(self.news.append)
        self.open.append(store)
        await store.begin(may_take_over=may_take_over)
        return store

    async def stop(self, store: MirroredStore) -> None:
        self.open.remove(store)
        await store.close()

    def copy(self, source: str, target: str) -> None:
        """A backup of the directory, or a machine that was cloned; its store is closed."""
        shutil.copytree(self.root / source, self.root / target)


@pytest.fixture
async def guards(tmp_path: Path, database: Database) -> AsyncIterator[Guards]:
    guards = Guards(tmp_path, database)
    yield guards
    for store in list(guards.open):
        await guards.stop(store)


async def well(store: MirroredStore) -> None:
    await until(lambda: store.trouble is None)


def there(database: Database) -> dict[str, Any]:
    return {key: json.loads(body) for key, body in database.documents().items()}


# --- a server that is well -------------------------------------------------------------------------


async def test_everything_is_there_with_the_samples(guards: Guards, database: Database) -> None:
    store = await guards.start()
    assert store.trouble is None
    await store.save({"a": {"n": 1}, "b": {}})
    for minute in range(3):
        await store.append_sample({"time": NOON + 60 * minute})
    await until(lambda: there(database) == {IDENTITY: OURS, "a": {"n": 1}, "b": {}})
    await until(lambda: len(database.execute("SELECT 1 FROM equity_samples")) == 3)
    await guards.stop(store)
    again = await guards.start()
    assert again.trouble is None
    assert guards.news == []


async def test_a_sample_of_a_clock_that_was_ahead_keeps_no_later_one(guards: Guards, database: Database) -> None:
    store = await guards.start()
    ahead = NOON + 7 * 86_400
    for count, wall in enumerate((NOON, ahead, NOON + 60, NOON + 120), 1):
        await store.append_sample({"time": wall})
        await until(lambda count=count: len(database.execute("SELECT 1 FROM equity_samples")) == count)
    await guards.stop(store)


async def test_a_sample_of_a_clock_that_was_ahead_hides_none_of_an_outage(guards: Guards, own_postgres: Server) -> None:
    """Nor of the time in which only this machine could write."""
    own = Database(own_postgres)
    store = await guards.start(server=own)
    for wall in (NOON, NOON + 365 * 86_400):
        await store.append_sample({"time": wall})
    await until(lambda: len(own.execute("SELECT 1 FROM equity_samples")) == 2)
    own_postgres.freeze()
    await until(lambda: store.trouble is not None, within_s=10)
    await store.append_sample({"time": NOON + 60})
    own_postgres.thaw()
    await well(store)
    await until(lambda: len(own.execute("SELECT 1 FROM equity_samples")) == 3)
    await guards.stop(store)
    path = guards.root / "one" / "state.db"
    local = SqliteStore.open(path)
    await local.append_sample({"time": NOON + 120})
    await local.close()
    await guards.start(server=own)
    await until(lambda: len(own.execute("SELECT 1 FROM equity_samples")) == 4)


async def test_the_last_save_is_there_when_it_is_closed(guards: Guards, database: Database) -> None:
    store = await guards.start()
    await store.save({"last": {"n": 1}})
    await guards.stop(store)
    assert there(database)["last"] == {"n": 1}


async def test_another_process_on_the_same_state_is_mirrored_too(guards: Guards, database: Database) -> None:
    """Commands write into state.db beside the guard."""
    store = await guards.start()
    set_up(guards.root / "one" / "state.db", wardens={"guarded": True})
    await until(lambda: there(database).get("wardens") == {"guarded": True})
    assert store.trouble is None


# --- a server that is not --------------------------------------------------------------------------


async def test_a_frozen_server_is_trouble_and_delays_no_save(guards: Guards, own_postgres: Server) -> None:
    own = Database(own_postgres)
    store, loop = await guards.start(server=own), asyncio.get_running_loop()

    async def slowest() -> float:
        took = []
        for number in range(30):
            began = loop.time()
            await store.save({"a": {"n": number}})
            took.append(loop.time() - began)
        return max(took)

    await slowest()
    own_postgres.freeze()
    assert await slowest() < WITHIN_S, "a save waited for the server"
    await until(lambda: store.trouble is not None, within_s=4 * WITHIN_S + 2)
    assert "does not answer within 0.5 s" in store.trouble
    assert await slowest() < WITHIN_S
    began = loop.time()
    other = await guards.start("two", server=own)
    assert loop.time() - began < 4 * WITHIN_S + 1, "the start waits once"
    assert "does not answer" in other.trouble
    await guards.stop(other)
    own_postgres.thaw()
    await well(store)
    assert there(own)["a"] == {"n": 29}


async def test_killed_with_everything_and_back(guards: Guards, own_postgres: Server) -> None:
    own = Database(own_postgres)
    store = await guards.start(server=own)
    await store.save({"a": {"n": 1}})
    await until(lambda: "a" in own.documents())
    own_postgres.kill()
    await until(lambda: store.trouble is not None)
    await store.save({"a": {"n": 2}})
    await store.append_sample({"time": NOON})
    own_postgres.start()
    await well(store)
    assert there(own)["a"] == {"n": 2}
    assert len(own.execute("SELECT 1 FROM equity_samples")) == 1


async def test_read_only_is_trouble_without_any_save(guards: Guards, own_postgres: Server) -> None:
    own = Database(own_postgres)
    store = await guards.start(server=own)
    own.execute(f'ALTER DATABASE "{own.name}" SET default_transaction_read_only = on')
    own_postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", own.name, database="postgres"
    )
    await until(lambda: store.trouble is not None and "read-only" in store.trouble)
    own_postgres.execute(f'ALTER DATABASE "{own.name}" RESET default_transaction_read_only', database="postgres")
    await well(store)


async def test_tables_that_are_missing_or_of_the_future_are_trouble_that_says_what_to_do(
    guards: Guards, postgres: Server
) -> None:
    bare = Database(postgres, has_tables=False)
    store = await guards.start(server=bare)
    assert "run `risk-daemon migrate`" in store.trouble
    bare.migrate()
    await well(store)
    await guards.stop(store)
    bare.execute("INSERT INTO risk_daemon_migrations VALUES (9999, '9999_of_tomorrow')")
    store = await guards.start(server=bare)
    assert "newer risk-daemon" in store.trouble


async def test_garbage_in_rows_of_our_own_is_written_over(guards: Guards, database: Database) -> None:
    store = await guards.start()
    await store.save({"a": {"n": 1}})
    await until(lambda: "a" in database.documents())
    database.execute("UPDATE state_documents SET body = 'garbage'")
    await store.save({"b": {}})
    await until(lambda: database.documents().get("b") == "{}")
    assert there(database)["a"] == {"n": 1}


# --- the past of somebody else ---------------------------------------------------------------------


async def test_a_server_restored_from_yesterday_is_told_and_written_again(guards: Guards, database: Database) -> None:
    store = await guards.start()
    yesterday = database.dump()
    await store.save({"a": {"n": 1}})
    await until(lambda: "a" in database.documents())
    database.put_back(yesterday)
    await until(lambda: "a" in database.documents())
    assert [news.kind for news in guards.news] == [NewsKind.BEHIND]
    await guards.stop(store)
    database.put_back(yesterday)
    store = await guards.start()
    assert store.trouble is None
    assert [news.kind for news in guards.news] == [NewsKind.BEHIND] * 2
    assert there(database)["a"] == {"n": 1}


async def test_a_server_restored_from_before_a_restart_is_our_past_too(guards: Guards, database: Database) -> None:
    store = await guards.start()
    yesterday = database.dump()
    for number in range(3):
        await guards.stop(store)
        store = await guards.start()
        await store.save({"a": {"n": number}})
        await until(lambda number=number: there(database).get("a") == {"n": number})  # type: ignore[misc]
    database.put_back(yesterday)
    await until(lambda: there(database).get("a") == {"n": 2})
    assert [news.kind for news in guards.news] == [NewsKind.BEHIND]
    await well(store)


async def test_nobody_is_led_to_go_on_with_the_older_one(guards: Guards, database: Database) -> None:
    store = await guards.start()
    for number in range(5):
        await store.save({"a": {"n": number}})
    await until(lambda: there(database).get("a") == {"n": 4})
    database.execute("UPDATE guards SET revision = 1, run = 'never seen'")
    await until(lambda: store.trouble is not None and "older of the two" in store.trouble)
    assert "--from-store" not in store.trouble


async def test_a_server_that_was_emptied_is_told_and_written_again(guards: Guards, database: Database) -> None:
    store = await guards.start()
    database.empty()
    await until(lambda: guards.news and database.revision() is not None)
    await well(store)
    assert there(database) == {IDENTITY: OURS}


async def restored_from_yesterday(guards: Guards, **today: Any) -> Any:
    """Directory `one` is as it was before the server got `today`."""
    store = await guards.start()
    await guards.stop(store)
    guards.copy("one", "backup")
    store = await guards.start()
    for _ in range(5):
        await store.save(today)
    await guards.stop(store)
    shutil.rmtree(guards.root / "one")
    guards.copy("backup", "one")


async def test_a_directory_restored_from_yesterday_takes_over_what_is_later(guards: Guards, database: Database) -> None:
    await restored_from_yesterday(guards, peak={"equity": "2"})
    database.execute("INSERT INTO equity_samples VALUES ('main', $1, $2)", NOON, json.dumps({"time": NOON}))
    database.is_left_alone()
    before = database.documents()
    store = await guards.start()
    assert store.trouble is None
    assert (await store.load())["peak"] == {"equity": "2"}
    assert await store.load_samples() == [{"time": NOON}]
    assert [news.kind for news in guards.news] == [NewsKind.TAKEN_OVER]
    assert database.documents() == before
    await store.save({"peak": {"equity": "3"}})
    await until(lambda: there(database)["peak"] == {"equity": "3"})


async def test_saves_without_the_mirror_make_nobody_elses_future_our_past(guards: Guards, database: Database) -> None:
    """A copy made under a running guard, then a trip; the copy is put back, and commands save beside it."""
    store = await guards.start()
    await store.save({"lock": {"locked": False}})
    await until(lambda: "lock" in database.documents())
    guards.copy("one", "backup")
    for owed in range(2):
        await store.save({"lock": {"locked": True}, "broadcast": {"owed": [owed]}})
    await until(lambda: there(database).get("broadcast") == {"owed": [1]})
    await guards.stop(store)
    shutil.rmtree(guards.root / "one")
    guards.copy("backup", "one")
    for number in range(3):
        set_up(guards.root / "one" / "state.db", wardens={"n": number})
    database.is_left_alone()
    store = await guards.start()
    assert "is no past of the state here" in store.trouble
    assert "a trip or a halt there may be missing here" in store.trouble
    assert there(database)["lock"] == {"locked": True}


async def test_it_takes_over_nothing_that_somebody_is_writing(guards: Guards, database: Database) -> None:
    await restored_from_yesterday(guards, peak={"equity": "2"})
    store = await guards.start()
    assert "another guard of this name was there" in store.trouble
    assert "peak" not in await store.load()


async def test_it_takes_over_nothing_damaged_and_nothing_of_other_accounts(guards: Guards, database: Database) -> None:
    await restored_from_yesterday(guards, peak={"equity": "2"})
    database.is_left_alone()
    good = database.dump()
    database.execute("UPDATE state_documents SET body = 'garbage' WHERE key = 'peak'")
    store = await guards.start()
    assert "'peak' of guard main is damaged" in store.trouble
    await guards.stop(store)
    database.put_back(good)
    foreign = json.dumps({**OURS, "accounts": {"okx": "bad"}})
    database.execute("UPDATE state_documents SET body = $1 WHERE key = 'identity'", foreign)
    database.is_left_alone()
    store = await guards.start()
    assert "guards other accounts" in store.trouble
    assert "peak" not in await store.load()
    assert there(database)["peak"] == {"equity": "2"}, "nothing of it was overwritten"


async def test_what_is_later_is_found_too_late(guards: Guards, database: Database) -> None:
    """It was out of reach at the start: nothing is taken over under a running guard, and nothing is overwritten."""
    await restored_from_yesterday(guards, peak={"equity": "2"})
    database.is_left_alone()
    store = await guards.start(may_take_over=False)
    await until(lambda: "restart this one" in store.trouble)
    before = database.documents()
    for number in range(20):
        await store.save({"a": {"n": number}})
    await until(lambda: "is no past of the state here" in store.trouble)
    assert database.documents() == before
    await guards.stop(store)
    store = await guards.start()
    assert "is no past of the state here" in store.trouble, "a second start does not forget it"
    assert database.documents() == before


async def test_of_two_guards_of_one_name_the_second_finds_out(guards: Guards, database: Database) -> None:
    first = await guards.start()
    await first.save({"a": {"n": 1}})
    await first.save({"a": {"n": 2}})
    await until(lambda: there(database).get("a") == {"n": 2})
    second = await guards.start("two")
    assert "another guard of this name was there" in second.trouble
    for number in range(9):
        await second.save({"a": {"n": -number}})
    await until(lambda: "is no past of the state here" in second.trouble)
    assert there(database)["a"] == {"n": 2}
    assert first.trouble is None


async def test_of_a_guard_and_its_clone_one_finds_out(guards: Guards, database: Database) -> None:
    store = await guards.start()
    await guards.stop(store)
    guards.copy("one", "clone")
    one, clone = await guards.start(), await guards.start("clone")
    await one.save({"a": {"of": "one"}})
    await until(lambda: "a" in database.documents())
    await clone.save({"a": {"of": "clone"}})
    await until(lambda: clone.trouble is not None)
    assert there(database)["a"] == {"of": "one"}
    assert one.trouble is None


@pytest.mark.parametrize("ahead", [1, 5])
async def test_a_machine_that_is_put_back_with_its_memory_never_overwrites(
    guards: Guards, database: Database, ahead: int
) -> None:
    """The server has what this very run sent later, which nothing here remembers."""
    store = await guards.start()
    await store.save({"lock": {"locked": False}})
    await until(lambda: "lock" in database.documents())
    await well(store)
    database.execute("UPDATE guards SET revision = revision + $1", ahead)
    database.execute("UPDATE state_documents SET body = $1 WHERE key = 'lock'", '{"locked": true}')
    for number in range(ahead + 2):
        await store.save({"a": {"n": number}})
    await until(lambda: store.trouble is not None)
    for number in range(9):
        await store.save({"a": {"n": number}})
    await until(lambda: "is no past of the state here" in (store.trouble or ""))
    assert there(database)["lock"] == {"locked": True}
    await guards.stop(store)
    store = await guards.start()
    assert "is no past of the state here" in store.trouble, "a second start does not forget it"
    assert there(database)["lock"] == {"locked": True}


async def test_a_commit_that_nobody_heard_of_is_ours(guards: Guards, database: Database) -> None:
    store = await guards.start()
    answered = store._remote.put

    async def unheard(*given: Any) -> Any:
        await answered(*given)
        store._remote.put = answered
        raise mirrored.RecordError("the connection was lost")

    store._remote.put = unheard
    await store.save({"a": {"n": 1}})
    await until(lambda: "a" in database.documents())
    await well(store)
    await store.save({"a": {"n": 2}})
    await until(lambda: there(database)["a"] == {"n": 2})
    assert guards.news == []


async def test_an_error_that_nobody_knows_is_trouble(guards: Guards) -> None:
    store = await guards.start()

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("planted")

    store._remote.beat = broken
    await until(lambda: store.trouble is not None)
    assert "planted" in store.trouble


async def test_an_answer_is_believed_only_for_so_long(guards: Guards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored, "BELIEVED_FOR_S", 0.3)
    store = await guards.start()
    asked, answer, beat = asyncio.Event(), asyncio.Event(), store._remote.beat

    async def late(head: Any) -> None:
        asked.set()
        await answer.wait()
        await beat(head)

    store._remote.beat = late
    await asked.wait()
    await until(lambda: "no answer for" in (store.trouble or ""))
    answer.set()
    await well(store)


async def test_a_mirror_that_has_ended_is_trouble(guards: Guards) -> None:
    store = await guards.start()
    assert store.trouble is None
    store._keeping.cancel()
    await until(lambda: store.trouble is not None)
    assert "nothing is brought there any more" in store.trouble


async def test_a_start_waits_for_no_samples(guards: Guards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored, "MEET_WITHIN_S", 0.4)
    go_on, answered = asyncio.Event(), PostgresStore.sample_walls

    async def slow(remote: PostgresStore) -> Sequence[float]:
        await go_on.wait()
        return await answered(remote)

    monkeypatch.setattr(PostgresStore, "sample_walls", slow)
    async with asyncio.timeout(10):
        store = await guards.start()
    assert "was not reached yet" in store.trouble
    go_on.set()
    await well(store)


async def test_a_server_that_says_half_of_what_is_later_delays_no_start(
    guards: Guards, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await restored_from_yesterday(guards, peak={"equity": "2"})
    database.is_left_alone()
    monkeypatch.setattr(fetching, "STEP_WITHIN_S", 0.4)
    answered = PostgresStore.document

    async def half(remote: PostgresStore, key: str) -> Any:
        if key == "peak":
            await asyncio.Event().wait()
        return await answered(remote, key)

    monkeypatch.setattr(PostgresStore, "document", half)
    async with asyncio.timeout(10):
        store = await guards.start()
    assert store.trouble is not None
    assert "peak" not in await store.load()
    assert there(database)["peak"] == {"equity": "2"}


async def later_by_five_samples(guards: Guards, database: Database) -> list[float]:
    await restored_from_yesterday(guards, peak={"equity": "2"})
    walls = [NOON + 60 * minute for minute in range(5)]
    for wall in walls:
        database.execute("INSERT INTO equity_samples VALUES ('main', $1, $2)", wall, json.dumps({"time": wall}))
    database.is_left_alone()
    return walls


async def test_a_later_state_of_its_name_is_not_taken_over_by_one_that_was_never_there(
    guards: Guards, database: Database
) -> None:
    """As after `init` on a new machine: what a person has just agreed to is not undone by a count."""
    first = await guards.start()
    for number in range(5):
        await first.save({"a": {"n": number}})
    await well(first)
    await guards.stop(first)
    database.is_left_alone()
    second = await guards.start("elsewhere")
    await until(lambda: "was never there" in (second.trouble or ""))
    assert there(database)["a"] == {"n": 4}
    assert guards.news == []


async def test_what_is_later_is_taken_over_however_long_it_takes_step_by_step(
    guards: Guards, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow line, on which all of it takes longer than a start waits for a server that says nothing."""
    walls = await later_by_five_samples(guards, database)
    monkeypatch.setattr(mirrored, "MEET_WITHIN_S", 1.0)
    monkeypatch.setattr(fetching, "SAMPLES_AT_ONCE", 1)
    answered = PostgresStore.sample_rows

    async def slow(remote: PostgresStore, before: float, most: int) -> Any:
        await asyncio.sleep(mirrored.MEET_WITHIN_S / 3)  # what the line takes
        return await answered(remote, before, most)

    monkeypatch.setattr(PostgresStore, "sample_rows", slow)
    store = await guards.start()
    assert await store.load_samples() == [{"time": wall} for wall in walls]
    assert (await store.load())["peak"] == {"equity": "2"}
    await well(store)


async def test_samples_that_can_not_be_had_keep_no_lock_from_being_taken_over(
    guards: Guards, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest come first, so what is missing is the oldest."""
    walls = await later_by_five_samples(guards, database)
    monkeypatch.setattr(fetching, "STEP_WITHIN_S", 0.4)
    monkeypatch.setattr(fetching, "SAMPLES_AT_ONCE", 2)
    answered = PostgresStore.sample_rows

    async def twice(remote: PostgresStore, before: float, most: int) -> Any:
        if before < walls[2]:
            await asyncio.Event().wait()
        return await answered(remote, before, most)

    monkeypatch.setattr(PostgresStore, "sample_rows", twice)
    async with asyncio.timeout(10):
        store = await guards.start()
    assert (await store.load())["peak"] == {"equity": "2"}
    assert await store.load_samples() == [{"time": wall} for wall in walls[1:]]
