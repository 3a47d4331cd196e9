"""Two memories become one: later, and as strict as the stricter of them. A server refuses no start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app.store import merged, open_store, tell_of
from risk_daemon.broadcast.message import Message
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.config.load import Settings, load
from risk_daemon.errors import ConfigError
from risk_daemon.fund.membership import FUND
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import EventName, Input, Noted
from risk_daemon.model.units import ONE
from risk_daemon.state.directory import LATCH, LOST, Paths
from risk_daemon.state.latch import latch_document
from risk_daemon.state.log_anchor import LOG_DOCUMENTS
from risk_daemon.state.store.formats import FORMAT, IDENTITY
from risk_daemon.state.store.mirrored import MirroredStore
from risk_daemon.state.store.sqlite import SqliteStore, connect, write_documents
from tests.postgres import Database, until
from tests.unit.fund.fund import two

NOW = SystemClock().now()
OPEN: dict[str, Any] = {LATCH: latch_document(None, NOW)}
IDENTITY_OF_IT = {IDENTITY: {"format": FORMAT, "accounts": {}, "initial_capital": "auto"}}


def locked(trip_id: str, *, proven: bool) -> dict[str, Any]:
    trip = {"trip_id": trip_id, "breaker": "manual", "reason": "r", "since_wall": 1.0, "proven": proven}
    return {LATCH: latch_document(trip, NOW)}


PROVEN, UNPROVEN = locked("proven", proven=True), locked("unproven", proven=False)
STRICTER = [
    (OPEN, OPEN, OPEN),
    (PROVEN, OPEN, PROVEN),
    (OPEN, PROVEN, PROVEN),
    (UNPROVEN, PROVEN, UNPROVEN),
    (PROVEN, UNPROVEN, UNPROVEN),
    (locked("ours", proven=True), locked("theirs", proven=True), locked("theirs", proven=True)),
]


@pytest.mark.parametrize(("ours", "theirs", "expected"), STRICTER)
def test_a_lock_on_either_side_locks(ours: Any, theirs: Any, expected: Any) -> None:
    assert merged(ours, theirs)[LATCH] == expected[LATCH]


@pytest.mark.parametrize("spoilt", [{}, {LATCH: {}}, {LATCH: {"locked": "no"}}])
def test_a_lock_that_cant_be_read_is_not_forgotten(spoilt: Any) -> None:
    for both in (merged(spoilt, OPEN), merged(OPEN, spoilt), merged(spoilt, spoilt)):
        assert both[LATCH] == spoilt.get(LATCH, {})


def test_halts_wardens_and_a_lost_state_of_either_side_stay() -> None:
    halt = {"venue": "kraken", "bot": None, "reason": "ours"}
    ours = {
        **OPEN,
        "halts": {"halts": [halt, {**halt, "bot": "b"}]},
        "wardens": {"guarded": True},
        LOST: {"reason": "x"},
    }
    theirs = {**OPEN, "halts": {"halts": [{**halt, "reason": "theirs"}]}, "baselines": {"n": 2}}
    both = merged(ours, theirs)
    assert both["halts"] == {"halts": [{**halt, "reason": "theirs"}, {**halt, "bot": "b"}]}
    assert both["wardens"] == {"guarded": True}
    assert both[LOST] == {"reason": "x"}
    assert both["baselines"] == {"n": 2}
    assert merged(theirs, ours)["wardens"] == {"guarded": True}
    assert merged({**ours, "halts": {"halts": "spoilt"}}, theirs)["halts"] == theirs["halts"]


def owing(owed: Sequence[str], sent: Sequence[str]) -> dict[str, Any]:
    outbox = Outbox()
    for trip_id in (*sent, *owed):
        outbox.put(Message(trip_id=trip_id, wall=1.0))
    for trip_id in sent:
        outbox.settle(trip_id)
    return {**OPEN, BROADCAST: outbox.document()}


def test_what_either_owes_is_owed_until_one_of_them_has_delivered_it() -> None:
    ours, theirs = owing(["a", "b"], ["c"]), owing(["c", "d"], ["b"])
    for both in (merged(ours, theirs), merged(theirs, ours)):
        found = both[BROADCAST]
        assert sorted(one["trip_id"] for one in found["owed"]) == ["a", "d"]
        assert sorted(found["sent"]) == ["b", "c"]
    assert merged(ours, OPEN)[BROADCAST] == ours[BROADCAST]
    assert merged(OPEN, ours)[BROADCAST] == ours[BROADCAST]


@pytest.mark.parametrize("name", LOG_DOCUMENTS)
def test_what_is_known_of_the_log_here_is_not_of_another_machines(name: str) -> None:
    assert merged({**OPEN, name: {"seq": 1}}, {**OPEN, name: {"seq": 9}})[name] == {"seq": 1}
    assert name not in merged(OPEN, {**OPEN, name: {"seq": 9}})


# --- a start ---------------------------------------------------------------------------------------


def configured(tmp_path: Path, store: str) -> tuple[Settings, Paths]:
    file = tmp_path / "config.toml"
    file.write_text(
        '[portfolio]\ninitial_capital = "auto"\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
        f'simulated = true\n[guard]\nname = "main"\n[state]\nstore = "{store}"\n'
    )
    paths = Paths(tmp_path)
    with closing(connect(paths.database, create=True)) as connection:
        write_documents(paths.database, connection, {**IDENTITY_OF_IT, **OPEN})
    return load(file), paths


async def test_without_a_server_it_is_the_one_here(tmp_path: Path) -> None:
    settings, paths = configured(tmp_path, "sqlite")
    async with AsyncExitStack() as stack:
        assert isinstance(await open_store(settings, paths, NOW, stack), SqliteStore)


async def test_a_start_brings_everything_and_goes_on_without_a_server(tmp_path: Path, database: Database) -> None:
    settings, paths = configured(tmp_path, database.address)
    async with AsyncExitStack() as stack:
        store = await open_store(settings, paths, NOW, stack)
        assert isinstance(store, MirroredStore)
        assert store.trouble is None
        assert set(database.documents()) == {IDENTITY, LATCH}
    settings, paths = configured(tmp_path, "postgresql://guard@127.0.0.1:1/risk")
    async with AsyncExitStack() as stack:
        store = await open_store(settings, paths, NOW, stack)
        assert "PostgreSQL at 127.0.0.1:1/risk" in str(store.trouble)


async def test_a_lock_on_the_server_comes_along_and_is_told(tmp_path: Path, database: Database) -> None:
    settings, paths = configured(tmp_path, database.address)
    async with AsyncExitStack() as stack:
        await open_store(settings, paths, NOW, stack)
    database.execute("UPDATE guards SET revision = 1000, run = 'another machine'")
    database.execute("UPDATE state_documents SET body = $1 WHERE key = 'lock'", '{"locked": true}')
    database.is_left_alone()
    told: list[Input] = []
    async with AsyncExitStack() as stack:
        store = await open_store(settings, paths, NOW, stack)
        tell_of(store, told.append)
        assert (await store.load())[LATCH] == {"locked": True}
        await until(lambda: store.trouble is None)
    [noted] = told
    assert isinstance(noted, Noted)
    assert noted.event.name is EventName.STORE_TAKEN_OVER


async def test_a_trip_that_is_not_proven_is_ours_whatever_the_server_has(tmp_path: Path, database: Database) -> None:
    settings, paths = configured(tmp_path, database.address)
    async with AsyncExitStack() as stack:
        await (await open_store(settings, paths, NOW, stack)).save(UNPROVEN)
    database.execute("UPDATE guards SET revision = 1000, run = 'another machine'")
    database.is_left_alone()
    async with AsyncExitStack() as stack:
        store = await open_store(settings, paths, NOW, stack)
        assert (await store.load())[LATCH] == UNPROVEN[LATCH]
        await until(lambda: "restart this one" in str(store.trouble))


async def test_without_the_client_the_start_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, paths = configured(tmp_path, "postgresql://guard@127.0.0.1:1/risk")
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigError, match=r"risk-daemon\[postgres\]"):
        async with AsyncExitStack() as stack:
            await open_store(settings, paths, NOW, stack)


def member(sequence: int, *, founding: str = "f00d", given: str | None = None) -> dict[str, Any]:
    _, a, _ = two()
    document = a.document(replace(a.kept, sequence=sequence, given={} if given is None else {"b.00000001": ONE}))
    return {FUND: {**document, "charter": {**document["charter"], "founding": founding}}}


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [
        (member(7), member(5), "ours"),
        (member(5), member(7), "theirs"),
        (member(5), member(5), "theirs"),
        (member(7), OPEN, "ours"),
        (OPEN, member(5), "theirs"),
        (member(7), member(5, founding="beef"), "theirs"),
        ({FUND: {"charter": {"founding": "f00d"}, "row": "torn"}}, member(5), "ours"),
        (member(7), {FUND: {"charter": {"founding": "f00d"}, "row": "torn"}}, "theirs"),
    ],
)
def test_a_budget_that_was_given_away_does_not_come_back_and_no_membership_is_forgotten(
    ours: dict[str, Any], theirs: dict[str, Any], kept: str
) -> None:
    """What can't be read is kept: the start finds it out, and is refused."""
    assert merged({**OPEN, **ours}, {**OPEN, **theirs})[FUND] == (ours if kept == "ours" else theirs)[FUND]
