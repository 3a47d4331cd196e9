"""The register of wardens: what is in the file, what survives, and that a broken file is nobody's permission."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.auth.remembered import is_remembered
from risk_daemon.auth.wardens import (
    BreakGlass,
    Passkey,
    Register,
    Rules,
    Warden,
    WardenStore,
    provisioning_uri,
    step_of,
    step_of_next,
    was_used,
)
from risk_daemon.errors import RecordError, StateError, UsageError
from risk_daemon.state.store.sqlite import connect
from tests.authenticator import code_at
from tests.e2e.asking import App

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
WALL = 1_800_000_015.0
STEP = int(WALL // 30)


def warden(name: str, key: bytes = b"key", **changes: Any) -> Warden:
    passkey = Passkey(credential_id=key + name.encode(), public_key=b"public", sign_count=3, host="localhost")
    return Warden(
        **{"name": name, "secret": SECRET, "last_step": STEP - 9, "passkey": passkey, "enrolled_wall": WALL, **changes}
    )


@pytest.fixture
def store(tmp_path: Path) -> WardenStore:
    return WardenStore.beside(tmp_path)


def full() -> Register:
    register = Register().enrolled(warden("alice"), Rules(quorum=2)).enrolled(warden("bob"), Rules())
    glass = BreakGlass(asked_by="uid:0 (root)", asked_wall=WALL, due_wall=WALL + 3_600)
    return replace(register, failed_walls=(WALL, WALL + 1), locked_until_wall=WALL + 900, break_glass=glass)


# --- the file ----------------------------------------------------------------------------------------


def test_nobody_is_enrolled_at_first(store: WardenStore) -> None:
    assert store.read() == Register()
    assert not store.read().is_guarded


def test_what_was_written_is_read(store: WardenStore) -> None:
    written = store.change(lambda _: full())

    assert written == full() == WardenStore(store.path).read()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: {},
        lambda document: [],
        lambda document: {**document, "format": 2},
        lambda document: {**document, "wardens": None},
        lambda document: {**document, "wardens": document["wardens"] * 2},
        lambda document: {**document, "wardens": [{"name": "alice"}]},
        lambda document: {**document, "wardens": [{**document["wardens"][0], "secret": ""}]},
        lambda document: {**document, "wardens": [{**document["wardens"][0], "passkey": {}}]},
        lambda document: {**document, "wardens": [{**document["wardens"][0], "more": 1}]},
        lambda document: {**document, "rules": {"quorum": 0, "break_glass_after_s": 1}},
        lambda document: {key: value for key, value in document.items() if key != "rules"},
        lambda document: {key: value for key, value in document.items() if key != "wardens"},
    ],
)
def test_a_file_that_is_not_ours_is_an_error_and_never_an_empty_list(store: WardenStore, spoil: Any) -> None:
    store.change(lambda _: full())
    store.path.write_text(json.dumps(spoil(json.loads(store.path.read_text()))))

    with pytest.raises(StateError, match="nothing is resumed until that is mended"):
        store.read()
    with pytest.raises(StateError):
        store.change(lambda _: Register())


@pytest.mark.parametrize("text", ["", "{", "null", "\x00" * 100])
def test_a_torn_file_is_an_error(store: WardenStore, text: str) -> None:
    store.path.write_text(text)
    store.path.chmod(0o600)
    with pytest.raises(StateError, match="can't be read"):
        store.read()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_use_is_an_error(store: WardenStore, mode: int) -> None:
    store.change(lambda _: full())
    store.path.chmod(mode)
    with pytest.raises(StateError, match="chmod 600"):
        store.read()


def test_a_full_disk_leaves_it_as_it_was(store: WardenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.change(lambda _: full())

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StateError, match="can't be written"):
        store.change(lambda register: register.revoked("bob"))
    assert store.read() == full()


@pytest.fixture
def database(store: WardenStore) -> Path:
    """A state beside the register."""
    path = store.path.with_name("state.db")
    connect(path, create=True).close()
    return path


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("content", [None, '{"format": 1, "wardens": [], "failed_walls": [], "locked_until_wall": 0}'])
def test_a_register_that_is_gone_is_an_error_and_not_no_wardens(store: WardenStore, content: str | None) -> None:
    store.change(lambda _: full())
    store.path.unlink()
    if content is not None:
        document = json.loads(content) | {"break_glass": None, "rules": None}
        store.path.write_text(json.dumps(document))
        store.path.chmod(0o600)
    for ask in (store.read, lambda: store.change(lambda known: known)):
        with pytest.raises(StateError, match="it names none any more"):
            ask()
    assert store.read_what_is_left() == Register()


def test_revoking_the_last_is_remembered_too(store: WardenStore, database: Path) -> None:
    store.change(lambda _: full().revoked("bob"))
    assert is_remembered(database)
    store.change(lambda known: known.revoked("alice"))
    assert not is_remembered(database)
    store.path.unlink()
    assert store.read() == Register()


def test_a_new_store_is_told_of_wardens_by_the_next_change_though_nothing_changes(store: WardenStore) -> None:
    store.change(lambda _: full())
    database = store.path.with_name("state.db")
    connect(database, create=True).close()
    store.change(lambda known: known)
    assert is_remembered(database)


def test_a_store_that_can_t_be_told_keeps_who_is_enrolled(
    store: WardenStore, database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full_disk(*_: Any) -> None:
        raise RecordError("no space left on device")

    monkeypatch.setattr("risk_daemon.auth.wardens.remember", full_disk)
    assert store.change(lambda _: full()).is_guarded
    assert "wardens_not_remembered" in capsys.readouterr().out
    with pytest.raises(StateError, match="no space left"):
        store.change(lambda _: Register())
    assert store.read() == full()
    assert not is_remembered(database)


def test_a_change_that_is_refused_changes_nothing(store: WardenStore) -> None:
    store.change(lambda _: full())
    for change in (lambda r: r.revoked("carol"), lambda r: r.enrolled(warden("alice", b"other"), Rules())):
        with pytest.raises(UsageError):
            store.change(change)
    assert store.read() == full()


def test_no_secret_is_shown_in_a_traceback() -> None:
    assert SECRET not in repr(full())


# --- who is in it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "alice\n", "älice", "alice"])
def test_names_that_nobody_may_have(name: str) -> None:
    with pytest.raises(UsageError):
        full().enrolled(warden(name, b"other"), Rules())


def test_one_authenticator_is_not_two_people() -> None:
    twin = replace(warden("carol"), passkey=warden("alice").passkey)
    with pytest.raises(UsageError, match="another warden's"):
        full().enrolled(twin, Rules())


def test_rules_only_ever_get_stricter_while_somebody_is_enrolled() -> None:
    register = full()

    assert register.rules_with(Rules(quorum=1)).quorum == 2
    assert register.rules_with(Rules(quorum=3)).quorum == 3
    assert register.rules_with(Rules(break_glass_after_s=1.0)).break_glass_after_s == 3_600.0
    assert register.revoked("alice").rules_with(Rules()).quorum == 2
    assert register.revoked("alice").revoked("bob").rules_with(Rules()).quorum == 1


# --- one-time codes ----------------------------------------------------------------------------------


def test_a_code_counts_once_and_no_older_one_after_it() -> None:
    known = warden("alice", last_step=STEP - 5)
    assert step_of_next(known, code_at(SECRET, WALL), WALL) == STEP
    used = replace(known, last_step=STEP)

    assert step_of_next(used, code_at(SECRET, WALL), WALL) is None
    assert was_used(used, code_at(SECRET, WALL), WALL)
    assert step_of_next(used, code_at(SECRET, WALL, steps=-1), WALL) is None
    assert step_of_next(used, code_at(SECRET, WALL, steps=1), WALL) == STEP + 1


@pytest.mark.parametrize("into_step_s", [0, 10, 14.9, 15, 20, 29.9])
def test_a_code_of_the_app_of_our_tests_counts_for_the_seconds_that_a_browser_takes(into_step_s: float) -> None:
    """One that ran out between the key and the judge looked like a page that did nothing."""
    began = STEP * 30 + into_step_s
    app = App(SECRET, lambda: began)
    steps = [step_of(SECRET, app.code(), began + 14.9) for _ in range(2)]
    assert None not in steps
    assert steps == sorted(set(steps))


def test_a_clock_may_be_half_a_minute_off_and_no_more() -> None:
    assert [step_of(SECRET, code_at(SECRET, WALL, steps=late), WALL) for late in (-2, -1, 0, 1, 2)] == [
        None, STEP - 1, STEP, STEP + 1, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change", [lambda c: "", lambda c: c[:5], lambda c: c + "0", lambda c: f" {c}", lambda c: "٣" * 6]
)
def test_what_is_no_code_is_none(change: Callable[[str], str]) -> None:
    assert step_of(SECRET, change(code_at(SECRET, WALL)), WALL) is None


def test_two_that_use_one_code_at_once_are_one_too_many(store: WardenStore) -> None:
    store.change(lambda _: full())
    store.change(lambda register: register.used("alice", STEP, 4))

    with pytest.raises(StateError, match="used already"):
        store.change(lambda register: register.used("alice", STEP, 5))
    assert store.read().wardens["alice"].passkey.sign_count == 4


def test_an_app_reads_the_secret() -> None:
    assert code_at(provisioning_uri(SECRET, "alice"), WALL) == code_at(SECRET, WALL)
