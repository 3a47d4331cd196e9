"""Where the state is kept, and the lock for others to read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from risk_daemon.config.notation import LocalPath, SecondsOrNever, Table, as_written
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.store import postgres_url
from risk_daemon.state.store.postgres_url import PostgresUrl

FILE = "file"
SQLITE = "sqlite"
REDIS_PASSWORD = "state.locks.password"
_DAY_S = 86_400.0


def _a_store(value: str) -> str:
    if value != SQLITE and not value.startswith(tuple(f"{scheme}:" for scheme in postgres_url.SCHEMES)):
        raise ValueError(f'it is no store: write "{SQLITE}", or a server such as {postgres_url.EXAMPLE}')
    if value != SQLITE:
        postgres_url.parse(value)
    return value


def _locks(value: Any) -> tuple[str, ...]:
    """The file first and always, then each Redis once. Raises ValueError."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError('write a list of texts in brackets, such as ["file"]')
    if not value or value[0] != FILE:
        raise ValueError('the lock in the state directory comes first and is always there: write ["file", ...]')
    seen: dict[object, str] = {}
    for one in value:
        place = _place(one)
        if place in seen:
            raise ValueError(f"{one!r} is the same as {seen[place]!r}: keep one of them")
        seen[place] = one
    return tuple(value)


def _place(lock: str) -> object:
    if lock == FILE:
        return FILE
    if "://" not in lock:
        raise ValueError(f'{lock!r} is no lock: write "file", and then addresses such as "redis://127.0.0.1:6379/0"')
    return RedisAddress.of(lock).place


def _a_day_at_least(value: float | None) -> float | None:
    if value is not None and value < _DAY_S:
        raise ValueError('it is less than a day: write "1d" or more, or "never"')
    return value


class State(Table):
    """Where the state is kept. `dir` is absolute: a relative one is relative to the config file.

    store: "sqlite", or the address of a PostgreSQL server that everything is mirrored to; see `server`.
    locks: "file", and addresses of Redis.
    keep_logs, keep_snapshots: how old pieces of the event log, and the day's snapshots on the server, become; None:
    they are never removed.
    """

    dir: LocalPath = as_written("var")
    store: Annotated[str, AfterValidator(_a_store)] = SQLITE
    locks: Annotated[tuple[str, ...], BeforeValidator(_locks)] = (FILE,)
    keep_logs: Annotated[SecondsOrNever, AfterValidator(_a_day_at_least)] = as_written("400d")
    keep_snapshots: Annotated[SecondsOrNever, AfterValidator(_a_day_at_least)] = as_written("90d")

    @property
    def redis_locks(self) -> tuple[RedisAddress, ...]:
        """The locks that are on other machines, or may be."""
        return tuple(RedisAddress.of(lock) for lock in self.locks if lock != FILE)

    @property
    def server(self) -> PostgresUrl | None:
        """Where the state is mirrored to; None: nowhere."""
        return None if self.store == SQLITE else postgres_url.parse(self.store)
