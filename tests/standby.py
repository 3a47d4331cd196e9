"""A PostgreSQL server and its standby: streaming replication, and a failover that is done by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.postgres import Database, Server, until
from tests.redis_server import free_port


class Primary(Server):
    """On loopback. Its log has a line for each that comes."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__(settings=("listen_addresses = '127.0.0.1'", f"port = {self.port}", "log_connections = on"))

    def address(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def visits(self, database: str) -> int:
        """How often anybody came to it since it was made, to stay or to go."""
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return sum("connection authorized" in line and f"database={database} " in line for line in lines)


class Standby(Primary):
    """A copy of `primary`, which it follows. It takes no write until it is promoted."""

    def __init__(self, primary: Primary) -> None:
        self._primary = primary
        super().__init__()

    def _make(self) -> None:
        self._run(
            "pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf",
            "-h", "127.0.0.1", "-p", str(self._primary.port), "-U", "postgres", "-D", str(self.data),
        )  # fmt: skip

    async def stop_receiving(self) -> None:
        """What the primary writes after this returns does not come here."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''", database="postgres")
        self.execute("SELECT pg_reload_conf()", database="postgres")
        await until(lambda: not self.execute("SELECT 1 FROM pg_stat_wal_receiver", database="postgres"))

    def promote(self) -> None:
        """It takes writes on return."""
        ((is_done,),) = self.execute("SELECT pg_promote()", database="postgres")
        assert is_done


@dataclass(frozen=True)
class Pair:
    """One database on both."""

    primary: Primary
    standby: Standby
    on_primary: Database
    on_standby: Database

    @property
    def address(self) -> str:
        """As `[state] store` has it: whichever of the two takes writes."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in (self.primary, self.standby))
        return f"postgresql://postgres@{hosts}/{self.on_primary.name}?target_session_attrs=read-write"


@contextmanager
def pair() -> Iterator[Pair]:
    """Both run, and the standby follows."""
    servers: list[Primary] = []
    try:
        servers.append(primary := Primary())
        primary.start()
        on_primary = Database(primary)
        servers.append(standby := Standby(primary))
        standby.start()
        yield Pair(primary, standby, on_primary, Database(standby, name=on_primary.name))
    finally:
        for server in servers:
            server.close()
