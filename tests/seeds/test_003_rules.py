"""The story's rules and states: at its numbers, through the whole engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.app.rules import build_rules
from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    BreakerState,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.breakers.base import Action
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.engine.decision import Finish, SetGate, StartSweep
from risk_daemon.errors import CircuitBreakerError, CircuitBreakerException
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    ErrorKind,
    ErrorReported,
    EventName,
    HaltRequested,
    Order,
    OrderReported,
    OrdersSeen,
    ResetRequested,
)
from risk_daemon.state.event_log import EventLog
from tests.core_world import World
from tests.seeds.common import ask, first, guarded, lose, settings_of, why, with_tables

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


def fail(world: World, times: int, kind: ErrorKind = ErrorKind.ORDER_REJECTED) -> None:
    for _ in range(times):
        world.send(ErrorReported(kind, "alice", "spot"))


def report_orders(world: World, count: int) -> None:
    """Orders that nobody asked about before."""
    for number in range(count):
        world.send(OrderReported("spot", "BTC/USDT", "buy", "alice", order_id=f"X{number}"))


# --- acceptance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "halts"), [("0.099", False), ("0.10", True), ("0.12", True)])
def test_003_01_ten_percent_below_the_peak_halts(loss: str, halts: bool) -> None:
    world = guarded(DrawdownCircuitBreaker())
    lose(world, loss)
    assert (world.state == "TRIGGERED") is halts
    assert ask(world).allowed is not halts


@pytest.mark.parametrize(("loss", "halts"), [("0.049", False), ("0.05", True)])
def test_003_02_the_limit_of_a_day_halts(loss: str, halts: bool) -> None:
    world = guarded(DailyLossCircuitBreaker(max_daily_loss=Decimal(500)))
    lose(world, loss)
    assert (world.state == "TRIGGERED") is halts


def test_003_03_a_hundred_orders_a_minute_and_not_one_more() -> None:
    world = guarded(OrderRateCircuitBreaker())
    assert [ask(world).allowed for _ in range(102)] == [True] * 100 + [False] * 2


def test_003_04_ten_rejections_in_a_minute_pass_and_the_eleventh_halts() -> None:
    world = guarded(ErrorRateCircuitBreaker(window=60))
    fail(world, 10)
    assert world.gate == "open"
    fail(world, 1)
    assert world.gate == "error_rate"
    assert not ask(world).allowed


def test_003_07_the_states_have_their_names() -> None:
    assert [state.value for state in BreakerState] == ["NORMAL", "TRIPPED", "MANUALLY_HALTED", "RESETTING"]
    world = guarded(DailyLossCircuitBreaker(max_daily_loss=Decimal(500)))
    lose(world, "0.06")
    world.send(HaltRequested("to be sure", "anna"))
    status = world.engine.manager.get_status()
    assert status["daily_loss"] == "TRIPPED"
    assert guarded().engine.manager.get_status()["manual"] == "NORMAL"


# --- drawdown ------------------------------------------------------------------------------------------


def test_003_12_the_highest_worth_ever_if_all_is_remembered() -> None:
    clock = ManualClock()
    ever = DrawdownCircuitBreaker(Decimal("0.10"), lookback_days=None, clock=clock)
    month = DrawdownCircuitBreaker(Decimal("0.10"), clock=clock)
    for breaker in (ever, month):
        breaker.can_trade(Decimal("100000"))
    for _ in range(50):
        clock.advance(8 * DAY_S)
        for breaker in (ever, month):
            assert breaker.can_trade(Decimal("95000"))
    assert not ever.can_trade(Decimal("90000")), "400 days after the peak"
    assert month.can_trade(Decimal("90000")), "the last thirty days knew 95,000"


def test_003_13_a_drawdown_is_a_positive_ratio() -> None:
    breaker = DrawdownCircuitBreaker(Decimal("0.10"))
    breaker.can_trade(Decimal("100000"))
    breaker.can_trade(Decimal("88000"))
    assert breaker.get_trip_details()["current_dd_pct"] == 0.12
    for negative in (Decimal("-0.10"), "-10%"):
        with pytest.raises(ValueError, match="negative"):
            DrawdownCircuitBreaker(negative)


def test_003_13_a_negative_limit_of_the_day_is_refused_with_a_hint() -> None:
    for negative in (-0.02, "-0.02", -5000):
        with pytest.raises(ValueError, match="negative: write the size of the loss, without a sign"):
            DailyLossCircuitBreaker(limit=negative)


def test_003_14_ten_percent_unless_told_otherwise() -> None:
    assert DrawdownCircuitBreaker().max_drawdown_pct == Decimal("0.10")


def test_003_15_the_event_has_worth_and_drawdown() -> None:
    world = guarded(DrawdownCircuitBreaker())
    lose(world, "0.12")
    tripped = first(world, EventName.BREAKER_TRIPPED).fields
    assert tripped["breaker"] == "drawdown"
    assert tripped["observed"] == {"current_dd_pct": 0.12, "peak_nav_usd": 10_000.0, "latest_nav_usd": 8_800.0}
    assert tripped["limits"] == {"max_portfolio_dd_nav_pct": 0.10}


def test_003_16_pending_orders_are_cancelled_and_new_ones_refused() -> None:
    world = guarded(DrawdownCircuitBreaker())
    lose(world, "0.12")
    assert len(world.actions(StartSweep)) == 1
    assert why(ask(world)) == "portfolio_dd_circuit"


# --- daily loss ----------------------------------------------------------------------------------------


def test_003_17_the_day_begins_at_its_hour() -> None:
    """At 14:30: what fell after midnight is lost before the day, and what falls after 14:30 is lost in it."""
    clock = ManualClock(wall=MIDNIGHT - 60.0)
    baselines = Baselines(BaselineSettings(reset_at=time(14, 30)))

    def seen(worth: int, until_wall: float) -> None:
        while clock.now().wall < until_wall:
            baselines.observe(
                Decimal(worth), clock.advance(10.0), trusted=True, rest_mono=clock.now().mono, agreed=True
            )

    seen(100_000, MIDNIGHT + 60.0)
    assert baselines.day == "2026-11-19", "not at midnight"
    seen(98_000, MIDNIGHT + 14.5 * 3_600.0 - 10.0)
    assert baselines.daily_loss(Decimal(98_000)) == 2_000
    seen(97_000, MIDNIGHT + 14.5 * 3_600.0 + 60.0)
    assert (baselines.day, baselines.start_of_day) == ("2026-11-20", Decimal(98_000))
    assert baselines.daily_loss(Decimal(97_000)) == 1_000
    seen(97_000, MIDNIGHT + 38.5 * 3_600.0 + 60.0)
    assert (baselines.day, baselines.daily_loss(Decimal(97_000))) == ("2026-11-21", 0), "and daily"


@pytest.mark.parametrize(
    "rule",
    [DailyLossCircuitBreaker(max_daily_loss=Decimal(5_000)), DailyLossCircuitBreaker(max_daily_loss_pct="5%")],
    ids=["money", "percent"],
)
def test_003_18_five_thousand_or_five_percent(rule: DailyLossCircuitBreaker) -> None:
    assert rule.can_trade(Decimal("95001"), Decimal("100000"))
    assert not rule.can_trade(Decimal("95000"), Decimal("100000"))
    for negative in ({"max_daily_loss": -5_000}, {"max_daily_loss_pct": Decimal("-0.05")}):
        with pytest.raises(ValueError):
            DailyLossCircuitBreaker(**negative)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            DailyLossCircuitBreaker(max_daily_loss=Decimal(500)),
            "loss of 600.00 since the start of the day, limit 500.00",
        ),
        (DailyLossCircuitBreaker(), "loss of 6.00 % since the start of the day, limit 5.00 %"),
    ],
    ids=["money", "percent"],
)
def test_003_19_the_event_has_the_loss_in_the_limits_unit(rule: DailyLossCircuitBreaker, reason: str) -> None:
    world = guarded(rule)
    lose(world, "0.06")
    tripped = first(world, EventName.BREAKER_TRIPPED).fields
    assert tripped["reason"] == reason
    assert tripped["observed"]["equity"] == "9400"


def test_003_19_the_event_has_amount_and_percent() -> None:
    world = guarded(DailyLossCircuitBreaker())
    lose(world, "0.06")
    observed = first(world, EventName.BREAKER_TRIPPED).fields["observed"]
    assert (observed.get("loss"), observed.get("loss_ratio")) == ("600", 0.06)


@pytest.mark.parametrize(
    ("action", "gate"), [(Action.VETO, "open"), (Action.FREEZE, "open"), (Action.TRIP, "daily_loss")]
)
def test_003_20_the_next_day_resumes_unless_it_was_a_trip(action: Action, gate: str) -> None:
    rule = DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.05"), action=action)
    world = guarded(rule, clock=ManualClock(wall=MIDNIGHT - 60.0))
    lose(world, "0.06")
    assert world.gate == "daily_loss"
    world.run(90.0)
    assert world.gate == gate


@pytest.mark.parametrize(("action", "may_trade"), [(Action.VETO, True), (Action.FREEZE, False), (Action.TRIP, False)])
def test_003_20_in_a_program_a_veto_ends_when_the_loss_does(action: Action, may_trade: bool) -> None:
    daily = DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.05"), action=action, clock=ManualClock())
    assert not daily.can_trade(94_000, start_of_day_value=100_000)
    assert daily.can_trade(99_000, start_of_day_value=100_000) is may_trade
    drawdown = DrawdownCircuitBreaker(Decimal("0.05"), action=action, clock=ManualClock())
    assert [drawdown.can_trade(worth) for worth in (100, 94, 99)] == [True, False, may_trade]


# --- rates ---------------------------------------------------------------------------------------------


def test_003_21_the_event_has_count_and_window() -> None:
    world = guarded(OrderRateCircuitBreaker())
    report_orders(world, 100)
    assert world.gate == "open"
    world.send(OrderReported("spot", "BTC/USDT", "sell", "alice", order_id="Y"))
    assert world.gate == "order_rate"
    tripped = first(world, EventName.BREAKER_TRIPPED).fields
    assert tripped["observed"] == {"orders": 101}
    assert tripped["limits"] == {"max_orders": 100, "window_s": 60.0}


def test_003_22_it_blocks_until_the_window_clears() -> None:
    world = guarded(OrderRateCircuitBreaker(5, 60))
    for _ in range(5):
        assert ask(world).allowed
    world.run(58.0)
    assert why(ask(world)) == "order_rate"
    world.run(3.0)
    assert ask(world).allowed


def test_003_23_ten_errors_a_minute_unless_told_otherwise(tmp_path: Path) -> None:
    """By the daemon's table; a program of one's own has the guide's window, see 004-18."""
    [rule] = build_rules(settings_of(with_tables("[breakers.error_rate]\n"), tmp_path))
    assert rule.describe()["limits"] == {
        "max_errors": 10,
        "window_s": 60,
        "scope": "bot",
        "max_errors_total": 10,
    }
    [rule] = build_rules(settings_of(with_tables('[breakers.error_rate]\nscope = "all"\n'), tmp_path))
    world = guarded(rule)
    fail(world, 10)
    world.run(50.0)
    assert world.gate == "open"
    fail(world, 1)
    assert world.gate == "error_rate"
    world.run(11.0)
    assert world.gate == "open", "the ten are a minute old"


