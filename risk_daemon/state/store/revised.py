"""What a mirror needs of `state.db`: all of it as one revision, what it descends from, and a later state in its place.

On a connection and a thread of its own: whoever saves never waits for the mirror.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from risk_daemon.errors import RecordError
from risk_daemon.state.files import json_text
from risk_daemon.state.store.base import JsonObject
from risk_daemon.state.store.lineage import Lineage
from risk_daemon.state.store.sqlite import connect
from risk_daemon.state.worker import Run, Worker

Row = tuple[str, str]
SampleRow = tuple[float, str]
Statement = tuple[str, Sequence[tuple[object, ...]]]


@dataclass(frozen=True, slots=True)
class Revision:
    """All documents, as text by key, as they were at one moment."""

    number: int
    rows: tuple[Row, ...]


class RevisedState:
    """Raises RecordError for what can't be read or written."""

    def __init__(self, path: Path, connection: sqlite3.Connection, run: Run | None = None) -> None:
        self._path = path
        self._connection = connection
        self._worker = Worker("mirror") if run is None else None
        self._run: Run = run if self._worker is None else self._worker.run  # type: ignore[assignment]

    @classmethod
    def open(cls, path: Path, run: Run | None = None) -> Self:
        """Raises StateError as `SqliteStore.open` does."""
        return cls(path, connect(path), run)

    async def read(self) -> Revision:
        """Everything but the samples."""
        return await self._run(_read, self._path, self._connection)

    async def lineage(self) -> Lineage:
        return await self._run(_lineage, self._path, self._connection)

    async def keep_lineage(self, lineage: Lineage) -> None:
        """Durable when this returns. It is no new revision."""
        await self._run(
            _write, self._path, self._connection, (("UPDATE revision SET lineage = ?", [(lineage.text(),)]),)
        )

    async def sample_walls(self) -> Sequence[float]:
        """Of which moments there are samples, Unix seconds."""
        return await self._run(_sample_walls, self._path, self._connection)

    async def samples_of(self, walls: Sequence[float]) -> Sequence[SampleRow]:
        """The samples of these moments that are there, oldest first; a few thousand at most at once."""
        return await self._run(_samples_of, self._path, self._connection, walls)

    async def become(
        self, number: int, documents: Mapping[str, JsonObject], samples: Sequence[SampleRow], lineage: Lineage
    ) -> None:
        """Take these in place of everything, at that revision; samples are added. All or none."""
        rows = [(key, json_text(body)) for key, body in documents.items()]
        statements: list[Statement] = [
            ("DELETE FROM document", [()]),
            ("INSERT INTO document (key, body) VALUES (?, ?)", rows),
            ("INSERT OR REPLACE INTO equity_samples (wall, document) VALUES (?, ?)", samples),
            ("UPDATE revision SET number = ?, lineage = ?", [(number, lineage.text())]),
        ]
        await self._run(_write, self._path, self._connection, statements)

    async def adopt(self, number: int, samples: Sequence[SampleRow], lineage: Lineage) -> None:
        """The documents are here already: they are that revision, and this is what they descend from."""
        statements: list[Statement] = [
            ("INSERT OR REPLACE INTO equity_samples (wall, document) VALUES (?, ?)", samples),
            ("UPDATE revision SET number = ?, lineage = ?", [(number, lineage.text())]),
        ]
        await self._run(_write, self._path, self._connection, statements)

    async def close(self) -> None:
        await self._run(self._connection.close)
        if self._worker is not None:
            self._worker.stop()


@contextmanager
def _transaction(path: Path, connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    try:
        connection.execute(begin)
        yield
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise RecordError(f"{path}: the state can't be mirrored: {error}") from error


def _read(path: Path, connection: sqlite3.Connection) -> Revision:
    with _transaction(path, connection, "BEGIN"):
        number = int(connection.execute("SELECT number FROM revision").fetchone()[0])
        rows = tuple(connection.execute("SELECT key, body FROM document ORDER BY key"))
    return Revision(number, rows)


def _lineage(path: Path, connection: sqlite3.Connection) -> Lineage:
    with _transaction(path, connection, "BEGIN"):
        return Lineage.of(connection.execute("SELECT lineage FROM revision").fetchone()[0])


def _sample_walls(path: Path, connection: sqlite3.Connection) -> Sequence[float]:
    """What is no text is left out, as it is where samples are read."""
    with _transaction(path, connection, "BEGIN"):
        found = connection.execute("SELECT wall FROM equity_samples WHERE typeof(document) = 'text'")
        return [wall for (wall,) in found]


def _samples_of(path: Path, connection: sqlite3.Connection, walls: Sequence[float]) -> Sequence[SampleRow]:
    asked = ", ".join("?" * len(walls))
    chosen = f"SELECT wall, document FROM equity_samples WHERE wall IN ({asked}) AND typeof(document) = 'text'"
    with _transaction(path, connection, "BEGIN"):
        return list(connection.execute(f"{chosen} ORDER BY wall", walls))


def _write(path: Path, connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    with _transaction(path, connection, "BEGIN IMMEDIATE"):
        for statement, rows in statements:
            connection.executemany(statement, rows)
