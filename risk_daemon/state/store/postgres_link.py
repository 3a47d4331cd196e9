"""One connection to a PostgreSQL server, bounded in time: whatever it does or does not, an answer comes.

asyncpg is imported where a server is configured, and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.state.dial import Dialler
from risk_daemon.state.store.postgres_url import PostgresUrl

if TYPE_CHECKING:
    from asyncpg import Connection

T = TypeVar("T")

WITHIN_S = 3.0
EXTRA = "risk-daemon[postgres]"


class Refused(RecordError):
    """The server answers, and what it has is not to be used. A retry alone does not mend it."""


def require_client() -> None:
    """Raises ConfigError where the client is not installed."""
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        raise ConfigError(f"state.store: a server needs the extra `postgres`: pipx install '{EXTRA}'.") from None


async def connect(
    url: PostgresUrl, password: str, *, timeout_s: float = WITHIN_S, dialler: Dialler | None = None
) -> Connection:
    """A connection on which every statement ends within `timeout_s`; commits are on the server's disk when they return.

    Raises whatever asyncpg and the network raise; `PostgresLink.run` makes sentences of it.
    """
    import asyncpg

    loop: Any = _DiallingLoop(asyncio.get_running_loop(), dialler or Dialler())
    hosts, ports = zip(*url.hosts, strict=True)
    return await asyncpg.connect(
        url.dsn,
        loop=loop,
        host=list(hosts),
        port=list(ports),
        user=url.user,
        database=url.database,
        password=password,  # an empty one too: or else one is looked for in the environment
        timeout=timeout_s,
        command_timeout=timeout_s,
        server_settings={
            "application_name": "risk-daemon",
            "synchronous_commit": "on",
            "statement_timeout": str(int(timeout_s * 1000)),
            "idle_in_transaction_session_timeout": str(int(timeout_s * 1000)),
        },
    )


class _DiallingLoop:
    """The loop that runs, but for names: those a `Dialler` looks up. The client connects by nothing else, be it to a
    server or to cancel a statement, and asks a server over TLS for the name that it was given.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, dialler: Dialler) -> None:
        self._loop = loop
        self._dialler = dialler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int, *, ssl: Any = None) -> Any:
        dialled = await self._dialler.dial(host, port)
        name = host if ssl else None
        return await self._loop.create_connection(factory, sock=dialled, ssl=ssl, server_hostname=name)


class PostgresLink:
    """A connection that is made when it is needed, used by one at a time, and given up after anything went wrong.

    first: what is done with each new connection before anything else.
    """

    def __init__(
        self,
        url: PostgresUrl,
        password: str,
        *,
        timeout_s: float = WITHIN_S,
        first: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        require_client()
        self._url = url
        self._password = password
        self._timeout_s = timeout_s
        self._first = first
        self._dialler = Dialler()
        self._connection: Connection | None = None
        self._turned = 0  # by how many hosts the list begins later
        self._turn = asyncio.Lock()

    @property
    def where(self) -> str:
        """For sentences."""
        return f"PostgreSQL at {self._url.where}"

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` gives, in at most the link's time from its turn on. Raises RecordError, Refused."""
        async with self._turn:
            task = asyncio.ensure_future(self._worked(work))
            try:
                await asyncio.wait({task}, timeout=self._timeout_s)
            except asyncio.CancelledError:
                self._drop(task)
                raise
            if not task.done():
                self._drop(task)
                raise RecordError(f"{self.where} does not answer within {self._timeout_s:g} s")
            if task.cancelled():  # by somebody else than us: no answer either
                self._drop(task)
                raise RecordError(f"{self.where}: what was asked was cancelled")
            error = task.exception()
            if error is None:
                return task.result()
            self._drop(task)
            if isinstance(error, RecordError):
                raise error
            if not isinstance(error, Exception):
                raise error
            raise RecordError(f"{self.where}: {str(error).strip() or type(error).__name__}") from error

    async def _worked(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            url = self._turned_url()
            connection = await connect(url, self._password, timeout_s=self._timeout_s, dialler=self._dialler)
            self._connection = connection
            if self._first is not None:
                await self._first(connection)
        return await work(self._connection)

    def _turned_url(self) -> PostgresUrl:
        """Beginning with another host after each connection that was not made: one that hangs takes all of the time."""
        hosts = self._url.hosts
        first = self._turned % len(hosts)
        return replace(self._url, hosts=(*hosts[first:], *hosts[:first]))

    def _drop(self, task: asyncio.Future[Any]) -> None:
        """The connection first: a statement that is cancelled on a live one would wait for the server once more."""
        if self._connection is None:
            self._turned += 1
        else:
            self._connection.terminate()
        self._connection = None
        task.add_done_callback(_look_at)
        task.cancel()

    async def close(self) -> None:
        """Waits for nobody."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None


def _look_at(ended: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is no surprise to the loop."""
    if not ended.cancelled():
        ended.exception()
