"""The store in an SQLite file: WAL, every commit forced to disk.

The file says what it is: `application_id` names this project, `user_version` the number of the last
migration. A file that is not ours, newer than this program or damaged is refused, never mended.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import structlog

from risk_daemon.errors import InvariantError, RecordError, StateError
from risk_daemon.state.files import json_text
from risk_daemon.state.store.base import KEEP_SAMPLES, JsonObject
from risk_daemon.state.worker import Run, Worker

_LOG = structlog.get_logger(__name__)

APPLICATION_ID = int.from_bytes(b"RDmn", "big")
_MIGRATIONS = Path(__file__).with_name("migrations") / "sqlite"
_BUSY_S = 1.0
_FARTHEST_SAMPLES = """DELETE FROM equity_samples WHERE wall IN (
    SELECT wall FROM equity_samples ORDER BY abs(wall - ?) DESC
    LIMIT max(0, (SELECT count(*) FROM equity_samples) - ?))"""


class SqliteStore:
    """See `Store`. The connection is used by one thread at a time, in the order of the calls."""

    def __init__(self, path: Path, connection: sqlite3.Connection, run: Run | None = None) -> None:
        self.path = path
        self._connection = connection
        self._worker: Worker | None = None
        if run is None:
            self._worker = Worker("store")
            run = self._worker.run
        self._run: Run = run

    @property
    def trouble(self) -> str | None:
        """What can't be written is raised."""
        return None

    @classmethod
    def open(cls, path: Path, *, create: bool = False, run: Run | None = None) -> Self:
        """Open the file and bring it to this version. `run`: how to run what blocks; a thread of its own if None.

        Raises StateError, naming the file: missing or empty (unless `create`), not ours, newer, damaged.
        """
        return cls(path, connect(path, create=create), run)

    async def load(self) -> Mapping[str, JsonObject]:
        return await self._run(read_documents, self.path, self._connection)

    async def save(self, documents: Mapping[str, JsonObject]) -> None:
        rows = _rows(documents)
        await self._run(_write_rows, self.path, self._connection, rows, False)

    async def append_sample(self, document: JsonObject) -> None:
        rows = [(time_of(document), json_text(document))]
        await self._run(_write_samples, self.path, self._connection, rows)

    async def load_samples(self) -> Sequence[JsonObject]:
        return await self._run(_read_samples, self.path, self._connection)

    async def close(self) -> None:
        await self._run(self._connection.close)
        if self._worker is not None:
            self._worker.stop()


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection to a checked and migrated file. Blocks. Raises StateError as `SqliteStore.open` does."""
    try:
        if create:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.stat()
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"{path}: the state can't be opened: {error}") from error
    try:
        _prepare(path, connection, create)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StateError(f"{path}: the state is damaged or can't be read: {error}") from error
    except StateError:
        connection.close()
        raise
    return connection


def read_documents(path: Path, connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """All documents. Blocks. Raises StateError."""
    try:
        with closing(connection.execute("SELECT key, body FROM document")) as cursor:
            documents = {key: json.loads(body) for key, body in cursor}
    except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
        raise StateError(f"{path}: the state is damaged or can't be read: {error}") from error
    for key, document in documents.items():
        if not isinstance(document, dict):
            raise StateError(f"{path}: the state is damaged: the document {key!r} is no object")
    return documents


def peek_documents(path: Path) -> dict[str, dict[str, Any]]:
    """All documents, in whichever format. Blocks. Empty where they can't be read; never raises."""
    try:
        if not path.exists() or path.stat().st_size == 0:
            return {}
        with closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
            return {key: _object(body) for key, body in connection.execute("SELECT key, body FROM document")}
    except (OSError, sqlite3.Error, TypeError) as error:
        _LOG.warning("state_not_read", path=str(path), error=str(error))
        return {}


def _object(body: Any) -> dict[str, Any]:
    """Empty for what is none: a document that is there and says nothing."""
    try:
        document = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def write_documents(
    path: Path, connection: sqlite3.Connection, documents: Mapping[str, JsonObject], *, only: bool = False
) -> None:
    """Write these in one transaction; `only`: and remove all else, samples too. Blocks. Raises RecordError."""
    _write_rows(path, connection, _rows(documents), only)


def _rows(documents: Mapping[str, JsonObject]) -> list[tuple[str, str]]:
    return [(key, json_text(document)) for key, document in documents.items()]


def _write_rows(path: Path, connection: sqlite3.Connection, rows: list[tuple[str, str]], only: bool) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        if only:
            connection.execute("DELETE FROM document")
            connection.execute("DELETE FROM equity_samples")
        connection.executemany("INSERT OR REPLACE INTO document (key, body) VALUES (?, ?)", rows)
        connection.execute("UPDATE revision SET number = number + 1")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise RecordError(f"{path}: the state could not be written: {error}") from error


def _write_samples(path: Path, connection: sqlite3.Connection, rows: list[tuple[float, str]]) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO equity_samples (wall, document) VALUES (?, ?)", rows)
        connection.execute(_FARTHEST_SAMPLES, (rows[-1][0], KEEP_SAMPLES))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise RecordError(f"{path}: a sample could not be written: {error}") from error


def _read_samples(path: Path, connection: sqlite3.Connection) -> list[JsonObject]:
    """As bytes, because one row that is no text would end the reading of all."""
    samples: list[JsonObject] = []
    damaged, problem = 0, ""
    try:
        with closing(connection.execute("SELECT CAST(document AS BLOB) FROM equity_samples ORDER BY wall")) as cursor:
            for (body,) in cursor:
                sample = _sample(body)
                if sample is None:
                    damaged += 1
                else:
                    samples.append(sample)
    except sqlite3.Error as error:
        problem = str(error)
    if damaged or problem:
        _LOG.warning("samples_left_out", path=str(path), damaged=damaged, problem=problem, read=len(samples))
    return samples


def _sample(body: bytes) -> JsonObject | None:
    """None: damaged."""
    try:
        sample = json.loads(body)
        time_of(sample)
    except (ValueError, TypeError, OverflowError, RecursionError, InvariantError):
        return None
    return dict(sample)


def time_of(sample: JsonObject) -> float:
    """Of which moment it is, Unix seconds. Raises InvariantError."""
    wall = sample.get("time") if isinstance(sample, Mapping) else None
    if isinstance(wall, bool) or not isinstance(wall, int | float) or not math.isfinite(wall):
        raise InvariantError(f"a sample has a time, in Unix seconds, not {wall!r}")
    return float(wall)


def _prepare(path: Path, connection: sqlite3.Connection, create: bool) -> None:
    """Check whose file it is and migrate it. Raises StateError, sqlite3.DatabaseError."""
    application_id, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    migrations = _migrations()
    if empty and not create:
        raise StateError(f"{path}: the state was never set up: run `risk-daemon init`")
    scrap = empty and path.stat().st_size > 0 and _pragma(connection, "page_count") == 0
    if scrap or (not empty and application_id != APPLICATION_ID):
        raise StateError(f"{path}: this database was not made by risk-daemon: set [state] dir to another place")
    if version > len(migrations):
        raise StateError(
            f"{path}: written by a newer risk-daemon (version {version}, this one knows {len(migrations)}): "
            "install that one again"
        )
    health = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if health != "ok":
        raise StateError(f"{path}: the state is damaged: {health}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {number}; COMMIT;"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _migrations() -> list[str]:
    """The scripts in order; the first is number 1."""
    return [path.read_text("utf-8") for path in sorted(_MIGRATIONS.glob("*.sql"))]
