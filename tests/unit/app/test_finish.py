"""The parts of a finishing that no start needs: the state aside, the latch alone, venues that nobody can speak to."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from adapters.base import VenueAdapter
from oms import OrderManager
from risk_daemon.app import finish as finishing
from risk_daemon.app.broadcast import of_trip
from risk_daemon.app.composition import Opened
from risk_daemon.app.finish import AbsentVenue, NothingCanBeReached, take_up
from risk_daemon.config.load import Settings, load
from risk_daemon.errors import RecordError, StateError, StateOwned
from risk_daemon.fund.membership import FUND
from risk_daemon.model.clock import SystemClock
from risk_daemon.runtime.twin import standing_of
from risk_daemon.state.directory import LOST, Paths, StateDir
from risk_daemon.state.latch import LATCH, latch_document, unproven_latch
from risk_daemon.state.lock import file
from risk_daemon.state.lock import memory_map as shared
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.store.formats import IDENTITY
from risk_daemon.state.store.sqlite import connect, peek_documents, write_documents

CONFIG = """
[portfolio]
initial_capital = 10000
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
endpoint = "http://127.0.0.1:1"
"""
REFUSAL = StateError("the port is taken.")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A live venue with keys, and a lock file that tells of a trip."""
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_API_KEY", "key")
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_SECRET", "c2VjcmV0")
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "var").mkdir(mode=0o700)
    shared.shut(tmp_path / "var" / "gate.bin", LockRecord(True, "drawdown", "trip-1", 5.0))
    return load(tmp_path / "config.toml")


@pytest.fixture
def paths(settings: Settings) -> Paths:
    return Paths(settings.state.dir)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def taken_up(settings: Settings, stack: AsyncExitStack) -> Opened:
    left = await take_up(settings, REFUSAL, {}, stack)
    assert left is not None
    return left


def set_up(paths: Paths, **lock: Any) -> None:
    """A state beside the lock files, older than the trip."""
    paths.gate.rename(paths.root / "away")
    StateDir.open(paths.root, accounts={"kraken": "of another key"}, initial_capital="1", create=True).close()
    (paths.root / "away").rename(paths.gate)
    with closing(connect(paths.database)) as connection:
        write_documents(paths.database, connection, {"baselines": {"capital": "1"}, **lock})


async def test_without_a_trip_there_is_nothing_to_finish(
    settings: Settings, paths: Paths, stack: AsyncExitStack
) -> None:
    paths.gate.unlink()
    assert await take_up(settings, REFUSAL, {}, stack) is None
    assert sorted(path.name for path in paths.root.iterdir()) == [], "nothing was made"


async def test_the_trip_stands_on_both_lock_files_and_in_the_store(
    settings: Settings, paths: Paths, stack: AsyncExitStack
) -> None:
    left = await taken_up(settings, stack)
    assert left.engine.trip is not None
    assert (left.engine.trip.trip_id, left.engine.trip.proven) == ("trip-1", False)
    for record in (shared.last_record(paths.gate), file.last_record(paths.lock)):
        assert record is not None
        assert (record.locked, record.trip_id) == (True, "trip-1")
    documents = peek_documents(paths.database)
    assert (documents[LATCH]["trip_id"], documents[LATCH]["proven"]) == ("trip-1", False)
    assert "the state was lost" in documents[LOST]["reason"]


async def test_only_the_latch_is_saved_and_only_its_proof_changes(
    settings: Settings, paths: Paths, stack: AsyncExitStack
) -> None:
    set_up(paths)
    left = await taken_up(settings, stack)
    before = peek_documents(paths.database)
    await left.store.save({"baselines": {"capital": "0"}})
    assert peek_documents(paths.database) == before
    await left.store.save({LATCH: {"proven": True, "trip_id": "x", "until_wall": 1.0}, "baselines": {}})
    assert peek_documents(paths.database) == {**before, LATCH: {**before[LATCH], "proven": True}}


async def test_what_is_known_of_the_board_is_known_while_a_trip_is_finished(
    settings: Settings, paths: Paths, stack: AsyncExitStack
) -> None:
    set_up(paths, board={"epoch": 7, "words": 90})
    assert (await taken_up(settings, stack)).engine.outside.snapshot() == {"epoch": 7, "words": 90}