def test_003_24_kinds_are_told_apart_and_logged() -> None:
    world = guarded(ErrorRateCircuitBreaker(window=60))
    fail(world, 6, ErrorKind.ORDER_REJECTED)
    fail(world, 3, ErrorKind.BROKER)
    fail(world, 2, ErrorKind.DATA_FEED)
    observed = first(world, EventName.BREAKER_TRIPPED).fields["observed"]
    assert observed["errors"] == 11
    assert observed["by_kind"] == {"order_rejected": 6, "broker": 3, "data_feed": 2}


@pytest.mark.parametrize(("action", "gate"), [(Action.VETO, "open"), (Action.TRIP, "error_rate")])
def test_003_25_a_person_is_needed_where_the_action_is_a_trip(action: Action, gate: str) -> None:
    world = guarded(ErrorRateCircuitBreaker(window_seconds=60, action=action))
    fail(world, 11)
    assert world.gate == "error_rate"
    world.run(90.0)
    assert world.gate == gate


# --- halt by hand --------------------------------------------------------------------------------------


def test_003_26_trip_and_reset() -> None:
    breaker = ManualCircuitBreaker()
    breaker.trip("enough", "anna")
    assert (breaker.state, breaker.can_trade()) == (BreakerState.MANUALLY_HALTED, False)
    breaker.reset("anna")
    assert (breaker.state, breaker.can_trade()) == (BreakerState.NORMAL, True)
    breaker.trip()
    assert not breaker.can_trade(), "nobody in a hurry is asked for words"
    assert breaker.get_trip_reason() == "halted by hand"


