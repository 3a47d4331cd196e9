"""Every change of the tokens is told once, whatever was told before and whoever made it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.auth.token_audit import Told, untold
from risk_daemon.auth.tokens import CHANGES_MAX, FILE_NAME, Role, TokenStore
from risk_daemon.errors import StateError


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore.open(tmp_path / FILE_NAME)


def told_of(told: Told, store: TokenStore) -> tuple[list[tuple[str, str, str]], Told]:
    events, after = untold(told, store.audit())
    return [(event.name.value, event.fields["name"], event.fields["operator"]) for event in events], after


def test_who_made_it_for_whom_and_from_where_but_never_the_token(store: TokenStore) -> None:
    text = store.create(Role.BOT, "grid", operator="uid:1000 (anna)", source="192.0.2.7")
    (event,), _ = untold(Told(), store.audit())
    assert event.name.value == "token_created"
    assert {**event.fields, "at": "", "change": "", "token_id": ""} == {
        "name": "grid", "role": "bot", "operator": "uid:1000 (anna)", "from": "192.0.2.7",
        "at": "", "change": "", "token_id": "",
    }  # fmt: skip
    assert text not in str(event.fields)
    assert text[4:] not in str(event.fields)


def test_made_and_revoked_between_two_looks_is_both(store: TokenStore) -> None:
    store.create(Role.OPERATOR, "desk", operator="a")
    store.revoke("desk", operator="b")
    store.create(Role.BOT, "desk", operator="c")
    found, told = told_of(Told(), store)
    assert found == [("token_created", "desk", "a"), ("token_revoked", "desk", "b"), ("token_created", "desk", "c")]
    assert told_of(told, store)[0] == []
    assert told_of(Told.of(told.document()), store)[0] == []


def test_what_was_changed_by_hand_has_no_name_but_a_line(store: TokenStore, tmp_path: Path) -> None:
    """A copy of another day, or somebody who writes a token in."""
    store.create(Role.BOT, "old", operator="a")
    before = (tmp_path / FILE_NAME).read_bytes()
    store.create(Role.OPERATOR, "new", operator="a")
    _, told = told_of(Told(), store)
    (tmp_path / FILE_NAME).write_bytes(before)
    ((name, whose, by),), told = told_of(told, store)
    assert (name, whose, by.startswith("unknown")) == ("token_revoked", "new", True)
    assert told_of(told, store)[0] == []
    (tmp_path / FILE_NAME).unlink()
    assert [name for name, _, _ in told_of(told, store)[0]] == ["token_revoked"]


def test_the_file_of_an_older_version_has_no_words(store: TokenStore, tmp_path: Path) -> None:
    store.create(Role.BOT, "grid", operator="a")
    text = (tmp_path / FILE_NAME).read_text()
    (tmp_path / FILE_NAME).write_text(text[: text.index(',\n "changes"')] + "\n}\n")
    assert [name for name, _, _ in told_of(Told(), store)[0]] == ["token_created"]


def test_changes_that_make_no_sense_let_nobody_in(store: TokenStore, tmp_path: Path) -> None:
    token = store.create(Role.BOT, "grid")
    text = (tmp_path / FILE_NAME).read_text()
    (tmp_path / FILE_NAME).write_text(text.replace('"is_created": true', '"is_created": 7'))
    with pytest.raises(StateError):
        store.audit()
    assert store.authenticate(token) is None


def test_the_file_keeps_so_many_words_and_no_more(store: TokenStore) -> None:
    """Of what fell out nothing is told but that a token is there, or is not."""
    for number in range(CHANGES_MAX // 2 + 3):
        store.create(Role.BOT, f"bot-{number}")
        store.revoke(f"bot-{number}")
    assert len(store.audit().changes) == CHANGES_MAX


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.sampled_from(["create a", "create b", "revoke a", "revoke b", "look", "killed"]), max_size=25))
def test_each_change_has_one_line(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """killed: written down, and the process ended before it noted that."""
    store = TokenStore.open(tmp_path_factory.mktemp("tokens") / FILE_NAME)
    told, lines, wanted = Told(), [], []
    for step in (*steps, "look"):
        what, _, name = step.partition(" ")
        known = {info.name for info in store.list()}
        if what == "create" and name not in known:
            store.create(Role.BOT, name)
            wanted.append(("token_created", name))
        elif what == "revoke" and store.revoke(name):
            wanted.append(("token_revoked", name))
        elif what in ("look", "killed"):
            events, after = untold(told, store.audit())
            lines += [(event.name.value, event.fields) for event in events]
            told = after if what == "look" else told.with_lines(lines)
    assert [(name, fields["name"]) for name, fields in lines] == wanted
