"""When the guard guards, and how long a first start may look for its baseline."""

from __future__ import annotations

import pytest

from risk_daemon.engine.engine import Engine
from risk_daemon.errors import StartUnavailable
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import HaltRequested
from risk_daemon.runtime.readiness import Readiness
from tests.core_world import SPOT, World, engine_settings, with_


def at(mono: float) -> Instant:
    return Instant(mono, 0.0)


def test_it_is_ready_with_its_baseline_and_stays_so() -> None:
    world = World(engine_settings(venues={"spot": SPOT}))
    readiness = Readiness(world.engine, world.now, None)
    assert not readiness.becomes_ready()
    world.begin()
    assert readiness.becomes_ready()
    assert readiness.is_ready
    assert not readiness.becomes_ready(), "told once"


def test_a_trip_that_is_being_finished_is_ready_without_one() -> None:
    world = World(engine_settings(venues={"spot": SPOT}))
    world.send(HaltRequested("drill", "anna"))
    assert Readiness(world.engine, world.now, None).becomes_ready()


def test_a_first_start_gives_up_and_names_what_is_missing() -> None:
    settings = with_(engine_settings(venues={"spot": SPOT}), baselines={"peak_hold_s": 10.0})
    readiness = Readiness(Engine(settings), 100.0, gives_up_after_s=60.0)
    readiness.give_up_if_late(at(189.9))
    with pytest.raises(StartUnavailable, match="still missing spot balances"):
        readiness.give_up_if_late(at(190.0))


def test_no_other_start_gives_up_nor_one_that_is_ready() -> None:
    world = World(engine_settings(venues={"spot": SPOT}))
    Readiness(world.engine, 0.0, None).give_up_if_late(at(1e9))
    world.begin()
    readiness = Readiness(world.engine, 0.0, 60.0)
    assert readiness.becomes_ready()
    readiness.give_up_if_late(at(1e9))
    assert readiness.is_ready
