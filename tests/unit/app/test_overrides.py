"""What wardens are shown and what is done for them; and the day all keys are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app.overrides import (
    SENTENCE,
    WardenAffairs,
    ask_for,
    bound,
    carried_out_by,
    changes_of,
    facts_of,
    lasting,
)
from risk_daemon.auth.override import OverrideRefused
from risk_daemon.auth.wardens import Rules
from risk_daemon.errors import RecordError, StateError, UsageError
from risk_daemon.model.events import DisableRequested, ReleaseRequested, ResetRequested
from risk_daemon.model.status import Status
from risk_daemon.state.store.sqlite import connect
from tests.override_world import OverrideWorld

ROOT = "uid:0 (root)"
TRIPPED = Status.shown(
    {
        "state": "TRIGGERED",
        "equity": "9400",
        "reference_currency": "USDT",
        "lock": {"trip_id": "t1", "reason": "loss of 6.00 %", "since": "2026-11-20T11:00:00Z", "proven": True},
        "last_sweep": {"trip_id": "t1", "venues": {"kraken": {"proven": False, "unproven_reason": "no answer"}}},
        "halts": [
            {"venue": None, "bot": "alice", "reason": "odd", "operator": ROOT, "since_wall": 5.0},
            {"venue": "kraken", "bot": None, "reason": "down", "operator": ROOT, "since_wall": 6.0},
        ],
    }
)
RESET = ResetRequested("looked at it", ROOT, "keep")
RELEASE = ReleaseRequested("mended", ROOT, bot="alice")
DISABLE = DisableRequested(600.0, "maintenance", ROOT)


# --- words -------------------------------------------------------------------------------------------


def test_the_trip_its_proof_and_what_will_change_are_shown() -> None:
    facts = dict(facts_of(RESET, TRIPPED))

    assert (facts["Trip"], facts["Why"], facts["Every cancel is proven"]) == ("t1", "loss of 6.00 %", "yes")
    assert facts["kraken"] == "NOT proven: no answer, 0 orders cancelled"
    assert facts["Equity"] == "9400 USDT"
    assert "once a guard runs" in changes_of(RESET)[0]
    assert "measured from where they were" in changes_of(RESET)[1]
    assert "forgotten" in changes_of(ResetRequested("x", ROOT, "current"))[1]


def test_what_is_not_known_is_never_shown_as_good() -> None:
    facts = dict(facts_of(RESET, Status.shown({})))
    assert facts["Every cancel is proven"] == "NO"
    assert facts["Trip"] == "unknown"


def test_a_halt_and_a_disable_are_shown() -> None:
    assert facts_of(RELEASE, TRIPPED) == (("Halt", f"of bot alice, by {ROOT}: odd"),)
    assert changes_of(RELEASE) == ("New orders of bot alice are allowed again.",)
    assert "For 10 min no loss" in changes_of(DISABLE)[0]


def test_what_was_seen_is_what_is_ended() -> None:
    assert bound(RESET, TRIPPED) == ResetRequested("looked at it", ROOT, "keep", trip_id="t1")
    assert bound(RELEASE, TRIPPED) == ReleaseRequested("mended", ROOT, bot="alice", since_wall=5.0)
    assert bound(DISABLE, TRIPPED) == DISABLE


def test_who_agreed_and_who_asked_are_both_in_the_records() -> None:
    assert carried_out_by(RESET, "alice, bob").operator == f"alice, bob (asked by {ROOT})"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (90, "90 s"), (600, "10 min"), (601, "10.1 min"), (7_200, "2 h"), (86_400, "24 h")],
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


# --- asking ------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> OverrideWorld:
    return OverrideWorld(tmp_path, "alice", "bob")


async def test_what_was_asked_for_is_done_when_they_agree_and_not_before(world: OverrideWorld) -> None:
    done: list[Any] = []

    async def carry_out(event: Any) -> dict[str, Any]:
        done.append(event)
        return {"accepted": False, "reason": "not now"}

    opened = await ask_for(world.desk, RESET, TRIPPED, carry_out)
    assert done == []
    view = await world.agree(opened, "bob")
    assert done == [ResetRequested("looked at it", f"bob (asked by {ROOT})", "keep", trip_id="t1")]
    assert view["end"] == {"granted": True, "done": False, "told": "not now"}


# --- wardens themselves ------------------------------------------------------------------------------


@pytest.fixture
def affairs(world: OverrideWorld) -> WardenAffairs:
    return WardenAffairs(world.desk, world.clock)


async def test_a_warden_is_revoked_when_the_wardens_agree(world: OverrideWorld, affairs: WardenAffairs) -> None:
    opened = await affairs.revoke("bob", "left the firm", ROOT)
    assert list(world.store.read().wardens) == ["alice", "bob"]
    await world.agree(opened, "alice")
    assert list(world.store.read().wardens) == ["alice"]


async def test_what_revoking_leads_to_is_said(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path, "alice", "bob", quorum=2)
    affairs = WardenAffairs(world.desk, world.clock)
    opened = await affairs.revoke("bob", "x", ROOT)
    [change] = (await world.desk.look(opened.code))["changes"]
    assert "fewer than the 2 who must agree" in change


async def test_whoever_is_no_warden_can_t_be_revoked(world: OverrideWorld, affairs: WardenAffairs) -> None:
    with pytest.raises(UsageError, match="no warden called"):
        await affairs.revoke("mallory", "x", ROOT)
    assert await affairs.progress() is None


# --- the glass ---------------------------------------------------------------------------------------


async def test_the_glass_breaks_after_its_time_and_is_told_twice(world: OverrideWorld, affairs: WardenAffairs) -> None:
    begun = await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    assert (begun["begun"], begun["done"], world.store.read().is_guarded) == (True, False, True)
    world.clock.advance(3_599)
    with pytest.raises(UsageError, match="must wait"):
        await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    world.clock.advance(1)
    assert (await affairs.break_glass(ROOT, SENTENCE, is_root=True))["done"] is True

    assert not world.store.read().is_guarded
    told = [(event.name.value, event.fields["outcome"]) for event in world.events]
    assert told == [("break_glass_begun", "waiting"), ("break_glass_ended", "forgotten")]


async def test_what_was_not_forgotten_is_not_left_as_forgotten(
    world: OverrideWorld, affairs: WardenAffairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    world.clock.advance(3_600)

    def full(_: Any) -> None:
        raise StateError("wardens.json can't be written: the disk is full")

    monkeypatch.setattr(world.store, "change_what_is_left", full)
    with pytest.raises(StateError, match="is full"):
        await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    assert world.store.read().is_guarded
    last = world.events[-1]
    assert last.name.value == "break_glass_ended"
    assert last.fields["outcome"].startswith("NOT forgotten: wardens.json")


async def test_the_waiting_outlives_a_restart_and_is_no_shorter_by_the_file(world: OverrideWorld) -> None:
    world.store.change(lambda register: register)
    world.rules = Rules(break_glass_after_s=1.0)
    world.desk = world.another_desk()
    await WardenAffairs(world.desk, world.clock).break_glass(ROOT, SENTENCE, is_root=True)
    world.clock.advance(60)
    world.desk = world.another_desk()
    with pytest.raises(UsageError, match="must wait"):
        await WardenAffairs(world.desk, world.clock).break_glass(ROOT, SENTENCE, is_root=True)


async def test_a_glass_that_nobody_broke_within_a_day_is_whole(world: OverrideWorld, affairs: WardenAffairs) -> None:
    await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    world.clock.advance(3_600 + 86_401)
    again = await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    assert (again["begun"], world.store.read().is_guarded) == (True, True)


async def test_only_root_with_the_sentence_breaks_it(world: OverrideWorld, affairs: WardenAffairs) -> None:
    with pytest.raises(UsageError, match="only root"):
        await affairs.break_glass("uid:1000 (alice)", SENTENCE, is_root=False)
    for sentence in ("", "yes", SENTENCE.lower()):
        with pytest.raises(UsageError, match="not confirmed"):
            await affairs.break_glass(ROOT, sentence, is_root=True)
    assert world.store.read().break_glass is None
    assert world.events == []


async def test_a_key_that_works_stops_it(world: OverrideWorld, affairs: WardenAffairs) -> None:
    await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    await world.agree(await world.open(), "alice")
    assert world.store.read().break_glass is None
    assert ("break_glass_ended", "stopped") in [(e.name.value, e.fields.get("outcome")) for e in world.events]
    world.clock.advance(3_600)
    assert (await affairs.break_glass(ROOT, SENTENCE, is_root=True))["done"] is False


async def test_anybody_at_the_terminal_can_stop_it(world: OverrideWorld, affairs: WardenAffairs) -> None:
    with pytest.raises(UsageError, match="no glass"):
        await affairs.stop_break_glass(ROOT)
    await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    await affairs.stop_break_glass(ROOT)
    assert world.store.read().break_glass is None


async def test_what_can_t_be_told_is_not_broken(world: OverrideWorld, affairs: WardenAffairs) -> None:
    world.tell_error = RecordError("the log can't be written")
    with pytest.raises(RecordError):
        await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    assert world.store.read().break_glass is None
    world.tell_error = None
    await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    world.clock.advance(3_600)
    world.tell_error = RecordError("the log can't be written")
    with pytest.raises(RecordError):
        await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    assert world.store.read().is_guarded


async def test_a_register_that_is_gone_is_forgotten_by_the_glass_alone(tmp_path: Path) -> None:
    connect(tmp_path / "state.db", create=True).close()
    world = OverrideWorld(tmp_path, "alice")
    affairs = WardenAffairs(world.desk, world.clock)
    world.store.path.unlink()
    with pytest.raises(StateError):
        await world.desk.is_guarded()
    with pytest.raises(StateError):
        await world.open()
    with pytest.raises(StateError):
        await affairs.enroll("mallory", ROOT)
    with pytest.raises(UsageError, match="no glass"):
        await affairs.stop_break_glass(ROOT)
    for stopped in (True, False):
        assert (await affairs.break_glass(ROOT, SENTENCE, is_root=True))["begun"] is True
        with pytest.raises(StateError):
            await world.desk.is_guarded()
        if stopped:
            await affairs.stop_break_glass(ROOT)
    with pytest.raises(UsageError, match="must wait"):
        await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    world.clock.advance(3_600)
    assert (await affairs.break_glass(ROOT, SENTENCE, is_root=True))["done"] is True
    assert not await world.desk.is_guarded()


async def test_without_wardens_there_is_nothing_to_break(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path)
    with pytest.raises(UsageError, match="nothing to break"):
        await WardenAffairs(world.desk, world.clock).break_glass(ROOT, SENTENCE, is_root=True)


async def test_after_it_the_old_attempt_is_worth_nothing(world: OverrideWorld, affairs: WardenAffairs) -> None:
    await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    world.clock.advance(3_600)
    opened = await world.open()
    await affairs.break_glass(ROOT, SENTENCE, is_root=True)
    with pytest.raises(OverrideRefused, match="no warden called"):
        await world.agree(opened, "alice")
    assert world.done == []
