"""A program's own coordinator as a gate: no in every doubt, and counted so that no order passes beside a limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    CircuitBreakerManager,
    CircuitBreakerType,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    EvaluationContext,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
    PositionLossCircuitBreaker,
    VenueLossCircuitBreaker,
    VolatilityCircuitBreaker,
    WeeklyLossCircuitBreaker,
)
from risk_daemon.client import GateAnswer, OrderGate
from risk_daemon.coordinator_gate import CoordinatorGate
from risk_daemon.gate.activity import Activity
from risk_daemon.guarded_exchange import guard
from risk_daemon.model.clock import ManualClock
from risk_daemon.portfolio.manager import Equity

ORDER: dict[str, Any] = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1"}
NOW = ManualClock().now()


def gate_of(*rules: BaseCircuitBreaker) -> CoordinatorGate:
    return CoordinatorGate(coordinator_of(*rules))


def coordinator_of(*rules: BaseCircuitBreaker) -> CircuitBreakerManager:
    coordinator = CircuitBreakerManager()
    for rule in rules:
        coordinator.add_breaker(rule)
    return coordinator


def ask(gate: OrderGate) -> GateAnswer:
    return gate.check(**ORDER)


def context(equity: Equity | None) -> EvaluationContext:
    """Of an account that had 100 and has `equity` now."""
    clock, baselines = ManualClock(), Baselines(BaselineSettings(initial_capital=Decimal(100)))
    for _ in range(30):
        baselines.observe(Decimal(100), clock.advance(1.0), trusted=True, rest_mono=clock.now().mono, agreed=True)
    return EvaluationContext(equity, None if equity is None else equity.high, baselines, activity=Activity())


def exactly(worth: str) -> Equity:
    return Equity(Decimal(worth), Decimal(worth), Decimal(worth))


# --- doubt -----------------------------------------------------------------------------------------


def test_a_coordinator_without_rules_lets_nothing_pass() -> None:
    assert not ask(gate_of())


@pytest.mark.parametrize(
    "rule",
    [
        DrawdownCircuitBreaker(),
        DailyLossCircuitBreaker(),
        WeeklyLossCircuitBreaker(5_000),
        VenueLossCircuitBreaker(500),
        PositionLossCircuitBreaker(500),
        VolatilityCircuitBreaker("0.8"),
    ],
    ids=lambda rule: rule.name,
)
def test_a_rule_that_was_told_nothing_lets_nothing_pass(rule: BaseCircuitBreaker) -> None:
    answer = ask(gate_of(ManualCircuitBreaker(), rule))
    assert not answer
    assert (answer.veto_reason, answer.detail) == ("blind", f"what it judges by is not known: {rule.name}")


@pytest.mark.parametrize("odd", [None, float("nan"), "many", Decimal("inf")])
def test_a_value_that_was_refused_leaves_nothing_known(odd: Any) -> None:
    drawdown, daily = DrawdownCircuitBreaker(), DailyLossCircuitBreaker()
    drawdown.can_trade(100)
    daily.can_trade(100, 100)
    gate = gate_of(drawdown, daily)
    assert ask(gate)
    for tell in (lambda: drawdown.can_trade(odd), lambda: daily.can_trade(odd, 100), lambda: daily.can_trade(100)):
        with pytest.raises(ValueError):
            tell()
        assert ask(gate).veto_reason == "blind"
        drawdown.can_trade(100)
        daily.can_trade(100, 100)
        assert ask(gate)


def test_after_a_reset_nothing_is_known() -> None:
    """It began a new history, or lost what the day began with."""
    drawdown, daily = DrawdownCircuitBreaker(), DailyLossCircuitBreaker()
    for rule, values in ((drawdown, (80,)), (daily, (80, 100))):
        gate = gate_of(rule)
        drawdown.can_trade(100)
        rule.can_trade(*values)
        assert ask(gate).veto_reason not in (None, "blind")
        rule.reset("anna")
        assert ask(gate).veto_reason == "blind"


def test_what_was_told_of_yesterday_is_not_known_of_today() -> None:
    clock = ManualClock()
    daily = DailyLossCircuitBreaker(clock=clock)
    gate = gate_of(daily)
    daily.can_trade(100, 100)
    assert ask(gate)
    clock.advance(86_400.0)
    assert ask(gate).veto_reason == "blind"


def test_an_evaluation_of_an_incomplete_portfolio_lets_nothing_pass() -> None:
    coordinator = coordinator_of(DrawdownCircuitBreaker(), ManualCircuitBreaker(), OrderRateCircuitBreaker(5))
    gate = CoordinatorGate(coordinator)
    coordinator.evaluate(context(exactly("100")), NOW)
    assert ask(gate)
    coordinator.evaluate(context(None), NOW)
    assert ask(gate).detail.endswith(": drawdown")
    coordinator.evaluate(context(Equity(Decimal(95), Decimal(80), Decimal(99))), NOW)
    assert ask(gate).veto_reason == "blind", "10 % lie inside what is unknown"
    coordinator.evaluate(replace(context(exactly("100")), suspected_high=Decimal(85)), NOW)
    assert ask(gate).veto_reason == "blind", "it may be a loss, and it may be half of a trade"
    coordinator.evaluate(context(exactly("95")), NOW)
    assert ask(gate)
    coordinator.evaluate(context(exactly("90")), NOW)
    assert ask(gate).veto_reason == "portfolio_dd_circuit"


class Failing(BaseCircuitBreaker):
    def evaluate(self, context: EvaluationContext, now: Any) -> Any:
        raise ZeroDivisionError


def test_an_evaluation_that_failed_lets_nothing_pass_until_one_succeeds() -> None:
    drawdown = DrawdownCircuitBreaker()
    coordinator = coordinator_of(drawdown)
    gate = CoordinatorGate(coordinator)
    coordinator.evaluate(context(exactly("100")), NOW)
    coordinator.add_breaker(Failing(drawdown.breaker_type, "failing"))
    with pytest.raises(ZeroDivisionError):
        coordinator.evaluate(context(exactly("100")), NOW)
    assert ask(gate).detail.endswith(": drawdown, failing")


# --- answers ---------------------------------------------------------------------------------------


def test_the_most_severe_of_the_tripped_is_told_with_what_was_seen() -> None:
    drawdown, orders = DrawdownCircuitBreaker("0.10"), OrderRateCircuitBreaker(1)
    gate = gate_of(orders, drawdown)
    drawdown.can_trade(100)
    assert ask(gate)
    assert ask(gate).veto_reason == "order_rate"
    drawdown.can_trade(80)
    answer = ask(gate)
    assert (answer.veto_reason, answer.detail) == (
        "portfolio_dd_circuit",
        "drawdown of 20.00 % from the peak, limit 10.00 %",
    )
    assert (answer.observed["current_dd_pct"], answer.limits["max_portfolio_dd_nav_pct"]) == (0.2, 0.1)


def test_a_yes_is_a_lease_for_a_second() -> None:
    answer = ask(gate_of(ManualCircuitBreaker()))
    assert answer.is_valid()
    assert answer.lease is not None
    assert answer.lease.valid_for_ms == 1000


async def test_it_is_asked_on_a_loop_as_well() -> None:
    manual = ManualCircuitBreaker()
    gate = gate_of(manual)
    assert await gate.acheck(**ORDER)
    manual.trip()
    assert (await gate.acheck(**ORDER)).veto_reason == "manual_halt"


def test_an_order_that_makes_no_sense_is_not_answered() -> None:
    with pytest.raises(ValueError, match="quantity"):
        gate_of(ManualCircuitBreaker()).check(**{**ORDER, "quantity": 0})


# --- counting --------------------------------------------------------------------------------------


class Meeting(BaseCircuitBreaker):
    """Whoever looks at it waits a moment for somebody else who does."""

    def __init__(self) -> None:
        super().__init__(CircuitBreakerType.CUSTOM)
        self.both = threading.Barrier(2)

    def refresh(self) -> None:
        with suppress(threading.BrokenBarrierError):  # nobody came, and nobody is waited for again
            self.both.wait(0.1)


def test_two_threads_with_a_gate_each_get_as_many_orders_as_the_limit() -> None:
    coordinator = coordinator_of(Meeting(), OrderRateCircuitBreaker(1))
    gates = CoordinatorGate(coordinator), CoordinatorGate(coordinator)
    with ThreadPoolExecutor(2) as threads:
        assert sorted(answer.allowed for answer in threads.map(ask, gates)) == [False, True]


def test_a_fork_in_the_middle_of_a_question_leaves_the_child_able_to_ask() -> None:
    meeting, manual = Meeting(), ManualCircuitBreaker()
    asking = threading.Thread(target=ask, args=(gate_of(meeting),))
    asking.start()
    while not meeting.both.n_waiting:
        assert asking.is_alive()
    if (child := os.fork()) == 0:
        signal.alarm(5)
        os._exit(0 if ask(gate_of(manual)) else 1)
    asking.join()
    assert os.waitpid(child, 0)[1] == 0


def test_errors_count_with_the_next_question_and_expected_ones_do_not() -> None:
    gate = gate_of(ErrorRateCircuitBreaker(max_errors=2))
    for _ in range(5):
        assert gate.report_error("expected")
    assert gate.report_rejected(detail="EOrder")
    assert gate.report_error("connection", venue="kraken")
    assert gate.report_sent(venue="kraken", symbol="BTC/USDT", side="buy")
    assert ask(gate)
    gate.report_error("broker")
    answer = ask(gate)
    assert (answer.veto_reason, answer.observed["errors"]) == ("error_rate", 3)
    with pytest.raises(ValueError):
        gate.report_error("bad luck")


# --- what is given to `guard` ----------------------------------------------------------------------


class Exchange:
    id = "kraken"

    def create_order(self, symbol: str) -> None: ...


def test_what_is_neither_gate_nor_coordinator_is_refused() -> None:
    exchange = Exchange()
    with pytest.raises(TypeError, match="CircuitBreakerManager"):
        guard(exchange, DrawdownCircuitBreaker())  # type: ignore[arg-type]
    assert type(exchange) is Exchange


def test_a_bot_of_the_daemon_does_not_load_the_breakers() -> None:
    program = (
        "import sys, risk_daemon.guarded_exchange as g; from risk_daemon.client import TradingGate\n"
        "class Exchange:\n    id = 'kraken'\n    def create_order(self): ...\n"
        "g.guard(Exchange(), TradingGate('/nowhere'))\n"
        "print([name for name in sys.modules if name.startswith('risk_daemon.breakers') or 'coordinator' in name])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
