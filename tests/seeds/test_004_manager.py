"""The guide's coordinator, states, custom breakers and engine, used as it uses them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from statistics import stdev

import pytest

from risk_daemon.app.rules import build_rules
from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    BreakerState,
    CircuitBreakerManager,
    CircuitBreakerType,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.breakers.base import Action, EvaluationContext
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import EventName
from risk_daemon.portfolio.manager import Equity
from tests.core_world import engine_settings
from tests.seeds.common import ask, first, guarded, lose, settings_of, why, with_tables

PEAK = Decimal("100000")


def coordinator() -> CircuitBreakerManager:
    """The five of the guide, with its numbers."""
    manager = CircuitBreakerManager()
    manager.add_breaker(DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.10"), lookback_days=30))
    manager.add_breaker(DailyLossCircuitBreaker(max_daily_loss=Decimal("5000")))
    manager.add_breaker(OrderRateCircuitBreaker(max_orders_per_minute=10))
    manager.add_breaker(ErrorRateCircuitBreaker(max_errors=5, window_seconds=300))
    manager.add_breaker(ManualCircuitBreaker())
    return manager


def context_at(worth: str, clock: ManualClock) -> EvaluationContext:
    """An account that had 100,000 for half a minute, and has `worth` now."""
    baselines = Baselines(BaselineSettings(initial_capital=PEAK))
    for _ in range(30):
        baselines.observe(PEAK, clock.advance(1.0), trusted=True, rest_mono=clock.now().mono, agreed=True)
    equity = Equity(Decimal(worth), Decimal(worth), Decimal(worth))
    return EvaluationContext(equity, equity.high, baselines)


# --- the coordinator -----------------------------------------------------------------------------------


def test_004_27_every_method_of_the_coordinator() -> None:
    manager = coordinator()
    daily, manual = manager.get_breaker("daily_loss"), manager.get_breaker("manual")
    assert manager.can_trade()
    assert not manager.any_tripped()
    assert (manager.get_tripped(), manager.get_trip_reasons()) == ([], {})
    daily.can_trade(Decimal("94000"), PEAK)
    assert isinstance(manual, ManualCircuitBreaker)
    manual.trigger_halt("looking into it", "anna")
    assert not manager.can_trade()
    assert manager.any_tripped()
    assert manager.get_tripped() == [daily, manual]
    assert manager.get_trip_reasons() == {
        "daily_loss": "loss of 6000.00 since the start of the day, limit 5000.00",
        "manual": "looking into it",
    }
    assert len(manager.get_all_breakers()) == 5


def test_004_28_the_coordinator_is_asked_without_values() -> None:
    """Its rules keep what their own `can_trade` was told last."""
    manager = coordinator()
    drawdown = manager.get_breaker("drawdown")
    assert drawdown.can_trade(current_portfolio_value=PEAK)
    assert manager.can_trade()
    assert not drawdown.can_trade(current_portfolio_value=Decimal("89000"))
    assert not manager.can_trade()
    assert [breaker.name for breaker in manager.get_tripped()] == ["drawdown"]


def test_004_28_every_verdict_of_an_evaluation_is_given() -> None:
    clock = ManualClock()
    manager = coordinator()
    verdicts = manager.evaluate(context_at("94000", clock), clock.now())
    assert {verdict.breaker: verdict.breached for verdict in verdicts} == {
        "drawdown": False,
        "daily_loss": True,
        "order_rate": False,
        "error_rate": False,
        "manual": False,
    }


def test_004_28_after_an_evaluation_that_breaches_the_coordinator_says_no() -> None:
    clock = ManualClock()
    manager = coordinator()
    manager.evaluate(context_at("94000", clock), clock.now())
    assert not manager.can_trade()


def test_004_29_status_by_name_and_types_as_words() -> None:
    manager = coordinator()
    manager.get_breaker("daily_loss").can_trade(Decimal("94000"), PEAK)
    assert manager.get_status() == {
        "drawdown": "NORMAL",
        "daily_loss": "TRIPPED",
        "order_rate": "NORMAL",
        "error_rate": "NORMAL",
        "manual": "NORMAL",
    }
    assert [breaker.breaker_type.value for breaker in manager.get_tripped()] == ["daily_loss"]


def test_004_29_two_of_a_kind_are_told_apart_by_their_names() -> None:
    manager = CircuitBreakerManager()
    manager.add_breaker(DrawdownCircuitBreaker(Decimal("0.05"), 7, name="week"))
    manager.add_breaker(DrawdownCircuitBreaker(Decimal("0.15"), 60, name="months"))
    assert manager.get_status() == {"week": "NORMAL", "months": "NORMAL"}
    with pytest.raises(CircuitBreakerError):
        manager.add_breaker(DrawdownCircuitBreaker(name="week"))


def test_004_30_resetting_all_resets_what_tripped_and_nothing_else() -> None:
    manager = coordinator()
    manager.get_breaker("drawdown").can_trade(PEAK)
    manager.get_breaker("drawdown").can_trade(Decimal("80000"))
    manager.get_breaker("daily_loss").can_trade(Decimal("80000"), PEAK)
    manager.reset_all(operator="anna")
    assert set(manager.get_status().values()) == {"NORMAL"}
    assert manager.can_trade()
    manager.reset_all()
    with pytest.raises(CircuitBreakerError):
        manager.get_breaker("drawdown").reset(operator="anna")


# --- the engine ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.VETO, Action.FREEZE, Action.TRIP])
def test_004_31_the_engine_asks_the_rules_before_each_order(action: Action) -> None:
    world = guarded(DailyLossCircuitBreaker(max_daily_loss=Decimal(500), action=action))
    assert ask(world).allowed
    lose(world, "0.05")
    assert why(ask(world)) == "daily_loss"
    tripped = first(world, EventName.BREAKER_TRIPPED).fields
    assert (tripped["breaker"], tripped["state"]) == ("daily_loss", "TRIPPED")
    assert (world.state == "TRIGGERED") is (action is not Action.VETO), "whether it pauses everything is configured"


def test_004_32_an_engine_is_made_with_its_rules() -> None:
    engine = Engine(engine_settings(), [DrawdownCircuitBreaker(Decimal("0.10")), DailyLossCircuitBreaker()])
    assert list(engine.manager.get_status()) == ["capital_loss", "manual", "drawdown", "daily_loss", "blind"]


# --- states --------------------------------------------------------------------------------------------


class Watched(DrawdownCircuitBreaker):
    """Notes the state in which its conditions are cleared."""

    cleared_in: BreakerState | None = None

    def _clear_conditions(self) -> None:
        self.cleared_in = self.state
        super()._clear_conditions()


def test_004_33_the_transitions_of_a_rule() -> None:
    breaker = Watched(Decimal("0.10"))
    seen = [breaker.state]
    breaker.can_trade(PEAK)
    breaker.can_trade(Decimal("85000"))
    seen.append(breaker.state)
    breaker.reset(operator="anna")
    assert breaker.cleared_in is BreakerState.RESETTING
    seen += [breaker.cleared_in, breaker.state]
    assert [state.value for state in seen] == ["NORMAL", "TRIPPED", "RESETTING", "NORMAL"]


def test_004_33_the_transitions_of_a_halt() -> None:
    breaker = ManualCircuitBreaker()
    breaker.trigger_halt("why", "anna")
    assert breaker.state is BreakerState.MANUALLY_HALTED
    breaker.reset("anna")
    assert breaker.state is BreakerState.NORMAL


def test_004_33_a_reset_that_fails_leaves_it_shut() -> None:
    class Failing(DrawdownCircuitBreaker):
        def _clear_conditions(self) -> None:
            raise OSError("the disk is full")

    breaker = Failing(Decimal("0.10"))
    breaker.can_trade(PEAK)
    breaker.can_trade(Decimal("85000"))
    with pytest.raises(OSError):
        breaker.reset("anna")
    assert breaker.state is BreakerState.RESETTING
    assert not breaker.can_trade()


# --- troubleshooting -----------------------------------------------------------------------------------


def test_004_43_details_say_what_was_seen() -> None:
    breaker = DrawdownCircuitBreaker(Decimal("0.10"))
    breaker.can_trade(PEAK)
    assert breaker.get_trip_details() == {}
    breaker.can_trade(Decimal("85000"))
    assert breaker.state is BreakerState.TRIPPED
    assert breaker.get_trip_details() == {
        "current_dd_pct": 0.15,
        "peak_nav_usd": 100_000.0,
        "latest_nav_usd": 85_000.0,
    }


def test_004_44_orders_of_all_bots_count_together() -> None:
    world = guarded(OrderRateCircuitBreaker(10))
    answers = [ask(world, bot=bot) for _ in range(6) for bot in ("alice", "bob")]
    assert [answer.allowed for answer in answers] == [True] * 10 + [False] * 2


def test_004_45_a_rule_tells_its_configuration_and_every_answer_is_kept() -> None:
    told = {breaker.name: breaker.describe() for breaker in coordinator().get_all_breakers()}
    assert told["drawdown"]["limits"] == {"max_portfolio_dd_nav_pct": 0.10}
    assert told["drawdown"]["lookback_days"] == 30
    assert told["error_rate"]["limits"] == {"max_errors": 5, "window_s": 300.0}
    world = guarded(DrawdownCircuitBreaker(Decimal("0.10")), OrderRateCircuitBreaker(10))
    decision = world.stream_price("BTC/USDT", 49_000)
    assert [verdict.breaker for verdict in decision.verdicts] == [
        "capital_loss",
        "manual",
        "drawdown",
        "order_rate",
        "blind",
    ]
    assert not any(verdict.breached for verdict in decision.verdicts)


# --- custom breakers -----------------------------------------------------------------------------------


class SessionVolatility(BaseCircuitBreaker):
    """A user's rule for a program of one's own: standard deviation of returns, by the root of the year's days."""

    def __init__(self, max_volatility: Decimal, window_minutes: int = 60) -> None:
        super().__init__(breaker_type=CircuitBreakerType.CUSTOM)
        self.max_volatility = max_volatility
        self.window_minutes = window_minutes

    def can_trade(self, returns: Sequence[Decimal]) -> bool:
        if self.state in (BreakerState.TRIPPED, BreakerState.MANUALLY_HALTED) or len(returns) < 2:
            return not self.is_tripped
        yearly = Decimal(str(stdev(float(change) for change in returns))) * Decimal("15.87")
        if yearly > self.max_volatility:
            self._trip(reason=f"volatility {yearly:.4f} is above {self.max_volatility:.4f}", volatility=yearly)
        return not self.is_tripped