async def test_a_freeze_is_finished_like_a_trip_and_stays_a_freeze(
    settings: Settings, paths: Paths, stack: AsyncExitStack
) -> None:
    shared.shut(paths.gate, LockRecord(True, "daily_loss", "trip-1", 5.0, 2e9))
    left = await taken_up(settings, stack)
    assert left.engine.trip is not None
    assert not left.engine.trip.is_freeze
    said = standing_of(left.engine.restraints, 5.0, ("kraken",))
    assert (said.locked, said.cause, said.trip_id) == (True, "daily_loss", None), "else a peer would trip for it"
    assert of_trip(left.engine.trip).is_freeze, "nor is it broadcast as a trip"
    await left.store.save({LATCH: {"proven": True, "is_freeze": False}})
    latch = peek_documents(paths.database)[LATCH]
    assert (latch["is_freeze"], latch["until_wall"], latch["proven"]) == (True, 2e9, True)


async def test_every_state_that_is_set_aside_is_kept(settings: Settings, paths: Paths) -> None:
    for number in (1, 2):
        paths.database.write_bytes(b"garbage %d" % number)
        async with AsyncExitStack() as stack:
            await taken_up(settings, stack)
        assert paths.database.with_name(f"state.db.aside-{number}").read_bytes() == b"garbage %d" % number
    assert IDENTITY in peek_documents(paths.database)


