"""Where the state is kept, and the lock for others to read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from risk_daemon.config.notation import LocalPath, SecondsOrNever, Table, as_written
from risk_daemon.state.store import postgres_url
from risk_daemon.state.store.postgres_url import PostgresUrl

SQLITE = "sqlite"


def _a_store(value: str) -> str:
    if value != SQLITE and not value.startswith(tuple(f"{scheme}:" for scheme in postgres_url.SCHEMES)):
        raise ValueError(f'it is no store: write "{SQLITE}", or a server such as {postgres_url.EXAMPLE}')
    if value != SQLITE:
        postgres_url.parse(value)
    return value


def _only_file(value: object) -> object:
    if value != ["file"] and value != ("file",):
        raise ValueError('only ["file"] is available in this version')
    return ("file",)


_DAY_S = 86_400.0


def _a_day_at_least(value: float | None) -> float | None:
    if value is not None and value < _DAY_S:
        raise ValueError('it is less than a day: write "1d" or more, or "never"')
    return value


class State(Table):
    """Where the state is kept. `dir` is absolute: a relative one is relative to the config file.

    store: "sqlite", or the address of a PostgreSQL server that everything is mirrored to; see `server`.
    keep_logs, keep_snapshots: how old pieces of the event log, and the day's snapshots on the server, become; None:
    they are never removed.
    """

    dir: LocalPath = as_written("var")
    store: Annotated[str, AfterValidator(_a_store)] = SQLITE
    locks: Annotated[tuple[Literal["file"], ...], BeforeValidator(_only_file)] = ("file",)
    keep_logs: Annotated[SecondsOrNever, AfterValidator(_a_day_at_least)] = as_written("400d")
    keep_snapshots: Annotated[SecondsOrNever, AfterValidator(_a_day_at_least)] = as_written("90d")

    @property
    def server(self) -> PostgresUrl | None:
        """Where the state is mirrored to; None: nowhere."""
        return None if self.store == SQLITE else postgres_url.parse(self.store)
