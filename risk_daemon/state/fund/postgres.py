"""A fund's ledger in PostgreSQL: a row a fund, changed by one statement that compares and sets.

The table is of the migration `0040_fund_ledger.sql`. A commit is on the server's disk when it returns; where the server
replicates synchronously, on a second one as well. What a failover to one that was behind loses is a ledger restored
from an older one: members are made for that.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from risk_daemon.errors import RecordError
from risk_daemon.fund.ledger import LARGEST, JsonObject, LedgerRead

T = TypeVar("T")

# A standby answers with what the server before it had some time ago: of a ledger that is no answer.
_READ = (
    "SELECT pg_is_in_recovery() AS is_standby, octet_length(document) AS size, revision, document FROM (SELECT 1) one"
)
_READ += " LEFT JOIN fund_ledgers ON fund = $1"
_ADD = (
    "INSERT INTO fund_ledgers (fund, revision, document) VALUES ($1, $2, $3) ON CONFLICT (fund) DO NOTHING RETURNING 1"
)
_SET = "UPDATE fund_ledgers SET revision = $2, document = $3 WHERE fund = $1 AND revision = $4 RETURNING 1"


class Link(Protocol):
    """A way to the server: see `PostgresLink`. run: raises RecordError for whatever goes wrong."""

    @property
    def where(self) -> str: ...

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T: ...

    async def close(self) -> None: ...


class PostgresLedger:
    """The ledger of the fund `fund`. link: with timeouts of its own; it is closed with this."""

    def __init__(self, link: Link, fund: str) -> None:
        self._link = link
        self._fund = fund

    @property
    def where(self) -> str:
        """For sentences."""
        return self._link.where

    async def read(self) -> LedgerRead:
        """What is there now. Raises RecordError."""
        row = await self._link.run(lambda connection: connection.fetchrow(_READ, self._fund))
        if row["is_standby"] is not False:
            raise RecordError(f"{self.where}: it is a standby, which knows of the ledger what it was told so far")
        if row["revision"] is None:
            return LedgerRead(revision=None, document=None)
        if row["size"] > LARGEST:
            raise RecordError(f"{self.where}: what is there for {self._fund!r} is no fund's ledger: it is too large")
        try:
            return LedgerRead(revision=row["revision"], document=json.loads(row["document"]))
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{self.where}: what is there for {self._fund!r} is no fund's ledger: {error}") from error

    async def compare_and_set(self, revision: str | None, document: JsonObject) -> bool:
        """Put `document` there if the revision is still this one; False: it was another.

        Raises RecordError where it is not known whether it was put there.
        """
        new, text = secrets.token_hex(16), json.dumps(document)  # never used twice, not by a restored ledger either
        words = (_ADD, self._fund, new, text) if revision is None else (_SET, self._fund, new, text, revision)
        return await self._link.run(lambda connection: connection.fetchval(*words)) is not None

    async def aclose(self) -> None:
        await self._link.close()
