"""The SQLite store: all or none, on disk, and nothing odd is taken for an empty memory."""

# ruff: noqa: ASYNC240 - a test may look at its files

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.errors import InvariantError, RecordError, StateError
from risk_daemon.state.store import sqlite
from risk_daemon.state.store.base import Store
from risk_daemon.state.store.sqlite import SqliteStore, connect, write_documents
from risk_daemon.state.worker import inline


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def saved(path: Path, documents: dict[str, dict[str, Any]]) -> None:
    store = SqliteStore.open(path, create=True, run=inline)
    await store.save(documents)
    await store.close()


async def loaded(path: Path) -> dict[str, Any]:
    store = SqliteStore.open(path, run=inline)
    try:
        return dict(await store.load())
    finally:
        await store.close()


async def test_it_is_a_store(path: Path) -> None:
    store: Store = SqliteStore.open(path, create=True)
    assert await store.load() == {}
    await store.save({"lock": {"locked": True, "n": [1, None, "é"]}, "peak": {"equity": "1.5"}})
    await store.save({"peak": {"equity": "2"}})
    expected = {"lock": {"locked": True, "n": [1, None, "é"]}, "peak": {"equity": "2"}}
    assert await store.load() == expected
    await store.close()
    assert await loaded(path) == expected
    assert path.stat().st_mode & 0o777 == 0o600


async def test_every_commit_is_forced_to_disk(path: Path) -> None:
    seen: dict[str, Any] = {}

    async def look(job: Any, /, *args: Any) -> Any:
        for argument in args:
            if isinstance(argument, sqlite3.Connection):
                for name in ("journal_mode", "synchronous"):
                    seen[name] = argument.execute(f"PRAGMA {name}").fetchone()[0]
        return job(*args)

    store = SqliteStore.open(path, create=True, run=look)
    await store.save({"a": {}})
    assert seen == {"journal_mode": "wal", "synchronous": 2}
    await store.close()


async def test_many_savers_at_once(path: Path) -> None:
    store = SqliteStore.open(path, create=True)
    await asyncio.gather(*(store.save({"last": {"n": n}, f"own{n}": {"n": n}}) for n in range(30)))
    documents = await store.load()
    assert documents["last"] == {"n": 29}
    assert len(documents) == 31
    await store.close()


async def test_what_was_passed_may_change_afterwards(path: Path) -> None:
    store, document = SqliteStore.open(path, create=True), {"n": 1}
    saving = asyncio.create_task(store.save({"a": document}))
    await asyncio.sleep(0)
    document["n"] = 2
    await saving
    assert await store.load() == {"a": {"n": 1}}
    await store.close()


async def test_what_json_cannot_say_is_a_bug_and_writes_nothing(path: Path) -> None:
    store = SqliteStore.open(path, create=True, run=inline)
    with pytest.raises(InvariantError):
        await store.save({"a": {}, "b": {"x": float("nan")}})
    assert await store.load() == {}
    await store.close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


async def test_a_full_disk_is_reported_and_nothing_is_half_written(path: Path) -> None:
    await saved(path, {"a": {"n": 1}, "b": {"n": 1}})
    store = SqliteStore.open(path, run=inline)
    with file_size_limit(64 * 1024), pytest.raises(RecordError, match=r"state\.db: the state could not be written"):
        await store.save({"a": {"n": 2}, "b": {"n": 2, "text": "x" * 1_000_000}})
    assert await store.load() == {"a": {"n": 1}, "b": {"n": 1}}
    await store.save({"a": {"n": 3}})
    await store.close()
    assert await loaded(path) == {"a": {"n": 3}, "b": {"n": 1}}


async def test_a_save_that_fails_half_way_leaves_nothing_of_it(path: Path) -> None:
    await saved(path, {"a": {"n": 1}})
    sql(path, "CREATE TRIGGER no BEFORE INSERT ON document WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END")
    store = SqliteStore.open(path, run=inline)
    with pytest.raises(RecordError, match="could not be written: no"):
        await store.save({"a": {"n": 2}, "bad": {}})
    assert await store.load() == {"a": {"n": 1}}
    await store.save({"a": {"n": 3}})
    await store.close()
    assert await loaded(path) == {"a": {"n": 3}}


async def test_a_locked_database_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk_daemon.state.store.sqlite._BUSY_S", 0.01)
    store = SqliteStore.open(path, create=True, run=inline)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordError, match="locked"):
            await store.save({"a": {}})
        other.execute("ROLLBACK")
    await store.save({"a": {}})
    await store.close()


