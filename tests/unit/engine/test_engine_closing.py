"""A trip that closes positions: it ends only when they are, a freeze closes none, and a restart goes on."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.engine.decision import Finish, SaveLatch, StartSweep
from risk_daemon.errors import ExitCode
from risk_daemon.model.events import (
    ClosingFinished,
    EventName,
    HaltRequested,
    PositionClosed,
    ResetRequested,
    Started,
    SweepFinished,
)
from tests.core_world import World, engine_settings
from tests.unit.engine.test_engine_freeze import frozen_world

CLOSING = replace(engine_settings(), close_positions=True)


def tripped(settings: Any = CLOSING) -> World:
    world = World(settings).start()
    world.send(HaltRequested("enough", "anna"))
    return world


def trip_id(world: World) -> str:
    assert world.engine.trip is not None
    return world.engine.trip.trip_id


def swept(world: World, *, proven: bool = True) -> None:
    world.send(SweepFinished(trip_id(world), proven, 0, 0.1))


def closed(world: World, *, flat: bool, trip: str | None = None) -> None:
    world.send(
        ClosingFinished(
            trip_id=trip or trip_id(world),
            flat=flat,
            elapsed_s=1.0,
            reason=None if flat else "market suspended",
            remaining={"BTC": Decimal("1.20")},
        )
    )


def codes(world: World) -> list[ExitCode]:
    return [action.exit_code for action in world.actions(Finish) if isinstance(action, Finish)]


def latched_as_proven(world: World) -> bool:
    last = world.actions(SaveLatch)[-1]
    assert isinstance(last, SaveLatch)
    return last.latch is not None and last.latch["proven"] is True


@pytest.mark.parametrize("closes", [False, True])
def test_the_sweep_is_told_whether_to_close(closes: bool) -> None:
    world = tripped(replace(CLOSING, close_positions=closes))

    assert [action.closes for action in world.actions(StartSweep) if isinstance(action, StartSweep)] == [closes]


def test_cancels_that_are_proven_are_not_the_end() -> None:
    world = tripped()
    swept(world)
    assert codes(world) == []
    assert not latched_as_proven(world), "a kill now must go on"
    refused = world.send(ResetRequested("x", "anna", "keep")).answer
    assert refused is not None
    assert not refused.accepted
    swept(world)
    assert len(world.records(EventName.CLOSING_STARTED)) == 1
    closed(world, flat=True)
    assert codes(world) == [ExitCode.TRIGGERED_AND_PROVEN]
    assert latched_as_proven(world)
    [record] = world.records(EventName.CLOSING_FINISHED)
    assert record.fields["remaining"] == {"BTC": "1.2"}


def test_not_flat_is_4_and_stays_unproven() -> None:
    world = tripped()
    swept(world)
    closed(world, flat=False)
    assert codes(world) == [ExitCode.TRIGGERED_UNPROVEN]
    assert not latched_as_proven(world)


def test_orders_that_are_not_gone_are_4_before_anything_is_closed() -> None:
    world = tripped()
    swept(world, proven=False)
    assert codes(world) == [ExitCode.TRIGGERED_UNPROVEN]
    assert not world.records(EventName.CLOSING_STARTED)


def test_a_closing_that_never_reports_ends_with_4_at_the_deadline() -> None:
    world = tripped()
    swept(world)
    world.run(290.0)
    assert codes(world) == []
    world.run(11.0)
    assert codes(world) == [ExitCode.TRIGGERED_UNPROVEN]


def test_a_position_is_written_down_whoever_closed_it_and_ends_nothing() -> None:
    world = World(CLOSING).start()
    world.send(
        PositionClosed(
            trip_id="by hand", venue="perp", symbol="X", side="short", quantity=Decimal("1.50"), residual=Decimal(0)
        )
    )
    closed(world, flat=True, trip="by hand")
    [record] = world.records(EventName.POSITION_CLOSED)
    told = {"venue": "perp", "symbol": "X", "side": "short", "quantity": "1.5", "residual": "0"}
    assert record.fields == {"trip_id": "by hand", **told}
    assert codes(world) == []
    assert world.gate == "open"


@pytest.mark.parametrize("trip", ["by hand", "trip-of-yesterday"])
def test_another_closing_proves_nothing_of_this_trip(trip: str) -> None:
    world = tripped()
    swept(world)
    closed(world, flat=True, trip=trip)
    assert codes(world) == []
    assert not latched_as_proven(world)


def test_a_freeze_closes_nothing() -> None:
    world = frozen_world(3_600.0, CLOSING)
    assert {action.closes for action in world.actions(StartSweep) if isinstance(action, StartSweep)} == {False}


def test_a_restart_goes_on_and_sweeps_before_it_closes() -> None:
    world = tripped()
    swept(world)
    world.restart()
    world.send(Started())
    [again] = world.actions(StartSweep)
    assert isinstance(again, StartSweep)
    assert again.closes
    swept(world)
    assert codes(world) == []
    closed(world, flat=True)
    assert codes(world) == [ExitCode.TRIGGERED_AND_PROVEN]


@pytest.mark.parametrize("is_freeze", [None, "no", 0])
def test_what_may_have_been_a_freeze_is_swept_and_closes_nothing(is_freeze: object) -> None:
    world = World(CLOSING)
    latch = {"trip_id": "t-1", "breaker": "capital_loss", "reason": "r", "since_wall": 1.0, "proven": False}
    world.engine.restore({"latch": {**latch, "is_freeze": is_freeze}}, world.clock.now())
    world.send(Started())
    [sweep] = world.actions(StartSweep)
    assert isinstance(sweep, StartSweep)
    assert not sweep.closes
