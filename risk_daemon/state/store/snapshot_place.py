"""The connection that the day's snapshots are written through: opened when it is needed, and anew after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from risk_daemon.errors import RecordError
from risk_daemon.state.store.snapshots import Account, Connection, Snapshot, forget, register, write

KEEP_WITHIN_S = 5.0
_NO_TABLE = "42P01"


class Link(Connection, Protocol):
    """A connection that can be let go of."""

    def is_closed(self) -> bool: ...

    def terminate(self) -> None:
        """Without a word to the server, which may not answer."""
        ...


def sentence(error: BaseException) -> str:
    """What keeps the database from being used, for people."""
    if getattr(error, "sqlstate", None) == _NO_TABLE:
        return "the database has no tables for it: run `risk-daemon migrate`"
    if isinstance(error, TimeoutError):
        return "the database does not answer"
    return f"the database can't be used: {str(error) or repr(error)}"


class SnapshotPlace:
    """connect: opens a connection, or raises. Each time it is opened the accounts are registered under `guard`."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Link]],
        guard: str,
        accounts: Sequence[Account],
        within_s: float = KEEP_WITHIN_S,
    ) -> None:
        self._connect = connect
        self._guard = guard
        self._accounts = accounts
        self._within_s = within_s
        self._link: Link | None = None

    async def keep(self, snapshots: Sequence[Snapshot]) -> None:
        """Write them, all or none, within the time there is. Raises RecordError, and may be asked again."""
        await self._bounded(lambda link: write(link, snapshots))

    async def forget(self, before_wall: float) -> None:
        """Remove those from before that moment (Unix seconds). Raises RecordError."""
        await self._bounded(lambda link: forget(link, before_wall))

    async def close(self) -> None:
        """Let go of the connection, without waiting for the server."""
        if self._link is not None:
            self._link.terminate()
            self._link = None

    async def _bounded(self, work: Callable[[Link], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(self._within_s):
                await work(await self._open())
        except Exception as error:  # of a dozen kinds: whatever it is, the next try begins anew
            await self.close()
            raise RecordError(sentence(error)) from error
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> Link:
        if self._link is None or self._link.is_closed():
            self._link = await self._connect()
            await register(self._link, self._guard, self._accounts)
        return self._link
