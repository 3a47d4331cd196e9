"""The guide's five breakers, used as it uses them and with its numbers."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import typer.main

from risk_daemon.app.rules import build_rules
from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.baselines.trading_day import TradingDay
from risk_daemon.breakers import (
    BreakerState,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.breakers.base import Action
from risk_daemon.cli import app
from risk_daemon.engine.decision import Finish, SetGate, StartSweep
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import ErrorKind, ErrorReported, HaltRequested
from tests.seeds.common import ask, guarded, settings_of, why, with_tables

DAY_S = 86_400.0
PEAK = Decimal("100000")


# --- drawdown ------------------------------------------------------------------------------------------


def test_004_03_drawdown_takes_a_ratio_and_a_lookback() -> None:
    breaker = DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.10"), lookback_days=30)
    assert (breaker.max_drawdown_pct, breaker.lookback_days) == (Decimal("0.10"), 30)
    assert DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.10")).lookback_days == 30
    for wrong in (Decimal(10), Decimal("-0.10"), Decimal(0)):
        with pytest.raises(ValueError):
            DrawdownCircuitBreaker(max_drawdown_pct=wrong)


def test_004_04_a_peak_counts_while_it_lies_within_the_lookback() -> None:
    clock = ManualClock()
    breaker = DrawdownCircuitBreaker(Decimal("0.10"), lookback_days=30, clock=clock)
    assert breaker.can_trade(current_portfolio_value=PEAK)
    clock.advance(20 * DAY_S)
    assert breaker.can_trade(current_portfolio_value=Decimal("95000"))
    clock.advance(11 * DAY_S)
    assert breaker.can_trade(current_portfolio_value=Decimal("88000")), "7.4 % from the 95,000 of eleven days ago"
    assert not breaker.can_trade(current_portfolio_value=Decimal("85500")), "10 % from it"


def test_004_04_the_day_before_the_old_peak_still_counts() -> None:
    clock = ManualClock()
    breaker = DrawdownCircuitBreaker(Decimal("0.10"), lookback_days=30, clock=clock)
    breaker.can_trade(current_portfolio_value=PEAK)
    clock.advance(29 * DAY_S)
    assert not breaker.can_trade(current_portfolio_value=Decimal("88000"))


@pytest.mark.parametrize(("value", "may_trade"), [("90001", True), ("90000", False), ("89999", False)])
def test_004_05_at_the_limit_itself_it_trips(value: str, may_trade: bool) -> None:
    breaker = DrawdownCircuitBreaker(Decimal("0.10"))
    breaker.can_trade(current_portfolio_value=PEAK)
    assert breaker.can_trade(current_portfolio_value=Decimal(value)) is may_trade
    assert (breaker.state is BreakerState.NORMAL) is may_trade


def test_004_06_five_percent_below_the_peak_trades_and_no_time_is_asked_for() -> None:
    breaker = DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.10"), lookback_days=30)
    assert breaker.can_trade(current_portfolio_value=PEAK)
    assert breaker.can_trade(current_portfolio_value=Decimal("95000"))
    assert not breaker.can_trade(current_portfolio_value=Decimal("89000"))
    assert not breaker.can_trade(current_portfolio_value=PEAK), "a trip stays until somebody resets it"


def test_004_06_a_value_that_is_not_known_moves_nothing() -> None:
    breaker = DrawdownCircuitBreaker(Decimal("0.10"))
    breaker.can_trade(current_portfolio_value=PEAK)
    for unknown in (None, float("nan"), "much", Decimal("Infinity")):
        with pytest.raises(ValueError):
            breaker.can_trade(current_portfolio_value=unknown)  # type: ignore[arg-type]
    assert breaker.state is BreakerState.NORMAL
    assert not breaker.can_trade(current_portfolio_value=Decimal("-1")), "a debt is known, and more than a tenth"


def test_004_07_the_reason_names_drawdown_and_limit() -> None:
    breaker = DrawdownCircuitBreaker(Decimal("0.10"))
    breaker.can_trade(current_portfolio_value=PEAK)
    assert breaker.get_trip_reason() is None
    breaker.can_trade(current_portfolio_value=Decimal("88000"))
    assert breaker.get_trip_reason() == "drawdown of 12.00 % from the peak, limit 10.00 %"


@pytest.mark.parametrize("limit", ["0.05", "0.10", "0.15"])
@pytest.mark.parametrize("lookback_days", [7, 14, 30, 60])
def test_004_08_the_recommended_limits_and_lookbacks(limit: str, lookback_days: int) -> None:
    breaker = DrawdownCircuitBreaker(max_drawdown_pct=Decimal(limit), lookback_days=lookback_days)
    breaker.can_trade(current_portfolio_value=PEAK)
    at_limit = PEAK * (1 - Decimal(limit))
    assert breaker.can_trade(current_portfolio_value=at_limit + 1)
    assert not breaker.can_trade(current_portfolio_value=at_limit)


# --- daily loss ----------------------------------------------------------------------------------------


def test_004_09_daily_loss_takes_money() -> None:
    breaker = DailyLossCircuitBreaker(max_daily_loss=Decimal("5000"))
    assert breaker.describe()["limits"] == {"max_daily_loss": "5000"}


def test_004_10_three_thousand_of_five_thousand_lost_trades() -> None:
    breaker = DailyLossCircuitBreaker(max_daily_loss=Decimal("5000"))
    assert breaker.get_current_daily_loss() is None
    assert breaker.can_trade(current_portfolio_value=Decimal("97000"), start_of_day_value=Decimal("100000"))
    assert breaker.get_current_daily_loss() == Decimal("3000")
    assert not breaker.can_trade(current_portfolio_value=Decimal("94000"), start_of_day_value=Decimal("100000"))
    assert breaker.get_current_daily_loss() == Decimal("6000")


@pytest.mark.parametrize("action", [Action.VETO, Action.FREEZE, Action.TRIP])
def test_004_54_it_resets_at_the_start_of_the_next_trading_day(action: Action) -> None:
    """The guide's step 4, in a program of one's own."""
    clock = ManualClock(wall=datetime(2026, 11, 20, 23, 59, tzinfo=UTC).timestamp())
    breaker = DailyLossCircuitBreaker(max_daily_loss=Decimal("5000"), action=action, clock=clock)
    assert not breaker.can_trade(Decimal("94000"), start_of_day_value=Decimal("100000"))
    clock.advance(59.0)
    assert not breaker.can_trade()
    assert breaker.state is BreakerState.TRIPPED
    clock.advance(2.0)
    assert breaker.state is BreakerState.NORMAL
    assert breaker.get_current_daily_loss() == Decimal("6000"), "the last that was told"
    assert breaker.can_trade(Decimal("94000"), start_of_day_value=Decimal("94000"))
    assert not breaker.can_trade(Decimal("89000"), start_of_day_value=Decimal("94000")), "and again"


def test_004_54_a_market_of_ones_own_says_when_the_day_begins() -> None:
    new_york = TradingDay(time(9, 30), "America/New_York")
    clock = ManualClock(wall=datetime(2026, 11, 20, 9, 29, 59, tzinfo=ZoneInfo("America/New_York")).timestamp())
    breaker = DailyLossCircuitBreaker(Decimal("5000"), calendar=new_york, clock=clock)
    assert not breaker.can_trade(Decimal("94000"), Decimal("100000"))
    clock.advance(1.0)
    assert breaker.can_trade()


def test_004_54_a_clock_set_back_ends_no_day() -> None:
    clock = ManualClock(wall=datetime(2026, 11, 20, 0, 0, 30, tzinfo=UTC).timestamp())
    breaker = DailyLossCircuitBreaker(Decimal("5000"), clock=clock)
    assert not breaker.can_trade(Decimal("94000"), Decimal("100000"))
    clock.jump(-60.0)
    assert not breaker.can_trade(Decimal("94000"), Decimal("100000"))
    clock.advance(45.0)
    assert not breaker.can_trade(), "the same midnight once more"


def test_004_11_a_day_starts_at_midnight_utc_or_when_a_market_opens() -> None:
    utc, market = BaselineSettings(), BaselineSettings(reset_at=time(9, 30), timezone="America/New_York")
    before = datetime(2026, 11, 20, 9, 29, tzinfo=ZoneInfo("America/New_York")).timestamp()
    assert Baselines(market).calendar.key(before) == "2026-11-19"
    assert Baselines(market).calendar.key(before + 60) == "2026-11-20"
    midnight = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    assert Baselines(utc).calendar.key(midnight - 1) == "2026-11-19"
    assert Baselines(utc).calendar.key(midnight) == "2026-11-20"


def test_004_11_the_loss_counts_from_the_last_worth_before_the_day() -> None:
    clock = ManualClock(wall=datetime(2026, 11, 20, 9, 29, tzinfo=ZoneInfo("America/New_York")).timestamp())
    baselines = Baselines(BaselineSettings(reset_at=time(9, 30), timezone="America/New_York"))
    for second in range(120):
        worth = PEAK if second < 60 else Decimal("97000")
        baselines.observe(worth, clock.now(), trusted=True, rest_mono=clock.now().mono, agreed=True)
        clock.advance(1.0)
    assert baselines.start_of_day == PEAK
    assert baselines.daily_loss(Decimal("97000")) == Decimal("3000")


@pytest.mark.parametrize(("value", "may_trade"), [("95000.01", True), ("95000", False), ("94999.99", False)])
def test_004_12_at_five_thousand_itself_it_trips(value: str, may_trade: bool) -> None:
    breaker = DailyLossCircuitBreaker(max_daily_loss=Decimal("5000"))
    assert breaker.can_trade(Decimal(value), start_of_day_value=PEAK) is may_trade


def test_004_13_percent_is_possible_as_well_but_not_both() -> None:
    breaker = DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.05"))
    assert breaker.can_trade(Decimal("95001"), PEAK)
    assert not breaker.can_trade(Decimal("95000"), PEAK)
    with pytest.raises(ValueError):
        DailyLossCircuitBreaker(max_daily_loss=Decimal("5000"), max_daily_loss_pct=Decimal("0.05"))


@pytest.mark.parametrize(
    ("portfolio", "limit"), [("100000", "5000"), ("100000", "10000"), ("1000000", "50000"), ("1000000", "100000")]
)
def test_004_14_the_recommended_sizes(portfolio: str, limit: str) -> None:
    money = DailyLossCircuitBreaker(max_daily_loss=Decimal(limit))
    ratio = DailyLossCircuitBreaker(max_daily_loss_pct=Decimal(limit) / Decimal(portfolio))
    for breaker in (money, ratio):
        assert breaker.can_trade(Decimal(portfolio) - Decimal(limit) + 1, Decimal(portfolio))
        assert not breaker.can_trade(Decimal(portfolio) - Decimal(limit), Decimal(portfolio))


# --- order rate ----------------------------------------------------------------------------------------


def test_004_15_ask_send_record_and_it_clears_by_itself() -> None:
    clock = ManualClock()
    breaker = OrderRateCircuitBreaker(max_orders_per_minute=10, window_seconds=60, clock=clock)
    sent = 0
    while breaker.can_trade():
        sent += 1
        breaker.record_order()
        clock.advance(1.0)
    assert (sent, breaker.get_order_count()) == (10, 10)
    clock.advance(49.0)
    assert not breaker.can_trade()
    clock.advance(1.5)
    assert breaker.can_trade(), "the first order is older than a minute"
    assert breaker.get_order_count() == 9
    assert OrderRateCircuitBreaker(max_orders_per_minute=10).window_s == 60


def test_004_16_it_says_no_before_the_order_that_would_be_too_many() -> None:
    breaker = OrderRateCircuitBreaker(max_orders_per_minute=10, clock=ManualClock())
    for _ in range(9):
        breaker.record_order()
    assert breaker.can_trade(), "a tenth is within the limit"
    breaker.record_order()
    assert not breaker.can_trade(), "an eleventh would not be"
    assert breaker.get_order_count() == 10


def test_004_16_in_the_daemon_more_than_the_limit_trips_it() -> None:
    world = guarded(OrderRateCircuitBreaker(10))
    assert all(ask(world).allowed for _ in range(10))
    assert world.gate == "open", "ten are what is allowed"
    assert why(ask(world)) == "order_rate"


@pytest.mark.parametrize("limit", [5, 10, 30])
def test_004_17_the_recommended_rates(limit: int) -> None:
    breaker = OrderRateCircuitBreaker(max_orders_per_minute=limit, clock=ManualClock())
    for _ in range(limit):
        assert breaker.can_trade()
        breaker.record_order()
    assert not breaker.can_trade()


# --- error rate ----------------------------------------------------------------------------------------


def test_004_18_errors_in_a_window_of_any_length_up_to_an_hour() -> None:
    clock = ManualClock()
    breaker = ErrorRateCircuitBreaker(max_errors=5, window_seconds=300, clock=clock)
    for _ in range(6):
        breaker.record_error()
        clock.advance(45.0)
    assert breaker.get_error_count() == 6
    assert not breaker.can_trade()


def test_004_18_a_program_gets_the_guides_window_and_the_table_the_storys(tmp_path: Path) -> None:
    assert ErrorRateCircuitBreaker(max_errors=5).window_s == 300
    clock = ManualClock()
    breaker = ErrorRateCircuitBreaker(max_errors=5, clock=clock)
    for _ in range(6):
        breaker.record_error()
        clock.advance(45.0)
    assert not breaker.can_trade(), "six in five minutes"
    [rule] = build_rules(settings_of(with_tables("[breakers.error_rate]\nmax_errors = 5\n"), tmp_path))
    limits = rule.describe()["limits"]
    assert (limits["max_errors"], limits["window_s"]) == (5, 60)


def test_004_19_an_error_needs_no_argument() -> None:
    breaker = ErrorRateCircuitBreaker(max_errors=5, window_seconds=300, clock=ManualClock())
    for _ in range(5):
        breaker.record_error()
    assert breaker.can_trade(), "five are what is allowed"
    breaker.record_error()
    assert not breaker.can_trade()


def test_004_20_it_clears_as_errors_age_out() -> None:
    clock = ManualClock()
    breaker = ErrorRateCircuitBreaker(max_errors=5, window_seconds=300, clock=clock)
    for _ in range(6):
        breaker.record_error()
    clock.advance(299.0)
    assert breaker.state is BreakerState.TRIPPED
    clock.advance(2.0)
    assert breaker.state is BreakerState.NORMAL
    assert breaker.can_trade()
    assert breaker.get_error_count() == 0


@pytest.mark.parametrize(("action", "ends"), [(Action.VETO, False), (Action.TRIP, True)])
def test_004_21_too_many_errors_pause_every_bot_or_end_it_all(action: Action, ends: bool) -> None:
    world = guarded(ErrorRateCircuitBreaker(5, 300, action=action))
    for _ in range(6):
        world.send(ErrorReported(ErrorKind.CONNECTION, "alice", "spot"))
    assert world.gate == "error_rate"
    assert not ask(world, bot="bob").allowed
    world.run(10.0)
    assert bool(world.actions(Finish)) is ends


@pytest.mark.parametrize(("max_errors", "window_s"), [(3, 300), (10, 600)])
def test_004_22_the_recommended_rates_of_errors(max_errors: int, window_s: int) -> None:
    clock = ManualClock()
    breaker = ErrorRateCircuitBreaker(max_errors=max_errors, window_seconds=window_s, clock=clock)
    for _ in range(max_errors):
        breaker.record_error()
    assert breaker.can_trade()
    breaker.record_error()
    assert not breaker.can_trade()
    clock.advance(window_s + 1.0)
    assert breaker.can_trade()


@pytest.mark.parametrize("kind", ["connection", "order_rejected", "data_feed", "strategy", "broker"])
def test_004_23_every_kind_of_error_counts(kind: str) -> None:
    breaker = ErrorRateCircuitBreaker(max_errors=2, clock=ManualClock())
    for _ in range(3):
        breaker.record_error(kind)
    assert not breaker.can_trade()


def test_004_24_what_was_to_be_expected_does_not_count() -> None:
    breaker = ErrorRateCircuitBreaker(max_errors=2, clock=ManualClock())
    for _ in range(50):
        breaker.record_error(kind=ErrorKind.EXPECTED)
    assert breaker.can_trade()
    assert breaker.get_error_count() == 0
    with pytest.raises(ValueError):
        breaker.record_error("expceted")


# --- manual --------------------------------------------------------------------------------------------


def test_004_25_halt_look_reset() -> None:
    breaker = ManualCircuitBreaker()
    assert breaker.state is BreakerState.NORMAL
    assert breaker.can_trade()
    breaker.trigger_halt(reason="the market crashes", operator="john")
    assert breaker.state is BreakerState.MANUALLY_HALTED
    assert breaker.state.value == "MANUALLY_HALTED"
    assert breaker.get_trip_reason() == "the market crashes"
    assert breaker.get_trip_details() == {"operator": "john"}
    assert not breaker.can_trade()
    breaker.reset(operator="john")
    assert breaker.state is BreakerState.NORMAL
    assert breaker.can_trade()


def test_004_26_a_halt_is_a_command_and_a_request() -> None:
    from risk_daemon.api.handlers import halt

    assert {"halt", "reset"} <= set(typer.main.get_command(app).commands)
    assert callable(halt)
    world = guarded()
    decision = world.send(HaltRequested("the market crashes", "john"))
    assert isinstance(decision.actions[0], SetGate)
    assert decision.actions[0].gate.locked
    assert any(isinstance(action, StartSweep) for action in decision.actions)