def test_a_missing_or_empty_file_is_not_an_empty_memory(path: Path) -> None:
    with pytest.raises(StateError, match=r"state\.db"):
        SqliteStore.open(path)
    assert not path.exists()
    path.touch()
    with pytest.raises(StateError, match="never set up: run `risk-daemon init`"):
        SqliteStore.open(path)


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000, b"x"])
@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes, create: bool) -> None:
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"state\.db"):
        SqliteStore.open(path, create=create)
    assert path.read_bytes() == content


async def test_a_damaged_page_is_refused(path: Path) -> None:
    await saved(path, {f"key{n}": {"text": "y" * 2000} for n in range(50)})
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xaa" * (4096 * 3)
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"state\.db: the state is damaged"):
        SqliteStore.open(path)


async def test_a_cut_file_is_refused(path: Path) -> None:
    await saved(path, {f"key{n}": {"text": "y" * 2000} for n in range(50)})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StateError, match=r"state\.db"):
        SqliteStore.open(path)


def sql(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def test_a_newer_version_is_refused(path: Path) -> None:
    SqliteStore.open(path, create=True, run=inline)
    sql(path, "PRAGMA user_version = 7")
    for create in (True, False):
        with pytest.raises(StateError, match=r"newer risk-daemon \(version 7, this one knows 3\)"):
            SqliteStore.open(path, create=create)


def test_another_programs_database_is_refused(path: Path) -> None:
    sql(path, "CREATE TABLE document (key TEXT, body TEXT)")
    for create in (True, False):
        with pytest.raises(StateError, match="not made by risk-daemon"):
            SqliteStore.open(path, create=create)


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "1"])
async def test_a_document_that_is_no_object_is_refused(path: Path, body: str) -> None:
    await saved(path, {"a": {}})
    sql(path, f"UPDATE document SET body = '{body}'")
    with pytest.raises(StateError, match="damaged"):
        await loaded(path)


def test_a_directory_is_refused(path: Path) -> None:
    path.mkdir()
    for create in (True, False):
        with pytest.raises(StateError, match=r"state\.db"):
            SqliteStore.open(path, create=create)


# --- samples -------------------------------------------------------------------------------------------

DAY_S = 86_400.0
NOON = 1_763_640_000.0


def sample(wall: float, equity: str = "1") -> dict[str, Any]:
    return {"time": wall, "equity": equity}


async def kept(path: Path, *walls: float) -> list[float]:
    """The times that are there after samples of these were appended."""
    store = SqliteStore.open(path, create=True, run=inline)
    for wall in walls:
        await store.append_sample(sample(wall))
    await store.close()
    return [document["time"] for document in await samples(path)]


async def samples(path: Path) -> list[Any]:
    store = SqliteStore.open(path, run=inline)
    try:
        return list(await store.load_samples())
    finally:
        await store.close()


async def test_samples_come_back_oldest_first(path: Path) -> None:
    store: Store = SqliteStore.open(path, create=True)
    assert await store.load_samples() == []
    for wall in (NOON + 60, NOON, NOON + 120.5):
        await store.append_sample(sample(wall, f"{wall}"))
    await store.append_sample(sample(NOON, "another"))
    await store.save({"a": {}})
    expected = [sample(NOON, "another"), sample(NOON + 60, f"{NOON + 60}"), sample(NOON + 120.5, f"{NOON + 120.5}")]
    assert await store.load_samples() == expected
    assert await store.load() == {"a": {}}
    await store.close()
    assert await samples(path) == expected


async def test_thirty_days_of_minutes_are_kept(path: Path) -> None:
    minutes = [NOON + 60 * minute for minute in range(30 * 24 * 60)]
    await kept(path)
    with closing(connect(path)) as connection:
        rows = [(wall, json.dumps(sample(wall))) for wall in minutes]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO equity_samples VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    later = minutes[-1] + 60
    assert await kept(path, later) == [*minutes[1:], later]


async def test_a_clock_that_was_wrong_for_once_does_not_stop_the_history(path: Path) -> None:
    far, minutes = NOON + 1000 * DAY_S, [NOON + minute * 60 for minute in range(1, 4)]
    assert await kept(path, NOON, far, *minutes) == [NOON, *minutes, far]
    assert await kept(path, 0.0) == [0.0, NOON, *minutes, far]


