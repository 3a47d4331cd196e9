"""Sessions: bound to their token, bounded in time and number."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.api.dashboard.sessions import Session, Sessions
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from risk_daemon.model.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(tmp_path: Path) -> TokenStore:
    return TokenStore.open(tmp_path / FILE_NAME)


def opened(sessions: Sessions, token: str) -> Session:
    session = sessions.open(token)
    assert isinstance(session, Session)
    return session


def test_operators_and_viewers_have_sessions_and_bots_have_none(tokens: TokenStore, clock: ManualClock) -> None:
    sessions = Sessions(tokens, clock)
    assert opened(sessions, tokens.create(Role.OPERATOR, "alice")).may_act
    assert not opened(sessions, tokens.create(Role.VIEWER, "wall")).may_act
    assert sessions.open(tokens.create(Role.BOT, "grid")) is Role.BOT
    assert sessions.open("nonsense") is None
    assert len(sessions) == 2


def test_nothing_secret_is_shown(tokens: TokenStore, clock: ManualClock) -> None:
    token = tokens.create(Role.OPERATOR, "alice")
    session = opened(Sessions(tokens, clock), token)
    assert not {word for word in (token, session.key, session.csrf) if word in repr(session)}


def test_revoked_at_once_and_a_new_token_of_the_name_is_another(tokens: TokenStore, clock: ManualClock) -> None:
    sessions = Sessions(tokens, clock)
    session = opened(sessions, tokens.create(Role.OPERATOR, "alice"))
    tokens.revoke("alice")
    tokens.create(Role.OPERATOR, "alice")
    assert sessions.of(session.key) is None
    assert session.is_over


def test_other_tokens_may_come_and_go(tokens: TokenStore, clock: ManualClock) -> None:
    sessions = Sessions(tokens, clock)
    session = opened(sessions, tokens.create(Role.OPERATOR, "alice"))
    tokens.create(Role.BOT, "grid")
    tokens.revoke("grid")
    assert sessions.of(session.key) is session


def test_a_file_of_tokens_that_can_t_be_read_ends_all(tokens: TokenStore, clock: ManualClock, tmp_path: Path) -> None:
    sessions = Sessions(tokens, clock)
    session = opened(sessions, tokens.create(Role.OPERATOR, "alice"))
    (tmp_path / FILE_NAME).write_text("{")
    assert sessions.of(session.key) is None


def test_idle_and_too_old(tokens: TokenStore, clock: ManualClock) -> None:
    sessions = Sessions(tokens, clock, idle_s=10, lasts_s=25)
    token = tokens.create(Role.OPERATOR, "alice")
    idle, busy = opened(sessions, token), opened(sessions, token)
    clock.advance(9)
    assert sessions.of(busy.key) is busy
    clock.advance(9)
    assert (sessions.of(idle.key), sessions.of(busy.key)) == (None, busy)
    clock.advance(8)
    assert sessions.of(busy.key) is None


def test_one_token_has_few_and_the_one_used_last_stays(tokens: TokenStore, clock: ManualClock) -> None:
    sessions = Sessions(tokens, clock, of_one=2)
    token = tokens.create(Role.OPERATOR, "alice")
    first = opened(sessions, token)
    clock.advance(1)
    second = opened(sessions, token)
    clock.advance(1)
    assert sessions.of(first.key) is first
    third = opened(sessions, token)
    assert [sessions.of(one.key) is one for one in (first, second, third)] == [True, False, True]
