"""Asking wardens: what is done when they agree, and everything an attacker or an accident may bring instead."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.auth.desk import Desk
from risk_daemon.auth.override import OverrideRefused, Purpose, Unknown
from risk_daemon.auth.page_site import PageSite
from risk_daemon.auth.wardens import Rules
from risk_daemon.errors import RecordError, StateError, UsageError
from tests.authenticator import PRESENT, Authenticator, code_at
from tests.override_world import SITE, OverrideWorld

BY = "uid:0 (root)"


@pytest.fixture
def world(tmp_path: Path) -> OverrideWorld:
    return OverrideWorld(tmp_path, "alice", "bob")


@pytest.fixture
def pair(tmp_path: Path) -> OverrideWorld:
    return OverrideWorld(tmp_path, "alice", "bob", "carol", quorum=2)


# --- agreeing ----------------------------------------------------------------------------------------


async def test_what_is_agreed_to_is_done_once_and_told(world: OverrideWorld) -> None:
    opened = await world.open(facts=(("Trip", "t1"),), changes=("The gate opens.",))
    seen = await world.desk.look(opened.code)
    view = await world.agree(opened, "alice")

    assert (seen["facts"], seen["changes"], seen["wardens"]) == (
        [["Trip", "t1"]],
        ["The gate opens."],
        ["alice", "bob"],
    )
    assert (opened.address, opened.needed) == ("http://localhost:8787/override", 1)
    assert world.done == ["alice"]
    assert view["end"] == {"granted": True, "done": True, "told": "reset"}
    assert world.told() == [("override_granted", "alice", "looked at it")]
    assert world.events[0].fields["asked_by"] == BY


async def test_two_of_three_agree_and_progress_is_seen(pair: OverrideWorld) -> None:
    opened = await pair.open()
    first = await pair.agree(opened, "carol")

    assert (first["given"], first["needed"], first["stage"]) == (["carol"], 2, "agree")
    assert first["wardens"] == ["alice", "bob"]
    assert pair.done == []
    last = await pair.agree(opened, "alice")
    assert (pair.done, last["stage"]) == (["carol, alice"], "ended")


async def test_what_is_asked_and_half_agreed_to_is_told_at_once(pair: OverrideWorld) -> None:
    """So that it is in the log also where the process is killed before the end."""
    opened = await pair.open()
    await pair.agree(opened, "carol")
    told = [(event.name.value, event.fields["who"], event.fields["why"]) for event in pair.noted]
    assert told == [("override_asked", BY, "looked at it"), ("override_agreed", "carol", "1 of 2")]
    assert {event.fields["attempt"] for event in pair.noted} == {opened.attempt}
    assert pair.events == []


async def test_what_can_t_be_told_is_not_asked(world: OverrideWorld) -> None:
    world.tell_error = RecordError("the log can't be written")
    with pytest.raises(RecordError):
        await world.open()
    progress = await world.desk.progress()
    assert progress is not None
    assert progress["stage"] == "ended"


async def test_one_person_is_no_quorum(pair: OverrideWorld) -> None:
    opened = await pair.open()
    await pair.agree(opened, "alice")
    pair.clock.advance(30)
    with pytest.raises(OverrideRefused, match="already"):
        await pair.agree(opened, "alice")
    assert pair.done == []


async def test_after_the_end_nothing_counts(world: OverrideWorld) -> None:
    opened = await world.open()
    await world.agree(opened, "alice")
    with pytest.raises(OverrideRefused, match="ended"):
        await world.agree(opened, "bob")
    assert world.done == ["alice"]


async def test_what_is_agreed_to_and_refused_is_told_as_well(world: OverrideWorld) -> None:
    world.outcome = (False, "not every cancel is proven yet")
    view = await world.agree(await world.open(), "alice")

    assert view["end"] == {"granted": True, "done": False, "told": "not every cancel is proven yet"}
    assert [name for name, _, _ in world.told()] == ["override_granted", "override_refused"]


async def test_what_fails_while_it_is_done_is_not_done(world: OverrideWorld) -> None:
    world.error = StateError("the disk is full")
    view = await world.agree(await world.open(), "alice")
    assert view["end"] == {"granted": True, "done": False, "told": "the disk is full"}


async def test_what_can_t_be_written_down_is_not_done(world: OverrideWorld) -> None:
    opened = await world.open()
    world.tell_error = RecordError("the log can't be written")
    with pytest.raises(RecordError):
        await world.agree(opened, "alice")
    assert world.done == []


async def test_a_quorum_may_be_raised_in_the_file_and_not_lowered(world: OverrideWorld) -> None:
    world.rules = Rules(quorum=2)
    world.desk = world.another_desk()
    assert (await world.open()).needed == 2
    world.rules = Rules(quorum=1)
    world.desk = world.another_desk()
    assert (await world.open()).needed == 2


async def test_a_quorum_that_was_in_force_stays_though_nobody_was_asked_meanwhile(world: OverrideWorld) -> None:
    """It was raised, the daemon ran, and the file was edited back before anybody asked."""
    world.rules = Rules(quorum=2)
    await world.another_desk().keep_rules()
    world.rules = Rules(quorum=1)
    world.desk = world.another_desk()
    assert (await world.open()).needed == 2


async def test_without_wardens_no_rule_is_kept(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path, quorum=3)
    await world.desk.keep_rules()
    assert not world.store.path.exists()


# --- what is wrong -----------------------------------------------------------------------------------


async def refused(world: OverrideWorld, awaitable: Any, words: str) -> None:
    with pytest.raises(OverrideRefused, match=words):
        await awaitable
    assert world.done == []


async def test_a_wrong_code_is_refused_and_told(world: OverrideWorld) -> None:
    opened = await world.open()
    wrong = f"{(int(world.otp('alice')) + 1) % 1_000_000:06}"
    await refused(world, world.agree(opened, "alice", wrong), "one-time code is wrong")

    assert world.told() == [("override_refused", "alice", "this one-time code is wrong")]
    assert world.events[0].fields["failures"] == 1
    assert (await world.agree(opened, "alice"))["stage"] == "ended", "four more tries are left"


async def test_somebody_else_s_code_is_wrong(world: OverrideWorld) -> None:
    await refused(world, world.agree(await world.open(), "alice", world.otp("bob")), "one-time code is wrong")


async def test_a_code_counts_once_also_in_another_attempt(pair: OverrideWorld) -> None:
    opened = await pair.open()
    await pair.agree(opened, "alice")
    await pair.desk.withdraw(opened.attempt, BY)
    await refused(pair, pair.agree(await pair.open(), "alice"), "used already")
    pair.clock.advance(30)
    opened = await pair.open()
    assert (await pair.agree(opened, "alice"))["given"] == ["alice"]


async def test_a_code_counts_once_also_after_a_restart(pair: OverrideWorld) -> None:
    await pair.agree(await pair.open(), "alice")
    pair.desk = pair.another_desk()
    await refused(pair, pair.agree(await pair.open(), "alice"), "used already")


async def test_a_wrong_passkey_tells_nothing_of_codes(world: OverrideWorld) -> None:
    """And it uses none up: the code is looked at only when the passkey is right."""
    opened = await world.open()
    thief = Authenticator()
    options = await world.desk.challenge(opened.code, opened.attempt, "alice")
    answer = thief.get(options, SITE.origin)
    await refused(
        world, world.desk.agree(opened.code, opened.attempt, "alice", world.otp("alice"), answer), "passkey is refused"
    )
    assert (await world.agree(opened, "alice"))["stage"] == "ended"


async def test_a_signature_counts_once(pair: OverrideWorld) -> None:
    opened = await pair.open()
    answer = await pair.signed(opened, "alice")
    give = (opened.code, opened.attempt, "alice")
    await refused(pair, pair.desk.agree(*give, "000000", answer), "one-time code is wrong")
    await refused(pair, pair.desk.agree(*give, pair.otp("alice"), answer), "not what was asked for")
    assert (await pair.desk.look(opened.code))["given"] == []


async def test_a_signature_for_one_attempt_is_none_for_the_next(world: OverrideWorld) -> None:
    first = await world.open()
    answer = await world.signed(first, "alice")
    second = await world.open(Purpose.DISABLE)
    await refused(world, world.desk.agree(first.code, first.attempt, "alice", world.otp("alice"), answer), "no attempt")
    await refused(
        world, world.desk.agree(second.code, first.attempt, "alice", world.otp("alice"), answer), "another attempt"
    )
    await refused(
        world, world.desk.agree(second.code, second.attempt, "alice", world.otp("alice"), answer), "not what was asked"
    )
    assert world.told()[0][2] == "another one was begun; 0 of 1 had agreed"


async def test_a_signature_of_one_warden_is_none_of_another(pair: OverrideWorld) -> None:
    opened = await pair.open()
    await pair.desk.challenge(opened.code, opened.attempt, "bob")
    answer = await pair.signed(opened, "alice")
    await refused(
        pair, pair.desk.agree(opened.code, opened.attempt, "bob", pair.otp("bob"), answer), "another key than the one"
    )


async def test_without_user_verification_a_passkey_is_none(world: OverrideWorld) -> None:
    world.people["alice"].device.flags = PRESENT
    await refused(world, world.agree(await world.open(), "alice"), "[Uu]ser verification")


async def test_a_counter_that_went_back_is_a_copy(pair: OverrideWorld) -> None:
    opened = await pair.open()
    await pair.agree(opened, "alice")
    await pair.desk.withdraw(opened.attempt, BY)
    pair.people["alice"].device.count = 0
    pair.clock.advance(30)
    await refused(pair, pair.agree(await pair.open(), "alice"), "sign count")


async def test_an_old_challenge_is_none(world: OverrideWorld) -> None:
    opened = await world.open()
    answer = await world.signed(opened, "alice")
    world.clock.advance(120)
    await refused(
        world, world.desk.agree(opened.code, opened.attempt, "alice", world.otp("alice"), answer), "not what was asked"
    )


async def test_the_end_of_its_time_is_told_by_itself(world: OverrideWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk_daemon.auth.desk.LASTS_S", 0.01)
    opened = await world.open()
    await world.desk.changed(60.0)
    assert (await world.desk.look(opened.code))["stage"] == "ended"
    await world.desk.close()  # whatever is under way comes to its end
    assert world.told() == [("override_refused", BY, "ten minutes are over; 0 of 1 had agreed")]


async def test_it_is_over_after_ten_minutes(world: OverrideWorld) -> None:
    opened = await world.open()
    world.clock.advance(600)
    await refused(world, world.agree(opened, "alice"), "ended")


@pytest.mark.parametrize("name", ["", "mallory", "uid:0 (root)", "alice "])
async def test_who_is_no_warden_can_t_agree(world: OverrideWorld, name: str) -> None:
    opened = await world.open()
    await refused(world, world.desk.challenge(opened.code, opened.attempt, name), "no warden called")
    await refused(world, world.desk.agree(opened.code, opened.attempt, name, "000000", {}), "no warden called")


async def test_whoever_has_no_code_sees_nothing(world: OverrideWorld) -> None:
    opened = await world.open()
    for call in (
        world.desk.look("AAAA-AAAA-AAAA"),
        world.desk.challenge("", opened.attempt, "alice"),
        world.desk.agree("", opened.attempt, "alice", world.otp("alice"), {}),
        world.desk.registration("", opened.attempt),
        world.desk.enroll("", opened.attempt, "000000", {}),
    ):
        with pytest.raises(Unknown):
            await call
    assert world.events == []


async def test_a_passkey_of_another_host_is_said(world: OverrideWorld) -> None:
    world.desk.site = PageSite.at("guard.example.org", 443, is_tls=True)
    await refused(world, world.agree(await world.open(), "alice"), "made for localhost")


async def test_a_restart_forgets_what_was_half_done(pair: OverrideWorld) -> None:
    opened = await pair.open()
    await pair.agree(opened, "alice")
    pair.desk = pair.another_desk()
    await refused(pair, pair.agree(opened, "bob"), "no attempt of this code")
    again = await pair.open()
    assert (await pair.agree(again, "bob"))["given"] == ["bob"]
    assert pair.done == []


async def test_a_register_that_can_t_be_read_is_nobody_s_permission(world: OverrideWorld) -> None:
    opened = await world.open()
    answer = await world.signed(opened, "alice")
    world.store.path.write_text("{}")
    for call in (
        world.desk.is_guarded(),
        world.desk.agree(opened.code, opened.attempt, "alice", world.otp("alice"), answer),
        world.open(),
    ):
        with pytest.raises(StateError):
            await call
    assert world.done == []


async def test_a_code_that_can_t_be_crossed_out_does_not_count(
    world: OverrideWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await world.open()
    answer = await world.signed(opened, "alice")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    await refused(
        world,
        world.desk.agree(opened.code, opened.attempt, "alice", world.otp("alice"), answer),
        "could not be counted",
    )
    view = await world.desk.look(opened.code)
    assert view["stage"] == "ended"
    assert not view["end"]["granted"]


# --- failures ----------------------------------------------------------------------------------------


async def fail_times(world: OverrideWorld, times: int) -> None:
    for _ in range(times):
        opened = await world.open()
        with pytest.raises(OverrideRefused, match="wrong"):
            await world.agree(opened, "alice", "000000" if world.otp("alice") != "000000" else "111111")


async def test_five_wrong_codes_lock_everybody_out_and_are_told(world: OverrideWorld) -> None:
    await fail_times(world, 5)

    assert [event.fields.get("failures") for event in world.events if event.fields["who"] == "alice"] == [
        1,
        2,
        3,
        4,
        None,
    ]
    assert world.events[-1].fields["locked_until"] == "2027-01-15T08:15:15.000000Z"
    with pytest.raises(OverrideRefused, match="too many attempts failed"):
        await world.open()
    world.clock.advance(899)
    with pytest.raises(OverrideRefused, match="too many attempts failed"):
        await world.open()
    world.clock.advance(1)
    await world.agree(await world.open(), "alice")
    assert world.done == ["alice"]


async def test_a_lock_and_half_a_lock_outlive_a_restart(world: OverrideWorld) -> None:
    await fail_times(world, 4)
    world.desk = world.another_desk()
    await fail_times(world, 1)
    world.desk = world.another_desk()
    with pytest.raises(OverrideRefused, match="too many attempts failed"):
        await world.open()


async def test_a_lock_ends_what_is_under_way(pair: OverrideWorld) -> None:
    await fail_times(pair, 4)
    opened = await pair.open()
    await pair.agree(opened, "bob")
    await refused(pair, pair.agree(opened, "alice", "12345"), "locked until")
    await refused(pair, pair.agree(opened, "carol"), "ended")


async def test_a_lock_by_another_process_counts_here(world: OverrideWorld) -> None:
    opened = await world.open()
    until = world.clock.now().wall + 60
    world.store.change(lambda register: replace(register, locked_until_wall=until))
    await refused(world, world.agree(opened, "alice"), "too many attempts failed")


# --- enrolling ---------------------------------------------------------------------------------------


async def enrolls(
    world: OverrideWorld, desk: Desk, name: str, device: Authenticator, opened: Any, steps: int = 0
) -> Any:
    options = await desk.registration(opened.code, opened.attempt)
    otp = code_at(opened.uri, world.clock.now().wall, steps=steps)
    return await desk.enroll(opened.code, opened.attempt, otp, device.create(options, SITE.origin))


async def test_the_first_is_enrolled_by_whoever_is_at_the_terminal(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path)
    opened = await world.open(Purpose.ENROLL, enrolls="alice")
    assert (opened.needed, await world.desk.is_guarded()) == (0, False)
    view = await enrolls(world, world.desk, "alice", Authenticator(), opened)

    assert view["end"] == {"granted": True, "done": True, "told": "alice is a warden from now on"}
    assert list(world.store.read().wardens) == ["alice"]
    assert world.told() == [("override_granted", BY, "looked at it")]


async def test_a_code_is_checked_before_it_counts(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path)
    opened = await world.open(Purpose.ENROLL, enrolls="alice")
    with pytest.raises(OverrideRefused, match="QR code"):
        await enrolls(world, world.desk, "alice", Authenticator(), opened, steps=5)
    assert not await world.desk.is_guarded()
    await enrolls(world, world.desk, "alice", Authenticator(), opened)
    assert await world.desk.is_guarded()


async def test_the_code_of_enrolling_counts_no_second_time(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path)
    opened = await world.open(Purpose.ENROLL, enrolls="alice")
    await enrolls(world, world.desk, "alice", Authenticator(), opened)
    assert world.store.read().wardens["alice"].last_step == int(world.clock.now().wall // 30)


async def test_the_second_needs_the_first(world: OverrideWorld) -> None:
    opened = await world.open(Purpose.ENROLL, enrolls="dave")
    for call in (
        world.desk.registration(opened.code, opened.attempt),
        world.desk.enroll(opened.code, opened.attempt, "000000", {}),
    ):
        with pytest.raises(OverrideRefused, match="those who are must agree first"):
            await call
    view = await world.agree(opened, "alice")
    assert (view["stage"], view["enrolls"]) == ("enroll", "dave")
    await enrolls(world, world.desk, "dave", Authenticator(), opened)
    assert list(world.store.read().wardens) == ["alice", "bob", "dave"]


async def test_one_of_a_quorum_of_two_can_t_make_himself_two(pair: OverrideWorld) -> None:
    opened = await pair.open(Purpose.ENROLL, enrolls="mallory")
    assert opened.needed == 2
    await pair.agree(opened, "alice")
    with pytest.raises(OverrideRefused, match="must agree first"):
        await pair.desk.registration(opened.code, opened.attempt)


async def test_two_who_are_first_at_once_are_not_both_first(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path)
    other = world.another_desk()
    late = await other.open(Purpose.ENROLL, asked_by=BY, reason="x", carry_out=world.carry_out, enrolls="mallory")
    opened = await world.open(Purpose.ENROLL, enrolls="alice")
    await enrolls(world, world.desk, "alice", Authenticator(), opened)
    view = await enrolls(world, other, "mallory", Authenticator(), late)

    assert view["end"]["done"] is False
    assert "begin again" in view["end"]["told"]
    assert list(world.store.read().wardens) == ["alice"]


async def test_one_device_is_one_person(world: OverrideWorld) -> None:
    opened = await world.open(Purpose.ENROLL, enrolls="dave")
    await world.agree(opened, "alice")
    view = await enrolls(world, world.desk, "dave", world.people["bob"].device, opened)
    assert view["end"]["done"] is False
    assert "another warden's" in view["end"]["told"]


async def test_a_name_that_is_taken_is_refused_at_once(world: OverrideWorld) -> None:
    with pytest.raises(UsageError, match="already"):
        await world.open(Purpose.ENROLL, enrolls="alice")
    assert await world.desk.progress() is None


async def test_nobody_is_enrolled_by_an_attempt_for_something_else(pair: OverrideWorld) -> None:
    opened = await pair.open()
    with pytest.raises(OverrideRefused, match="nobody is to be enrolled here"):
        await pair.desk.registration(opened.code, opened.attempt)


# --- the terminal ------------------------------------------------------------------------------------


async def test_it_can_be_withdrawn_by_its_own_name_only(world: OverrideWorld) -> None:
    opened = await world.open()
    with pytest.raises(OverrideRefused, match="no such attempt"):
        await world.desk.withdraw("0" * 32, BY)
    await world.desk.withdraw(opened.attempt, BY)
    await refused(world, world.agree(opened, "alice"), "ended")
    assert world.told()[0] == ("override_refused", BY, f"withdrawn by {BY}; 0 of 1 had agreed")


async def test_progress_is_heard_of(pair: OverrideWorld) -> None:
    opened = await pair.open()
    hears = asyncio.ensure_future(pair.desk.changed(60.0))
    await asyncio.sleep(0)
    await pair.agree(opened, "bob")
    await asyncio.wait_for(hears, 5)
    progress = await pair.desk.progress()
    assert progress is not None
    assert progress["given"] == ["bob"]


async def test_the_end_of_the_process_is_the_end_of_the_attempt(world: OverrideWorld) -> None:
    await world.open()
    await world.desk.close()
    assert [name for name, _, _ in world.told()] == ["override_refused"]


async def test_without_a_page_nobody_is_asked(world: OverrideWorld) -> None:
    world.desk.site = None
    with pytest.raises(OverrideRefused, match="no page"):
        await world.open()


async def test_no_secret_of_an_attempt_is_in_its_events_or_on_its_page(world: OverrideWorld) -> None:
    opened = await world.open(Purpose.ENROLL, enrolls="dave")
    view = await world.agree(opened, "alice")
    for text in (repr(world.events), repr(view), repr(opened)):
        assert (opened.uri or "?").partition("secret=")[2][:32] not in text
    assert opened.code.replace("-", "") not in repr(world.events) + repr(view)
