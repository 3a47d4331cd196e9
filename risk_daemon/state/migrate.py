"""`risk-daemon migrate`: a state directory of an older format becomes one of this program's.

A copy of the old database is beside it before anything changes, and the change is one transaction. So whenever
it is killed, the state is of the old format or of the new one, and doing it again does what is left to do.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from risk_daemon.errors import RecordError, StateError
from risk_daemon.state.directory import StateDir
from risk_daemon.state.files import sync_directory
from risk_daemon.state.latch import LATCH
from risk_daemon.state.store import formats
from risk_daemon.state.store.base import JsonObject
from risk_daemon.state.store.sqlite import connect, read_documents, write_documents


@dataclass(frozen=True, slots=True)
class Migration:
    """What was done. steps: by name, none where nothing was to be done. copy: of the old state."""

    steps: tuple[str, ...]
    copy: Path | None
    locked: bool


def migrate(root: Path) -> Migration:
    """Bring the state in `root` to this program's format. Blocks.

    Raises StateError: another process owns the directory, there is no state, it is damaged, or of a format
    that there is no way from; then nothing was changed.
    """
    database = root / "state.db"
    if not database.exists():
        raise StateError(f"{root}: there is no state in this directory: run `risk-daemon init`")
    with StateDir.take(root), closing(connect(database)) as connection:
        before = read_documents(database, connection)
        try:
            after, steps = formats.brought_forward(before)
        except StateError as error:
            raise StateError(f"{root}: {error}: use the risk-daemon that wrote it") from None
        if not steps:
            return Migration((), None, _is_locked(before))
        _check_latch(before, after)
        copy = _copied(database, connection, formats.format_of(before))
        try:
            write_documents(database, connection, after)
        except RecordError as error:
            raise StateError(str(error)) from error
        return Migration(steps, copy, _is_locked(after))


def _is_locked(documents: formats.Documents) -> bool:
    return documents.get(LATCH, {}).get("locked") is not False


def _check_latch(before: formats.Documents, after: formats.Documents) -> None:
    """No step may lose a latch, or the fact that there is none that can be read."""
    old: JsonObject | None = before.get(LATCH)
    if after.get(LATCH) != old:
        raise StateError("a migration must leave the lock as it is, and this one does not: nothing was changed")


def _copied(database: Path, connection: sqlite3.Connection, found: object) -> Path:
    """A whole copy on disk, under a name that nothing has yet. Raises StateError."""
    name = f"{database.name}.format-{found}"
    target, number = database.with_name(name), 1
    while target.exists():
        number += 1
        target = database.with_name(f"{name}.{number}")
    temporary = database.with_name(f".{name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(temporary)) as other:
            connection.backup(other)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_directory(database.parent)
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"{target}: the old state could not be copied, nothing was changed: {error}") from error
    return target