@pytest.mark.parametrize("wall", [None, True, "1", float("nan"), float("inf")])
async def test_a_sample_without_a_time_is_a_bug(path: Path, wall: Any) -> None:
    store = SqliteStore.open(path, create=True, run=inline)
    for document in ({"time": wall}, {}):
        with pytest.raises(InvariantError, match="a sample has a time"):
            await store.append_sample(document)
    assert await store.load_samples() == []
    await store.close()


@pytest.mark.parametrize(
    "body",
    [
        "''",
        "'{'",
        "'[]'",
        "'null'",
        "'{\"equity\":1}'",
        "'{\"time\":NaN}'",
        f"'{{\"time\":1{'0' * 400}}}'",
        "x'ff00'",
        "CAST(x'ff00' AS TEXT)",
    ],
)
async def test_a_damaged_sample_is_left_out_and_said(path: Path, body: str) -> None:
    walls = [NOON, NOON + 60, NOON + 120]
    await kept(path, *walls)
    sql(path, f"UPDATE equity_samples SET document = {body} WHERE wall = {walls[1]}")
    with capture_logs() as logs:
        assert await samples(path) == [sample(walls[0]), sample(walls[2])]
    assert [(log["event"], log["damaged"], log["read"]) for log in logs] == [("samples_left_out", 1, 2)]


async def test_samples_that_cannot_be_read_at_all_are_said(path: Path) -> None:
    await kept(path, NOON)
    sql(path, "DROP TABLE equity_samples")
    with capture_logs() as logs:
        assert await samples(path) == []
    assert "no such table" in logs[0]["problem"]


async def test_a_sample_that_cannot_be_written_is_reported(path: Path) -> None:
    await kept(path, NOON)
    store = SqliteStore.open(path, run=inline)
    with file_size_limit(64 * 1024), pytest.raises(RecordError, match="a sample could not be written"):
        await store.append_sample(sample(NOON + 60, "9" * 1_000_000))
    await store.append_sample(sample(NOON + 120))
    await store.close()
    assert [document["time"] for document in await samples(path)] == [NOON, NOON + 120]


async def test_starting_over_forgets_the_samples_too(path: Path) -> None:
    await kept(path, NOON)
    with closing(connect(path)) as connection:
        write_documents(path, connection, {"a": {}})
        assert sqlite._read_samples(path, connection) == [sample(NOON)]
        write_documents(path, connection, {"b": {}}, only=True)
        assert sqlite._read_samples(path, connection) == []


async def test_a_state_of_the_version_before_is_migrated(path: Path) -> None:
    first = sqlite._migrations()[0]
    sql(path, f"{first}; PRAGMA application_id = {sqlite.APPLICATION_ID}; PRAGMA user_version = 1")
    sql(path, """INSERT INTO document VALUES ('lock', '{"locked":true}')""")
    store = SqliteStore.open(path, run=inline)
    assert await store.load() == {"lock": {"locked": True}}
    assert await store.load_samples() == []
    await store.append_sample(sample(NOON))
    await store.close()
    assert await loaded(path) == {"lock": {"locked": True}}
    assert await samples(path) == [sample(NOON)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(sqlite._migrations()),)


async def test_a_migration_that_fails_leaves_the_version_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await saved(path, {"a": {"n": 1}})
    now = sqlite._migrations()
    broken = [*now, "CREATE TABLE more (a); DROP TABLE none_such"]
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_migrations", lambda: broken)
        with pytest.raises(StateError, match="none_such"):
            SqliteStore.open(path)
    assert await loaded(path) == {"a": {"n": 1}}


WRITER = """
import asyncio, sys
from pathlib import Path
from risk_daemon.state.store.sqlite import SqliteStore
async def main():
    store = SqliteStore.open(Path(sys.argv[1]), create=True)
    number = 0
    while True:
        number += 1
        await store.save({key: {"n": number, "text": "z" * 5000} for key in "abc"})
        print(number, flush=True)
asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_saved(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path), stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(20):
        await process.stdout.readline()
    process.kill()
    rest = await process.stdout.read()
    await process.wait()
    acknowledged = 20 + rest.count(b"\n")
    documents = await loaded(path)
    numbers = {document["n"] for document in documents.values()}
    assert len(numbers) == 1
    assert numbers.pop() >= acknowledged
    assert json.dumps(documents["a"]) == json.dumps(documents["c"])
