"""The engine as a whole: starting, losses, breaches, people, time."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from decimal import Decimal
from itertools import pairwise

import pytest

from risk_daemon.breakers.blind import BlindSettings
from risk_daemon.engine.decision import Finish, ReadNow, SaveLatch, SetGate, StartSweep
from risk_daemon.errors import ExitCode
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    BalancesSeen,
    DisableRequested,
    EnableRequested,
    EventName,
    HaltRequested,
    Kind,
    Noted,
    PricesSeen,
    ResetRequested,
    RiskEvent,
    Source,
    Started,
    StoreChecked,
    StreamConfirmed,
    SweepFinished,
    Tick,
    VenueConnected,
    VenueLost,
    VenueProven,
    VenueSwept,
    VenueUnproven,
)
from tests.core_world import SPOT, World, amounts, engine_settings, perp, price, with_

FALL_IS_FINAL_S = 62.5


def btc_world(btc: object = "0.1", **settings: object) -> World:
    """5,000 USDT on `perp`, 5,000 USDT worth of BTC on `spot`."""
    world = World(with_(engine_settings(), **settings) if settings else None)
    world.holdings["spot"] = amounts(BTC=btc)
    return world.start()


# --- starting ------------------------------------------------------------------------------------------


def test_the_gate_is_shut_until_everything_expected_was_read() -> None:
    world = World()
    world.send(Started())
    assert world.gate == "starting"
    world.read("spot", Kind.BALANCES)
    world.read("spot", Kind.PRICES)
    world.read("perp", Kind.BALANCES)
    assert world.gate == "starting"
    assert not world.engine.is_started
    world.read("perp", Kind.POSITIONS)
    assert world.engine.is_started
    assert world.gate == "open"


def test_holdings_of_two_venues_in_one_asset_add_up() -> None:
    world = World().start()
    assert world.engine.portfolio.equity == 10_000
    world.stream_balances("spot", USDT=4_000)
    assert world.engine.portfolio.equity == 9_000


def test_a_venue_that_was_never_seen_keeps_the_gate_shut() -> None:
    world = World()
    world.dead.add("perp")
    world.begin()
    world.run(120.0)
    assert world.gate == "starting"
    assert world.state == "ACTIVE"
    assert world.engine.judged(world.now) is None


def test_an_asset_without_a_price_at_the_start_keeps_the_gate_shut_until_it_has_one() -> None:
    world = World()
    world.holdings["spot"] = amounts(USDT=5_000, NEWT=10)
    world.start()
    assert world.gate == "starting"
    assert "price of NEWT" in world.engine.portfolio.missing()
    world.stream_price("NEWT/USDT", 1, "spot")
    assert world.gate == "open"


def test_auto_capital_is_the_first_baseline_and_the_gate_waits_for_it() -> None:
    world = World(engine_settings(capital=None))
    world.begin()
    assert world.gate == "starting"
    world.run(12.0)
    assert world.gate == "open"
    assert world.engine.baselines.capital == 10_000


def test_an_empty_account_never_becomes_the_baseline() -> None:
    world = World(engine_settings(capital=None))
    world.holdings = {"spot": {}, "perp": {}}
    world.start()
    assert world.gate == "starting"
    assert world.state == "ACTIVE"
    assert world.engine.baselines.capital is None


def test_auto_capital_comes_also_with_many_venues_whose_reads_never_coincide() -> None:
    venues = {f"v{n}": SPOT for n in range(6)}
    world = World(engine_settings(None, venues))
    world.begin()
    world.read_every_s = 1e9
    for n in range(60):
        world.run(2.5)
        world.read(f"v{n % 6}", Kind.BALANCES)
        world.read(f"v{n % 6}", Kind.PRICES)
    assert world.engine.baselines.capital == 30_000
    assert world.gate == "open"


# --- prices --------------------------------------------------------------------------------------------


def test_exactly_at_the_limit_it_trips() -> None:
    world = btc_world()
    world.stream_price("BTC/USDT", 45_001)
    world.run(3.0)
    assert world.state == "WARNING"
    world.stream_price("BTC/USDT", 45_000)
    world.run(3.0)
    assert world.state == "TRIGGERED"
    assert world.loss == 0.05


def test_a_breach_by_price_shuts_the_gate_on_that_tick_and_asks_for_fresh_reads() -> None:
    world = btc_world()
    decision = world.stream_price("BTC/USDT", 44_000, "spot")
    first = decision.actions[0]
    assert isinstance(first, SetGate)
    assert first.gate.cause == "confirming"
    assert world.state == "WARNING"
    assert ReadNow(frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES})) in decision.actions
    assert len(world.records(EventName.BREACH_CONFIRMING)) == 1
    assert not world.actions(SaveLatch)


def test_fresh_reads_that_confirm_trip_before_the_deadline() -> None:
    world = btc_world()
    world.stream_price("BTC/USDT", 44_000)
    world.run(0.2)
    assert world.state == "TRIGGERED"
    assert world.gate == "capital_loss"


def test_without_any_read_the_deadline_trips() -> None:
    world = btc_world()
    world.dead |= {"spot", "perp"}
    world.stream_price("BTC/USDT", 44_000)
    world.run(1.9)
    assert world.state == "WARNING"
    assert world.gate == "confirming"
    world.run(0.15)
    assert world.state == "TRIGGERED"


def test_the_engine_asks_to_be_woken_at_the_deadline() -> None:
    world = btc_world()
    world.dead |= {"spot", "perp"}
    decision = world.stream_price("BTC/USDT", 44_000)
    assert decision.wake_mono is not None
    assert decision.wake_mono <= world.now + 2.0


def test_a_wild_tick_is_disproved_and_the_gate_opens_again() -> None:
    world = btc_world()
    world.stream_price("BTC/USDT", 30_000, is_true=False)
    assert world.gate == "confirming"
    world.run(1.0)
    assert world.gate == "open"
    assert world.state in ("ACTIVE", "WARNING")
    assert len(world.records(EventName.PHANTOM_BREACH)) == 1
    assert not world.actions(StartSweep)
    world.run(3.0)
    assert world.state == "ACTIVE"


def test_a_wild_tick_upwards_never_becomes_a_peak() -> None:
    world = btc_world()
    world.stream_price("BTC/USDT", 90_000, is_true=False)
    world.run(0.5)
    world.stream_price("BTC/USDT", 50_000)
    world.run(60.0)
    assert world.engine.baselines.peak == 10_000


def test_a_lasting_rise_becomes_the_peak() -> None:
    world = btc_world()
    world.stream_price("BTC/USDT", 60_000)
    world.run(60.0)
    assert world.engine.baselines.peak == 11_000


def test_a_second_breach_after_a_long_doubt_is_confirmed_anew() -> None:
    """While the answer is open, the clock of the first suspicion must not let one wild tick trip."""
    world = btc_world()
    world.holdings["perp"] = amounts(USDT=4_000, ALT=1_000)
    world.prices["perp"]["ALT/USDT"] = price("ALT/USDT", 1)
    world.read_all()
    world.run(5.0)
    world.read_every_s = 1.0
    world.run(20.0)
    del world.prices["perp"]["ALT/USDT"]  # one price goes stale: +- 200
    world.stream_price("BTC/USDT", 46_000)
    world.run(40.05)
    world.stream_price("BTC/USDT", 42_000)  # breached whichever way; disproved only in part
    world.stream_price("BTC/USDT", 46_000)
    world.run(30.0)
    assert world.gate in ("confirming", "blind")
    assert world.state == "WARNING"
    world.dead |= {"spot", "perp"}
    world.stream_price("BTC/USDT", 30_000, is_true=False)
    assert world.state == "WARNING", "one tick tripped without being confirmed"
    world.run(2.5)
    assert world.state == "TRIGGERED"


def test_without_confirmation_the_tick_itself_trips() -> None:
    world = btc_world(confirmation={"enabled": False})
    decision = world.stream_price("BTC/USDT", 44_000, "spot")
    assert world.state == "TRIGGERED"
    kinds = [type(action) for action in decision.actions]
    assert kinds[0] is SetGate
    assert StartSweep in kinds
    assert SaveLatch in kinds


def test_legs_priced_from_moments_too_far_apart_are_confirmed_even_so() -> None:
    world = World(with_(engine_settings(), confirmation={"enabled": False}))
    world.holdings["spot"] = amounts(BTC="0.1")
    world.positions["perp"] = {"BTC/USDT:USDT": perp("-0.1", 50_000)}
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_000)
    world.start()
    world.run(6.0)
    world.stream_price("BTC/USDT", 40_000)  # the hedge's mark is still the old one
    assert world.state != "TRIGGERED"
    world.stream_price("BTC/USDT:USDT", 40_000, "perp")
    world.run(3.0)
    assert world.state != "TRIGGERED"
    assert world.gate == "open"


def test_a_price_that_is_no_price_changes_nothing() -> None:
    world = btc_world()
    for value in ("0", "-5"):
        world.stream_price("BTC/USDT", value, is_true=False)
    assert world.engine.portfolio.equity == 10_000
    assert world.gate == "open"


# --- warnings ------------------------------------------------------------------------------------------


def test_warnings_name_their_level_and_clear_only_when_the_worst_case_is_clear() -> None:
    world = btc_world(capital_loss={"warnings": (Decimal("0.02"), Decimal("0.04"))})
    world.stream_price("BTC/USDT", 47_900)
    world.stream_price("BTC/USDT", 45_900)
    levels = [record.fields["warning_threshold"] for record in world.records(EventName.WARNING_TRIGGERED)]
    assert levels == [0.02, 0.04]
    assert world.state == "WARNING"
    world.stream_price("BTC/USDT", 48_500)
    assert world.state == "WARNING"
    world.run(1.5)
    assert world.state == "ACTIVE"
    assert len(world.records(EventName.WARNING_CLEARED)) == 1


def test_no_warning_levels_no_warning() -> None:
    world = btc_world(capital_loss={"warnings": ()})
    world.stream_price("BTC/USDT", 46_000)
    world.run(5.0)
    assert world.state == "ACTIVE"


# --- a missing price -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["paid first", "bought first", "one frame"])
def test_buying_an_asset_without_a_price_trips_nothing_and_is_told(order: str) -> None:
    world = World().start()
    if order == "paid first":
        world.stream_balances("spot", USDT=1_000)
        world.run(0.1)
        world.stream_balances("spot", NEWT=400)
    elif order == "bought first":
        world.stream_balances("spot", NEWT=400)
        world.run(0.1)
        world.stream_balances("spot", USDT=1_000)
    else:
        world.stream_balances("spot", USDT=1_000, NEWT=400)
    world.run(50.0)
    assert world.state != "TRIGGERED"
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)
    updates = world.records(EventName.PORTFOLIO_UPDATE)
    assert any("NEWT" in update.fields["unpriced"] for update in updates)
    assert world.gate != "open", "4,000 of 10,000 USDT are of unknown worth"
    world.stream_price("NEWT/USDT", 10, "spot")
    world.run(15.0)
    assert world.engine.portfolio.equity == 10_000
    assert world.gate == "open"
    assert not world.records(EventName.ASSET_UNPRICED)


def test_what_was_paid_for_an_asset_that_never_gets_a_price_is_lost_after_flow_wait_and_told() -> None:
    world = World().start()
    world.stream_balances("spot", USDT=1_000, NEWT=400)
    world.run(58.0)
    assert world.state != "TRIGGERED"
    world.run(8.0)
    assert world.state == "TRIGGERED"
    assert [record.fields["asset"] for record in world.records(EventName.ASSET_UNPRICED)] == ["NEWT"]


def test_selling_the_unpriced_asset_again_leaves_nothing_behind() -> None:
    world = World().start()
    world.stream_balances("spot", USDT=1_000, NEWT=400)
    world.run(5.0)
    world.stream_balances("spot", USDT=5_000, NEWT=0)
    world.run(5.0)
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert (judged.low, judged.high) == (10_000, 10_000)
    assert world.gate == "open"


def test_what_an_unpriced_asset_cost_hides_no_other_loss() -> None:
    """It widens the interval by its cost once, not twice."""
    world = World()
    world.holdings["perp"] = amounts(USDT=1_000, BTC="0.08")
    world.start()
    world.stream_balances("spot", USDT=4_700, NEWT=400)
    world.run(1.0)
    world.stream_price("BTC/USDT", 39_000)  # 880 lost for certain, 300 more in doubt
    world.run(1.0)
    assert world.state == "TRIGGERED"


def test_a_lost_price_widens_and_never_trips_and_its_return_narrows() -> None:
    world = btc_world()
    world.run(30.0)
    btc = world.prices["spot"].pop("BTC/USDT")
    world.prices["perp"].clear()
    world.run(120.0)
    assert world.state == "ACTIVE"
    assert world.gate == "blind"
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert (judged.low, judged.value, judged.high) == (9_000, 10_000, 11_000)
    world.prices["spot"]["BTC/USDT"] = btc
    world.run(16.0)
    assert world.gate == "open"
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.is_trusted


def test_a_stale_part_does_not_hide_a_breach_elsewhere() -> None:
    world = World()
    world.holdings = {"spot": amounts(BTC="0.19"), "perp": amounts(USDT=500)}
    world.start()
    world.dead.add("perp")
    world.run(60.0)
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.high - judged.low == 200
    world.stream_price("BTC/USDT", 46_500, "spot")
    world.run(3.0)
    assert world.state == "TRIGGERED"


# --- a trade's two rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [("USDT", "BTC"), ("BTC", "USDT")])
def test_two_rows_of_a_large_trade_100_ms_apart_trip_nothing(rows: tuple[str, str]) -> None:
    world = World()
    world.holdings["perp"] = amounts(USDT=4_510)  # 4.9 % lost already
    world.start()
    after = {"USDT": 0, "BTC": "0.1"}
    for row in rows:
        world.stream_balances("spot", **{row: after[row]})
        assert world.gate == "open"
        world.run(0.1)
    world.run(90.0)
    assert world.gate == "open"
    assert not world.records(EventName.BREACH_CONFIRMING)
    assert not world.records(EventName.PHANTOM_BREACH)


@pytest.mark.parametrize("profit_first", [True, False])
@pytest.mark.parametrize("profit", [1_500, -400])
def test_closing_a_perp_whose_rows_come_100_ms_apart_trips_nothing(profit_first: bool, profit: int) -> None:
    world = World()
    world.positions["perp"] = {"BTC/USDT:USDT": perp(1, 50_000)}
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_000 + profit)
    world.start()
    assert world.engine.portfolio.equity == 10_000 + profit
    rows = [
        lambda: world.stream_balances("perp", USDT=5_000 + profit),
        lambda: world.stream_position("perp", perp(0, 50_000)),
    ]
    for tell in rows if profit_first else reversed(rows):
        tell()
        world.run(0.1)
    world.run(90.0)
    assert world.engine.portfolio.equity == 10_000 + profit
    assert not world.records(EventName.BREACH_CONFIRMING)
    assert world.gate == "open"


def test_unrealised_profit_is_counted_once() -> None:
    world = World()
    world.positions["perp"] = {"BTC/USDT:USDT": perp("0.5", 50_000)}
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_500)
    world.start()
    assert world.engine.portfolio.equity == 10_250
    assert world.engine.portfolio.unrealized_pnl() == 250
    assert world.engine.portfolio.venue_equity("perp") == 5_250


# --- old replies ---------------------------------------------------------------------------------------


def test_a_reply_requested_before_a_stream_row_never_overwrites_it() -> None:
    world = World().start()
    old = world.now
    world.run(0.05)
    world.stream_balances("spot", USDT=4_900)
    world.send(BalancesSeen("spot", old, Source.REST, amounts(USDT=5_000), complete=True))
    assert world.engine.portfolio.amounts("spot") == amounts(USDT=4_900)


def test_an_old_price_reply_never_overwrites_a_newer_tick() -> None:
    world = btc_world()
    old = world.now
    world.run(0.05)
    world.stream_price("BTC/USDT", 49_000)
    for venue in ("spot", "perp"):
        world.send(PricesSeen(venue, old, Source.REST, (price("BTC/USDT", 50_000),)))
    assert world.engine.portfolio.equity == 9_900


# --- time ----------------------------------------------------------------------------------------------


def test_an_idle_account_with_reads_is_never_blind_and_never_stale() -> None:
    world = btc_world()
    decisions = world.run(3_600.0)
    assert len(decisions) > 17_000
    assert not world.records(EventName.BLIND_STARTED)
    assert all(not decision.gate.locked for decision in decisions)
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.is_trusted


def test_streams_that_are_alive_keep_what_they_gave_fresh() -> None:
    world = btc_world()
    world.read_every_s = 1e9
    world._next_read = 1e12
    world.stream_price("BTC/USDT", 50_000)
    for _ in range(200):
        world.run(1.0)
        for venue in ("spot", "perp"):
            for kind in (Kind.BALANCES, Kind.POSITIONS, Kind.PRICES):
                world.send(StreamConfirmed(venue, kind, world.now))
    assert world.gate == "open"
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert judged.is_trusted


def test_a_stream_that_is_lost_confirms_nothing_it_gave_before() -> None:
    world = btc_world()
    world._next_read = 1e12
    world.stream_price("BTC/USDT", 50_000)
    for venue in ("spot", "perp"):
        world.send(VenueLost(venue, "gone", Kind.PRICES))
    for _ in range(40):
        world.run(1.0)
        for venue in ("spot", "perp"):
            world.send(StreamConfirmed(venue, Kind.PRICES, world.now))
            world.send(StreamConfirmed(venue, Kind.BALANCES, world.now))
    judged = world.engine.judged(world.now)
    assert judged is not None
    assert not judged.is_trusted


def test_blind_warns_after_10_s_vetoes_after_30_s_and_ends_by_itself() -> None:
    world = World()
    world.holdings["perp"] = amounts(USDT=5_000)
    world.start()
    world.dead.add("perp")
    world.run(30.0)
    while not (judged := world.engine.judged(world.now)) or judged.is_trusted:
        world.run(0.2)
    since = world.now
    world.run(9.0)
    assert not world.records(EventName.BLIND_STARTED)
    world.run(2.0)
    assert len(world.records(EventName.BLIND_STARTED)) == 1
    assert world.gate == "open"
    world.run(since + 29.0 - world.now)
    assert world.gate == "open"
    world.run(2.0)
    assert world.gate == "blind"
    tripped = world.records(EventName.BREAKER_TRIPPED)
    assert [record.fields["breaker"] for record in tripped] == ["blind"]
    assert world.state == "ACTIVE"
    world.dead.clear()
    world.run(16.0)
    assert world.gate == "open"
    assert len(world.records(EventName.BLIND_ENDED)) == 1
    assert [record.fields["breaker"] for record in world.records(EventName.BREAKER_RESET)] == ["blind"]


def test_blindness_shuts_no_gate_while_disabled() -> None:
    world = World().start()
    world.send(DisableRequested(3_600.0, "maintenance", "anna"))
    world.dead.add("perp")
    world.run(120.0)
    assert world.engine.manager.get_status()["blind"] == "TRIPPED"
    assert world.gate == "open"


def test_blind_may_trip_when_it_is_told_to() -> None:
    world = World(with_(engine_settings(), blind=BlindSettings(10.0, 30.0, 60.0)))
    world.start()
    world.dead.add("perp")
    world.run(45.0 + 70.0)
    assert world.state == "TRIGGERED"
    assert world.gate == "blind"
    assert world.engine.trip is not None
    assert world.engine.trip.breaker == "blind"


@pytest.mark.parametrize("days", [40, -40])
def test_a_jump_of_the_wall_clock_forgets_no_peak(days: int) -> None:
    world = btc_world()
    world.stream_price("BTC/USDT", 60_000)
    world.run(60.0)
    world.stream_price("BTC/USDT", 58_000)
    world.run(60.0)
    world.clock.jump(days * 86_400)
    world.run(60.0)
    assert world.engine.baselines.peak == 11_000
    world.clock.jump(-days * 86_400)
    world.run(60.0)
    assert world.engine.baselines.peak == 11_000


def test_a_day_turns_once_and_its_start_is_the_last_equity_before() -> None:
    world = World(clock=ManualClock(wall=1_700_006_400.0 - 120.0))  # two minutes before midnight UTC
    world.holdings["spot"] = amounts(BTC="0.1")
    world.start()
    assert world.engine.baselines.day == "2023-11-14"
    world.stream_price("BTC/USDT", 51_000)
    world.run(180.0)
    assert world.engine.baselines.day == "2023-11-15"
    assert world.engine.baselines.start_of_day == 10_100
    world.stream_price("BTC/USDT", 52_000)
    world.run(30.0)
    world.clock.jump(-120.0)
    world.run(30.0)
    assert world.engine.baselines.day == "2023-11-15"
    assert world.engine.baselines.start_of_day == 10_100
    world.clock.jump(120.0)
    world.run(60.0)
    assert world.engine.baselines.start_of_day == 10_100


# --- the trip and its proof ----------------------------------------------------------------------------


def tripped_world() -> World:
    world = btc_world()
    world.stream_price("BTC/USDT", 40_000)
    world.run(1.0)
    assert world.state == "TRIGGERED"
    return world


def trip_id(world: World) -> str:
    assert world.engine.trip is not None
    return world.engine.trip.trip_id


def prove(world: World) -> None:
    for venue in world.expected:
        world.send(VenueProven(venue, trip_id(world), 3, 0.5))
    world.send(SweepFinished(trip_id(world), True, 6, 0.9))


def test_a_trip_locks_saves_its_latch_and_starts_one_sweep() -> None:
    world = tripped_world()
    [decision] = [d for d in world.decisions if d.before is not d.after and d.after.value == "TRIGGERED"]
    assert isinstance(decision.actions[0], SetGate)
    assert decision.actions[0].gate.trip_id == trip_id(world)
    assert [type(action) for action in decision.actions if not isinstance(action, ReadNow)] == [
        SetGate,
        SaveLatch,
        StartSweep,
    ]
    json.dumps([dict(action.latch or {}) for action in decision.actions if isinstance(action, SaveLatch)])
    world.run(30.0)
    assert len(world.actions(StartSweep)) == 1
    names = [record.name for record in decision.records]
    assert EventName.BREAKER_TRIPPED in names
    assert EventName.CIRCUIT_BREAKER_TRIGGERED in names
    assert EventName.PORTFOLIO_UPDATE in names


def test_a_proven_sweep_ends_with_1() -> None:
    world = tripped_world()
    prove(world)
    [finish] = world.actions(Finish)
    assert isinstance(finish, Finish)
    assert finish.exit_code is ExitCode.TRIGGERED_AND_PROVEN
    latch = world.actions(SaveLatch)[-1]
    assert isinstance(latch, SaveLatch)
    assert latch.latch is not None
    assert latch.latch["proven"] is True


def test_an_unproven_sweep_ends_with_4() -> None:
    world = tripped_world()
    world.send(VenueUnproven("spot", trip_id(world), "no answer"))
    world.send(SweepFinished(trip_id(world), False, 6, 0.9))
    [finish] = world.actions(Finish)
    assert isinstance(finish, Finish)
    assert finish.exit_code is ExitCode.TRIGGERED_UNPROVEN


def test_a_sweep_that_never_reports_ends_with_4_at_the_deadline() -> None:
    world = tripped_world()
    world.run(298.0)
    assert not world.actions(Finish)
    world.run(2.0)
    [finish] = world.actions(Finish)
    assert isinstance(finish, Finish)
    assert finish.exit_code is ExitCode.TRIGGERED_UNPROVEN


def test_reports_of_another_trip_are_not_believed() -> None:
    world = tripped_world()
    world.send(SweepFinished("trip-of-yesterday", True, 0, 0.1))
    assert not world.actions(Finish)
    assert world.engine.trip is not None
    assert not world.engine.trip.proven


def test_nothing_but_a_reset_leaves_triggered() -> None:
    world = tripped_world()
    world.stream_price("BTC/USDT", 80_000)
    world.run(120.0)
    world.send(EnableRequested("op"))
    world.send(DisableRequested(60.0, "why not", "op"))
    world.run(120.0)
    assert world.state == "TRIGGERED"
    assert world.gate == "capital_loss"


# --- people --------------------------------------------------------------------------------------------


def halt(world: World) -> None:
    world.send(HaltRequested("enough", "anna"))


@pytest.mark.parametrize("state", ["starting", "ACTIVE", "WARNING", "confirming", "DISABLED"])
def test_a_halt_trips_in_every_state(state: str) -> None:
    world = World() if state == "starting" else btc_world()
    if state == "WARNING":
        world.stream_price("BTC/USDT", 46_000)
    if state == "confirming":
        world.stream_price("BTC/USDT", 40_000, is_true=False)
    if state == "DISABLED":
        world.send(DisableRequested(60.0, "maintenance", "anna"))
    decision = world.send(HaltRequested("enough", "anna"))
    assert world.state == "TRIGGERED"
    assert world.gate == "manual_halt"
    assert decision.answer is not None
    assert decision.answer.accepted
    assert len(world.actions(StartSweep)) == 1
    [record] = world.records(EventName.MANUAL_HALT)
    assert dict(record.fields) == {"operator": "anna", "reason": "enough"}
    assert world.engine.manager.get_status()["manual"] == "MANUALLY_HALTED"


def test_a_halt_while_triggered_changes_nothing_and_says_so() -> None:
    world = tripped_world()
    before = trip_id(world)
    decision = world.send(HaltRequested("enough", "anna"))
    assert decision.answer is not None
    assert decision.answer.accepted
    assert "already triggered" in decision.answer.reason
    assert trip_id(world) == before
    assert world.gate == "capital_loss"


def reset(world: World, rebaseline: str = "keep") -> tuple[bool, str]:
    answer = world.send(ResetRequested("looked at it", "anna", rebaseline)).answer
    assert answer is not None
    return answer.accepted, answer.reason


def test_a_round_over_an_unproven_venue_is_a_line_that_changes_nothing() -> None:
    world = tripped_world()
    round_ = VenueSwept(
        venue="spot",
        trip_id=trip_id(world),
        rounds=7,
        cancelled=3,
        left=None,
        elapsed_s=15.0,
        reason="spot: no answer within 3 s",
    )
    world.send(round_)
    world.send(replace(round_, trip_id="another"))
    [record] = world.records(EventName.VENUE_SWEPT)
    assert dict(record.fields) == asdict(round_)
    assert world.state == "TRIGGERED"


def test_a_reset_is_refused_before_the_proof() -> None:
    world = tripped_world()
    accepted, reason = reset(world, "current")
    assert not accepted
    assert "proven" in reason
    assert world.state == "TRIGGERED"


def test_a_reset_of_one_trip_is_none_of_another() -> None:
    """Whoever agreed to it had seen that one."""
    world = tripped_world()
    prove(world)
    world.stream_price("BTC/USDT", 46_000)
    other = ResetRequested("looked at it", "anna", "current", trip_id="another")
    answer = world.send(other).answer
    assert answer is not None
    assert not answer.accepted
    assert "another trip than another" in answer.reason
    assert world.engine.why_not(other, world.clock.now()) == answer.reason
    fitting = ResetRequested("looked at it", "anna", "current", trip_id=trip_id(world))
    assert world.engine.why_not(fitting, world.clock.now()) is None
    assert world.state == "TRIGGERED", "asking resets nothing"
    answer = world.send(fitting).answer
    assert answer is not None
    assert answer.accepted


def test_what_happens_beside_the_engine_is_written_down_with_the_rest() -> None:
    world = tripped_world()
    world.send(Noted(RiskEvent(EventName.OVERRIDE_REFUSED, {"who": "alice", "why": "wrong"})))
    [record] = world.records(EventName.OVERRIDE_REFUSED)
    assert dict(record.fields) == {"who": "alice", "why": "wrong"}
    assert world.state == "TRIGGERED"


def test_a_reset_that_keeps_the_baselines_is_refused_if_it_would_breach_at_once() -> None:
    world = tripped_world()
    prove(world)
    refused, why = reset(world)
    assert not refused
    assert why.startswith("with the kept baselines it would trigger again at once: capital_loss would trip (")
    world.stream_price("BTC/USDT", 46_000)
    assert reset(world) == (True, "reset; baselines: keep")
    assert world.state == "WARNING", "4 % are lost: the next look warns"
    assert world.gate == "open"
    latch = world.actions(SaveLatch)[-1]
    assert isinstance(latch, SaveLatch)
    assert latch.latch is None


def test_a_reset_that_keeps_is_refused_while_the_worst_case_would_breach() -> None:
    world = tripped_world()
    prove(world)
    world.stream_price("BTC/USDT", 46_000)
    world.dead |= {"spot", "perp"}
    world.run(60.0)
    refused, why = reset(world)
    assert not refused
    assert "capital_loss may have to trip, too little is known" in why


def test_a_reset_with_current_takes_a_new_baseline_and_waits_for_it() -> None:
    world = tripped_world()
    prove(world)
    assert reset(world, "current")[0]
    assert world.state == "ACTIVE"
    assert world.gate == "starting"
    world.run(30.0)
    assert world.gate == "open"
    assert world.engine.baselines.capital == 9_000
    assert world.engine.baselines.peak == 9_000
    assert world.engine.baselines.start_of_day == 9_000
    assert world.loss == 0.0


def test_a_reset_with_current_does_not_trip_on_the_old_baseline_while_it_waits() -> None:
    world = tripped_world()
    prove(world)
    world.dead |= {"spot", "perp"}
    world.run(60.0)
    world.forget()
    assert reset(world, "current")[0]
    world.run(60.0)
    assert world.state == "ACTIVE"
    assert world.gate in ("starting", "blind")
    world.dead.clear()
    world.run(40.0)
    assert world.gate == "open"
    assert world.engine.baselines.capital == 9_000


def test_after_a_reset_a_second_trip_ends_like_the_first() -> None:
    world = tripped_world()
    prove(world)
    reset(world, "current")
    world.run(30.0)
    world.forget()
    world.stream_price("BTC/USDT", 30_000)
    world.run(1.0)
    assert world.state == "TRIGGERED"
    prove(world)
    assert len(world.actions(Finish)) == 1


@pytest.mark.parametrize("state", ["ACTIVE", "DISABLED"])
def test_there_is_nothing_to_reset_while_not_triggered(state: str) -> None:
    world = World().start()
    if state == "DISABLED":
        world.send(DisableRequested(60.0, "maintenance", "anna"))
    assert not reset(world)[0]
    assert not reset(world, "current")[0]


def test_an_unknown_way_of_resetting_is_refused() -> None:
    world = tripped_world()
    prove(world)
    assert not reset(world, "whatever")[0]
    assert world.state == "TRIGGERED"


def test_disabled_watches_tells_and_ends_by_its_time() -> None:
    world = btc_world()
    world.send(DisableRequested(60.0, "maintenance", "anna"))
    assert world.state == "DISABLED"
    world.stream_price("BTC/USDT", 40_000)
    world.run(10.0)
    assert world.state == "DISABLED"
    assert world.gate == "open"
    assert len(world.records(EventName.WOULD_HAVE_TRIGGERED)) == 1
    world.run(49.0)
    assert world.state == "DISABLED"
    world.run(1.5)
    assert len(world.records(EventName.CIRCUIT_BREAKER_ENABLED)) == 1
    world.run(2.0)
    assert world.state == "TRIGGERED"


def test_enabled_again_by_hand() -> None:
    world = btc_world()
    world.send(DisableRequested(60.0, "maintenance", "anna"))
    answer = world.send(EnableRequested("anna")).answer
    assert answer is not None
    assert answer.accepted
    assert world.state == "ACTIVE"
    world.run(120.0)
    assert len(world.records(EventName.CIRCUIT_BREAKER_ENABLED)) == 1


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0.0, -5.0])
def test_a_disable_needs_a_real_time(seconds: float) -> None:
    world = World().start()
    answer = world.send(DisableRequested(seconds, "forever", "anna")).answer
    assert answer is not None
    assert not answer.accepted
    assert world.state == "ACTIVE"


def test_disable_and_enable_are_refused_while_triggered() -> None:
    world = tripped_world()
    for event in (DisableRequested(60.0, "x", "anna"), EnableRequested("anna")):
        answer = world.send(event).answer
        assert answer is not None
        assert not answer.accepted


def test_a_gate_that_was_confirming_opens_when_it_is_disabled() -> None:
    world = btc_world()
    world.dead |= {"spot", "perp"}
    world.stream_price("BTC/USDT", 40_000)
    assert world.gate == "confirming"
    world.send(DisableRequested(60.0, "maintenance", "anna"))
    assert world.gate == "open"


# --- connections ---------------------------------------------------------------------------------------


def test_an_outage_is_told_once_and_its_end_too() -> None:
    world = World().start()
    world.forget()
    for _ in range(3):
        world.send(VenueLost("spot", "no answer"))
    assert len(world.records(EventName.VENUE_LOST)) == 1
    assert world.engine.connected["spot"] is False
    world.send(VenueConnected("spot"))
    world.send(VenueConnected("spot"))
    assert len(world.records(EventName.VENUE_CONNECTED)) == 1
    world.send(VenueLost("spot", "no answer"))
    assert len(world.records(EventName.VENUE_LOST)) == 2


# --- the decision --------------------------------------------------------------------------------------


def test_updates_are_told_once_a_second_at_most_and_only_when_something_changed() -> None:
    world = btc_world()
    world.forget()
    world.run(60.0)
    assert not world.records(EventName.PORTFOLIO_UPDATE)
    times = []
    for n in range(100):
        decision = world.stream_price("BTC/USDT", 50_000 + n, "spot")
        times += [world.now for record in decision.records if record.name is EventName.PORTFOLIO_UPDATE]
        world.clock.advance(0.05)
    assert len(times) >= 4
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


def test_every_record_can_be_written_as_json() -> None:
    world = tripped_world()
    prove(world)
    for decision in world.decisions:
        for record in decision.records:
            json.dumps(dict(record.fields))


def test_sequence_numbers_rise_by_one() -> None:
    world = World().start()
    assert [decision.seq for decision in world.decisions] == list(range(1, len(world.decisions) + 1))
    assert world.engine.seq == len(world.decisions)


def test_a_tick_without_news_does_nothing() -> None:
    world = World().start()
    world.run(1.0)
    decision = world.send(Tick())
    assert decision.actions == ()
    assert decision.records == ()
    assert not decision.persist


def test_a_state_that_can_not_be_saved_is_told_when_it_begins_and_when_it_ends() -> None:
    world = btc_world()
    told = [
        [record.name for record in world.send(StoreChecked(error)).records if "store" in record.name]
        for error in (None, "disk full", "disk still full", None, None)
    ]
    assert told == [[], [EventName.STORE_UNWRITABLE], [], [EventName.STORE_WRITABLE], []]
