"""The rules as classes of a program of one's own, as the guides to them have it."""

from __future__ import annotations

import statistics
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.breakers import (
    Action,
    BaseCircuitBreaker,
    BreakerState,
    CircuitBreakerManager,
    CircuitBreakerType,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
    WeeklyLossCircuitBreaker,
)
from risk_daemon.breakers.drawdown import PeakWithin
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import ErrorKind

D = Decimal
DAY_S = 86_400.0
ODD_VALUES = [None, float("nan"), float("inf"), D("NaN"), True, "many", "", [], object()]


# --- drawdown --------------------------------------------------------------------------------------------


def test_a_drawdown_trips_at_its_limit_from_the_highest_value_seen() -> None:
    rule = DrawdownCircuitBreaker(max_drawdown_pct=D("0.10"), lookback_days=30)
    assert rule.can_trade(current_portfolio_value=D(95_000))
    assert rule.can_trade(current_portfolio_value=D(100_000))
    assert rule.can_trade(D("90000.01"))
    assert (rule.state, rule.get_trip_reason(), rule.get_trip_details()) == (BreakerState.NORMAL, None, {})
    assert not rule.can_trade(current_portfolio_value=D(90_000))
    assert rule.state is BreakerState.TRIPPED
    assert rule.get_trip_reason() == "drawdown of 10.00 % from the peak, limit 10.00 %"
    assert rule.get_trip_details() == {"current_dd_pct": 0.1, "peak_nav_usd": 100_000.0, "latest_nav_usd": 90_000.0}


def test_a_drawdown_stays_tripped_until_a_reset_which_measures_anew() -> None:
    rule = DrawdownCircuitBreaker()
    rule.can_trade(100)
    assert not rule.can_trade(90)
    assert not rule.can_trade(200)
    assert not rule.can_trade()
    rule.reset(operator="anna")
    assert rule.state is BreakerState.NORMAL
    assert rule.can_trade(90)
    assert rule.can_trade("81.01")
    assert not rule.can_trade(81)


def test_a_peak_counts_for_the_lookback_only() -> None:
    for days, may in ((6.999, False), (7, False), (7.001, True)):
        clock = ManualClock()
        rule = DrawdownCircuitBreaker(D("0.10"), 7, clock=clock)
        rule.can_trade(100)
        clock.advance(days * DAY_S)
        assert rule.can_trade(90) is may


def test_when_a_peak_is_forgotten_the_next_one_counts() -> None:
    clock = ManualClock()
    rule = DrawdownCircuitBreaker(D("0.50"), 10, clock=clock)
    for value in (100, 80, 60):
        assert rule.can_trade(value)
        clock.advance(4 * DAY_S)
    assert rule.can_trade("40.01"), "of 80, which is eight days old"
    assert not rule.can_trade(40)


def test_without_a_lookback_a_peak_counts_for_ever() -> None:
    clock = ManualClock()
    rule = DrawdownCircuitBreaker(lookback_days=None, clock=clock)
    rule.can_trade(100)
    clock.advance(10_000 * DAY_S)
    assert not rule.can_trade(90)


def test_the_peak_itself_is_exact_however_densely_values_come() -> None:
    peak = PeakWithin(1.0)
    assert peak.add(D(100), 0.0) == 100
    for second in range(1, 86_401):
        assert peak.add(D(90), float(second)) == 100
    assert peak.add(D(90), 86_400.5) == 90


def test_lower_values_are_merged_for_a_while_only() -> None:
    peak = PeakWithin(1.0)
    peak.add(D(100), 0.0)
    peak.add(D(99), 1.0)
    for second in range(2, 2 * 86_400):
        peak.add(D(50), float(second))
    assert peak.add(D(50), 2 * 86_400.0) == 50
    assert len(peak._entries) < 2_000


@pytest.mark.parametrize("debt", [D(-1), -0.01])
def test_a_debt_is_more_than_all_lost(debt: Any) -> None:
    rule, daily = DrawdownCircuitBreaker(), DailyLossCircuitBreaker(max_daily_loss=D(5_000))
    assert rule.can_trade(10_000)
    assert not rule.can_trade(debt)
    assert not daily.can_trade(debt, 10_000)


def test_all_is_lost() -> None:
    rule = DrawdownCircuitBreaker()
    assert rule.can_trade(0)
    assert rule.can_trade(100)
    assert not rule.can_trade(0)


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_a_value_that_is_no_worth_is_refused_and_changes_nothing(odd: Any) -> None:
    rule = DrawdownCircuitBreaker()
    rule.can_trade(100)
    with pytest.raises(ValueError, match="current_portfolio_value"):
        rule.can_trade(odd)
    assert rule.can_trade(91)
    assert not rule.can_trade(90)
    with pytest.raises(ValueError, match="current_portfolio_value"):
        rule.can_trade(odd)
    assert not rule.can_trade()


# --- day and week ----------------------------------------------------------------------------------------