def test_004_48_a_rule_of_ones_own_in_a_program() -> None:
    breaker = SessionVolatility(max_volatility=Decimal("0.30"))
    manager = CircuitBreakerManager()
    manager.add_breaker(breaker)
    assert breaker.can_trade([])
    assert manager.can_trade(), "nobody hands the coordinator any returns"
    assert not breaker.can_trade([Decimal("0.03"), Decimal("-0.03")] * 10)
    assert breaker.state is BreakerState.TRIPPED
    assert not breaker.can_trade([]), "tripped is tripped, whatever comes after"
    assert not manager.can_trade()
    assert manager.get_status() == {"custom": "TRIPPED"}
    assert "is above 0.3000" in str(manager.get_trip_reasons()["custom"])
    breaker.reset(operator="anna")
    assert manager.can_trade()


OWN_RULE = """
from decimal import Decimal
from risk_daemon.breakers import BaseCircuitBreaker, CircuitBreakerType
from risk_daemon.breakers.base import Verdict

class Floor(BaseCircuitBreaker):
    def __init__(self, floor):
        super().__init__(breaker_type=CircuitBreakerType.CUSTOM)
        self.floor = Decimal(floor)

    def evaluate(self, context, now):
        if context.equity is not None and context.equity.high < self.floor:
            self._trip(reason="below the floor", equity=context.equity.value)
        return Verdict(breaker=self.name, breaker_type=self.breaker_type, action=self.action)
"""


