"""The state directory: one owner, the right accounts, and no way to lose a latch by setting it up again."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import StateError
from risk_daemon.state.directory import IDENTITY, LATCH, Paths, StateDir, fingerprint, latch
from risk_daemon.state.lock.base import UNREADABLE, LockRecord
from risk_daemon.state.store.sqlite import connect, read_documents, write_documents

ACCOUNTS = {"kraken": "a" * 16, "binance": "b" * 16}


def opened(path: Path, *, create: bool = True, replace: bool = False, **changed: Any) -> StateDir:
    given: dict[str, Any] = {"accounts": ACCOUNTS, "initial_capital": "10000"} | changed
    return StateDir.open(path, create=create, replace=replace, **given)


def put(path: Path, **documents: dict[str, Any]) -> None:
    with closing(connect(path / "state.db")) as connection:
        write_documents(path, connection, documents)


def documents(path: Path) -> dict[str, dict[str, Any]]:
    with closing(connect(path / "state.db")) as connection:
        return read_documents(path, connection)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "state"


@pytest.fixture
def made(path: Path) -> Path:
    opened(path).close()
    return path


def test_it_is_made_for_us_alone(path: Path) -> None:
    with opened(path) as state:
        assert state.fresh
        assert path.stat().st_mode & 0o777 == 0o700
        assert (path / "state.db").stat().st_mode & 0o777 == 0o600
        assert documents(path)[IDENTITY]["accounts"] == ACCOUNTS
        assert not latch(documents(path)).locked


def test_it_opens_again_with_its_memory(made: Path) -> None:
    put(made, peak={"equity": "1"})
    for create in (True, False):
        with opened(made, create=create) as state:
            assert not state.fresh
        assert documents(made)["peak"] == {"equity": "1"}


def test_an_empty_directory_that_stands_there_is_taken(path: Path) -> None:
    path.mkdir(parents=True, mode=0o755)
    path.chmod(0o777)
    assert opened(path).fresh
    assert path.stat().st_mode & 0o777 == 0o700


def test_the_paths_are_the_documented_ones(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    found = [
        paths.events,
        paths.risk,
        paths.vetoes,
        paths.database,
        paths.gate,
        paths.lock,
        paths.socket,
        paths.owner,
    ]
    names = "events.jsonl risk.json risk_vetoes.jsonl state.db gate.bin lock.json risk-daemon.sock owner.lock"
    assert found == [tmp_path / name for name in names.split()]


def test_without_init_it_is_refused_and_left_alone(path: Path) -> None:
    with pytest.raises(StateError, match="no state directory: run `risk-daemon init`"):
        opened(path, create=False)
    assert not path.exists()
    path.mkdir(parents=True)
    with pytest.raises(StateError, match="no state in this directory: run `risk-daemon init`"):
        opened(path, create=False)
    assert list(path.iterdir()) == []


def test_a_lost_database_is_not_an_empty_one(made: Path) -> None:
    (made / "state.db").unlink()
    with pytest.raises(StateError, match="run `risk-daemon init`"):
        opened(made, create=False)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"accounts": ACCOUNTS | {"kraken": "c" * 16}}, "kraken is another account"),
        ({"accounts": ACCOUNTS | {"bybit": "c" * 16}}, "bybit is new"),
        ({"accounts": {"kraken": "a" * 16}}, "binance is gone"),
        ({"initial_capital": "12000"}, "initial_capital is 12000, was 10000"),
    ],
)
def test_another_setting_is_refused_by_name(made: Path, changed: dict[str, Any], sentence: str) -> None:
    before = documents(made)
    for create in (True, False):
        with pytest.raises(StateError, match=re.escape(sentence)) as caught:
            opened(made, create=create, **changed)
        assert "risk-daemon init" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert documents(made) == before
    opened(made).close()


def test_replacing_starts_over(made: Path) -> None:
    put(made, peak={"equity": "1"})
    (made / "events.jsonl").write_text("kept")
    with opened(made, replace=True, accounts={"bybit": "c" * 16}) as state:
        assert state.fresh
    assert documents(made).keys() == {IDENTITY, LATCH}
    assert documents(made)[IDENTITY]["accounts"] == {"bybit": "c" * 16}
    assert (made / "events.jsonl").read_text() == "kept"


@pytest.mark.parametrize(
    "lock",
    [LockRecord(True, "capital_loss", "trip-1").document(), {}, {"locked": 0}, {"locked": False}, {"cause": ""}],
)
def test_replacing_does_not_lose_a_latch(made: Path, lock: dict[str, Any]) -> None:
    put(made, lock=lock)
    for accounts in (ACCOUNTS, {"bybit": "c" * 16}):
        with pytest.raises(StateError, match=r"trading is locked \((capital_loss|locked)\): run `risk-daemon reset`"):
            opened(made, replace=True, accounts=accounts)
    assert documents(made)[LATCH] == lock
    with opened(made):
        assert latch(documents(made)).locked


def test_replacing_does_not_lose_a_latch_that_is_gone(made: Path) -> None:
    with closing(sqlite3.connect(made / "state.db")) as connection:
        connection.execute("DELETE FROM document WHERE key = 'lock'")
        connection.commit()
    with pytest.raises(StateError, match="trading is locked"):
        opened(made, replace=True)
    assert latch(documents(made)) == UNREADABLE


def test_a_state_without_an_identity_is_refused(made: Path) -> None:
    with closing(sqlite3.connect(made / "state.db")) as connection:
        connection.execute("DELETE FROM document WHERE key = 'identity'")
        connection.commit()
    for replace in (True, False):
        with pytest.raises(StateError, match="does not say whose it is"):
            opened(made, replace=replace)


def test_another_format_is_refused(made: Path) -> None:
    put(made, identity=documents(made)[IDENTITY] | {"format": 99})
    with pytest.raises(StateError, match="has format 99, this risk-daemon knows 3"):
        opened(made)


def test_unreadable_accounts_are_refused(made: Path) -> None:
    put(made, identity=documents(made)[IDENTITY] | {"accounts": None})
    with pytest.raises(StateError, match="accounts can't be read"):
        opened(made)


def test_a_damaged_database_is_refused_even_for_init(made: Path) -> None:
    (made / "state.db").write_bytes(b"garbage" * 1000)
    for replace in (True, False):
        with pytest.raises(StateError, match=r"state\.db: the state is damaged"):
            opened(made, replace=replace)


def test_a_second_owner_is_told_who_the_first_is(made: Path) -> None:
    with opened(made), pytest.raises(StateError, match=rf"another risk-daemon \(pid {os.getpid()}\) owns"):
        opened(made)
    opened(made).close()


def test_a_failed_opening_lets_go(made: Path) -> None:
    with pytest.raises(StateError):
        opened(made, initial_capital="1")
    opened(made).close()


def test_closing_twice_is_fine(path: Path) -> None:
    state = opened(path)
    state.close()
    state.close()
    opened(path).close()


OWNER = """
import subprocess, sys, time
from pathlib import Path
from risk_daemon.state.directory import StateDir
state = StateDir.open(Path(sys.argv[1]), accounts={"kraken": "a"}, initial_capital="1", create=True)
child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_kill_9_lets_go_though_a_child_lives_on(path: Path) -> None:
    given: dict[str, Any] = {"accounts": {"kraken": "a"}, "initial_capital": "1"}
    with subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            with pytest.raises(StateError, match=rf"pid {process.pid}\)"):
                opened(path, **given)
            process.kill()
            process.wait()
            with opened(path, create=False, **given) as state:
                assert not state.fresh
        finally:
            os.kill(child, 9)