def test_a_daily_loss_in_money() -> None:
    rule = DailyLossCircuitBreaker(max_daily_loss=D(5_000))
    assert rule.get_current_daily_loss() is None
    assert rule.can_trade(current_portfolio_value=D(97_000), start_of_day_value=D(100_000))
    assert rule.get_current_daily_loss() == 3_000
    assert rule.can_trade(D("95000.01"), D(100_000))
    assert not rule.can_trade(D(95_000), D(100_000))
    assert rule.state is BreakerState.TRIPPED
    assert rule.get_trip_details() == {"loss": "5000", "equity": "95000"}
    assert not rule.can_trade(D(120_000), D(100_000)), "until a reset"
    assert rule.get_current_daily_loss() == -20_000
    rule.reset(operator="anna")
    assert rule.can_trade(D(120_000), D(120_000))


def test_a_daily_loss_as_a_ratio_is_five_percent_unless_said_otherwise() -> None:
    for rule in (DailyLossCircuitBreaker(), DailyLossCircuitBreaker(max_daily_loss_pct="5%")):
        assert rule.can_trade(9_501, 10_000)
        assert not rule.can_trade(9_500, 10_000)


def test_a_weekly_loss() -> None:
    rule = WeeklyLossCircuitBreaker(max_weekly_loss_pct=D("0.10"))
    assert rule.can_trade(current_portfolio_value=9_001, start_of_week_value=10_000)
    assert not rule.can_trade(current_portfolio_value=9_000, start_of_week_value=10_000)


@pytest.mark.parametrize("odd", [*ODD_VALUES, "missing"])
def test_a_daily_loss_of_what_is_no_worth_is_refused_and_changes_nothing(odd: Any) -> None:
    rule = DailyLossCircuitBreaker(max_daily_loss=D(5_000))
    rule.can_trade(99_000, 100_000)
    for values in ({"current_portfolio_value": odd}, {"start_of_day_value": odd}):
        other = {"current_portfolio_value": 99_999, "start_of_day_value": 100_000}
        given = values if odd == "missing" else other | values
        with pytest.raises(ValueError, match=r"start_of_day_value|current_portfolio_value"):
            rule.can_trade(**given)
    assert rule.get_current_daily_loss() == 1_000
    assert rule.state is BreakerState.NORMAL


def test_nothing_can_be_measured_from_a_start_of_zero() -> None:
    with pytest.raises(ValueError, match="start_of_day_value is 0"):
        DailyLossCircuitBreaker().can_trade(0, 0)


# --- orders ----------------------------------------------------------------------------------------------


def test_a_runaway_loop_is_stopped_after_as_many_orders_as_the_limit() -> None:
    clock = ManualClock()
    rule, sent = OrderRateCircuitBreaker(max_orders_per_minute=10, window_seconds=60, clock=clock), 0
    for _ in range(150):
        clock.advance(0.1)
        if rule.can_trade():
            rule.record_order()
            sent += 1
    assert sent == rule.get_order_count() == 10
    assert rule.state is BreakerState.TRIPPED
    assert rule.get_trip_reason() == "10 orders in 60 s, limit 10"


def test_it_goes_on_by_itself_as_orders_age_out() -> None:
    clock = ManualClock()
    rule = OrderRateCircuitBreaker(2, clock=clock)
    rule.record_order()
    clock.advance(30)
    rule.record_order()
    assert not rule.can_trade()
    clock.advance(29.9)
    assert rule.state is BreakerState.TRIPPED
    clock.advance(0.1)
    assert rule.state is BreakerState.NORMAL
    assert rule.get_trip_reason() is None
    assert rule.can_trade()
    assert rule.get_order_count() == 1


def test_a_rate_that_was_told_to_trip_does_not_go_on_by_itself() -> None:
    clock = ManualClock()
    rule = OrderRateCircuitBreaker(1, action=Action.TRIP, clock=clock)
    rule.record_order()
    assert not rule.can_trade()
    clock.advance(1_000)
    assert not rule.can_trade()
    rule.reset()
    assert rule.can_trade()


def test_a_reset_clears_what_was_counted() -> None:
    rule = OrderRateCircuitBreaker(1, clock=ManualClock())
    rule.record_order()
    assert not rule.can_trade()
    rule.reset(operator="anna")
    assert rule.can_trade()
    assert rule.get_order_count() == 0


# --- errors ----------------------------------------------------------------------------------------------


def test_errors_beyond_the_limit_trip_and_age_out() -> None:
    clock = ManualClock()
    rule = ErrorRateCircuitBreaker(max_errors=10, window_seconds=60, clock=clock)
    assert rule.get_error_count() == 0
    for _ in range(10):
        rule.record_error()
    assert rule.can_trade()
    rule.record_error(kind="order_rejected")
    assert not rule.can_trade()
    assert rule.get_error_count() == 11
    assert rule.get_trip_details()["by_kind"] == {"broker": 10, "order_rejected": 1}
    clock.advance(60)
    assert rule.can_trade()
    assert rule.get_error_count() == 0


