"""The implementation summary, where it is about the running guard: checks, trips, limits that can be added."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.engine_rows import check_rows
from oms import OrderManager
from risk_daemon.app.rules import build_rules
from risk_daemon.breakers import DrawdownCircuitBreaker
from risk_daemon.breakers.base import Action
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.engine.decision import Decision, Finish, ReadNow, SaveLatch, SetGate, StartSweep
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import ExitCode
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    EventName,
    HaltRequested,
    ResetRequested,
    SweepFinished,
    Tick,
    VenueProven,
    VenueUnproven,
)
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.runtime.ports import DaemonSettings, Parts
from risk_daemon.state.event_log import EventLog, verify_log
from risk_daemon.state.store.sqlite import SqliteStore
from risk_daemon.state.worker import inline
from tests.core_world import BTC_PERP, engine_settings, perp, with_
from tests.seeds.common import ask, first, guarded, lose, settings_of, why, with_tables
from tests.simulated.virtual_time import Timeline, VirtualLoop
from tests.virtual import pass_time

DEFAULT = CapitalLossSettings()


def test_002_10_a_look_asks_every_rule() -> None:
    world = guarded(capital_loss=DEFAULT)
    decision = world.send(Tick())
    assert [verdict.breaker for verdict in decision.verdicts] == ["capital_loss", "manual", "blind"]


class Nothing:
    """A gate and a journal that nobody reads."""

    def write(self, record: object, now: object) -> None: ...

    def stamp(self, now: object) -> None: ...

    def look(self, now: object) -> None: ...

    def anchor(self) -> dict[str, object]:
        return {}

    async def append(self, events: object, wall: float, *, durable: bool) -> None: ...


class Nowhere:
    """A world in which nothing happens."""

    def next_due_mono(self) -> float | None:
        return None

    def advance(self) -> None:
        raise AssertionError("nothing is due")


def test_002_10_the_daemon_looks_regularly_though_nothing_happens(tmp_path: Path) -> None:
    """No venue says a word for ten seconds: it looks five times in each."""
    clock, nothing, looked = Timeline(), Nothing(), list[float]()
    loop = VirtualLoop(clock, Nowhere())

    def heard(decision: Decision) -> None:
        if isinstance(decision.event, Tick):
            assert decision.verdicts
            looked.append(decision.now.mono)

    async def guard() -> None:
        store = SqliteStore.open(tmp_path / "state.db", create=True, run=inline)
        engine = Engine(with_(engine_settings(), capital_loss=DEFAULT))
        parts = Parts(engine, Inbox(), {}, {}, OrderManager(clock=clock), store, nothing, [], nothing, clock)
        daemon = Daemon(parts, DaemonSettings(tick_every_s=0.2))
        daemon.subscribe(heard)
        running = asyncio.create_task(daemon.run())
        await pass_time(10.0)
        daemon.stop()
        await running

    loop.run_until_complete(guard())
    loop.close()
    assert len(looked) == pytest.approx(50, abs=2)
    assert max(after - before for before, after in pairwise(looked)) <= 0.25


def test_002_19_the_results_are_in_the_log() -> None:
    world = guarded(capital_loss=DEFAULT)
    world.sweeps_take_s = None
    lose(world, "0.05")
    assert world.engine.trip is not None
    trip_id = world.engine.trip.trip_id
    world.send(VenueUnproven("perp", trip_id, "503"))
    world.send(VenueProven("spot", trip_id, 7, 1.5))
    world.send(SweepFinished(trip_id, True, 9, 4.0))
    told = [first(world, name).fields for name in (EventName.VENUE_UNPROVEN, EventName.VENUE_PROVEN)]
    assert [(fields["venue"], fields["trip_id"]) for fields in told] == [("perp", trip_id), ("spot", trip_id)]
    assert (told[0]["reason"], told[1]["cancelled"]) == ("503", 7)
    finished = first(world, EventName.SWEEP_FINISHED).fields
    assert (finished["proven"], finished["cancelled"]) == (True, 9)


def test_002_24_cancelling_starts_in_the_turn_of_the_trip() -> None:
    world = guarded(capital_loss=DEFAULT, confirmation={"enabled": False})
    decision = world.stream_price("BTC/USDT", 45_000, "spot")
    kinds = [type(action) for action in decision.actions]
    assert kinds[0] is SetGate, "shut first"
    assert StartSweep in kinds
    assert world.state == "TRIGGERED"


def test_002_44_initial_capital_is_remembered() -> None:
    world = guarded(capital_loss=DEFAULT)
    lose(world, "0.02")
    world.restart()
    assert world.engine.baselines.capital == Decimal(10_000)
    world.begin()
    assert world.loss == 0.02


def test_002_46_every_trigger_is_in_a_log_that_shows_changes(tmp_path: Path) -> None:
    world = guarded(DailyLossCircuitBreaker(), capital_loss=DEFAULT)
    lose(world, "0.06")
    log = EventLog.open(tmp_path / "events.jsonl")
    for record in world.records(EventName.BREAKER_TRIPPED, EventName.CIRCUIT_BREAKER_TRIGGERED):
        log.append(record, world.clock.now().wall)
    log.close()
    triggered = first(world, EventName.CIRCUIT_BREAKER_TRIGGERED).fields
    assert {"trip_id", "breaker", "reason", "observed", "limits", "equity", "loss_ratio"} <= triggered.keys()
    assert verify_log(tmp_path / "events.jsonl").ok


def test_002_47_a_reset_names_who_did_it_and_why() -> None:
    world = guarded(capital_loss=DEFAULT)
    world.send(HaltRequested("odd fills", "anna"))
    world.run(5.0)
    answer = world.send(ResetRequested("they were explained", "uid 0", "keep")).answer
    assert answer is not None
    assert answer.accepted
    fields = first(world, EventName.CIRCUIT_BREAKER_RESET).fields
    assert (fields["operator"], fields["reason"]) == ("uid 0", "they were explained")


@pytest.mark.parametrize("value", ["1", "5000", "49999.99", "0.00000001", "1e12"])
def test_002_49_a_crash_or_a_rocket_in_one_tick(value: str) -> None:
    """Half the equity is BTC at 50,000: it may fall to nothing or rise without end."""
    world = guarded(capital_loss=DEFAULT)
    world.stream_price("BTC/USDT", value)
    world.run(1.0)
    is_loss = Decimal(value) <= 45_000
    assert (world.state == "TRIGGERED") is is_loss
    assert (world.gate == "open") is not is_loss


def test_002_52_thresholds_are_configuration(tmp_path: Path) -> None:
    tables = '[circuit_breaker]\nloss_threshold = "8%"\nwarning_threshold = "2%"\n'
    breaker = settings_of(with_tables(tables), tmp_path).circuit_breaker
    assert (breaker.loss_threshold, breaker.warning_levels) == (Decimal("0.08"), (Decimal("0.02"),))


def test_002_53_more_levels_each_told_once(tmp_path: Path) -> None:
    tables = '[circuit_breaker]\nwarnings = ["2%", "4%"]\n'
    levels = settings_of(with_tables(tables), tmp_path).circuit_breaker.warning_levels
    assert levels == (Decimal("0.02"), Decimal("0.03"), Decimal("0.04"))
    world = guarded(capital_loss=CapitalLossSettings(warnings=levels))
    for loss in ("0.021", "0.029", "0.031", "0.042"):
        lose(world, loss)
    told = [record.fields["warning_threshold"] for record in world.records(EventName.WARNING_TRIGGERED)]
    assert told == [0.02, 0.03, 0.04]
    assert world.state == "WARNING"


def test_002_54_a_limit_for_each_venue() -> None:
    world = guarded(VenueLossCircuitBreaker(max_venue_loss_pct=Decimal("0.10")))
    world.run(700.0)
    lose(world, "0.049")
    assert world.gate == "open", "9.8 % of the 5,000 on that venue"
    lose(world, "0.05")
    assert world.gate == "venue_loss"
    assert first(world, EventName.BREAKER_TRIPPED).fields["observed"]["venue"] == "spot"


@pytest.mark.parametrize("rule", [DailyLossCircuitBreaker, WeeklyLossCircuitBreaker])
def test_002_55_a_limit_a_day_and_a_week(rule: type[DailyLossCircuitBreaker | WeeklyLossCircuitBreaker]) -> None:
    world = guarded(rule(Decimal(400), action=Action.VETO))
    lose(world, "0.0399")
    assert world.gate == "open"
    lose(world, "0.04")
    assert world.gate == ("daily_loss" if rule is DailyLossCircuitBreaker else "weekly_loss")


def test_002_59_what_a_check_costs_is_measured() -> None:
    """In milliseconds, for the daemon and for a program. How many depends on the machine, so no test is timed."""
    daemon_s, program_s = check_rows()
    for row in (daemon_s, program_s):
        assert row.unit == "ms"
        assert 0 < row.measured < 1_000


FRIDAY, SUNDAY = (datetime(2026, 11, day, 23, 58, 30, tzinfo=UTC).timestamp() for day in (20, 22))


@pytest.mark.parametrize(
    ("began", "rule", "gate"),
    [
        (FRIDAY, DailyLossCircuitBreaker, "open"),
        (FRIDAY, WeeklyLossCircuitBreaker, "weekly_loss"),
        (SUNDAY, DailyLossCircuitBreaker, "open"),
        (SUNDAY, WeeklyLossCircuitBreaker, "open"),
    ],
)
def test_002_55_a_day_is_a_day_and_a_week_a_week(
    began: float, rule: type[DailyLossCircuitBreaker | WeeklyLossCircuitBreaker], gate: str
) -> None:
    """300 are lost before midnight and 200 after it, of 450: too much for a week that has both, and for no day."""
    world = guarded(rule(Decimal(450), action=Action.VETO), clock=ManualClock(wall=began))
    lose(world, "0.03")
    assert world.gate == "open"
    world.run(100.0)
    lose(world, "0.05")
    assert world.gate == gate
    lose(world, "0.075")
    assert world.gate != "open", "450 since midnight"


def test_002_56_a_limit_for_each_position() -> None:
    world = guarded(PositionLossCircuitBreaker(max_position_loss_pct=Decimal("0.10")))
    world.stream_price(BTC_PERP, 50_000, "perp")
    world.stream_position("perp", perp("0.02", 50_000))
    world.run(1.0)
    assert world.gate == "open"
    world.stream_price(BTC_PERP, 45_001, "perp")
    assert world.gate == "open"
    world.stream_price(BTC_PERP, 45_000, "perp")
    assert world.gate == "position_loss"
    assert first(world, EventName.BREAKER_TRIPPED).fields["observed"]["symbol"] == BTC_PERP


def test_002_57_a_limit_on_the_drawdown() -> None:
    world = guarded(DrawdownCircuitBreaker(Decimal("0.10")))
    lose(world, "0.0999")
    assert world.state == "ACTIVE"
    lose(world, "0.10")
    assert (world.state, world.gate) == ("TRIGGERED", "portfolio_dd_circuit")


def test_002_58_a_limit_on_volatility() -> None:
    world = guarded(VolatilityCircuitBreaker(Decimal("0.80"), 600.0))
    for minute in range(5):
        world.stream_price("BTC/USDT", 50_000 + (100 if minute % 2 else -100))
        world.run(60.0)
    assert world.gate == "volatility"
    assert why(ask(world)) == "volatility"


def test_002_52_all_of_them_by_configuration(tmp_path: Path) -> None:
    tables = """
