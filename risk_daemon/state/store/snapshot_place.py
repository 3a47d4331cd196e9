"""Where the day's snapshots are written to: a server, through a connection that is given up after any failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from risk_daemon.errors import RecordError
from risk_daemon.state.store.snapshots import Account, Connection, Snapshot, forget, register, write

T = TypeVar("T")

_NO_TABLE = "42P01"
_NO_COLUMN = "42703"


class Link(Protocol):
    """What is used of a PostgresLink."""

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """What `work` gives on a connection, within bounds. Raises RecordError."""
        ...

    async def close(self) -> None: ...


def with_tables(work: Callable[[Connection], Awaitable[T]]) -> Callable[[Connection], Awaitable[T]]:
    """`work`, which raises RecordError with what to do where the tables are missing, or are others."""

    async def worked(connection: Connection) -> T:
        try:
            return await work(connection)
        except Exception as error:
            if getattr(error, "sqlstate", None) in (_NO_TABLE, _NO_COLUMN):
                raise RecordError(f"{error}: run `risk-daemon migrate`, which makes the tables") from error
            raise

    return worked


class SnapshotPlace:
    """On each connection that is opened the accounts are registered under `guard`, before the first snapshot."""

    def __init__(self, link: Link, guard: str, accounts: Sequence[Account], peers_group: str | None = None) -> None:
        self._link = link
        self._guard = guard
        self._accounts = accounts
        self._peers_group = peers_group
        self._registered_on: Connection | None = None

    async def keep(self, snapshots: Sequence[Snapshot]) -> None:
        """Write them, all or none. Raises RecordError, and may be asked again."""

        async def work(connection: Connection) -> None:
            if connection is not self._registered_on:
                await register(connection, self._guard, self._accounts, self._peers_group)
                self._registered_on = connection
            await write(connection, snapshots)

        await self._link.run(with_tables(work))

    async def forget(self, before_wall: float, keep_days: int) -> bool:
        """Remove those from before that moment (Unix seconds), see `snapshots.forget`. Raises RecordError."""
        return await self._link.run(with_tables(lambda connection: forget(connection, before_wall, keep_days)))

    async def close(self) -> None:
        """Let go of the connection, without waiting for the server."""
        await self._link.close()
