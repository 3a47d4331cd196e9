"""A freeze: locked and emptied until the day ends, and open again with a new start of day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from risk_daemon.baselines.baselines import BaselineSettings
from risk_daemon.breakers import DailyLossCircuitBreaker
from risk_daemon.breakers.base import Action, BaseCircuitBreaker
from risk_daemon.engine.decision import Finish, SaveLatch, StartSweep
from risk_daemon.engine.engine import EngineSettings
from risk_daemon.errors import ExitCode
from risk_daemon.gate.restraints import OrderRequest
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import EventName, HaltRequested, Order, OrdersSeen, ResetRequested, SweepFinished
from tests.core_world import World, amounts, engine_settings, perp, price, with_

AN_ORDER = Order(venue="spot", scope="plain", order_id="X1", symbol="BTC/USDT", side="buy", order_type="limit")
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC).timestamp()


def zen() -> Sequence[BaseCircuitBreaker]:
    return (DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.03"), action=Action.FREEZE),)


def frozen_world(
    before_midnight_s: float = 10.0,
    settings: EngineSettings | None = None,
    midnight: float = MIDNIGHT,
    *,
    loss: str = "0.035",
    sweeps_take_s: float | None = 3.0,
) -> World:
    """10,000 USDT, half of it BTC; a daily loss of 3.5 % just before midnight."""
    clock = ManualClock(wall=midnight - before_midnight_s - 60.0)
    world = World(settings or engine_settings(), clock, zen)
    world.holdings["spot"] = amounts(BTC="0.1")
    world.sweeps_take_s = sweeps_take_s
    world.start()
    world.run(47.0)
    assert world.gate == "open"
    world.stream_price("BTC/USDT", 50_000 - Decimal(loss) * 100_000)
    world.run(0.2)
    assert world.state == "TRIGGERED"
    return world


def trip_ids(world: World) -> list[str]:
    return [r.fields["trip_id"] for r in world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)]


def test_a_freeze_locks_until_midnight_sweeps_and_stays_up() -> None:
    world = frozen_world(3_600.0)
    assert world.engine.gate.until_wall == MIDNIGHT
    world.run(120.0)
    assert not world.actions(Finish)
    assert len(world.actions(StartSweep)) == 4, "at once, and every 30 s after each"
    assert world.gate == "daily_loss"
    latch = [action.latch for action in world.actions(SaveLatch) if isinstance(action, SaveLatch)][-1]
    assert latch is not None
    assert (latch["is_freeze"], latch["proven"], latch["until_wall"]) == (True, True, MIDNIGHT)
    json.dumps(latch)


def test_it_opens_after_midnight_with_a_new_start_of_day() -> None:
    world = frozen_world()
    world.run(8.0)
    assert world.gate == "daily_loss"
    world.run(10.0)
    assert (world.state, world.gate) == ("WARNING", "open"), "3.5 % of the capital are lost all the same"
    [expired] = world.records(EventName.FREEZE_EXPIRED)
    assert expired.fields["trip_id"] == trip_ids(world)[0]
    assert world.engine.baselines.start_of_day == Decimal("9650")
    assert world.engine.manager.get_status()["daily_loss"] == "NORMAL"


def test_frozen_at_23_59_50_restarted_at_00_00_10_it_opens() -> None:
    world = frozen_world()
    world.run(5.0)
    world.restart(down_s=15.0)
    assert world.gate == "daily_loss"
    assert world.gate == "daily_loss", "not before everything was read"
    world.begin()
    world.run(25.0)
    assert (world.state, world.gate) == ("WARNING", "open"), "3.5 % of the capital are lost all the same"
    assert world.engine.baselines.start_of_day == Decimal("9650")


def test_a_trip_in_the_same_seconds_stays_shut() -> None:
    world = frozen_world(loss="0.051")
    assert world.gate == "capital_loss"
    assert world.engine.gate.until_wall is None
    world.restart(down_s=20.0)
    world.begin()
    world.run(60.0)
    assert world.state == "TRIGGERED"
    assert world.gate == "capital_loss"


def test_a_trip_breach_during_a_freeze_takes_its_place_under_a_new_id() -> None:
    world = frozen_world(3_600.0)
    world.run(20.0)
    world.stream_price("BTC/USDT", 44_000)
    world.run(10.0)
    first, second = trip_ids(world)
    assert first != second
    assert world.gate == "capital_loss"
    assert world.engine.gate.until_wall is None
    [finish] = world.actions(Finish)
    assert isinstance(finish, Finish)
    assert finish.exit_code is ExitCode.TRIGGERED_AND_PROVEN


def test_a_halt_during_a_freeze_takes_its_place() -> None:
    world = frozen_world(3_600.0)
    world.run(20.0)
    world.send(HaltRequested("enough", "anna"))
    assert world.gate == "manual_halt"
    world.run(10.0)
    assert [action.exit_code for action in world.actions(Finish) if isinstance(action, Finish)] == [1]


def test_an_order_that_shows_up_is_swept_at_once() -> None:
    world = frozen_world(3_600.0)
    world.run(5.0)
    before = len(world.actions(StartSweep))
    world.send(OrdersSeen("spot", world.now, (AN_ORDER,)))
    assert len(world.actions(StartSweep)) == before + 1
    assert world.engine.trip is not None
    assert not world.engine.trip.proven, "what is known to be open is not proven gone"


def test_an_order_that_shows_up_when_the_day_is_over_is_swept_before_it_ends() -> None:
    world = frozen_world(120.0)
    world.run(5.0)
    world.dead.add("spot")
    world.run(240.0)
    assert world.gate == "daily_loss", "the day is over, and nothing is sure"
    before = len(world.actions(StartSweep))
    world.sweeps_take_s = None
    world.send(OrdersSeen("perp", world.now, (AN_ORDER,)))
    world.dead.clear()
    world.run(60.0)
    assert world.gate == "daily_loss"
    assert len(world.actions(StartSweep)) > before
    assert world.engine.trip is not None
    world.sweeps_take_s = 3.0
    world.send(SweepFinished(world.engine.trip.trip_id, True, 1, 0.1))
    world.run(5.0)
    assert world.gate == "open"


def test_killed_while_an_order_is_being_swept_it_sweeps_before_it_opens() -> None:
    world = frozen_world()
    world.run(5.0)
    world.sweeps_take_s = None
    world.send(OrdersSeen("perp", world.now, (AN_ORDER,)))
    world.restart(down_s=30.0)
    world.begin()
    world.run(30.0)
    assert world.gate == "daily_loss"
    assert world.actions(StartSweep)


def test_while_it_cannot_be_proven_it_does_not_end_and_exits_4_at_the_deadline() -> None:
    world = frozen_world(30.0, sweeps_take_s=None)
    assert world.engine.trip is not None
    world.send(SweepFinished(world.engine.trip.trip_id, False, 0, 0.1))
    world.run(120.0)
    assert world.gate == "daily_loss"
    world.run(240.0)
    assert [action.exit_code for action in world.actions(Finish) if isinstance(action, Finish)] == [4]


def test_while_the_equity_is_not_sure_it_does_not_end() -> None:
    world = frozen_world(120.0)
    world.dead.add("spot")
    world.run(240.0)
    assert world.gate == "daily_loss", "what is not sure is no new start of day"
    world.dead.clear()
    world.run(40.0)
    assert world.gate == "open"


@pytest.mark.parametrize("seconds", [7_200.0, -7_200.0])
def test_a_jump_of_the_clock_ends_nothing_early(seconds: float) -> None:
    world = frozen_world(300.0)
    world.run(20.0)
    world.clock.jump(seconds)
    world.run(60.0)
    assert world.gate == "daily_loss"
    world.clock.jump(-seconds)
    world.run(400.0)
    assert world.gate == "open"


def test_a_jump_while_it_was_down_ends_nothing_early_on_the_same_boot() -> None:
    world = frozen_world(3_600.0)
    world.run(20.0)
    world.clock.jump(7_200.0)
    world.restart(down_s=5.0)
    world.begin()
    world.run(60.0)
    assert world.gate == "daily_loss"


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_across_both_changes_of_the_clocks(day: datetime) -> None:
    zone = ZoneInfo("Europe/Prague")
    settings = with_(
        engine_settings(),
        baselines=BaselineSettings(initial_capital=Decimal(10_000), reset_at=time(2, 30), timezone=zone.key),
    )
    end = datetime(day.year, day.month, day.day, 1, 0 if day.month == 3 else 30, tzinfo=UTC).timestamp()
    if day.month == 10:
        end -= 3_600.0  # 02:30 comes twice that night; the first one counts
    world = frozen_world(60.0, settings, midnight=end)
    assert world.engine.gate.until_wall == end
    world.run(50.0)
    assert world.gate == "daily_loss"
    world.run(30.0)
    assert world.gate == "open"
    world.run(3_700.0)
    assert world.gate == "open"
    assert len(trip_ids(world)) == 1


def test_a_reset_ends_it_early_and_not_in_the_middle_of_a_sweep() -> None:
    world = frozen_world(3_600.0)
    world.run(4.0)
    world.send(OrdersSeen("spot", world.now, (AN_ORDER,)))
    refused = world.send(ResetRequested("go on", "anna", "current")).answer
    assert refused is not None
    assert not refused.accepted
    world.run(5.0)
    kept = world.send(ResetRequested("go on", "anna", "keep")).answer
    assert kept is not None
    assert "trigger again" in kept.reason
    taken = world.send(ResetRequested("go on", "anna", "current")).answer
    assert taken is not None
    assert taken.accepted
    world.run(30.0)
    assert world.gate == "open"


def test_orders_that_only_reduce_may_pass_when_that_is_set_and_known() -> None:
    settings = with_(engine_settings(), allow_reduce_only=True)
    world = World(settings, ManualClock(wall=MIDNIGHT - 3_600.0), zen)
    world.holdings["spot"] = amounts(BTC="0.1")
    world.positions["perp"] = {"BTC/USDT:USDT": perp("0.1", 50_000)}
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_000)
    world.sweeps_take_s = 3.0
    world.start()
    world.run(20.0)
    world.stream_price("BTC/USDT", 46_500)
    world.run(1.0)
    assert world.gate == "daily_loss"

    def allowed(side: str, quantity: str, *, reduce_only: bool = True) -> bool:
        order = OrderRequest("perp", "BTC/USDT:USDT", side, Decimal(quantity), reduce_only=reduce_only)
        return world.engine.check_order(order, world.clock.now()).allowed

    assert allowed("sell", "0.1")
    assert not allowed("sell", "0.2"), "it would turn the position"
    assert not allowed("buy", "0.1"), "it would make it larger"
    assert not allowed("sell", "0.1", reduce_only=False)
    world.dead.add("perp")
    world.run(60.0)
    assert not allowed("sell", "0.1"), "the position is not known any more"