[breakers.drawdown]
[breakers.daily_loss]
limit = "400 USDT"
[breakers.weekly_loss]
limit = "8%"
[breakers.venue_loss]
limit = "10%"
[breakers.position_loss]
limit = "10%"
[breakers.volatility]
limit = "80%"
"""
    rules = build_rules(settings_of(with_tables(tables), tmp_path))
    names = ["drawdown", "daily_loss", "weekly_loss", "venue_loss", "position_loss", "volatility"]
    assert [rule.name for rule in rules] == names


def test_002_62_gate_state_latch_and_sweep_move_in_one_turn() -> None:
    world = guarded(capital_loss=DEFAULT, confirmation={"enabled": False})
    decision = world.stream_price("BTC/USDT", 45_000, "spot")
    assert (decision.before.value, decision.after.value) == ("ACTIVE", "TRIGGERED")
    assert {SetGate, SaveLatch, StartSweep} <= {type(action) for action in decision.actions}
    assert not any(isinstance(action, ReadNow) for action in decision.actions)


@pytest.mark.parametrize(("proven_after_s", "code"), [(3.0, 1), (None, 4)])
def test_002_63_one_means_triggered_and_proven(proven_after_s: float | None, code: int) -> None:
    world = guarded(capital_loss=DEFAULT)
    world.sweeps_take_s = proven_after_s
    lose(world, "0.05")
    world.run(310.0 if proven_after_s is None else 10.0)
    [finish] = world.actions(Finish)
    assert isinstance(finish, Finish)
    assert finish.exit_code == code
    assert ExitCode.TRIGGERED_AND_PROVEN == 1
