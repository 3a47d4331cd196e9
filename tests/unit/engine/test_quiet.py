from __future__ import annotations

from datetime import time
from decimal import Decimal

import pytest

from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.breakers import BaseCircuitBreaker, DrawdownCircuitBreaker, OrderRateCircuitBreaker
from risk_daemon.breakers.base import CircuitBreakerType, EvaluationContext, Verdict
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.engine.decision import ReadNow
from risk_daemon.gate.restraints import OrderRequest
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, Kind, Tick
from tests.core_world import BTC_PERP, World, amounts, engine_settings, perp, price, with_


class Counting(DrawdownCircuitBreaker):
    """A drawdown rule that counts how often it is asked."""

    asked = 0

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        self.asked += 1
        return super().evaluate(context, now)


class OwnRule(BaseCircuitBreaker):
    """A user's own rule, which claims that it need not be asked."""

    def __init__(self) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, "own")
        self.asked = 0

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        self.asked += 1
        calm = DrawdownCircuitBreaker().evaluate(context, now).calm
        return Verdict(breaker=self.name, breaker_type=self.breaker_type, action=self.action, calm=calm)


def guarded(*rules: BaseCircuitBreaker, warnings: tuple[Decimal, ...] = (Decimal("0.03"),)) -> World:
    """10,000 USDT, half of it BTC at 50,000; the gate is open, and everything was asked a moment ago."""
    settings = with_(engine_settings(), capital_loss={"warnings": warnings})
    world = World(settings, rules=lambda: rules)
    world.holdings["spot"] = amounts(BTC="0.1")
    world.start()
    assert world.gate == "open"
    return world


def prices(world: World, *values: object) -> None:
    for value in values:
        world.clock.advance(0.001)
        world.stream_price("BTC/USDT", value)


def asked_by(rule: Counting | OwnRule, world: World, *values: object) -> int:
    before = rule.asked
    prices(world, *values)
    return rule.asked - before


def test_far_from_every_limit_nobody_is_asked_and_the_equity_is_told_all_the_same() -> None:
    rule = Counting(Decimal("0.1"))
    world = guarded(rule)
    assert asked_by(rule, world, *range(49_990, 50_010)) == 0
    decision = world.stream_price("BTC/USDT", 49_800)
    assert decision.equity is not None
    assert decision.equity.value == 9_980
    assert [verdict.breaker for verdict in decision.verdicts] == ["capital_loss", "manual", "drawdown", "blind"]


def test_time_asks_everybody() -> None:
    rule = Counting(Decimal("0.1"))
    world = guarded(rule)
    before = rule.asked
    world.send(Tick())
    assert rule.asked == before + 1


@pytest.mark.parametrize("level", ["0.03", "0.0300000001", "0.0299999999"])
def test_a_level_is_met_to_the_last_digit(level: str) -> None:
    """A fall of 6 % of the BTC is one of 3 % of everything."""
    world = guarded(warnings=(Decimal(level),))
    prices(world, 49_000, 47_500, 47_100, 47_001, 47_000.01)
    assert not world.records(EventName.WARNING_TRIGGERED)
    prices(world, Decimal(50_000) - Decimal(level) * 100_000)
    assert len(world.records(EventName.WARNING_TRIGGERED)) == 1


def test_while_a_warning_stands_everybody_is_asked() -> None:
    rule = Counting(Decimal("0.1"))
    world = guarded(rule)
    prices(world, 46_900)
    assert asked_by(rule, world, 46_950, 46_960) == 4, "on two venues"


def test_an_order_that_may_be_sent_counts_from_the_next_frame_on() -> None:
    world = guarded(OrderRateCircuitBreaker(1))
    order = OrderRequest("spot", "BTC/USDT", "buy", Decimal(1))
    assert world.engine.check_order(order, world.clock.now()).allowed
    assert world.engine._quiet is None
    prices(world, 50_001)
    assert world.engine._quiet is not None


def test_a_rule_of_ones_own_is_asked_every_time_whatever_it_says() -> None:
    rule = OwnRule()
    world = guarded(rule)
    assert asked_by(rule, world, 50_001, 50_002) == 4


def test_a_rule_with_hours_is_asked_every_time() -> None:
    rule = Counting(Decimal("0.1"), active_hours=ActiveHours(time(0, 0), time(23, 59, 59)))
    world = guarded(rule)
    assert asked_by(rule, world, 50_001) == 2


@pytest.mark.parametrize(("quantity", "times"), [("0", 0), ("0.01", 2)])
def test_the_loss_of_open_positions_is_looked_at_every_time(quantity: str, times: int) -> None:
    asked: list[Instant] = []

    class Watched(PositionLossCircuitBreaker):
        def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
            asked.append(now)
            return super().evaluate(context, now)

    world = guarded(Watched(max_position_loss_pct="50%"))
    world.prices["perp"][BTC_PERP] = price(BTC_PERP, 50_000)
    world.stream_price(BTC_PERP, 50_000, "perp")
    world.stream_position("perp", perp(quantity, 50_000)) if quantity != "0" else world.send(Tick())
    asked.clear()
    prices(world, 50_001)
    assert len(asked) == times


def test_nothing_is_quiet_before_everything_was_read() -> None:
    world = World(engine_settings())
    world.read("spot", Kind.BALANCES)
    prices(world, 50_001, 50_002)
    assert world.engine._quiet is None


def test_while_baselines_are_still_to_be_taken_readings_are_asked_for_all_the_same() -> None:
    world = World(engine_settings())
    world.begin()
    world.forget()
    for number in range(100):
        world.clock.advance(0.1)
        world.stream_price("BTC/USDT", 50_000 + number)
    assert len(world.actions(ReadNow)) > 5


def test_a_minute_later_everybody_is_asked_though_only_prices_came() -> None:
    rule = Counting(Decimal("0.1"))
    world = guarded(rule)
    world.clock.advance(60.0)
    assert asked_by(rule, world, 50_001) >= 1


def test_what_changes_nothing_is_not_written_down() -> None:
    world = guarded(Counting(Decimal("0.1")))
    prices(world, 50_001)
    world.run(2.0)
    world.forget()
    for _ in range(500):
        prices(world, 50_001)
    assert not any(decision.records or decision.actions or decision.persist for decision in world.decisions)


def test_a_flow_that_a_frame_shows_moves_the_level_with_the_baselines() -> None:
    """10,150 afterwards: 3 % less are 9,845.5, and the level was 9,700 until then."""
    world = guarded()
    world.book_flow("perp", "USDT", 150)
    world.list_flows("perp")
    prices(world, 50_000)
    assert world.engine._quiet is not None
    world.move_money("perp", "USDT", 150)
    world.tell_balance("perp", "USDT")
    assert world.engine.baselines.capital == 10_150
    prices(world, 49_999, 46_956)
    assert not world.records(EventName.WARNING_TRIGGERED)
    prices(world, 46_955)
    assert len(world.records(EventName.WARNING_TRIGGERED)) == 1


def test_it_is_the_worst_case_that_must_stay_above() -> None:
    """A rise that no book has told of yet may be a deposit: without it the 9,750 are 9,450."""
    rule = Counting(Decimal("0.1"))
    world = guarded(rule)
    world.ledger_dead.add("perp")
    world.move_money("perp", "USDT", 300)
    world.tell_balance("perp", "USDT")
    assert asked_by(rule, world, 49_990) == 0
    assert asked_by(rule, world, 44_500) == 2
    assert world.decisions[-1].verdicts[0].undecided
