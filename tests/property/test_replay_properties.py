"""A replay trips at the first moment at which the rule is really met, worked out here without the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from risk_daemon.replay.outcome import Deed
from tests.unit.replay.world import minutes, replayed, when

RULES = (
    '[breakers.daily_loss]\nlimit = "4%"\n[breakers.in_money]\nrule = "daily_loss"\nlimit = "350 USDT"\n'
    '[breakers.drawdown]\nlimit = "6%"\n'
)
paths = st.lists(st.integers(9_200, 10_400), min_size=1, max_size=12)


def first(values: Sequence[int], is_met: Callable[[int], bool]) -> float | None:
    """Seconds until the first value at which it is met."""
    return next((number * 60.0 for number in range(len(values)) if is_met(number)), None)


def loss(base: int, value: int) -> Decimal:
    return Decimal(base - value) / base


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=paths)
@example(values=[10_000, 9_500])
@example(values=[10_000, 9_501, 9_500, 9_499])
@example(values=[9_500])
@example(values=[10_000, 10_400, 9_776, 9_775])
@example(values=[10_000, 9_650, 9_600])
def test_each_rule_trips_when_it_is_first_met(values: list[int], tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(*values), RULES)
    start = values[0]
    expected = {
        "capital_loss": first(values, lambda at: loss(10_000, values[at]) >= Decimal("0.05")),
        "daily_loss": first(values, lambda at: loss(start, values[at]) >= Decimal("0.04")),
        "in_money": first(values, lambda at: start - values[at] >= 350),
        "drawdown": first(values, lambda at: loss(max(values[: at + 1]), values[at]) >= Decimal("0.06")),
    }
    assert {rule: when(outcome, rule, Deed.TRIPPED) for rule in expected} == expected
    ends = [moment for moment in expected.values() if moment is not None]
    trip = outcome.trip
    assert (None if trip is None else trip.wall) == (outcome.points[0].wall + min(ends) if ends else None)


@pytest.mark.parametrize("every_s", [1.0, 20.0, 600.0, 7_200.0])
def test_how_far_apart_the_values_are_does_not_matter(every_s: float, tmp_path: Path) -> None:
    values = [10_000, 10_000, 9_900, 9_800, 9_600, 9_500, 9_400]
    outcome = replayed(tmp_path, minutes(*values, every_s=every_s))
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 5 * every_s
    assert when(outcome, "capital_loss", Deed.WARNED) == 4 * every_s