MAKER = """
import sys
from pathlib import Path
print("ready", flush=True)
from risk_daemon.state.directory import StateDir
number = 0
while True:
    number += 1
    StateDir.open(
        Path(sys.argv[1]) / str(number), accounts={"kraken": "a"}, initial_capital="1", create=True
    ).close()
    print(number, flush=True)
"""


def test_kill_9_while_it_is_made_leaves_one_that_can_be_made(tmp_path: Path) -> None:
    given: dict[str, Any] = {"accounts": {"kraken": "a"}, "initial_capital": "1"}
    choice = random.Random(7)
    for attempt in range(4):
        base = tmp_path / str(attempt)
        with subprocess.Popen([sys.executable, "-c", MAKER, str(base)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(choice.randint(2, 6)):
                process.stdout.readline()
            process.kill()
        for folder in base.iterdir():
            opened(folder, **given).close()
            with opened(folder, create=False, **given) as state:
                assert not state.fresh


def half_made(path: Path, stage: int) -> None:
    """What each step of making one leaves behind."""
    path.mkdir(mode=0o700, parents=True)
    if stage > 0:
        (path / "owner.lock").touch()
    if stage > 1:
        (path / "state.db").touch()
    if stage > 2:
        connect(path / "state.db", create=True).close()


@pytest.mark.parametrize("stage", range(4))
def test_a_half_made_directory_is_not_set_up_and_can_be(path: Path, stage: int) -> None:
    half_made(path, stage)
    with pytest.raises(StateError, match="run `risk-daemon init`"):
        opened(path, create=False)
    with opened(path) as state:
        assert state.fresh


def test_a_directory_others_can_write_to_is_refused(made: Path) -> None:
    for mode in (0o770, 0o702):
        made.chmod(mode)
        with pytest.raises(StateError, match="chmod 700"):
            opened(made)
    made.chmod(0o750)
    opened(made).close()


def test_a_directory_of_somebody_else_is_not_set_up(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever owns it could take the wardens away. What stands, root may use."""
    for each in (made, empty := tmp_path / "empty"):
        each.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(each, 65534, -1)
    if os.geteuid() != 0:
        monkeypatch.setattr(os, "geteuid", lambda: empty.stat().st_uid + 1)
    with pytest.raises(StateError, match="owns it and may change all of it"):
        opened(empty)
    opened(made, create=False).close()


@pytest.mark.parametrize("create", [True, False])
def test_what_is_no_usable_directory_is_refused(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below", Path("/proc/self/risk-daemon-state")):
        with pytest.raises(StateError) as caught:
            opened(path, create=create)
        assert str(path) in str(caught.value)


def test_an_unwritable_database_is_refused(made: Path) -> None:
    (made / "state.db").unlink()
    (made / "state.db").mkdir()
    for create in (True, False):
        with pytest.raises(StateError, match=r"state\.db"):
            opened(made, create=create)


def test_a_full_disk_refuses_and_can_be_tried_again(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 10, 5_000, 20_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(StateError):
                opened(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(StateError, match="run `risk-daemon init`"):
            opened(path, create=False)
    assert opened(path).fresh


def test_fingerprints_tell_accounts_apart_and_keep_the_key() -> None:
    first = fingerprint("kraken", "live", "KEY")
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first == fingerprint("kraken", "live", "KEY")
    others = {
        fingerprint("krakenfutures", "live", "KEY"),
        fingerprint("kraken", "sandbox", "KEY"),
        fingerprint("kraken", "live", "KEY2"),
        fingerprint("kraken", "liveK", "EY"),
    }
    assert len(others | {first}) == 5
    assert "KEY" not in json.dumps(first)
