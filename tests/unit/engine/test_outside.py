"""What lies outside the engine: a right to open that others give, and trips of other guards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.breakers import DailyLossCircuitBreaker
from risk_daemon.breakers.base import Action
from risk_daemon.engine.decision import Finish, SaveLatch, StartSweep
from risk_daemon.model.events import (
    BoardSeen,
    DisableRequested,
    EnableRequested,
    EventName,
    HaltRequested,
    LeaseSeen,
    PeerSeen,
    ReleaseRequested,
    ResetRequested,
    StandingTold,
    StoreChecked,
    SweepFinished,
    TrippedElsewhere,
)
from tests.core_world import World, amounts, engine_settings, with_

OPENING = {EventName.OPENING_ALLOWED, EventName.OPENING_REFUSED}


def twin_world() -> World:
    """A guard that opens only while its twin's lease says so; it is complete otherwise."""
    return World(with_(engine_settings(), leases=frozenset({"twin"}))).start()


def sweeping_world() -> World:
    """Its sweeps come to an end, all proven."""
    world = World().start()
    world.sweeps_take_s = 1.0
    return world


def lease(world: World, for_s: float | None, reason: str = "") -> LeaseSeen:
    until_mono = None if for_s is None else world.now + for_s
    return LeaseSeen(by="twin", until_mono=until_mono, reason=reason, epoch=None if for_s is None else 7)


def tripped(trip_id: str = "trip-b-1", cause: str = "capital_loss") -> TrippedElsewhere:
    return TrippedElsewhere(trip_id=trip_id, by="guard b", cause=cause, reason="lost 5 %")


def test_a_guard_that_needs_a_lease_is_shut_until_it_has_one_and_when_it_runs_out() -> None:
    world = twin_world()
    assert world.gate == "elsewhere"
    assert [one.reason for one in world.engine.restraints] == ["twin: it was not heard of yet"]

    world.send(lease(world, 3.0))
    assert world.gate == "open"
    world.run(2.7)
    assert world.gate == "open"
    world.run(0.5)
    assert world.gate == "elsewhere"


def test_the_end_of_a_lease_is_a_moment_to_look_at_whatever_happens() -> None:
    world = twin_world()
    decision = world.send(lease(world, 3.0))
    assert decision.wake_mono is not None
    assert decision.wake_mono <= world.now + 3.0


def test_what_is_refused_shuts_at_once_and_says_why() -> None:
    world = twin_world()
    world.send(lease(world, 3.0))
    world.send(lease(world, None, "guard b is halted"))
    assert world.gate == "elsewhere"
    assert [one.reason for one in world.engine.restraints] == ["twin: guard b is halted"]


def test_a_guard_without_leases_is_held_by_one_that_refuses_all_the_same() -> None:
    world = World().start()
    assert world.gate == "open"
    world.send(lease(world, None, "guard b is halted"))
    assert world.gate == "elsewhere"


def test_what_is_allowed_is_told_when_it_begins_and_ends_and_not_with_every_renewal() -> None:
    world = twin_world()
    told = [
        [(record.name, record.fields.get("reason")) for record in world.send(event).records if record.name in OPENING]
        for event in (
            lease(world, 3.0),
            lease(world, 4.0),
            lease(world, None, "no answer"),
            lease(world, None, "still none"),
            lease(world, 5.0),
        )
    ]
    assert told == [
        [(EventName.OPENING_ALLOWED, None)],
        [],
        [(EventName.OPENING_REFUSED, "no answer")],
        [],
        [(EventName.OPENING_ALLOWED, None)],
    ]


def test_a_lease_opens_nothing_that_something_else_holds() -> None:
    world = twin_world()
    world.send(StoreChecked("disk full"))
    world.send(lease(world, 3.0))
    assert world.gate == "locked"


@pytest.mark.parametrize("before", ["active", "disabled"])
def test_another_guards_trip_is_ours_under_its_id(before: str) -> None:
    world = World().start()
    if before == "disabled":
        world.send(DisableRequested(duration_s=600.0, reason="maintenance", operator="anna"))
    decision = world.send(tripped())
    assert world.gate == "capital_loss"
    assert [action.trip_id for action in decision.actions if isinstance(action, StartSweep)] == ["trip-b-1"]
    latches = [action.latch for action in decision.actions if isinstance(action, SaveLatch) and action.latch]
    assert [(latch["trip_id"], latch["breaker"]) for latch in latches] == [("trip-b-1", "guard b")]
    assert "guard b tripped: lost 5 %" in latches[0]["reason"]