def test_003_27_one_bot_can_be_stopped_by_its_name() -> None:
    world = guarded()
    world.send(HaltRequested("runs wild", "anna", bot="alice"))
    assert why(ask(world, bot="alice")) == "manual_halt"
    assert ask(world, bot="bob").allowed


def test_003_28_a_halt_shuts_and_sweeps_in_its_own_turn() -> None:
    world = guarded()
    decision = world.send(HaltRequested("enough", "anna"))
    assert isinstance(decision.actions[0], SetGate)
    assert any(isinstance(action, StartSweep) for action in decision.actions)
    assert why(ask(world)) == "manual_halt"


def test_003_29_the_event_has_reason_and_operator() -> None:
    world = guarded()
    world.send(HaltRequested("enough", "anna"))
    assert first(world, EventName.MANUAL_HALT).fields == {"operator": "anna", "reason": "enough"}


def test_003_30_only_a_reset_resumes() -> None:
    world = guarded()
    world.send(HaltRequested("enough", "anna"))
    world.run(10.0)
    world.restart(down_s=2 * DAY_S)
    world.begin()
    world.run(20.0)
    assert world.gate == "manual_halt"
    answer = world.send(ResetRequested("it was me", "anna", "keep")).answer
    assert answer is not None
    assert answer.accepted
    world.run(20.0)
    assert world.gate == "open"


