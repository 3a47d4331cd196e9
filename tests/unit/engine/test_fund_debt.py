"""The engine as a member's: what its loss is measured from, and code 1 only when the fund was told."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.engine.decision import Finish, ReadNow, SaveLatch
from risk_daemon.engine.engine import Engine
from risk_daemon.fund.membership import FUND
from risk_daemon.model.events import (
    EventName,
    FundBegan,
    FundTold,
    HaltRequested,
    LeaseSeen,
    Order,
    OrdersSeen,
    ReadingsWanted,
    ResetRequested,
    SweepFinished,
    TrippedElsewhere,
)
from tests.core_world import World, engine_settings, with_

SEAT = ("f00d", "b.00000001")
AN_ORDER = Order(venue="spot", scope="plain", order_id="X1", symbol="BTC/USDT", side="buy", order_type="limit")
TRIP = TrippedElsewhere(trip_id="alpha-1", by="fund alpha", cause="fund", reason="a has lost 400")


def member(*, sweeps_take_s: float | None = 1.0) -> World:
    """A guard whose gate waits for the fund's leave, and has it for an hour."""
    world = World(with_(engine_settings(), leases=frozenset({FUND}))).start()
    world.sweeps_take_s = sweeps_take_s
    world.send(LeaseSeen(by=FUND, until_mono=world.now + 3_600))
    assert world.gate == "open"
    return world


def finishes(world: World) -> list[tuple[int, str]]:
    acts = [action for decision in world.decisions for action in decision.actions if isinstance(action, Finish)]
    return [(int(act.exit_code), act.reason) for act in acts]


def records(world: World, name: EventName) -> list[Any]:
    return [record.fields for decision in world.decisions for record in decision.records if record.name is name]


def start_of(world: World) -> Decimal | None:
    return world.engine.baselines.fund.of(*SEAT)


# --- what the loss is measured from --------------------------------------------------------------------


def test_the_start_is_taken_from_readings_that_agree_and_outlives_resets_and_restarts() -> None:
    world = member()
    assert start_of(world) is None
    world.send(FundBegan(*SEAT))
    world.run(12.0)
    assert start_of(world) == 10_000
    world.send(HaltRequested("night", "anna"))
    world.run(2.0)
    world.holdings["spot"]["USDT"] = Decimal(4_900)
    world.send(ResetRequested(reason="looked", operator="anna", rebaseline="current"))
    assert world.engine.trip is None
    world.run(30.0)
    assert world.engine.baselines.start_of_day is not None
    assert start_of(world) == 10_000
    world.restart()
    assert start_of(world) == 10_000
    world.send(FundBegan(*SEAT))
    assert start_of(world) == 10_000


def test_a_flow_moves_it_and_no_loss_is_made_of_one() -> None:
    world = member()
    world.send(FundBegan(*SEAT))
    world.run(12.0)
    world.move_money("spot", "USDT", -1_000)
    world.book_flow("spot", "USDT", -1_000)
    world.tell_balance("spot", "USDT")
    world.list_flows("spot")
    world.run(40.0)
    assert start_of(world) == 9_000


@pytest.mark.parametrize("seen_before_s", [0.0, 3.0, 20.0])
@pytest.mark.parametrize("late_s", [30.0, 65.0, 100.0])
@pytest.mark.parametrize("is_dated_late", [False, True])
def test_what_went_out_before_it_was_taken_and_is_booked_later_hides_no_loss(
    seen_before_s: float, late_s: float, is_dated_late: bool
) -> None:
    world = member()
    world.read_every_s = 3.0
    world.run(20.0)
    world.move_money("spot", "USDT", -1_000)
    world.tell_balance("spot", "USDT")
    if not is_dated_late:
        world.book_flow("spot", "USDT", -1_000)
        world.ledger_dead.add("spot")
    world.run(seen_before_s)
    world.send(FundBegan(*SEAT))
    world.run(late_s)
    if is_dated_late:
        world.book_flow("spot", "USDT", -1_000)
    world.ledger_dead.clear()
    world.list_flows("spot")
    world.run(120.0)
    start, equity = start_of(world), world.engine.judged(world.now)
    assert start is not None
    assert equity is not None
    assert start - equity.high >= 0, "as if so much had been won"


def test_readings_that_are_wanted_are_asked_for_at_once() -> None:
    world = member()
    decision = world.send(ReadingsWanted())
    assert any(isinstance(action, ReadNow) and action.venues is None for action in decision.actions)


# --- the end -------------------------------------------------------------------------------------------


def test_a_trip_of_the_fund_ends_with_code_1_once_everything_is_proven_and_the_ledger_has_it() -> None:
    world = member()
    world.send(TRIP)
    assert world.gate == "fund"
    world.send(FundTold("alpha-1"))
    world.run(1.5)
    assert finishes(world) == [(1, "triggered, every cancel proven")]