def test_004_48_a_rule_of_ones_own_in_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "seeds_own_rule.py").write_text(OWN_RULE)
    table = '[breakers.floor]\nclass = "seeds_own_rule:Floor"\nfloor = 9000\n'
    world = guarded(*build_rules(settings_of(with_tables(table), tmp_path)))
    lose(world, "0.09")
    assert world.gate == "open"
    lose(world, "0.11")
    assert world.gate == "custom:floor"
    assert why(ask(world)) == "custom:floor"
    assert first(world, EventName.BREAKER_TRIPPED).fields["reason"] == "below the floor"


@pytest.mark.parametrize(("change", "may_trade"), [("0.0187", True), ("0.0188", False)])
def test_004_49_thirty_percent_a_year_over_an_hour(change: str, may_trade: bool) -> None:
    """Sixty returns of +-x have a standard deviation of 1.0084 x; times 15.87 that is 0.30 at x = 0.018745."""
    breaker = SessionVolatility(max_volatility=Decimal("0.30"), window_minutes=60)
    assert breaker.can_trade([Decimal(change), -Decimal(change)] * 30) is may_trade


def test_004_49_the_daemons_own_counts_minutes_of_equity() -> None:
    """An equity that swings by 0.1 % a minute swings by more than 70 % a year, one of 0.02 % by 15 %."""
    calm = guarded(VolatilityCircuitBreaker(Decimal("0.30"), 3600.0))
    wild = guarded(VolatilityCircuitBreaker(Decimal("0.30"), 3600.0))
    for minute in range(6):
        for world, swing in ((calm, 10), (wild, 50)):
            world.stream_price("BTC/USDT", 50_000 + (swing if minute % 2 else -swing))
            world.run(60.0)
    assert calm.gate == "open"
    assert wild.gate == "volatility"
    assert why(ask(wild)) == "volatility"