def test_a_trip_that_is_known_is_told_in_vain() -> None:
    world = World().start()
    world.send(tripped())
    assert world.send(tripped()).actions == ()


def test_a_trip_that_is_over_here_does_not_begin_anew_not_even_after_a_restart() -> None:
    world = sweeping_world()
    world.send(tripped())
    world.run(5.0)
    world.send(ResetRequested(reason="looked", operator="anna", rebaseline="keep"))
    assert world.engine.trip is None
    world.send(tripped())
    assert world.engine.trip is None
    world.restart()
    world.send(tripped())
    assert world.engine.trip is None
    world.send(tripped("trip-b-2"))
    assert world.engine.trip is not None


def test_a_trip_of_ones_own_answers_for_the_other_guards() -> None:
    world = sweeping_world()
    world.send(HaltRequested("night", "anna"))
    own = world.engine.trip
    world.send(tripped())
    assert world.engine.trip is own
    world.run(5.0)
    world.send(ResetRequested(reason="looked", operator="anna", rebaseline="keep"))
    world.send(tripped())
    assert world.engine.trip is None


@pytest.mark.parametrize("document", [None, [], {}, {"ended": None}, {"ended": "trip-b-1"}, {"ended": [1, None]}])
def test_an_odd_memory_of_what_is_over_ends_no_trip(document: object) -> None:
    world = World().start()
    engine = world.restart().engine
    engine.restore({"trips": document}, world.clock.now())
    world.send(tripped())
    assert engine.trip is not None


# --- peers must have been told ------------------------------------------------------------------------


def told(world: World, trip_id: str | None, locked: bool = True) -> StandingTold:
    return StandingTold(locked=locked, trip_id=trip_id, mono=world.now)


def halted_twin() -> tuple[World, str]:
    """Its sweeps take a second and end with every venue empty."""
    world = twin_world()
    world.sweeps_take_s = 1.0
    world.send(HaltRequested("night", "anna"))
    trip = world.engine.trip
    assert trip is not None
    return world, trip.trip_id


def acts(world: World, kind: type) -> list[object]:
    return [action for decision in world.decisions for action in decision.actions if isinstance(action, kind)]


def test_a_trip_that_the_peers_were_told_of_at_once_ends_with_its_first_proof() -> None:
    world, trip_id = halted_twin()
    world.send(told(world, trip_id))
    world.run(1.5)
    assert [finish.exit_code for finish in acts(world, Finish)] == [1]  # type: ignore[attr-defined]


def test_one_that_they_were_not_told_of_is_not_proven_and_swept_again_when_they_are() -> None:
    world, trip_id = halted_twin()
    world.send(told(world, "another trip"))
    world.run(5.0)
    assert acts(world, Finish) == []
    trip = world.engine.trip
    assert trip is not None
    assert not trip.proven
    assert [r.fields for d in world.decisions for r in d.records if r.name == EventName.PEERS_UNTOLD] == [
        {"trip_id": trip_id}
    ]

    told_mono = world.now
    world.send(told(world, trip_id))
    world.run(0.5)
    first, second = acts(world, StartSweep)
    assert first.locked_mono < second.locked_mono == told_mono  # type: ignore[attr-defined]
    world.run(1.5)
    assert [finish.exit_code for finish in acts(world, Finish)] == [1]  # type: ignore[attr-defined]


def test_what_is_told_again_and_again_was_told_first_at_first() -> None:
    world, trip_id = halted_twin()
    world.send(told(world, trip_id))
    world.run(0.9)
    world.send(told(world, trip_id))
    world.run(0.6)
    assert [finish.exit_code for finish in acts(world, Finish)] == [1]  # type: ignore[attr-defined]


def test_peers_that_are_never_told_end_it_unproven() -> None:
    world, _ = halted_twin()
    world.run(world.settings.cancel_deadline_s + 1.0)
    (finish,) = acts(world, Finish)
    assert (finish.exit_code, finish.reason) == (4, "the peers not told of it by the deadline")  # type: ignore[attr-defined]


def test_a_guard_without_peers_waits_for_nobody() -> None:
    world = sweeping_world()
    world.send(HaltRequested("night", "anna"))
    world.run(1.5)
    assert [finish.exit_code for finish in acts(world, Finish)] == [1]  # type: ignore[attr-defined]