# --- states --------------------------------------------------------------------------------------------


def test_003_31_normal_tripped_resetting_normal() -> None:
    states: list[str] = []

    class Watched(DailyLossCircuitBreaker):
        def _clear_conditions(self) -> None:
            states.append(self.state.value)
            super()._clear_conditions()

    breaker = Watched(max_daily_loss=Decimal(5_000))
    states.append(breaker.state.value)
    breaker.can_trade(Decimal("90000"), Decimal("100000"))
    states.append(breaker.state.value)
    breaker.reset("anna")
    assert [*states, breaker.state.value] == ["NORMAL", "TRIPPED", "RESETTING", "NORMAL"]


@pytest.mark.parametrize("how", ["loss", "halt"])
def test_003_32_nothing_is_submitted_while_tripped_or_halted(how: str) -> None:
    world = guarded(DrawdownCircuitBreaker())
    if how == "loss":
        lose(world, "0.12")
    else:
        world.send(HaltRequested("enough", "anna"))
    assert world.state == "TRIGGERED"
    assert not any(ask(world, venue=venue, bot=bot).allowed for venue in ("spot", "perp") for bot in ("alice", None))


def test_003_33_a_reset_is_refused_until_it_is_safe() -> None:
    world = guarded(DrawdownCircuitBreaker())
    nothing = world.send(ResetRequested("to be sure", "anna", "keep")).answer
    lose(world, "0.12")
    early = world.send(ResetRequested("to be sure", "anna", "current")).answer
    world.run(5.0)
    again = world.send(ResetRequested("to be sure", "anna", "keep")).answer
    fresh = world.send(ResetRequested("the cause is found", "anna", "current")).answer
    assert [answer.accepted for answer in (nothing, early, again, fresh) if answer] == [False, False, False, True]


