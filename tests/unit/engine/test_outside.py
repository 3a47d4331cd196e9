"""What lies outside the engine: a right to open that others give, and trips of other guards."""

from __future__ import annotations

import pytest

from risk_daemon.engine.decision import Finish, SaveLatch, StartSweep
from risk_daemon.model.events import (
    DisableRequested,
    EventName,
    HaltRequested,
    LeaseSeen,
    ResetRequested,
    StandingTold,
    StoreChecked,
    TrippedElsewhere,
)
from tests.core_world import World, engine_settings, with_

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
