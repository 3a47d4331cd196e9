"""The volatility of equity."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from math import log, sqrt
from statistics import stdev
from typing import Any

import pytest

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.baselines.equity_history import EquityHistory
from risk_daemon.breakers import EvaluationContext, Verdict, VolatilityCircuitBreaker
from risk_daemon.model.clock import Instant
from risk_daemon.portfolio.manager import Equity

NOW = Instant(1_000.0, 1_700_000_000.0)
D = Decimal


def later(seconds: float) -> Instant:
    return Instant(NOW.mono + seconds, NOW.wall + seconds)


def sampled(history: EquityHistory, *worths: float, first_minute: int = 0) -> Instant:
    """A worth a minute; the moment of the last one."""
    now = NOW
    for minute, worth in enumerate(worths):
        now = later(60.0 * (first_minute + minute))
        value = D(str(worth))
        history.observe(Equity(value, value, value), now)
    return now


def volatility_of(rule: VolatilityCircuitBreaker, history: EquityHistory, now: Instant) -> Verdict:
    return rule.evaluate(EvaluationContext(None, None, Baselines(), history=history), now)


def test_volatility_is_the_deviation_of_the_minutes_returns_annualised() -> None:
    history, worths = EquityHistory(), (10_000.0, 10_010.0, 9_990.0, 10_005.0)
    now = sampled(history, *worths)
    returns = [log(b / a) for a, b in pairwise(worths)]
    expected = stdev(returns) * sqrt(525_600)
    verdict = volatility_of(VolatilityCircuitBreaker(D("0.30")), history, now)
    assert verdict.breached
    assert verdict.observed["volatility"] == pytest.approx(expected)
    assert verdict.limits == {"max_volatility": 0.3, "window_s": 3_600.0}
    observed = verdict.observed["volatility"]
    assert volatility_of(VolatilityCircuitBreaker(observed), history, now).breached, "at the limit exactly"
    assert not volatility_of(VolatilityCircuitBreaker(observed * 1.001), history, now).breached


def test_fewer_than_two_returns_are_no_verdict() -> None:
    history, rule = EquityHistory(), VolatilityCircuitBreaker(0.0001)
    for worths in ((), (10_000,), (20_000,)):
        verdict = volatility_of(rule, history, sampled(history, *worths, first_minute=len(history.samples)))
        assert (verdict.breached, verdict.undecided, verdict.cleared) == (False, False, False)
    assert volatility_of(rule, history, sampled(history, 5_000, first_minute=2)).breached


def test_it_follows_new_samples_and_forgets_old_ones() -> None:
    history, rule = EquityHistory(), VolatilityCircuitBreaker(D("0.30"), 600, warnings=(D("0.01"),))
    assert volatility_of(rule, history, sampled(history, 10_000, 10_100, 10_000)).breached
    now = sampled(history, *[10_000] * 12, first_minute=3)
    verdict = volatility_of(rule, history, now)
    assert not verdict.breached
    assert verdict.cleared
    assert verdict.observed == {"volatility": 0.0, "returns": 10}


def test_a_warning_above_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="warning"):
        VolatilityCircuitBreaker(0.5, warnings=(0.5,))


def test_it_looks_again_at_a_new_sample_and_when_samples_stop() -> None:
    history, rule = EquityHistory(), VolatilityCircuitBreaker(D("0.30"), 600)
    now = sampled(history, 10_000, 10_100)
    new_minute = Instant(now.mono + 60, now.wall + 60)
    assert not volatility_of(rule, history, new_minute).observed
    value = D(9_000)
    history.observe(Equity(value, value, value), new_minute)
    assert volatility_of(rule, history, new_minute).breached
    assert volatility_of(rule, history, Instant(now.mono + 300, now.wall + 300)).breached
    assert not volatility_of(rule, history, Instant(now.mono + 900, now.wall + 900)).observed


@pytest.mark.parametrize(("limit", "window_s"), [(0, 3_600), (-1, 3_600), (1, 179), (1, 31 * 86_400), (None, 3_600)])
def test_a_volatility_that_could_never_be_judged_is_refused(limit: Any, window_s: float) -> None:
    with pytest.raises(ValueError):
        VolatilityCircuitBreaker(limit, window_s)
