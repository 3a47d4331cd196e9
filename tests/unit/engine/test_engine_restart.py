"""What survives kill -9, and how a run goes on where the last one stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from risk_daemon.engine.decision import Finish, StartSweep
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import ExitCode
from risk_daemon.model.events import (
    DisableRequested,
    EventName,
    HaltRequested,
    Kind,
    ResetRequested,
    Started,
    SweepFinished,
)
from tests.core_world import World, amounts, engine_settings, perp, price


def busy_world() -> World:
    """BTC, a perp position with profit, 3 % down from a peak."""
    world = World()
    world.holdings["spot"] = amounts(BTC="0.1", USDT=100)
    world.positions["perp"] = {"BTC/USDT:USDT": perp("0.01", 50_000)}
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 51_000)
    world.start()
    world.stream_price("BTC/USDT", 52_000)
    world.run(60.0)
    world.stream_price("BTC/USDT", 49_000)
    world.run(60.0)
    return world


def documents(world: World) -> dict[str, Any]:
    return json.loads(json.dumps(world.engine.snapshot()))  # type: ignore[no-any-return]


def test_what_was_persisted_comes_back_as_it_was() -> None:
    world = busy_world()
    saved = documents(world)
    world.restart()
    assert documents(world) == saved
    assert world.engine.portfolio.equity == 10_010
    assert world.engine.baselines.peak == 10_310


def test_after_a_restart_everything_is_doubtful_until_it_is_read_and_the_gate_stays_shut() -> None:
    world = busy_world().restart()
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.low < judged.value < judged.high
    assert not world.engine.is_started
    world.send(Started())
    assert world.gate == "starting"
    world.read_all()
    assert world.engine.is_started
    assert world.gate == "open"
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.is_trusted


def test_prices_of_the_last_run_don_t_open_the_gate() -> None:
    world = busy_world().restart()
    world.send(Started())
    for venue in world.expected:
        world.read(venue, Kind.BALANCES)
        world.read(venue, Kind.POSITIONS)
    assert not world.engine.is_started
    assert "fresh price of BTC" in world.engine.portfolio.unconfirmed()
    for venue in world.expected:
        world.read(venue, Kind.PRICES)
    assert world.engine.is_started


def test_an_ancient_price_never_comes_back_when_the_present_one_goes_stale() -> None:
    world = busy_world().restart(down_s=86_400.0)
    for venue in world.expected:
        world.prices[venue] = {"BTC/USDC": price("BTC/USDC", 30_000), "USDC/USDT": price("USDC/USDT", 1)}
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 30_000)
    world.begin()
    assert world.engine.portfolio.rate("BTC") == 30_000
    world.dead |= {"spot", "perp"}
    world.run(120.0)
    assert world.engine.portfolio.rate("BTC") == 30_000


def test_a_crash_while_we_were_down_trips_at_the_start() -> None:
    world = busy_world()
    world.run(1.0)
    world.restart(down_s=600.0)
    world.prices["spot"]["BTC/USDT"] = price("BTC/USDT", 30_000)
    world.prices["perp"]["BTC/USDT"] = price("BTC/USDT", 30_000)
    world.begin()
    world.run(3.0)
    assert world.state == "TRIGGERED"


def test_a_crash_trips_though_one_venue_does_not_answer_at_the_start() -> None:
    world = World()
    world.holdings = {"spot": amounts(BTC="0.16"), "perp": amounts(USDT=2_000)}
    world.start().restart(down_s=600.0)
    world.dead.add("perp")
    world.prices["spot"]["BTC/USDT"] = price("BTC/USDT", 40_000)
    world.begin()
    world.run(3.0)
    assert world.state == "TRIGGERED", "8,400 +- 400 of 10,000 are left, whichever way the dead venue falls"


def test_a_dead_venue_at_the_start_alone_never_trips() -> None:
    world = busy_world().restart()
    world.dead.add("perp")
    world.begin()
    world.run(180.0)
    assert world.state in ("ACTIVE", "WARNING")
    assert world.gate in ("starting", "blind")


def test_an_asset_that_lost_its_price_before_the_restart_does_not_stop_the_judging() -> None:
    world = World()
    world.holdings["perp"] = amounts(BTC="0.1")
    world.start()
    world.stream_balances("spot", USDT=4_800, NEWT=20)
    world.run(30.0)
    world.restart()
    world.begin()
    world.run(10.0)
    assert world.gate == "starting"
    assert world.state == "ACTIVE"
    world.stream_price("BTC/USDT", 40_000)
    world.run(3.0)
    assert world.state == "TRIGGERED", "800 to 1,000 of 10,000 are lost"


# --- the latch -----------------------------------------------------------------------------------------


def test_an_unproven_trip_goes_on_under_the_same_id() -> None:
    world = busy_world()
    world.send(HaltRequested("enough", "anna"))
    assert world.engine.trip is not None
    trip_id = world.engine.trip.trip_id
    world.restart(down_s=1_000.0)
    decision = world.send(Started())
    assert decision.gate.cause == "manual_halt"
    assert decision.gate.trip_id == trip_id
    assert StartSweep(trip_id, locked_mono=world.now, deadline_mono=world.now + 300.0) in decision.actions
    assert not world.actions(Finish)
    [record] = world.records(EventName.SWEEP_STARTED)
    assert record.fields["resumed"] is True
    world.run(250.0)
    assert not world.actions(Finish), "the deadline runs anew"
    world.run(60.0)
    [finish] = world.actions(Finish)
    assert isinstance(finish, Finish)
    assert finish.exit_code is ExitCode.TRIGGERED_UNPROVEN


def test_a_proven_trip_ends_with_1_and_sweeps_nothing() -> None:
    world = busy_world()
    world.send(HaltRequested("enough", "anna"))
    assert world.engine.trip is not None
    world.send(SweepFinished(world.engine.trip.trip_id, True, 0, 0.1))
    world.restart()
    decision = world.send(Started())
    assert not world.actions(StartSweep)
    assert [action.exit_code for action in decision.actions if isinstance(action, Finish)] == [
        ExitCode.TRIGGERED_AND_PROVEN
    ]
    assert world.gate == "manual_halt"


def test_a_latch_alone_locks() -> None:
    world = World()
    latch = {"trip_id": "t-1", "breaker": "capital_loss", "reason": "r", "since_wall": 1.0, "proven": "yes"}
    world.engine.restore({"latch": latch}, world.clock.now())
    assert world.state == "TRIGGERED"
    world.send(Started())
    assert world.gate == "capital_loss"
    assert len(world.actions(StartSweep)) == 1, "proven is what says True, and nothing else"


def test_a_reset_after_a_restart_resets_the_breakers_too() -> None:
    world = busy_world()
    world.send(HaltRequested("enough", "anna"))
    assert world.engine.trip is not None
    world.send(SweepFinished(world.engine.trip.trip_id, True, 0, 0.1))
    world.restart()
    world.begin()
    answer = world.send(ResetRequested("fine", "anna", "keep")).answer
    assert answer is not None
    assert answer.accepted
    assert world.state == "ACTIVE"
    assert world.engine.manager.get_status()["manual"] == "NORMAL"
    assert world.gate == "open"


def test_a_reset_with_current_that_was_persisted_before_the_new_baseline_came() -> None:
    world = busy_world()
    world.stream_price("BTC/USDT", 30_000)
    world.run(3.0)
    assert world.engine.trip is not None
    world.send(SweepFinished(world.engine.trip.trip_id, True, 0, 0.1))
    answer = world.send(ResetRequested("fine", "anna", "current")).answer
    assert answer is not None
    assert answer.accepted
    world.restart()
    world.begin()
    assert world.gate == "starting"
    world.run(20.0)
    assert world.state == "ACTIVE"
    assert world.gate == "open"
    assert world.engine.baselines.capital == world.engine.portfolio.equity


def test_disabled_does_not_survive() -> None:
    world = busy_world()
    world.send(DisableRequested(3_600.0, "maintenance", "anna"))
    assert world.state == "DISABLED"
    world.restart()
    assert world.state == "ACTIVE"


# --- flows and restarts --------------------------------------------------------------------------------


def loss(world: World) -> float:
    equity = world.engine.portfolio.equity
    ratio = world.engine.baselines.loss_ratio(equity)
    assert ratio is not None
    return round(float(ratio), 9)


@pytest.mark.parametrize("amount", [-2_500, 5_000])
@pytest.mark.parametrize("down_s", [5.0, 3_600.0])
@pytest.mark.parametrize("listing_first", [True, False])
def test_a_flow_while_we_were_down_moves_no_loss_ratio(amount: int, down_s: float, listing_first: bool) -> None:
    world = busy_world()
    before = loss(world)
    world.restart(down_s=down_s / 2)
    world.move_money("perp", "USDT", amount)
    world.book_flow("perp", "USDT", amount)
    world.clock.advance(down_s / 2)
    world.send(Started())
    if listing_first:
        world.list_flows("perp")
        world.run(0.5)
    world.begin()
    world.run(90.0)
    assert loss(world) == before
    assert world.gate == "open"
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)


def test_a_withdrawal_whose_balance_was_seen_before_the_restart_and_its_row_after_it() -> None:
    world = busy_world()
    before = loss(world)
    world.ledger_dead.add("perp")
    world.move_money("perp", "USDT", -2_500)
    world.book_flow("perp", "USDT", -2_500)
    world.tell_balance("perp", "USDT")
    world.run(5.0)
    assert world.gate == "confirming"
    world.restart()
    world.ledger_dead.clear()
    world.begin()
    world.run(90.0)
    assert loss(world) == before
    assert world.gate == "open"
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)


@pytest.mark.parametrize("age_s", [0.0, 600.0])
def test_a_row_that_was_seen_before_the_restart_and_its_balance_after_it(age_s: float) -> None:
    world = busy_world()
    before = loss(world)
    world.book_flow("perp", "USDT", -2_500)
    world.list_flows("perp")
    world.run(1.0)
    assert not world.records(EventName.FLOW_DETECTED)
    world.restart(down_s=1.0 + age_s)
    world.move_money("perp", "USDT", -2_500)
    world.begin()
    world.run(90.0)
    assert loss(world) == before
    assert world.gate == "open"
    assert len(world.records(EventName.FLOW_DETECTED)) == 1


def test_a_row_that_counted_before_the_restart_counts_no_more_after_it() -> None:
    world = busy_world()
    world.book_flow("perp", "USDT", 1_000)
    world.move_money("perp", "USDT", 1_000)
    world.tell_balance("perp", "USDT")
    world.run(10.0)
    capital = world.engine.baselines.capital
    world.restart()
    world.begin()
    world.run(90.0)
    assert world.engine.baselines.capital == capital
    assert not world.records(EventName.FLOW_DETECTED)


def test_rows_from_before_the_first_start_ever_are_behind_us() -> None:
    world = World()
    world.book_flow("spot", "USDT", 2_000)
    world.start()
    world.run(90.0)
    assert not world.records(EventName.FLOW_DETECTED)
    assert world.engine.baselines.capital == 10_000


def test_the_same_events_give_the_same_decisions() -> None:
    def run() -> list[Any]:
        world = busy_world()
        world.stream_balances("perp", USDT=3_000)
        world.run(10.0)
        return world.decisions

    assert run() == run()


def test_restoring_nothing_is_a_first_start() -> None:
    world = World()
    world.engine.restore({"latch": None}, world.clock.now())
    assert isinstance(world.engine, Engine)
    assert world.engine.judged(world.now) is None
    assert world.state == "ACTIVE"
    assert engine_settings().reference == "USDT"
