"""One attempt: who may see it, what is too late, when it is agreed, and when everybody must wait."""

from __future__ import annotations

import pytest

from risk_daemon.auth.override import (
    CODE_ALPHABET,
    LOCKED_S,
    Attempt,
    End,
    Override,
    OverrideRefused,
    Purpose,
    Unknown,
    Wish,
    code_of,
    failed,
    normal,
    refuse_locked,
    shown,
)
from risk_daemon.auth.wardens import Register, Rules
from risk_daemon.errors import InvariantError
from risk_daemon.model.clock import ManualClock
from tests.unit.auth.test_wardens import warden

CODE = "ABCD2345WXYZ"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def register(*names: str) -> Register:
    found = Register()
    for name in names:
        found = found.enrolled(warden(name), Rules())
    return found


def wish(needed: int = 1) -> Wish:
    return Wish(purpose=Purpose.RESET, asked_by="uid:0 (root)", reason="looked at it", needed=needed)


def opened(clock: ManualClock, needed: int = 1, *names: str) -> tuple[Override, Attempt]:
    override = Override()
    return override, override.open(wish(needed), "n1", CODE, register(*(names or ("alice", "bob"))), clock.now())


def test_an_attempt_is_known_by_its_code_however_it_is_typed(clock: ManualClock) -> None:
    override, attempt = opened(clock)

    assert override.find("abcd-2345 wxyz") is attempt
    for code in ("", "ABCD2345WXY", CODE + "A", "ABCD2345WXYY", "ö"):
        with pytest.raises(Unknown):
            override.find(code)


def test_without_an_attempt_no_code_is_known() -> None:
    for code in ("", CODE):
        with pytest.raises(Unknown):
            Override().find(code)


def test_a_nonce_of_another_attempt_is_refused(clock: ManualClock) -> None:
    override, _ = opened(clock)
    with pytest.raises(OverrideRefused, match="another attempt"):
        override.find_open(CODE, "n0", clock.now())


def test_it_ends_after_ten_minutes(clock: ManualClock) -> None:
    override, attempt = opened(clock)
    assert override.find_open(CODE, "n1", clock.advance(599)) is attempt
    with pytest.raises(OverrideRefused, match="ended"):
        override.find_open(CODE, "n1", clock.advance(1))


def test_a_clock_that_is_set_back_makes_it_no_longer(clock: ManualClock) -> None:
    override, _ = opened(clock)
    clock.advance(600)
    with pytest.raises(OverrideRefused, match="ended"):
        override.find_open(CODE, "n1", clock.jump(-3_600))


def test_what_has_ended_takes_nothing_any_more(clock: ManualClock) -> None:
    override, attempt = opened(clock)
    attempt.end = End(is_granted=True, is_done=True, told="reset")
    with pytest.raises(OverrideRefused, match="ended"):
        override.find_open(CODE, "n1", clock.now())


def test_an_open_attempt_is_not_forgotten_by_another_one(clock: ManualClock) -> None:
    override, attempt = opened(clock)
    with pytest.raises(InvariantError):
        override.open(wish(), "n2", CODE, register("alice"), clock.now())
    attempt.end = End(is_granted=False, is_done=False, told="withdrawn")
    assert override.open(wish(), "n2", CODE, register("alice"), clock.now()).given == []


# --- agreeing ----------------------------------------------------------------------------------------


def test_a_quorum_is_of_different_people(clock: ManualClock) -> None:
    override, attempt = opened(clock, 2)
    both = register("alice", "bob")

    assert override.agree(attempt, "alice", both) is False
    with pytest.raises(OverrideRefused, match="already"):
        override.agree(attempt, "alice", both)
    assert override.agree(attempt, "bob", both) is True


def test_whoever_is_revoked_meanwhile_does_not_count(clock: ManualClock) -> None:
    override, attempt = opened(clock, 2, "alice", "bob", "carol")
    everybody = register("alice", "bob", "carol")

    assert override.agree(attempt, "alice", everybody) is False
    assert override.agree(attempt, "bob", everybody.revoked("alice")) is False
    assert override.agree(attempt, "carol", everybody.revoked("alice")) is True


def test_more_than_there_are_can_never_agree(clock: ManualClock) -> None:
    with pytest.raises(OverrideRefused, match="enrol 1 more"):
        opened(clock, 2, "alice")
    with pytest.raises(OverrideRefused, match="enrol 1 more"):
        Override().open(wish(1), "n1", CODE, Register(), clock.now())


def test_a_challenge_is_signed_once_in_time_and_the_last_one_counts(clock: ManualClock) -> None:
    _, attempt = opened(clock)
    attempt.challenge("alice", b"first", clock.now())
    attempt.challenge("alice", b"second", clock.now())

    assert attempt.take_challenge("alice", clock.advance(119)) == b"second"
    for name in ("alice", "bob"):
        with pytest.raises(OverrideRefused):
            attempt.take_challenge(name, clock.now())
    attempt.challenge("alice", b"third", clock.now())
    with pytest.raises(OverrideRefused):
        attempt.take_challenge("alice", clock.advance(120))


# --- failing -----------------------------------------------------------------------------------------


def test_five_failures_lock_for_a_quarter_of_an_hour(clock: ManualClock) -> None:
    known = register("alice")
    for _ in range(4):
        known = failed(known, clock.advance(10))
        refuse_locked(known, clock.now())
    known = failed(known, clock.advance(10))

    with pytest.raises(OverrideRefused, match=r"another 15\.0 minutes"):
        Override().open(wish(), "n1", CODE, known, clock.now())
    with pytest.raises(OverrideRefused, match="too many"):
        refuse_locked(known, clock.advance(LOCKED_S - 1))
    refuse_locked(known, clock.advance(1))
    assert known.failed_walls == ()


def test_old_failures_do_not_count(clock: ManualClock) -> None:
    known = register("alice")
    for _ in range(20):
        known = failed(known, clock.advance(LOCKED_S / 4 + 1))
        refuse_locked(known, clock.now())
    assert len(known.failed_walls) == 4


# --- codes -------------------------------------------------------------------------------------------


def test_every_letter_of_a_code_is_as_likely_and_none_looks_like_another() -> None:
    made = code_of(range(256))
    assert {made.count(letter) for letter in CODE_ALPHABET} == {8}
    assert not set("IO01") & set(CODE_ALPHABET)
    assert len(set(CODE_ALPHABET)) == 32


def test_a_code_is_shown_in_groups_and_read_back() -> None:
    assert shown(CODE) == "ABCD-2345-WXYZ"
    assert normal(shown(CODE).lower()) == CODE