async def test_a_state_that_somebody_holds_is_not_set_aside(
    settings: Settings, paths: Paths, stack: AsyncExitStack
) -> None:
    set_up(paths)
    with closing(sqlite3.connect(paths.database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM document WHERE key = 'nothing'")
        left = await taken_up(settings, stack)
        with pytest.raises(RecordError):
            await left.store.save({LATCH: {"proven": True}})
        other.execute("COMMIT")
    assert list(paths.root.glob("state.db.aside*")) == []
    assert peek_documents(paths.database)["baselines"] == {"capital": "1"}


async def test_another_owner_is_left_alone(settings: Settings, paths: Paths, stack: AsyncExitStack) -> None:
    with StateDir.take(paths.root), pytest.raises(StateOwned):
        await take_up(settings, REFUSAL, {}, stack)


async def test_without_any_venue_it_is_refused_by_name(
    settings: Settings, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RISK_DAEMON_KRAKEN_SECRET")
    with pytest.raises(NothingCanBeReached) as caught:
        await take_up(settings, REFUSAL, {"other": "it is odd"}, stack)
    for text in ("the port is taken", "Trip trip-1 is not proven", "ORDERS MAY BE OPEN", "other: it is odd", "secret"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("accounts", "absent"),
    [
        ({"kraken": "of another key"}, []),
        ({"kraken": "x", "bybit": "y"}, ["bybit"]),
        ({"old": None}, []),
        ({"old": "x"}, ["old"]),
    ],
)
async def test_a_venue_is_known_by_its_name_or_its_account(
    settings: Settings, paths: Paths, stack: AsyncExitStack, accounts: dict[str, str | None], absent: list[str]
) -> None:
    own = finishing.account(settings, "kraken")
    set_up(paths)
    with closing(connect(paths.database)) as connection:
        identity = peek_documents(paths.database)[IDENTITY]
        known = {name: fingerprint or own for name, fingerprint in accounts.items()}
        write_documents(paths.database, connection, {IDENTITY: identity | {"accounts": known}})
    left = await taken_up(settings, stack)
    assert sorted(set(left.adapters) - {"kraken"}) == absent


async def test_venues_owed_before_the_state_was_lost_are_owed_after(settings: Settings, paths: Paths) -> None:
    """The fresh state has the accounts of today; a venue that the log still named is not forgotten by it."""
    lines = (
        '{"event":"circuit_breaker_triggered","trip_id":"trip-1","time":"2026-11-21T00:00:00Z"}',
        '{"event":"sweep_started","trip_id":"trip-1","venues":["gone","kraken"]}',
    )
    paths.events.write_text("\n".join(lines) + "\n")
    for _ in range(2):
        async with AsyncExitStack() as stack:
            left = await taken_up(settings, stack)
            assert sorted(left.adapters) == ["gone", "kraken"]


async def test_an_absent_venue_is_never_proven() -> None:
    venue = AbsentVenue("gone", "it is not in the configuration any more")
    assert isinstance(venue, VenueAdapter)
    manager = OrderManager(settle_s=0, order_flight_s=0, lease_s=0, cancel_deadline_s=0.2, protective_orders="cancel")
    manager.add_spot_adapter(venue)
    manager.add_perp_adapter(venue)
    result = await manager.cancel_all_orders()
    assert not result.proven
    assert "it is not in the configuration any more" in str(result.venues["gone"].unproven_reason)


async def test_where_nothing_can_be_written_it_is_swept_all_the_same(
    settings: Settings, paths: Paths, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    for name in ("pwrite", "replace", "ftruncate"):
        monkeypatch.setattr(os, name, full)
    left = await taken_up(settings, stack)
    assert left.engine.trip is not None
    assert not left.engine.trip.proven


# --- kill -9 -----------------------------------------------------------------------------------------

_STEPS = frozenset({"open", "os.rename", "os.remove", "os.truncate", "sqlite3.connect"})


def was_killed_at(number: int, work: Callable[[], None]) -> bool:
    """Do `work` in a process that is killed before its `number`-th step on files; False: it had fewer."""
    child = os.fork()
    if child == 0:
        seen = 0

        def look(event: str, _arguments: object) -> None:
            nonlocal seen
            if event in _STEPS:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


async def latched(settings: Settings, paths: Paths) -> finishing.LatchStore:
    """What a finishing does to the state directory before the sweep."""
    now = SystemClock().now()
    latch, documents = unproven_latch(paths, now)
    assert latch is not None
    async with AsyncExitStack() as stack:
        await finishing._shut(paths, latch, now, stack)
        store = finishing._latch_store(
            settings, paths, latch_document(latch, now), finishing.venues_owed(paths, documents)
        )
        finishing._journal(paths, stack)
    return store


async def proven(settings: Settings, paths: Paths) -> None:
    store = await latched(settings, paths)
    await store.save({LATCH: {"proven": True}})
    await store.close()


@pytest.mark.parametrize("database", [b"", b"garbage", None])
@pytest.mark.parametrize("witness", ["gate.bin", "events.jsonl"])
def test_killed_at_any_step_the_next_start_still_knows_the_trip(
    settings: Settings, paths: Paths, tmp_path: Path, database: bytes | None, witness: str
) -> None:
    number, killed = 0, True
    if witness == "events.jsonl":
        paths.gate.unlink()
        line = '{"event":"circuit_breaker_triggered","trip_id":"trip-1","time":"2026-11-21T00:00:00Z"}\n'
        paths.events.write_text(line)
    if database is not None:
        paths.database.write_bytes(database)
    shutil.copytree(paths.root, tmp_path / "source")
    while killed:
        number += 1
        shutil.rmtree(paths.root)
        shutil.copytree(tmp_path / "source", paths.root)
        killed = was_killed_at(number, lambda: asyncio.run(latched(settings, paths)) and None)
        latch, _ = unproven_latch(paths, SystemClock().now())
        assert latch is not None, f"after step {number}"
        assert latch["trip_id"] == "trip-1"
        asyncio.run(proven(settings, paths))
        assert unproven_latch(paths, SystemClock().now())[0] is None
        assert peek_documents(paths.database)[LATCH]["proven"] is True
    assert number > 8, "it was really killed in the middle"


async def test_what_the_fund_is_told_is_kept_with_the_proof_and_nothing_else(settings: Settings, paths: Paths) -> None:
    store = await latched(settings, paths)
    await store.save({LATCH: {"proven": True}, FUND: {"row": {"trip": "alpha-1"}}, "baselines": {"capital": "1"}})
    await store.close()
    kept = peek_documents(paths.database)
    assert kept[FUND] == {"row": {"trip": "alpha-1"}}
    assert kept.get("baselines") != {"capital": "1"}
