"""That somebody is enrolled, remembered in the store beside the register: one that is gone is not "no wardens"."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from risk_daemon.errors import StateError
from risk_daemon.state.store.sqlite import connect, read_documents, write_documents

WARDENS = "wardens"
_BUSY_S = 1.0


def says_guarded(documents: Mapping[str, Any]) -> bool:
    """Whether the documents of the store say that somebody is enrolled."""
    found = documents.get(WARDENS)
    return isinstance(found, Mapping) and found.get("guarded") is True


def is_remembered(database: Path) -> bool:
    """Whether the store says so. Blocks. One that was never set up says nothing. Raises StateError."""
    try:
        if not database.exists() or database.stat().st_size == 0:
            return False
        with closing(sqlite3.connect(database, timeout=_BUSY_S)) as connection:
            return says_guarded(read_documents(database, connection))
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"{database}: whether there are wardens can't be read: {error}") from error


def remember(database: Path, is_guarded: bool) -> None:
    """Have the store say so, if there is one. Blocks. Raises StateError, RecordError."""
    if database.exists() and is_remembered(database) is not is_guarded:
        with closing(connect(database)) as connection:
            write_documents(database, connection, {WARDENS: {"guarded": is_guarded}})
