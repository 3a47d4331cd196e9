"""Asking nobody while nothing is near a limit gives what asking every rule every time gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.breakers import DailyLossCircuitBreaker, DrawdownCircuitBreaker, OrderRateCircuitBreaker
from risk_daemon.breakers.base import Action, BaseCircuitBreaker, Verdict
from risk_daemon.breakers.error_rate import ErrorRateCircuitBreaker
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.engine.decision import Decision
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.quiet import Quiet
from risk_daemon.gate.restraints import OrderRequest
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import ErrorKind, ErrorReported, Input, StreamConfirmed
from tests.core_world import BTC_PERP, World, amounts, engine_settings, price
from tests.property.test_engine_properties import do, steps

near_steps = st.one_of(
    st.tuples(st.just("prices"), st.lists(st.integers(-12, 12), min_size=1, max_size=30)),
    st.tuples(st.just("slide"), st.integers(-8, 8), st.integers(5, 60)),
    st.tuples(st.just("marks"), st.lists(st.integers(-30, 30), min_size=1, max_size=10)),
    st.tuples(st.just("order"), st.integers(1, 3)),
    st.tuples(st.just("errors"), st.integers(1, 3)),
    st.tuples(st.just("alive"), st.sampled_from(["spot", "perp"])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 65.0, 3_700.0])),
)


class AskingEngine(Engine):
    """Asks every rule every time."""

    def _find_quiet(self, verdicts: tuple[Verdict, ...], now: Instant) -> Quiet | None:
        return None


class Twins(World):
    """Two engines are told the same. They must answer the same."""

    def __init__(self, rules: Any) -> None:
        short = replace(engine_settings().baselines, lookback_days=1.0, peak_hold_s=2.0)
        super().__init__(replace(engine_settings(), baselines=short), rules=rules)
        self.sweeps_take_s = 1.0
        self.twin = AskingEngine(self.settings, self.rules())
        self.quiet_turns = 0

    def send(self, event: Input) -> Decision:
        quiet_before = self.engine._quiet
        expected = told(self.twin.process(event, self.clock.now()))
        decision = super().send(event)
        assert told(decision) == expected
        self.quiet_turns += quiet_before is not None and self.engine._quiet is quiet_before
        return decision

    def check(self, order: OrderRequest) -> None:
        now = self.clock.now()
        assert self.engine.check_order(order, now) == self.twin.check_order(order, now)


def told(decision: Decision) -> Any:
    """All but what the rules observed: that is of when they were asked."""
    answers = [replace(verdict, reason="", observed={}) for verdict in decision.verdicts]
    return decision._replace(verdicts=()), answers


def every_rule() -> Sequence[BaseCircuitBreaker]:
    """Limits near enough to be met, each in its own unit."""
    share = Decimal("0.04")
    return (
        DrawdownCircuitBreaker(share, 0.5, warnings=(Decimal("0.02"),), action=Action.VETO),
        DailyLossCircuitBreaker(max_daily_loss=450, warnings=(150,), action=Action.FREEZE),
        WeeklyLossCircuitBreaker(max_weekly_loss_pct=share, action=Action.VETO),
        PositionLossCircuitBreaker(max_position_loss_pct=share),
        VenueLossCircuitBreaker(max_venue_loss_pct=share),
        VolatilityCircuitBreaker(Decimal(2)),
        OrderRateCircuitBreaker(4),
        ErrorRateCircuitBreaker(4, window=60),
    )


def near(world: Twins, step: Any) -> None:
    """Small things in quick succession."""
    match step:
        case ("prices", moves):
            value = world.prices["spot"]["BTC/USDT"].value
            for number, move in enumerate(moves):
                value = max(Decimal(1), value * (1 + Decimal(move) / 1_000))
                world.clock.advance(0.003 * (number % 5))
                world.stream_price("BTC/USDT", value)
        case ("slide", move, count):
            near(world, ("prices", [move] * count))
        case ("marks", moves):
            value = world.prices["perp"][BTC_PERP].value
            for move in moves:
                value = max(Decimal(1), value * (1 + Decimal(move) / 1_000))
                world.clock.advance(0.01)
                world.stream_price(BTC_PERP, value, "perp")
        case ("order", count):
            for _ in range(count):
                world.check(OrderRequest("spot", "BTC/USDT", "buy", Decimal(1), bot="alice"))
        case ("errors", count):
            for _ in range(count):
                world.send(ErrorReported(ErrorKind.BROKER, "alice", "spot"))
        case ("alive", venue):
            for kind in world.expected[venue]:
                world.send(StreamConfirmed(venue, kind, world.now))
        case ("wait", seconds):
            world.clock.advance(seconds)
        case _:
            do(world, step)


def opened(rules: Any) -> Twins:
    world = Twins(rules)
    world.holdings["spot"] = amounts(BTC="0.08", USDT=1_000)
    world.prices["perp"][BTC_PERP] = price(BTC_PERP, 50_000)
    world.start()
    assert world.gate == "open"
    return world


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(near_steps, near_steps, steps), min_size=1, max_size=14), st.booleans())
def test_nobody_asked_is_everybody_asked(history: list[Any], has_rules: bool) -> None:
    world = opened(every_rule if has_rules else tuple)
    for step in history:
        near(world, step)
    assert world.engine.snapshot() == world.twin.snapshot()
