"""What holds of every run of the engine, whatever happens in it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from risk_daemon.engine.decision import Decision, SetGate, StartSweep
from risk_daemon.model.events import (
    DisableRequested,
    EnableRequested,
    EventName,
    HaltRequested,
    Kind,
    ResetRequested,
    Started,
    SweepFinished,
    VenueLost,
)
from tests.core_world import World, amounts, perp, price

VENUES = ("spot", "perp")
venues = st.sampled_from(VENUES)

# A flow below a thousandth of the equity asks for no ledger: until the next listing it counts as profit or loss.
SMALL_FLOW = 0.002
btc_prices = st.integers(20_000, 90_000)

steps = st.one_of(
    st.tuples(st.just("run"), st.sampled_from([0.05, 0.3, 3.0, 20.0])),
    st.tuples(st.just("price"), btc_prices, st.booleans()),
    st.tuples(st.just("trade"), venues, st.integers(-50, 50), st.booleans()),
    st.tuples(st.just("fall"), venues, st.integers(1, 3_000)),
    st.tuples(st.just("flow"), venues, st.integers(-3_000, 3_000), st.booleans()),
    st.tuples(st.just("perp"), st.integers(-3, 3)),
    st.tuples(st.just("die"), venues),
    st.tuples(st.just("live"), venues),
    st.tuples(st.just("lost"), venues),
    st.tuples(st.just("jump"), st.sampled_from([-86_400.0 * 40, 86_400.0 * 40, 3_600.0])),
    st.tuples(st.just("ask"), st.sampled_from(["halt", "keep", "current", "disable", "enable", "prove"])),
)
histories = st.lists(steps, min_size=1, max_size=12)


def opened() -> World:
    world = World()
    world.holdings["spot"] = amounts(BTC="0.06", USDT=2_000)
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_000)
    return world.start()


def trade(world: World, venue: str, hundredths: int, paid_first: bool) -> None:
    """Buy or sell BTC at the present price, told in two rows."""
    quantity = Decimal(hundredths) / 1_000
    cost = quantity * world.prices["spot"]["BTC/USDT"].value
    world.move_money(venue, "BTC", quantity)
    world.move_money(venue, "USDT", -cost)
    for asset in ("USDT", "BTC") if paid_first else ("BTC", "USDT"):
        world.tell_balance(venue, asset)
        world.run(0.1)


def flow(world: World, venue: str, amount: int, ledger_first: bool) -> None:
    world.move_money(venue, "USDT", amount)
    world.book_flow(venue, "USDT", amount)
    if ledger_first:
        world.list_flows(venue)
    world.tell_balance(venue, "USDT")


def ask(world: World, what: str) -> None:
    requests: dict[str, Any] = {
        "halt": HaltRequested("r", "op"),
        "keep": ResetRequested("r", "op", "keep"),
        "current": ResetRequested("r", "op", "current"),
        "disable": DisableRequested(10.0, "r", "op"),
        "enable": EnableRequested("op"),
    }
    if what in requests:
        world.send(requests[what])
    elif world.engine.trip is not None:
        world.send(SweepFinished(world.engine.trip.trip_id, True, 0, 0.1))


def do(world: World, step: tuple[Any, ...]) -> None:
    match step:
        case ("run", seconds):
            world.run(seconds)
        case ("price", value, is_true):
            world.stream_price("BTC/USDT", value, is_true=is_true)
            world.stream_price("BTC/USDT:USDT", value, "perp", is_true=is_true)
        case ("trade", venue, hundredths, paid_first):
            trade(world, venue, hundredths, paid_first)
        case ("fall", venue, amount):
            world.move_money(venue, "USDT", -amount)
            world.tell_balance(venue, "USDT")
        case ("flow", venue, amount, ledger_first):
            flow(world, venue, amount, ledger_first)
        case ("perp", quantity):
            world.stream_position("perp", perp(Decimal(quantity) / 100, 50_000))
        case ("die", venue):
            world.dead.add(venue)
        case ("live", venue):
            world.dead.discard(venue)
        case ("lost", venue):
            world.send(VenueLost(venue, "gone", Kind.PRICES))
        case ("jump", seconds):
            world.clock.jump(seconds)
        case ("ask", what):
            ask(world, what)


def check_decisions(decisions: list[Decision]) -> None:
    locked = True
    for decision in decisions:
        is_triggered = decision.after.value == "TRIGGERED"
        if is_triggered:
            assert decision.gate.locked
            assert decision.gate.trip_id is not None
        if decision.before.value == "TRIGGERED" and not is_triggered:
            assert isinstance(decision.event, ResetRequested)
        loss = next(verdict for verdict in decision.verdicts if verdict.breaker == "capital_loss")
        if (loss.breached or loss.suspected) and decision.after.value != "DISABLED":
            assert decision.gate.locked, "the gate is open at a breach"
        moves = [action for action in decision.actions if isinstance(action, SetGate)]
        assert len(moves) <= 1
        if moves:
            assert decision.actions[0] is moves[0]
            locked = moves[0].gate.locked
        assert decision.gate.locked is locked, "the gate moved without an action"
        entered = decision.before.value != "TRIGGERED" and is_triggered
        assert entered is any(isinstance(action, StartSweep) for action in decision.actions) or isinstance(
            decision.event, Started
        )
        for record in decision.records:
            json.dumps(dict(record.fields))


@settings(deadline=None, max_examples=60)
@given(histories)
def test_no_history_leaves_the_gate_open_at_a_breach_or_triggered_without_a_reset(history: list[Any]) -> None:
    world = opened()
    for step in history:
        do(world, step)
        judged = world.engine.judged(world.now)
        assert judged is not None
        assert judged.low <= judged.value <= judged.high
    check_decisions(world.decisions)


@settings(deadline=None, max_examples=25)
@given(histories)
def test_the_same_history_gives_the_same_decisions(history: list[Any]) -> None:
    def run() -> list[Decision]:
        world = opened()
        for step in history:
            do(world, step)
        return world.decisions

    assert run() == run()


def persisted(world: World) -> Any:
    """As it comes back from a file. Blindness is measured anew after a restart."""
    documents = json.loads(json.dumps(world.engine.snapshot()))
    del documents["breakers"]["blind"]
    return documents


@settings(deadline=None, max_examples=40)
@given(histories, st.sampled_from([0.5, 5_000.0]))
def test_a_restart_at_any_moment_brings_everything_back(history: list[Any], down_s: float) -> None:
    world = opened()
    for step in history:
        do(world, step)
    saved = persisted(world)
    trip, state, value = world.engine.trip, world.state, world.engine.portfolio.equity
    world.restart(down_s=down_s)
    assert persisted(world) == saved
    assert abs(world.engine.portfolio.equity - value) < Decimal("0.000001")
    assert (world.engine.trip is None) is (trip is None)
    assert world.state == ("TRIGGERED" if state == "TRIGGERED" else "ACTIVE")
    if trip is not None and world.engine.trip is not None:
        assert world.engine.trip.latch() == trip.latch()
    assert world.gate != "open"
    assert world.send(Started()).gate.locked


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 60),
    st.integers(-40, 40),
    st.lists(st.tuples(st.sampled_from(["die", "live", "lost"]), venues, st.integers(1, 90)), max_size=4),
)
def test_silence_alone_never_trips(btc: int, contracts: int, history: list[tuple[str, str, int]]) -> None:
    world = World()
    world.holdings["spot"] = amounts(BTC=Decimal(btc) / 1_000, USDT=10_000 - 50 * btc)
    world.holdings["perp"] = amounts(USDT=0)
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_000)
    if contracts:
        world.positions["perp"] = {"BTC/USDT:USDT": perp(Decimal(contracts) / 100, 50_000)}
    world.start()
    for step, venue, seconds in history:
        do(world, (step, venue))
        world.run(float(seconds))
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)
    assert not world.records(EventName.BREACH_CONFIRMING)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(48_000, 60_000),
    st.lists(
        st.tuples(venues, st.integers(-4_500, 20_000), st.booleans(), st.sampled_from([0.0, 0.5, 5.0])),
        min_size=1,
        max_size=4,
    ),
)
@example(48_740, [("spot", 16_126, False, 0.0), ("perp", -4_106, True, 0.0), ("spot", -786, False, 0.0)])
@example(52_686, [("perp", 10_201, False, 0.0), ("perp", 2_565, False, 0.0), ("perp", -3_735, False, 0.5)])
@example(48_000, [("spot", 5_528, True, 0.0), ("spot", -4_499, False, 0.0), ("perp", 1_655, True, 0.0)])
def test_flows_move_no_loss_ratio(btc: int, flows: list[tuple[str, int, bool, float]]) -> None:
    world = opened()
    world.stream_price("BTC/USDT", btc)
    world.run(30.0)
    before = ratios(world)
    for venue, amount, ledger_first, pause_s in flows:
        if world.holdings[venue]["USDT"] + amount > 0 and amount:
            flow(world, venue, amount, ledger_first)
            world.run(pause_s)
    world.run(70.0)
    for venue in VENUES:
        world.list_flows(venue)
    world.run(90.0)
    assert ratios(world) == pytest.approx(before, abs=SMALL_FLOW)
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)
    assert world.gate == "open"


def ratios(world: World) -> list[float]:
    equity, baselines = world.engine.portfolio.equity, world.engine.baselines
    found = (baselines.loss_ratio(equity), baselines.drawdown_ratio(equity), baselines.daily_loss_ratio(equity))
    return [round(float(ratio), 9) for ratio in found if ratio is not None]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(venues, st.integers(-40, 40), st.booleans(), st.sampled_from([0.0, 0.3, 4.0])), max_size=12))
def test_trades_told_in_two_rows_trip_nothing(trades: list[tuple[str, int, bool, float]]) -> None:
    world = opened()
    world.stream_price("BTC/USDT", 43_500)
    world.run(5.0)
    world.forget()
    for venue, hundredths, paid_first, pause_s in trades:
        trade(world, venue, hundredths, paid_first)
        world.run(pause_s)
    world.run(70.0)
    assert not world.records(EventName.BREACH_CONFIRMING)
    assert world.gate == "open"