def test_003_34_every_transition_is_logged_with_its_context() -> None:
    world = guarded(DrawdownCircuitBreaker(warnings=[Decimal("0.05")]))
    lose(world, "0.06")
    lose(world, "0.12")
    world.run(5.0)
    world.send(ResetRequested("the cause is found", "anna", "current"))
    names = (
        EventName.WARNING_TRIGGERED,
        EventName.BREAKER_TRIPPED,
        EventName.CIRCUIT_BREAKER_TRIGGERED,
        EventName.CIRCUIT_BREAKER_RESET,
    )
    told = world.records(*names)
    assert [record.name for record in told] == list(names)
    warned, tripped, triggered, reset = (record.fields for record in told)
    assert (warned["breaker"], warned["current_dd_pct"]) == ("drawdown", 0.06)
    assert (tripped["state"], tripped["breaker_type"]) == ("TRIPPED", "drawdown")
    assert triggered["observed"]["current_dd_pct"] == 0.12
    assert (reset["operator"], reset["reason"], reset["trip_id"]) == (
        "anna",
        "the cause is found",
        triggered["trip_id"],
    )


def test_003_34_a_reset_tells_of_each_rule() -> None:
    world = guarded(DrawdownCircuitBreaker())
    lose(world, "0.12")
    world.run(5.0)
    world.send(ResetRequested("the cause is found", "anna", "current"))
    assert world.engine.manager.get_status()["drawdown"] == "NORMAL"
    assert [record.fields["breaker"] for record in world.records(EventName.BREAKER_RESET)] == ["drawdown"]


@pytest.mark.parametrize("rule", [DrawdownCircuitBreaker, DailyLossCircuitBreaker])
def test_003_35_a_trip_goes_on_after_a_restart(rule: type[DrawdownCircuitBreaker | DailyLossCircuitBreaker]) -> None:
    world = guarded(rule())
    lose(world, "0.12")
    world.run(5.0)
    [reason] = world.engine.manager.get_trip_reasons().values()
    world.restart()
    assert world.state == "TRIGGERED"
    [tripped] = world.engine.manager.get_tripped()
    assert (tripped.state, tripped.get_trip_reason()) == (BreakerState.TRIPPED, reason)


# --- the tests that it asks for ------------------------------------------------------------------------


def trip_drawdown() -> World:
    world = guarded(DrawdownCircuitBreaker())
    lose(world, "0.10")
    return world


def trip_daily_loss() -> World:
    world = guarded(DailyLossCircuitBreaker())
    lose(world, "0.05")
    return world


def trip_order_rate() -> World:
    world = guarded(OrderRateCircuitBreaker())
    report_orders(world, 150)
    return world


def trip_error_rate() -> World:
    world = guarded(ErrorRateCircuitBreaker(window=60))
    fail(world, 15)
    return world


def trip_by_hand() -> World:
    world = guarded()
    world.send(HaltRequested("enough", "anna"))
    return world


ADVERSE = {
    "portfolio_dd_circuit": trip_drawdown,
    "daily_loss": trip_daily_loss,
    "order_rate": trip_order_rate,
    "error_rate": trip_error_rate,
    "manual_halt": trip_by_hand,
}


@pytest.mark.parametrize("cause", ADVERSE)
def test_003_10_every_breaker_trips_under_adverse_conditions(cause: str) -> None:
    assert ADVERSE[cause]().gate == cause


@pytest.mark.parametrize("cause", ADVERSE)
def test_003_51_submission_is_blocked_by_each(cause: str) -> None:
    world = ADVERSE[cause]()
    assert why(ask(world)) == cause
    assert len(world.engine.manager.get_tripped()) == 1


@pytest.mark.parametrize("cause", ["order_rate", "error_rate"])
def test_003_73_rapid_orders_and_errors_clear_and_losses_do_not(cause: str) -> None:
    world = ADVERSE[cause]()
    world.run(90.0)
    assert world.gate == "open"
    lost = ADVERSE["portfolio_dd_circuit"]()
    lost.run(90.0)
    assert lost.gate == "portfolio_dd_circuit"


def test_003_74_a_portfolio_that_drops_by_ten_percent() -> None:
    assert trip_drawdown().engine.manager.get_status()["drawdown"] == "TRIPPED"


