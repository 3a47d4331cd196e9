"""Bearer tokens: made once, known by their digest, gone when revoked, and nobody let in by a broken file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from risk_daemon.auth import tokens as module
from risk_daemon.auth.tokens import Principal, Role, TokenInfo, TokenStore
from risk_daemon.errors import StateError, UsageError
from risk_daemon.model.clock import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_a_token_stands_for_its_name_and_role(path: Path) -> None:
    store = TokenStore.open(path)
    bot, operator = store.create("bot", "grid-1"), store.create(Role.OPERATOR, "alice")

    assert store.authenticate(bot) == Principal("grid-1", Role.BOT)
    assert store.authenticate(operator) == Principal("alice", Role.OPERATOR)


def test_a_token_is_long_and_of_chance(path: Path) -> None:
    store = TokenStore.open(path)
    made = [store.create("bot", f"b{number}") for number in range(20)]

    assert len(set(made)) == 20
    assert all(token.startswith("rdt_") and len(token) == 47 for token in made)


def test_only_digests_are_kept(path: Path) -> None:
    token = TokenStore.open(path).create("bot", "grid-1")

    assert token not in path.read_text()
    assert token[4:] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t[4:], lambda t: t.upper(), str.lower]
)
def test_a_changed_token_is_nobody_s(path: Path, change: object) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")

    assert callable(change)
    assert store.authenticate(change(token)) is None


@pytest.mark.parametrize("token", ["", "rdt_", "x" * 47, "rdt_" + "ä" * 43, "rdt_" + "\udc80" * 43, "rdt_" + "A" * 43])
def test_what_is_no_token_is_nobody_s(path: Path, token: str) -> None:
    store = TokenStore.open(path)
    store.create("bot", "grid-1")

    assert store.authenticate(token) is None


def test_a_running_store_sees_what_another_one_does(path: Path) -> None:
    running, other = TokenStore.open(path), TokenStore.open(path)
    assert running.authenticate("rdt_" + "A" * 43) is None
    before = running.version()

    token = other.create("bot", "grid-1")
    assert running.authenticate(token) == Principal("grid-1", Role.BOT)
    assert running.version() != before

    before = running.version()
    assert running.version() == before
    assert other.revoke("grid-1") is True
    assert running.version() != before
    assert running.authenticate(token) is None


def test_a_removed_file_lets_nobody_in(path: Path) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")
    path.unlink()

    assert store.authenticate(token) is None
    assert store.knows("grid-1", Role.BOT) is False


def test_revoking_nobody_says_so(path: Path) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")

    assert store.revoke("grid-2") is False
    assert store.authenticate(token) is not None


def test_the_list_shows_no_secret(path: Path) -> None:
    clock = ManualClock()
    store = TokenStore.open(path, clock)
    store.create("operator", "zoe")
    clock.advance(5)
    store.create("bot", "grid-1")

    assert store.list() == (
        TokenInfo("zoe", Role.OPERATOR, 1_700_000_000.0),
        TokenInfo("grid-1", Role.BOT, 1_700_000_005.0),
    )


def test_a_bot_is_known_by_name_and_role(path: Path) -> None:
    store = TokenStore.open(path)
    store.create("bot", "grid-1")

    assert [store.knows("grid-1", Role.BOT), store.knows("grid-1", Role.OPERATOR), store.knows("x", Role.BOT)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("role", ["warden", "admin", "", "BOT"])
def test_other_roles_have_no_tokens(path: Path, role: str) -> None:
    with pytest.raises(UsageError, match="it must be bot or operator"):
        TokenStore.open(path).create(role, "x")
    assert not path.exists()


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "x" * 65, "ä", "a/b", "a\n"])
def test_odd_names_are_refused(path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a token"):
        TokenStore.open(path).create("bot", name)


def test_a_name_is_taken_once(path: Path) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")

    with pytest.raises(UsageError, match="there is a token called grid-1 already"):
        store.create("operator", "grid-1")
    assert store.authenticate(token) == Principal("grid-1", Role.BOT)


# --- a broken file ---------------------------------------------------------------------------------


def entry(**changes: object) -> dict[str, object]:
    return {"name": "x", "role": "bot", "sha256": "0" * 64, "created_wall": 1.0} | changes


BROKEN = [
    "",
    "{",
    "[]",
    "null",
    '{"format": 1}',
    '{"format": 2, "tokens": []}',
    '{"format": 1, "tokens": {"a": 1}}',
    '{"format": 1, "tokens": [1]}',
    *(
        json.dumps({"format": 1, "tokens": [one]})
        for one in (
            entry(role="warden"),
            entry(role="root"),
            entry(role=None),
            entry(sha256="0"),
            entry(sha256=None),
            entry(name=""),
            entry(created_wall="soon"),
            entry(more=1),
            {"name": "x"},
        )
    ),
    json.dumps({"format": 1, "tokens": [entry(), entry(sha256="1" * 64)]}),
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_lets_nobody_in_and_is_left_as_it_is(
    path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = CapturingLogger()
    monkeypatch.setattr("structlog.get_logger", lambda _name: told)
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")
    assert store.authenticate(token) is not None
    path.write_text(text)

    assert [store.authenticate(token), store.authenticate(token)] == [None, None]
    assert store.knows("grid-1", Role.BOT) is None
    for use in (store.list, lambda: store.create("bot", "b"), lambda: store.revoke("grid-1")):
        with pytest.raises(StateError, match=r"tokens\.json: the tokens can't be read"):
            use()
    assert path.read_text() == text
    told_of = [call.args for call in told.calls]
    assert told_of == [("tokens_known",), ("tokens_unreadable",)]  # once, not at every request


def test_a_mended_file_is_read_again(path: Path) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")
    good = path.read_text()
    path.write_text("{")
    assert store.authenticate(token) is None
    path.write_text(good)

    assert store.authenticate(token) == Principal("grid-1", Role.BOT)


def test_a_file_that_others_can_write_lets_nobody_in(path: Path) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")
    path.chmod(0o620)

    assert store.authenticate(token) is None
    with pytest.raises(StateError, match="chmod 600"):
        store.list()


def test_a_file_that_can_t_be_read_lets_nobody_in(path: Path) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")
    path.unlink()
    path.mkdir()

    assert store.authenticate(token) is None


def test_a_full_disk_leaves_the_tokens_as_they_were(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TokenStore.open(path)
    token = store.create("bot", "grid-1")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StateError, match="can't be written"):
        store.revoke("grid-1")

    assert store.authenticate(token) == Principal("grid-1", Role.BOT)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_no_directory_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="can't be written"):
        TokenStore.open(tmp_path / "none" / "tokens.json").create("bot", "b")


def test_written_by_root_it_belongs_to_the_directory_s_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _descriptor, user, group: given.append((user, group)))
    TokenStore.open(path).create("bot", "b")

    owner = path.parent.stat()
    assert given == [(owner.st_uid, owner.st_gid)]


def test_writers_wait_for_each_other(path: Path) -> None:
    def create(number: int) -> None:
        TokenStore.open(path).create("bot", f"b{number}")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert {info.name for info in TokenStore.open(path).list()} == {f"b{number}" for number in range(8)}


def test_the_command_line_loads_little_for_it() -> None:
    code = f"import sys, {module.__name__}; print(*(set(sys.modules) & {{'pydantic', 'aiohttp', 'structlog', 'ccxt'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.strip() == ""


def test_the_journal_hears_who_got_a_token_and_who_lost_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the daemon, whoever changed the file; never a token itself."""
    told = CapturingLogger()
    monkeypatch.setattr("structlog.get_logger", lambda *_: told)
    by_command = TokenStore.open(path)
    by_command.create("bot", "grid-1")
    daemon = TokenStore.open(path)
    daemon.version()
    secret = by_command.create("operator", "alice")
    daemon.version()
    by_command.revoke("grid-1")
    daemon.version()
    daemon.version()

    assert [(call.args[0], call.kwargs) for call in told.calls] == [
        ("tokens_known", {"tokens": {"grid-1": "bot"}}),
        ("tokens_changed", {"created": {"alice": "operator"}, "revoked": {}}),
        ("tokens_changed", {"created": {}, "revoked": {"grid-1": "bot"}}),
    ]
    assert secret not in str(told.calls)
