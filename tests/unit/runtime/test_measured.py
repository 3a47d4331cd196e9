"""What every rule sees now, by its name and in its unit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.breakers import (
    BaseCircuitBreaker,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    OrderRateCircuitBreaker,
    PositionLossCircuitBreaker,
    VenueLossCircuitBreaker,
    VolatilityCircuitBreaker,
    WeeklyLossCircuitBreaker,
)
from risk_daemon.breakers.base import EvaluationContext, Verdict
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import ErrorKind, ErrorReported
from risk_daemon.model.headroom import LIMITS
from risk_daemon.runtime.measured import measured
from tests.core_world import World, engine_settings
from tests.seeds.common import guarded, lose

EVERY_RULE: tuple[BaseCircuitBreaker, ...] = (
    DrawdownCircuitBreaker(Decimal("0.3")),
    DailyLossCircuitBreaker(max_daily_loss_pct="30%"),
    DailyLossCircuitBreaker(max_daily_loss=Decimal(3_000), name="in_money"),
    WeeklyLossCircuitBreaker(max_weekly_loss_pct="30%"),
    VenueLossCircuitBreaker(max_venue_loss_pct="90%"),
    PositionLossCircuitBreaker(max_position_loss=Decimal(5_000)),
    VolatilityCircuitBreaker(max_volatility=Decimal(90)),
    OrderRateCircuitBreaker(),
    ErrorRateCircuitBreaker(),
)


class Own(BaseCircuitBreaker):
    """A rule of the user's own, that must not be asked but by the engine."""

    asked = 0

    def __init__(self) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, "own")

    def __deepcopy__(self, _memo: Any) -> Own:
        return self

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        Own.asked += 1
        return Verdict(breaker=self.name, breaker_type=self.breaker_type, action=self.action)


def seen(world: World) -> dict[str, dict[str, Any]]:
    return measured(world.engine, world.clock.now())


def test_a_loss_is_seen_by_every_rule_in_its_own_unit() -> None:
    world = guarded(*EVERY_RULE)
    lose(world, "0.04")
    world.send(ErrorReported(ErrorKind.BROKER, "alice", "spot", "down"))
    told = seen(world)
    assert told["capital_loss"]["observed"] == pytest.approx(0.04)
    for name in ("drawdown", "daily_loss", "weekly_loss"):
        assert told[name] == {"observed": pytest.approx(0.04), "limit": 0.3, "unit": "ratio"}
    assert told["in_money"] == {"observed": "400", "limit": "3000", "unit": "money"}
    assert told["venue_loss"] == {"observed": pytest.approx(0.08), "limit": 0.9, "unit": "ratio"}
    assert told["order_rate"] == {"observed": 0, "limit": 100, "unit": "count"}
    assert told["error_rate"] == {"observed": 1, "limit": 10, "unit": "count"}


def test_every_rule_with_a_limit_is_measured() -> None:
    told = seen(guarded(*EVERY_RULE))
    assert {name for name, table in told.items() if not table} == {"manual", "blind"}
    assert {rule.breaker_type for rule in EVERY_RULE} == set(CircuitBreakerType) - {
        CircuitBreakerType.CAPITAL_LOSS,
        CircuitBreakerType.MANUAL,
        CircuitBreakerType.BLIND,
        CircuitBreakerType.CUSTOM,
    }
    assert len({table["unit"] for table in told.values() if table}) == 3
    assert LIMITS


def test_before_anything_was_read_nothing_is_seen_and_the_limit_is_there() -> None:
    told = measured((world := World(engine_settings(), rules=lambda: EVERY_RULE[:3])).engine, world.clock.now())
    assert told["drawdown"] == {"observed": None, "limit": 0.3, "unit": "ratio"}
    assert told["capital_loss"]["observed"] is None


def test_asking_moves_no_state_and_asks_no_rule_of_the_users_own() -> None:
    world = guarded(Own(), DrawdownCircuitBreaker(Decimal("0.3")))
    before, asked = world.engine.snapshot(), Own.asked
    assert asked
    assert seen(world)["own"] == {}
    assert Own.asked == asked
    assert world.engine.snapshot() == before