def test_003_74_the_limit_of_a_day() -> None:
    assert trip_daily_loss().engine.manager.get_status()["daily_loss"] == "TRIPPED"


def test_003_74_a_hundred_and_fifty_orders_in_a_minute() -> None:
    assert trip_order_rate().engine.manager.get_status()["order_rate"] == "TRIPPED"
    asking = guarded(OrderRateCircuitBreaker())
    assert sum(ask(asking).allowed for _ in range(150)) == 100


def test_003_74_orders_that_a_venue_shows_count_as_well() -> None:
    world = guarded(OrderRateCircuitBreaker())
    orders = tuple(
        Order(venue="spot", scope="plain", order_id=f"X{n}", symbol="BTC/USDT", side="buy", order_type="limit")
        for n in range(150)
    )
    world.send(OrdersSeen("spot", world.now, orders))
    assert world.gate == "order_rate"


def test_003_74_fifteen_errors_in_a_minute() -> None:
    assert trip_error_rate().engine.manager.get_status()["error_rate"] == "TRIPPED"


def test_003_74_a_halt_is_immediate() -> None:
    world = guarded()
    assert world.send(HaltRequested("enough", "anna")).gate.locked


def test_003_74_blocked_while_tripped_and_open_after_the_reset() -> None:
    world = trip_by_hand()
    assert not ask(world).allowed
    world.run(10.0)
    world.send(ResetRequested("done", "anna", "keep"))
    world.run(20.0)
    assert ask(world).allowed


# --- notes ---------------------------------------------------------------------------------------------


def test_003_56_amounts_are_decimals() -> None:
    world = guarded(DrawdownCircuitBreaker())
    equity = world.engine.judged(world.now)
    assert equity is not None
    for number in (equity.value, equity.low, equity.high, world.engine.baselines.capital):
        assert isinstance(number, Decimal)
    breaker = DailyLossCircuitBreaker(max_daily_loss=0.3)
    assert breaker.can_trade(0.6, 0.8)
    assert not breaker.can_trade(0.5, 0.8), "0.8 - 0.5 is 0.3 and not a little more"
    assert breaker.get_current_daily_loss() == Decimal("0.3")


def test_003_58_what_is_logged_are_names_and_fields(tmp_path: Path) -> None:
    """A line of the log is a JSON object with the event's name, its time and its fields, and no sentence to parse."""
    world = trip_drawdown()
    log = EventLog.open(tmp_path / "events.jsonl")
    for record in world.records(*EventName):
        log.append(record, world.clock.now().wall)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    tripped = next(line for line in lines if line["event"] == "breaker_tripped")
    assert (tripped["breaker"], tripped["breaker_type"], tripped["state"]) == ("drawdown", "drawdown", "TRIPPED")
    assert tripped["observed"]["current_dd_pct"] >= tripped["limits"]["max_portfolio_dd_nav_pct"] == 0.10
    assert {line["event"] for line in lines} <= set(EventName)
    assert all(datetime.fromisoformat(line["time"]) for line in lines)


def test_003_59_errors_of_a_breaker_have_a_class() -> None:
    breaker: BaseCircuitBreaker = ManualCircuitBreaker()
    with pytest.raises(CircuitBreakerError):
        breaker.reset("anna")
    assert issubclass(CircuitBreakerException, CircuitBreakerError)


def test_003_60_states_and_decisions_can_not_be_changed() -> None:
    world = trip_drawdown()
    decision = world.decisions[-1]
    for thing, field in ((decision, "after"), (decision.verdicts[0], "breached"), (world.engine.gate, "locked")):
        with pytest.raises(AttributeError):
            setattr(thing, field, None)
    with pytest.raises(AttributeError):
        world.engine.manager.get_breaker("drawdown").state = BreakerState.NORMAL  # type: ignore[misc]


def test_003_61_the_end_of_the_process_waits_for_the_proof() -> None:
    world = guarded(capital_loss=CapitalLossSettings())
    world.sweeps_take_s = 8.0
    lose(world, "0.06")
    assert not world.actions(Finish)
    world.run(8.0)
    assert len(world.actions(Finish)) == 1
