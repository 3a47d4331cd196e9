"""Bringing a state of format 2 forward: the latch stays, the old state is kept, and a kill leaves one or the other."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import ExitCode, StateError, StateOwned
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.directory import LATCH, Paths, StateDir
from risk_daemon.state.latch import latch_of, unproven_latch
from risk_daemon.state.migrate import migrate
from risk_daemon.state.store import formats
from risk_daemon.state.store.formats import FORMAT, IDENTITY
from risk_daemon.state.store.sqlite import connect, read_documents, write_documents

FIXTURES = Path(__file__).parents[2] / "fixtures"
KINDS = ("unproven", "proven")


def restored(directory: Path, kind: str) -> Path:
    """A state directory with a database that format 2 wrote."""
    directory.mkdir(mode=0o700, parents=True)
    with closing(sqlite3.connect(directory / "state.db")) as connection:
        connection.executescript((FIXTURES / f"format-2-{kind}.sql").read_text())
    return directory


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return restored(tmp_path / "var", request.param)


def documents(root: Path, name: str = "state.db") -> dict[str, Any]:
    with closing(connect(root / name)) as connection:
        return read_documents(root / name, connection)


def opened(root: Path) -> StateDir:
    identity = documents(root)[IDENTITY]
    return StateDir.open(root, accounts=identity["accounts"], initial_capital=identity["initial_capital"], create=False)


def test_a_state_of_format_2_is_refused_with_the_way_out(old: Path) -> None:
    for create in (True, False):
        with pytest.raises(StateError, match=r"is of format 2, .* run `risk-daemon migrate`"):
            StateDir.open(old, accounts={}, initial_capital="auto", create=create)


def test_it_becomes_one_of_this_format_and_keeps_its_latch(old: Path) -> None:
    before, now = documents(old), SystemClock().now()
    assert before[IDENTITY]["format"] == 2
    assert before[LATCH]["locked"] is True
    done = migrate(old)
    assert (done.steps, done.locked) == (("2 -> 3",), True)
    after = documents(old)
    assert after[IDENTITY] == {**before[IDENTITY], "format": FORMAT}
    assert after[LATCH] == before[LATCH]
    assert after.keys() == before.keys()
    assert latch_of(after, now) == latch_of(before, now)
    opened(old).close()
    assert done.copy is not None
    assert documents(old, done.copy.name) == before


def test_the_history_stays(tmp_path: Path) -> None:
    root = restored(tmp_path / "var", "proven")
    with closing(sqlite3.connect(root / "state.db")) as connection:
        connection.execute("INSERT INTO equity_samples VALUES (1.0, '{\"time\": 1.0}')")
        connection.commit()
    migrate(root)
    with closing(sqlite3.connect(root / "state.db")) as connection:
        assert (1.0,) in connection.execute("SELECT wall FROM equity_samples").fetchall()


def test_doing_it_again_does_nothing(old: Path) -> None:
    migrate(old)
    files, after = sorted(path.name for path in old.iterdir()), documents(old)
    assert migrate(old).steps == ()
    assert sorted(path.name for path in old.iterdir()) == files
    assert documents(old) == after


def test_no_copy_is_ever_written_over(old: Path) -> None:
    (old / "state.db.format-2").write_text("of another day")
    done = migrate(old)
    assert done.copy is not None
    assert done.copy.name == "state.db.format-2.2"
    assert (old / "state.db.format-2").read_text() == "of another day"


def test_it_is_refused_while_a_daemon_owns_the_directory(old: Path) -> None:
    with StateDir.take(old), pytest.raises(StateOwned):
        migrate(old)
    assert documents(old)[IDENTITY]["format"] == 2


@pytest.mark.parametrize("found", [1, 99, "2", None])
def test_a_format_without_a_way_from_it_is_refused(old: Path, found: object) -> None:
    with closing(connect(old / "state.db")) as connection:
        identity = documents(old)[IDENTITY] | {"format": found}
        write_documents(old, connection, {IDENTITY: identity})
    before = documents(old)
    with pytest.raises(StateError, match="there is no way from there"):
        migrate(old)
    assert documents(old) == before


def test_no_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="risk-daemon init"):
        migrate(tmp_path)


def test_a_step_that_loses_a_latch_is_refused(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(before: formats.Documents) -> formats.Documents:
        return {**before, LATCH: {"locked": False, "cause": "", "trip_id": None, "since_wall": 0.0}}

    monkeypatch.setattr(formats, "STEPS", {2: ("2 -> 3", forgetful)})
    with pytest.raises(StateError, match="leave the lock as it is"):
        migrate(old)
    assert documents(old)[IDENTITY]["format"] == 2


def test_an_unproven_trip_is_known_in_either_format(old: Path) -> None:
    now = SystemClock().now()
    before, _ = unproven_latch(Paths(old), now)
    assert (before is not None) == (documents(old)[LATCH]["proven"] is False)
    migrate(old)
    assert unproven_latch(Paths(old), now)[0] == before


KILLED_AT = """
import os, signal, sys
from pathlib import Path
stop_at, seen = int(sys.argv[2]), 0
def look(event, arguments):
    global seen
    if event in ("os.rename", "os.remove", "open", "sqlite3.connect"):
        seen += 1
        if seen == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
from risk_daemon.state.migrate import migrate
sys.addaudithook(look)
migrate(Path(sys.argv[1]))
"""


def test_killed_anywhere_it_is_of_the_old_format_or_the_new_one(tmp_path: Path) -> None:
    source, number, was_killed = restored(tmp_path / "source", "unproven"), 0, True
    before = documents(source)
    while was_killed:
        number += 1
        root = tmp_path / str(number)
        shutil.copytree(source, root)
        words = [sys.executable, "-c", KILLED_AT, str(root), str(number)]
        was_killed = subprocess.run(words, check=False).returncode != 0
        found = documents(root)
        assert found[IDENTITY]["format"] in (2, FORMAT)
        assert found[LATCH] == before[LATCH]
        migrate(root)
        assert documents(root)[IDENTITY]["format"] == FORMAT
        copies = [json.dumps(documents(root, path.name)) for path in root.glob("state.db.format-2*")]
        assert json.dumps(before) in copies
    assert number > 5, "it was really killed in the middle"


def test_the_command_says_what_it_did(old: Path) -> None:
    config = old.parent / "config.toml"
    config.write_text("[state]\ndir = 'var'\n")
    words = [sys.executable, "-m", "risk_daemon", "migrate", "--config", str(config)]
    first = subprocess.run(words, capture_output=True, text=True, check=False)
    assert first.returncode == ExitCode.STOPPED, first.stderr
    assert "migrated 2 -> 3; the state as it was is in" in first.stdout
    assert "Trading is locked, as before" in first.stdout
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert second.returncode == ExitCode.STOPPED
    assert "nothing to do" in second.stdout
    with StateDir.take(old):
        refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert refused.returncode == ExitCode.REFUSED
    assert "owns this state directory" in refused.stderr