def test_peers_that_can_not_be_told_are_told_of_once() -> None:
    world, trip_id = halted_twin()
    trip = world.engine.trip
    assert trip is not None
    world.run(5.0)
    world.send(SweepFinished(trip_id, True, 0, 0.1))
    assert len(world.records(EventName.PEERS_UNTOLD)) == 1


def frozen_twin() -> World:
    """An hour before its end. Its sweeps take a second and end with every venue empty."""
    rules = (DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.03"), action=Action.FREEZE),)
    world = World(with_(engine_settings(), leases=frozenset({"twin"}), cancel_deadline_s=3_000.0), rules=lambda: rules)
    world.holdings["spot"] = amounts(BTC="0.1")
    world.sweeps_take_s = 1.0
    world.start()
    world.stream_price("BTC/USDT", 46_500)
    world.run(0.5)
    trip = world.engine.trip
    assert trip is not None
    assert trip.is_freeze
    return world


def test_a_freeze_that_peers_can_not_be_told_of_sweeps_in_its_rhythm_and_at_once_when_they_are() -> None:
    world = frozen_twin()
    every_s = world.settings.resweep_every_s
    world.forget()
    world.run(3 * every_s)
    assert 2 <= len(world.actions(StartSweep)) <= 3
    trip = world.engine.trip
    assert trip is not None
    assert not trip.proven
    world.forget()
    world.send(told(world, None))
    world.run(0.5)
    assert len(world.actions(StartSweep)) == 1
    world.run(1.0)
    assert trip.proven
    assert world.records(EventName.PEERS_UNTOLD) == []


# --- who may resume -----------------------------------------------------------------------------------

RESET = ResetRequested(reason="looked", operator="anna", rebaseline="keep")
DISABLE = DisableRequested(duration_s=600.0, reason="maintenance", operator="anna")
RELEASE = ReleaseRequested(reason="looked", operator="anna", bot="grid")
OF_BOT = HaltRequested("odd", "anna", bot="grid")


def board(world: World, **facts: Any) -> BoardSeen:
    """As guard `a` sees it now: nobody opens, guard b is there and holds nothing."""
    said: dict[str, Any] = {
        "name": "a",
        "asked_mono": world.now,
        "until_mono": world.now + 3.4,
        "epoch": 7,
        "words": 90,
        "holder": "",
        "is_told_locked": False,
        "peers": (PeerSeen(name="b", is_heard=True, is_here=True),),
    }
    return BoardSeen(**said | facts)


def asks(world: World, request: Any) -> str | None:
    """None: it is done, and `why_not` said so."""
    foretold = world.engine.why_not(request, world.clock.now())
    answer = world.send(request).answer
    assert answer is not None
    assert answer.accepted is (foretold is None)
    assert answer.accepted or answer.reason == foretold
    return None if answer.accepted else answer.reason


def tripped_twin() -> World:
    """Its trip is proven, and its peers know of it."""
    world, trip_id = halted_twin()
    world.send(told(world, trip_id))
    world.run(1.5)
    return world


REFUSED = [
    (None, "the board was not heard of yet"),
    ({"until_mono": 0.0, "asked_mono": 0.0}, "the board has not answered for"),
    ({"why_not": "another process stands as guard a"}, "another process stands as guard a"),
    ({"holder": "b"}, "guard b has the right to open, epoch 7: ask there"),
]


@pytest.mark.parametrize(("facts", "why"), REFUSED)
@pytest.mark.parametrize("request_of", [DISABLE, RELEASE], ids=["disable", "release"])
def test_nothing_is_loosened_at_a_guard_that_may_not_open(
    facts: dict[str, Any] | None, why: str, request_of: object
) -> None:
    world = twin_world()
    world.send(OF_BOT)
    if facts is not None:
        world.send(board(world, **facts))
    assert why in (asks(world, request_of) or "")
    assert world.engine.halts
    assert world.state == "ACTIVE"


@pytest.mark.parametrize(("facts", "why"), REFUSED)
def test_no_trip_is_over_at_a_guard_that_may_not_open(facts: dict[str, Any] | None, why: str) -> None:
    world = tripped_twin()
    if facts is not None:
        world.send(board(world, **facts))
    assert why in (asks(world, RESET) or "")
    assert world.engine.trip is not None


def test_what_the_board_said_counts_no_longer_than_a_lease() -> None:
    world = tripped_twin()
    world.send(board(world))
    world.run(3.5)
    assert "the board has not answered for 4 s" in (asks(world, RESET) or "")
    world.send(board(world))
    assert asks(world, RESET) is None


@pytest.mark.parametrize("holder", ["", "a"])
def test_who_may_open_resumes_and_its_epoch_is_written_down(holder: str) -> None:
    world = twin_world()
    world.send(OF_BOT)
    world.send(board(world, holder=holder))
    assert asks(world, RELEASE) is None
    assert asks(world, DISABLE) is None
    told_of = world.records(EventName.BREAKER_RESET, EventName.CIRCUIT_BREAKER_DISABLED)
    assert [record.fields["epoch"] for record in told_of] == [7, 7]


def test_a_trip_that_keeps_all_shut_is_over_by_a_reset_whoever_has_the_right_to_open() -> None:
    world = tripped_twin()
    world.send(board(world, holder="b", is_told_locked=True))
    assert asks(world, RESET) is None
    (record,) = world.records(EventName.CIRCUIT_BREAKER_RESET)
    assert record.fields["epoch"] == 7
    assert "guard b has the right to open" in (asks(world, DISABLE) or "")


def test_a_halt_of_everything_that_a_new_machine_starts_with_is_released_whoever_has_the_right_to_open() -> None:
    world = twin_world()
    halted = {"halts": [{"venue": None, "bot": None, "reason": "new machine", "operator": "init", "since_wall": 1.0}]}
    world.engine.restore({"halts": halted}, world.clock.now())
    release = ReleaseRequested(reason="looked", operator="anna")
    world.send(board(world, holder="b"))
    assert "guard b has the right to open" in (asks(world, release) or ""), "before anybody was told that it holds"
    world.send(board(world, holder="b", is_told_locked=True))
    assert asks(world, release) is None
    assert not world.engine.halts


def test_a_veto_of_ones_own_is_no_leave_to_disable_what_gives_it() -> None:
    world = twin_world()
    world.send(board(world, holder="b", is_told_locked=True))
    assert "guard b has the right to open" in (asks(world, DISABLE) or "")


def test_a_reset_says_which_peers_still_hold() -> None:
    world = tripped_twin()
    held = PeerSeen(name="b", is_heard=True, locked=True, cause="manual_halt", reason="night")
    world.send(board(world, peers=(held, PeerSeen(name="c", is_heard=True))))
    answer = world.send(RESET).answer
    assert answer is not None
    assert answer.reason == (
        "reset; baselines: keep. guard b still holds: manual_halt: night. Nothing opens before that ends there too:"
        " reset it there"
    )


def test_a_halt_and_the_end_of_a_disable_ask_nobody() -> None:
    world = twin_world()
    world.send(board(world))
    assert asks(world, DISABLE) is None
    world.send(board(world, holder="b"))
    enabled = world.send(EnableRequested("anna")).answer
    assert enabled is not None
    assert enabled.accepted
    halted = world.send(HaltRequested("night", "anna")).answer
    assert halted is not None
    assert halted.accepted


def test_a_guard_without_peers_asks_nobody_and_writes_no_epoch() -> None:
    world = World().start()
    assert asks(world, DISABLE) is None
    (record,) = world.records(EventName.CIRCUIT_BREAKER_DISABLED)
    assert "epoch" not in record.fields
    assert "board" not in world.engine.snapshot()


def test_the_highest_epoch_is_known_after_a_restart_and_saved_soon() -> None:
    world = twin_world()
    assert world.send(board(world, epoch=7)).persist
    assert not world.send(board(world, epoch=7, words=95)).persist
    world.send(board(world, epoch=2, words=3))
    assert world.engine.outside.snapshot() == {"epoch": 7, "words": 95}
    world.restart()
    assert world.engine.outside.snapshot() == {"epoch": 7, "words": 95}


@pytest.mark.parametrize("document", [None, [], {"epoch": "x", "words": None}, {"epoch": True, "words": -1}])
def test_an_odd_memory_of_the_board_is_none(document: object) -> None:
    engine = twin_world().engine
    engine.outside.restore(document)
    assert engine.outside.snapshot() == {"epoch": 0, "words": 0}