def test_untold_it_stays_with_the_gate_shut_says_so_once_and_ends_when_it_is_told() -> None:
    world = member()
    world.send(TRIP)
    world.run(120.0)
    assert finishes(world) == []
    assert world.gate == "fund"
    assert world.engine.trip is not None
    assert world.engine.trip.proven
    assert records(world, EventName.FUND_UNTOLD) == [{"trip_id": "alpha-1"}]
    world.send(FundTold("another trip"))
    assert finishes(world) == []
    world.send(FundTold("alpha-1"))
    assert finishes(world) == [(1, "triggered, every cancel proven")]


def test_an_order_that_shows_up_while_it_waits_takes_the_proof_back_and_is_swept_before_the_end() -> None:
    world = member()
    world.send(TRIP)
    world.run(20.0)
    swept = len(records(world, EventName.SWEEP_STARTED))
    assert swept == 1, "one that is proven is proven"
    world.send(OrdersSeen("spot", world.now, (AN_ORDER,)))
    trip = world.engine.trip
    assert trip is not None
    assert not trip.proven
    assert len(records(world, EventName.SWEEP_STARTED)) == swept + 1
    world.send(FundTold("alpha-1"))
    assert finishes(world) == [], "not before it is proven again"
    world.run(1.5)
    assert finishes(world) == [(1, "triggered, every cancel proven")]


def test_while_it_waits_it_is_swept_every_so_often_and_what_can_not_be_proven_any_more_does_not_end_with_1() -> None:
    world = member()
    world.send(TRIP)
    world.run(32.5)
    assert len(records(world, EventName.SWEEP_STARTED)) == 2
    assert finishes(world) == []
    world.sweeps_take_s = None
    world.run(30.0)
    assert len(records(world, EventName.SWEEP_STARTED)) == 3
    world.send(SweepFinished("alpha-1", False, 1, 2.0))
    assert [code for code, _ in finishes(world)] == [4]
    assert latch_of(world)["proven"] is False


def test_a_sweep_that_never_ends_while_it_waits_ends_the_process_as_unproven() -> None:
    world = member()
    world.send(TRIP)
    world.run(5.0)
    world.sweeps_take_s = None
    world.send(OrdersSeen("spot", world.now, (AN_ORDER,)))
    world.run(305.0)
    assert [code for code, _ in finishes(world)] == [4]


def test_a_trip_of_its_own_waits_too_where_the_fund_tripped_meanwhile_and_is_swept_once() -> None:
    world = member()
    world.send(HaltRequested("night", "anna"))
    world.send(TRIP)
    world.run(5.0)
    assert finishes(world) == []
    world.send(FundTold("alpha-1"))
    assert [code for code, _ in finishes(world)] == [1]


def test_a_trip_of_its_own_alone_waits_for_nobody() -> None:
    world = member()
    world.send(HaltRequested("night", "anna"))
    world.run(1.5)
    assert [code for code, _ in finishes(world)] == [1]


def test_where_nobody_can_tell_it_the_code_is_not_1() -> None:
    world = member()
    world.send(TRIP)
    world.send(FundTold("alpha-1", error="no ledger is configured"))
    world.run(1.5)
    ((code, reason),) = finishes(world)
    assert code == 4
    assert "nobody can tell the fund of its trip: no ledger is configured" in reason


@pytest.mark.parametrize(
    ("document", "is_owed"),
    [
        (None, False),
        ({"row": {"trip": None}}, False),
        ({"row": {"trip": "alpha-1"}}, True),
        ({"row": {"trip": 7}}, True),
        ({"row": []}, True),
        ({}, False),
        ([], True),
    ],
)
def test_after_a_restart_it_is_told_again_by_what_the_document_says(document: object, is_owed: bool) -> None:
    world = member()
    world.send(TRIP)
    world.send(FundTold("alpha-1"))
    world.run(2.0)
    documents = {} if document is None else {FUND: document}
    engine = restarted(world, {**documents, "latch": {**latch_of(world), "cause": "capital_loss"}})
    assert (finishes(world) == []) is is_owed
    trip = engine.debt.trip_id
    if trip is not None:
        world.run(1.0)
        assert records(world, EventName.FUND_UNTOLD) == [], "it has only to be read"
        world.send(FundTold(trip))
    assert [code for code, _ in finishes(world)] == [1]


def test_a_latch_of_the_fund_alone_is_reason_enough_to_tell_it_again() -> None:
    world = member()
    world.send(TRIP)
    world.send(FundTold("alpha-1"))
    world.run(2.0)
    engine = restarted(world, {"latch": latch_of(world)})
    assert engine.debt.trip_id == "alpha-1"
    assert finishes(world) == []


def latch_of(world: World) -> Any:
    latches = [act.latch for decision in world.decisions for act in decision.actions if isinstance(act, SaveLatch)]
    return json.loads(json.dumps(latches[-1]))


def restarted(world: World, documents: dict[str, Any]) -> Engine:
    """With these documents only, and started."""
    engine = world.restart(latch=documents["latch"]).engine
    engine.restore(documents, world.clock.now())
    world.begin()
    return engine


def test_a_reset_while_it_waits_ends_the_waiting() -> None:
    world = member()
    world.send(TRIP)
    world.run(5.0)
    world.send(ResetRequested(reason="looked", operator="anna", rebaseline="keep"))
    assert world.engine.trip is None
    world.send(FundTold("alpha-1"))
    assert finishes(world) == []
