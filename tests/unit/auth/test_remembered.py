"""What the store remembers of wardens, so that a register that is gone is not "no wardens"."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from risk_daemon.auth.remembered import is_remembered, remember, says_guarded
from risk_daemon.errors import StateError
from risk_daemon.state.store.sqlite import connect, peek_documents, write_documents


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    with closing(connect(path, create=True)) as connection:
        write_documents(path, connection, {"baselines": {"capital": "1"}})
    return path


def test_it_is_remembered_and_forgotten_and_nothing_else_is_touched(database: Path) -> None:
    assert not is_remembered(database)
    for is_guarded in (True, True, False, False):
        remember(database, is_guarded)
        assert is_remembered(database) is says_guarded(peek_documents(database)) is is_guarded
    assert peek_documents(database)["baselines"] == {"capital": "1"}


def test_where_there_is_no_store_nothing_is_remembered_and_none_is_made(tmp_path: Path) -> None:
    remember(tmp_path / "state.db", True)
    assert not is_remembered(tmp_path / "state.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "state.db").touch()
    assert not is_remembered(tmp_path / "state.db")


def test_a_store_that_can_t_be_read_is_an_error(database: Path) -> None:
    database.write_bytes(b"garbage" * 1000)
    with pytest.raises(StateError):
        is_remembered(database)


def test_a_store_that_somebody_holds_is_an_error(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk_daemon.auth.remembered._BUSY_S", 0.01)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM document WHERE key = 'nothing'")
        with pytest.raises(StateError):
            is_remembered(database)
        other.execute("COMMIT")