def test_expected_errors_do_not_count_and_unknown_kinds_are_refused() -> None:
    rule = ErrorRateCircuitBreaker(1, clock=ManualClock())
    for _ in range(5):
        rule.record_error(ErrorKind.EXPECTED)
        rule.record_error("expected")
    assert (rule.get_error_count(), rule.can_trade()) == (0, True)
    with pytest.raises(ValueError, match="broken"):
        rule.record_error("broken")


# --- manual ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["trigger_halt", "trip"])
def test_a_person_halts_and_a_person_resets(verb: str) -> None:
    rule = ManualCircuitBreaker()
    assert rule.state is BreakerState.NORMAL
    getattr(rule, verb)(reason="flash crash", operator="anna")
    assert rule.state is BreakerState.MANUALLY_HALTED
    assert rule.get_trip_reason() == "flash crash"
    assert rule.get_trip_details() == {"operator": "anna"}
    assert not rule.can_trade()
    rule.reset(operator="bert")
    assert rule.state is BreakerState.NORMAL
    assert rule.can_trade()


# --- a rule of one's own, as the guide has it ----------------------------------------------------------------


class VolatilityCircuitBreaker(BaseCircuitBreaker):
    """Halt trading when volatility exceeds a threshold."""

    def __init__(self, max_volatility: Decimal, window_minutes: int = 60) -> None:
        super().__init__(breaker_type=CircuitBreakerType.CUSTOM)
        self.max_volatility = max_volatility
        self.window_minutes = window_minutes

    def can_trade(self, returns: list[Decimal]) -> bool:
        if self.state in [BreakerState.TRIPPED, BreakerState.MANUALLY_HALTED]:
            return False
        if len(returns) < 2:
            return True
        volatility = self._calculate_volatility(returns)
        if volatility > self.max_volatility:
            self._trip(reason=f"Volatility {volatility:.4f} exceeds max {self.max_volatility:.4f}")
            return False
        return True

    def _calculate_volatility(self, returns: list[Decimal]) -> Decimal:
        return Decimal(str(statistics.stdev([float(r) for r in returns]))) * Decimal("15.87")


def test_a_rule_of_ones_own_needs_no_more_than_can_trade() -> None:
    rule, manager = VolatilityCircuitBreaker(max_volatility=D("0.30")), CircuitBreakerManager()
    manager.add_breaker(rule)
    assert rule.can_trade([D("0.001"), D("0.002"), D("-0.001")])
    assert manager.can_trade()
    assert not rule.can_trade([D("0.05"), D("-0.05"), D("0.06")])
    assert not rule.can_trade([])
    assert str(rule.get_trip_reason()).startswith("Volatility 0.9")
    assert not manager.can_trade()
    assert manager.get_status() == {"custom": "TRIPPED"}
    rule.reset(operator="anna")
    assert manager.can_trade()


# --- all of them together ----------------------------------------------------------------------------------


def test_a_manager_of_rules_that_take_values_is_asked_without_any() -> None:
    clock, manager = ManualClock(), CircuitBreakerManager()
    drawdown = DrawdownCircuitBreaker(max_drawdown_pct=D("0.10"), lookback_days=30)
    daily, manual = DailyLossCircuitBreaker(max_daily_loss=D(5_000)), ManualCircuitBreaker()
    orders = OrderRateCircuitBreaker(max_orders_per_minute=10, clock=clock)
    for rule in (drawdown, daily, orders, ErrorRateCircuitBreaker(max_errors=5, window_seconds=300), manual):
        manager.add_breaker(rule)
    assert manager.can_trade()
    for _ in range(10):
        orders.record_order()
    assert not manager.can_trade()
    assert [rule.breaker_type.value for rule in manager.get_tripped()] == ["order_rate"]
    clock.advance(60)
    assert manager.can_trade()
    daily.can_trade(D(90_000), D(100_000))
    assert manager.any_tripped()
    assert manager.get_status() == {
        "drawdown": "NORMAL",
        "daily_loss": "TRIPPED",
        "order_rate": "NORMAL",
        "error_rate": "NORMAL",
        "manual": "NORMAL",
    }
    assert manager.get_trip_reasons() == {"daily_loss": daily.get_trip_reason()}
    manager.reset_all()
    assert manager.can_trade()


def test_two_of_a_kind_need_names() -> None:
    manager = CircuitBreakerManager()
    manager.add_breaker(DrawdownCircuitBreaker(D("0.05")))
    with pytest.raises(CircuitBreakerError, match="drawdown"):
        manager.add_breaker(DrawdownCircuitBreaker(D("0.10")))
    manager.add_breaker(DrawdownCircuitBreaker(D("0.10"), name="night"))
    assert set(manager.get_status()) == {"drawdown", "night"}


def test_resetting_a_veto_that_has_just_cleared_by_itself_is_no_error() -> None:
    clock = ManualClock()
    rule = OrderRateCircuitBreaker(1, 60, clock=clock)
    rule.record_order()
    assert not rule.can_trade()
    clock.advance(61.0)
    rule.reset(operator="admin")
    assert rule.can_trade()
    with pytest.raises(CircuitBreakerError, match="not tripped"):
        DrawdownCircuitBreaker().reset(operator="admin")
