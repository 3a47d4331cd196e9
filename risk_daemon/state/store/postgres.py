"""The store in a PostgreSQL database: a row a document, under the guard's name, each save one transaction.

A save is taken only by a server that has what whoever saves believes it to have: compare and set. So of two guards of
one name, or of a guard and a copy of it, one finds out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from risk_daemon.errors import InvariantError, RecordError, StateError
from risk_daemon.state.files import json_text
from risk_daemon.state.store.base import KEEP_SAMPLES, JsonObject
from risk_daemon.state.store.formats import IDENTITY
from risk_daemon.state.store.lineage import Head
from risk_daemon.state.store.postgres_link import PostgresLink, Refused
from risk_daemon.state.store.revised import Row, SampleRow
from risk_daemon.state.store.sqlite import time_of

if TYPE_CHECKING:
    from asyncpg import Connection

_LOG = structlog.get_logger(__name__)
_HEAD = """SELECT revision, run, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS unseen_s
    FROM guards WHERE name = $1"""
_IS_STANDBY = "SELECT pg_is_in_recovery()"
_SET = """UPDATE guards SET revision = $4, run = $5, saved_at = clock_timestamp(), seen_at = clock_timestamp()
    WHERE name = $1 AND revision = $2 AND run = $3 RETURNING 1"""
_ADD = "INSERT INTO guards (name, revision, run) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING 1"
_BEAT = """UPDATE guards SET seen_at = clock_timestamp()
    WHERE name = $1 AND revision = $2 AND run = $3 RETURNING 1"""
_PUT = """INSERT INTO state_documents (guard, key, body)
    SELECT $1, key, body FROM unnest($2::text[], $3::text[]) AS given (key, body)
    ON CONFLICT (guard, key) DO UPDATE SET body = excluded.body WHERE state_documents.body <> excluded.body"""
_REST = "DELETE FROM state_documents WHERE guard = $1 AND key <> ALL ($2::text[])"
_ALL = "SELECT key, body FROM state_documents WHERE guard = $1 ORDER BY key"
_ONE = "SELECT body FROM state_documents WHERE guard = $1 AND key = $2"
_PUT_SAMPLES = """INSERT INTO equity_samples (guard, wall, document)
    SELECT $1, wall, document FROM unnest($2::float8[], $3::text[]) AS given (wall, document)
    ON CONFLICT (guard, wall) DO UPDATE SET document = excluded.document"""
_FARTHEST_SAMPLES = """DELETE FROM equity_samples WHERE guard = $1 AND wall IN (
    SELECT wall FROM equity_samples WHERE guard = $1 ORDER BY abs(wall - $2) DESC
    LIMIT greatest(0, (SELECT count(*) FROM equity_samples WHERE guard = $1) - $3))"""
_SAMPLE_WALLS = "SELECT coalesce(array_agg(wall), '{}') FROM equity_samples WHERE guard = $1"
_KEYS = "SELECT key FROM state_documents WHERE guard = $1 ORDER BY key"
_ALL_SAMPLES = "SELECT document FROM equity_samples WHERE guard = $1 ORDER BY wall"
_SOME_SAMPLES = """SELECT wall, document FROM equity_samples
    WHERE guard = $1 AND wall < $2 ORDER BY wall DESC LIMIT $3"""


class Overtaken(RecordError):
    """Somebody else was there: the server does not have what it was believed to have."""


class PostgresStore:
    """See `Store`; and beside it what a mirror needs. run: the name under which this process sends.

    As a `Store` it goes on with whatever is there; a mirror says what it expects.
    """

    trouble = None  # what can't be written is raised

    def __init__(self, link: PostgresLink, guard: str, run: str | None = None) -> None:
        self.run = run or uuid.uuid4().hex
        self._link = link
        self._guard = guard

    @property
    def where(self) -> str:
        """For sentences."""
        return self._link.where

    # --- as a store --------------------------------------------------------------------------------

    async def load(self) -> Mapping[str, JsonObject]:
        try:
            rows = await self._link.run(lambda connection: connection.fetch(_ALL, self._guard))
        except RecordError as error:
            raise StateError(str(error)) from error
        return {row["key"]: self._document(row["key"], row["body"]) for row in rows}

    async def save(self, documents: Mapping[str, JsonObject]) -> None:
        rows = [(key, json_text(document)) for key, document in documents.items()]

        async def saved(connection: Connection) -> None:
            async with connection.transaction():
                head = await self._head(connection)
                await self._set(connection, head, 1 if head is None else head.revision + 1)
                await self._write(connection, rows)

        await self._link.run(saved)

    async def append_sample(self, document: JsonObject) -> None:
        row = (time_of(document), json_text(document))

        async def kept(connection: Connection) -> None:
            async with connection.transaction():
                await self._write_samples(connection, [row])

        await self._link.run(kept)

    async def load_samples(self) -> Sequence[JsonObject]:
        samples, damaged = [], 0
        try:
            rows = await self._link.run(lambda connection: connection.fetch(_ALL_SAMPLES, self._guard))
        except RecordError as error:
            _LOG.warning("samples_left_out", error=str(error))
            return []
        for row in rows:
            sample = _sample(row["document"])
            damaged += sample is None
            samples += [] if sample is None else [sample]
        if damaged:
            _LOG.warning("samples_left_out", where=self.where, damaged=damaged, read=len(samples))
        return samples

    async def close(self) -> None:
        await self._link.close()

    # --- for a mirror ------------------------------------------------------------------------------

    async def head(self) -> Head | None:
        """What the server has; None: nothing of this guard. Raises RecordError, Refused at a standby."""
        return await self._link.run(self._head)

    async def identity(self) -> Mapping[str, JsonObject]:
        """The document that says whose it is, by its key; empty where there is none that can be read. RecordError."""
        body = await self._link.run(lambda connection: connection.fetchval(_ONE, self._guard, IDENTITY))
        try:
            return {} if body is None else {IDENTITY: self._document(IDENTITY, body)}
        except StateError as error:
            _LOG.error("store_damaged", error=str(error))
            return {}

    async def keys(self) -> Sequence[str]:
        """Of the documents. Raises RecordError."""
        rows = await self._link.run(lambda connection: connection.fetch(_KEYS, self._guard))
        return [row["key"] for row in rows]

    async def document(self, key: str) -> JsonObject:
        """One of them. Raises RecordError, StateError where it is damaged, or not there."""
        body = await self._link.run(lambda connection: connection.fetchval(_ONE, self._guard, key))
        return self._document(key, "" if body is None else body)

    async def sample_rows(self, before: float, most: int) -> Sequence[SampleRow]:
        """The newest from before then (Unix seconds), newest first, `most` at once. Raises RecordError."""
        words = (self._guard, before, most)
        rows = await self._link.run(lambda connection: connection.fetch(_SOME_SAMPLES, *words))
        return [(row["wall"], row["document"]) for row in rows]

    async def sample_walls(self) -> Sequence[float]:
        """Of which moments there are samples, Unix seconds, in no order. Raises RecordError."""
        found: Sequence[float] = await self._link.run(
            lambda connection: connection.fetchval(_SAMPLE_WALLS, self._guard)
        )
        return found

    async def put(self, expected: Head | None, number: int, rows: Sequence[Row]) -> Head:
        """Have these documents and no others there, as that revision of this run. Raises Overtaken, RecordError."""

        async def done(connection: Connection) -> None:
            async with connection.transaction():
                await self._set(connection, expected, number)
                await self._write(connection, rows)
                await connection.execute(_REST, self._guard, [key for key, _ in rows])

        await self._link.run(done)
        return Head(number, self.run)

    async def put_samples(self, rows: Sequence[SampleRow]) -> None:
        """Raises RecordError."""

        async def done(connection: Connection) -> None:
            async with connection.transaction():
                await self._write_samples(connection, rows)

        await self._link.run(done)

    async def beat(self, expected: Head) -> None:
        """Say that somebody is here, and know that the server can write. Raises Overtaken, RecordError."""

        async def done(connection: Connection) -> None:
            if await connection.fetchval(_BEAT, self._guard, expected.revision, expected.run) is None:
                raise Overtaken(_OVERTAKEN)

        await self._link.run(done)

    # --- statements --------------------------------------------------------------------------------

    async def _head(self, connection: Connection) -> Head | None:
        """Raises Refused at a standby: what it has may be older than what a server that takes writes was told."""
        if await connection.fetchval(_IS_STANDBY):
            raise Refused(f"{self.where}: it is a standby, which knows of the state what it was told so far")
        row = await connection.fetchrow(_HEAD, self._guard)
        return None if row is None else Head(row["revision"], row["run"], max(0.0, row["unseen_s"]))

    async def _set(self, connection: Connection, expected: Head | None, number: int) -> None:
        """Raises Overtaken."""
        if expected is None:
            done = await connection.fetchval(_ADD, self._guard, number, self.run)
        elif number <= expected.revision:
            raise Overtaken(_OVERTAKEN)
        else:
            done = await connection.fetchval(_SET, self._guard, expected.revision, expected.run, number, self.run)
        if done is None:
            raise Overtaken(_OVERTAKEN)

    async def _write(self, connection: Connection, rows: Sequence[Row]) -> None:
        await connection.execute(_PUT, self._guard, [key for key, _ in rows], [body for _, body in rows])

    async def _write_samples(self, connection: Connection, rows: Sequence[SampleRow]) -> None:
        walls, texts = [wall for wall, _ in rows], [text for _, text in rows]
        await connection.execute(_PUT_SAMPLES, self._guard, walls, texts)
        await connection.execute(_FARTHEST_SAMPLES, self._guard, walls[-1], KEEP_SAMPLES)

    def _document(self, key: str, body: str) -> JsonObject:
        """Raises StateError."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise StateError(f"{self.where}: the document {key!r} of guard {self._guard} is damaged: {error}") from None
        if not isinstance(document, dict):
            raise StateError(f"{self.where}: the document {key!r} of guard {self._guard} is damaged: it is no object")
        return document


_OVERTAKEN = "the server has another state than the one that was there last"


def _sample(text: str) -> dict[str, Any] | None:
    """None: damaged."""
    try:
        sample = json.loads(text)
        time_of(sample)
    except (ValueError, RecursionError, InvariantError):
        return None
    return dict(sample)


__all__ = ["Overtaken", "PostgresStore", "Refused"]
