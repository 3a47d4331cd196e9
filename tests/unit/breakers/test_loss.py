"""Losses of the whole portfolio: from the peak, since the start of the day, since the start of the week."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.breakers import (
    Action,
    BaseCircuitBreaker,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    EvaluationContext,
    Verdict,
    WeeklyLossCircuitBreaker,
)
from risk_daemon.model.clock import Instant
from risk_daemon.portfolio.manager import Equity

DAY_S = 86_400.0
START = 1_763_510_400.0  # Wednesday 2025-11-19 00:00 UTC
D = Decimal


def instant(days: float) -> Instant:
    return Instant(1_000.0 + days * DAY_S, START + days * DAY_S)


def begun(*worths: int) -> Baselines:
    """One worth a day, held for a minute; the first is the start of its day and week as well."""
    baselines = Baselines(BaselineSettings(D(10_000), lookback_days=None))
    for day, worth in enumerate(worths):
        for second in range(0, 61, 10):
            now = instant(day + 0.5 + second / DAY_S)
            baselines.observe(D(worth), now, trusted=True, rest_mono=now.mono, agreed=True)
    return baselines


def context(low: object, high: object | None = None, suspected: object | None = None, **more: Any) -> EvaluationContext:
    lowest = D(str(low))
    highest = lowest if high is None else D(str(high))
    equity = Equity((lowest + highest) / 2, lowest, highest)
    baselines = more.pop("baselines", None) or begun(10_000)
    return EvaluationContext(equity, highest if suspected is None else D(str(suspected)), baselines, **more)


def look(rule: BaseCircuitBreaker, *interval: object, days: float = 0.6, **more: Any) -> Verdict:
    return rule.evaluate(context(*interval, **more), instant(days))


def drawdown(**more: Any) -> DrawdownCircuitBreaker:
    return DrawdownCircuitBreaker(**more)


def daily_ratio(**more: Any) -> DailyLossCircuitBreaker:
    return DailyLossCircuitBreaker(max_daily_loss_pct=D("0.10"), **more)


def daily_money(**more: Any) -> DailyLossCircuitBreaker:
    return DailyLossCircuitBreaker(D(1_000), **more)


def weekly_ratio(**more: Any) -> WeeklyLossCircuitBreaker:
    return WeeklyLossCircuitBreaker(max_weekly_loss_pct=D("0.10"), **more)


def weekly_money(**more: Any) -> WeeklyLossCircuitBreaker:
    return WeeklyLossCircuitBreaker(D(1_000), **more)


# Each has its limit at a loss of 1,000 from 10,000.
EACH = pytest.mark.parametrize("make", [drawdown, daily_ratio, daily_money, weekly_ratio, weekly_money])


# --- what they have in common --------------------------------------------------------------------------


@EACH
def test_the_limit_itself_breaches_and_less_does_not(make: Any) -> None:
    verdict = look(make(), 9_000)
    assert (verdict.breached, verdict.suspected, verdict.undecided) == (True, True, False)
    verdict = look(make(), "9000.01")
    assert (verdict.breached, verdict.suspected, verdict.undecided) == (False, False, False)


@EACH
def test_a_breach_is_one_whichever_way_the_unknowns_fall(make: Any) -> None:
    assert look(make(), 8_000, 9_000).breached
    verdict = look(make(), 8_000, "9000.01")
    assert (verdict.breached, verdict.undecided) == (False, True)
    assert not look(make(), "9000.01", 9_900).undecided


@EACH
def test_an_unexplained_fall_is_suspected_and_does_not_breach(make: Any) -> None:
    verdict = look(make(), 9_500, 10_000, 8_900)
    assert (verdict.breached, verdict.suspected) == (False, True)


@EACH
def test_a_young_fall_does_not_breach_while_it_may_be_half_of_a_trade(make: Any) -> None:
    verdict = look(make(), 8_500, 8_900, 9_100)
    assert (verdict.breached, verdict.suspected, verdict.undecided) == (False, False, True)


@EACH
def test_what_is_not_known_is_neither_breached_nor_undecided_nor_cleared(make: Any) -> None:
    for unknown in (EvaluationContext(None, None, begun(10_000)), context(1, baselines=Baselines())):
        verdict = make().evaluate(unknown, instant(0.6))
        assert (verdict.breached, verdict.suspected, verdict.undecided, verdict.cleared) == (False, False, False, False)
        assert "not known" in verdict.reason


@EACH
def test_no_loss_is_quiet(make: Any) -> None:
    verdict = look(make(), 9_950, 11_000)
    assert (verdict.breached, verdict.suspected, verdict.undecided, verdict.warning) == (False, False, False, None)
    assert verdict.cleared
    assert verdict.observed


@EACH
def test_a_verdict_does_not_change_the_state(make: Any) -> None:
    rule = make()
    look(rule, 8_000)
    assert not rule.is_tripped
    rule.settle(look(rule, 8_000))
    assert rule.get_trip_limits() == look(rule, 8_000).limits == rule.describe()["limits"]


@pytest.mark.parametrize(
    ("rule", "levels"),
    [
        (drawdown(warnings=(D("0.04"), D("0.02"))), (D("0.02"), D("0.04"))),
        (daily_ratio(warnings=("0.02", "0.04")), (D("0.02"), D("0.04"))),
        (weekly_money(warnings=(200, 400)), (D(200), D(400))),
    ],
)
def test_warnings_by_the_better_end_and_their_end_by_the_worse(rule: BaseCircuitBreaker, levels: Any) -> None:
    assert look(rule, 9_600).warning == levels[1]
    assert look(rule, 9_500, 9_800).warning == levels[0]
    assert look(rule, 9_500, 9_801).warning is None
    assert not look(rule, 9_800, 9_900).cleared
    assert look(rule, 9_801, 9_900).cleared


# --- the drawdown ----------------------------------------------------------------------------------------


def test_a_drawdown_is_from_the_peak() -> None:
    baselines = begun(10_000, 12_000, 11_000)
    verdict = look(drawdown(), 10_800, baselines=baselines, days=2.6)
    assert verdict.breached
    assert verdict.observed == {"current_dd_pct": 0.1, "peak_nav_usd": 12_000.0, "latest_nav_usd": 10_800.0}
    assert verdict.limits == {"max_portfolio_dd_nav_pct": 0.1}
    assert verdict.reason == "drawdown of 10.00 % from the peak, limit 10.00 %"
    assert verdict.cause == "portfolio_dd_circuit"


def test_each_drawdown_has_its_own_lookback() -> None:
    baselines = begun(12_000, 10_000, 10_000, 10_000)
    wide = drawdown(lookback_days=None)
    narrow = DrawdownCircuitBreaker(D("0.10"), 2, name="narrow")
    assert look(wide, 9_500, baselines=baselines, days=3.6).breached
    verdict = look(narrow, 9_500, baselines=baselines, days=3.6)
    assert not verdict.breached
    assert verdict.observed["peak_nav_usd"] == 10_000.0
    assert narrow.describe()["lookback_days"] == 2.0


# --- day and week ----------------------------------------------------------------------------------------


def test_a_day_is_measured_from_its_start() -> None:
    baselines = begun(10_000, 9_200)
    baselines.observe(D(9_200), instant(2.0), trusted=True, rest_mono=instant(2.0).mono, agreed=True)
    assert not look(daily_ratio(), 9_000, baselines=baselines, days=2.1).breached
    verdict = look(weekly_ratio(), 9_000, baselines=baselines, days=2.1)
    assert verdict.breached
    assert verdict.reason == "loss of 10.00 % since the start of the week, limit 10.00 %"


def test_a_ratio_tells_a_ratio_and_money_tells_money() -> None:
    verdict = look(daily_ratio(), 9_000)
    assert verdict.observed == {"loss_ratio": 0.1, "loss": "1000", "equity": "9000"}
    assert verdict.limits == {"max_daily_loss_pct": 0.1}
    assert verdict.reason == "loss of 10.00 % since the start of the day, limit 10.00 %"
    verdict = look(daily_money(), 9_000)
    assert verdict.observed == {"loss_ratio": 0.1, "loss": "1000", "equity": "9000"}
    assert verdict.limits == {"max_daily_loss": "1000"}
    assert look(daily_money(), 9_900).observed == {"loss": "100", "equity": "9900"}, "far from it, its own unit will do"
    assert verdict.reason == "loss of 1000.00 since the start of the day, limit 1000.00"
    assert look(weekly_money(), 9_000).limits == {"max_weekly_loss": "1000"}


def test_a_flow_makes_no_loss() -> None:
    baselines = begun(10_000)
    baselines.rescale(D(10_000), D(5_000))
    for make in (drawdown, daily_ratio, daily_money, weekly_ratio, weekly_money):
        assert not look(make(), 4_999, baselines=baselines).breached
    assert look(daily_money(), 4_000, baselines=baselines).breached
    assert look(daily_ratio(), 4_500, baselines=baselines).breached


# --- how they are made -------------------------------------------------------------------------------------


def test_defaults() -> None:
    rule = DrawdownCircuitBreaker()
    assert (rule.max_drawdown_pct, rule.lookback_days, rule.action, rule.name) == (
        D("0.10"),
        30,
        Action.TRIP,
        "drawdown",
    )
    daily = DailyLossCircuitBreaker()
    assert (daily.limit.size, daily.limit.is_ratio, daily.action) == (D("0.05"), True, Action.TRIP)
    assert weekly_ratio().action is Action.VETO


def test_a_rule_describes_itself() -> None:
    rule = DrawdownCircuitBreaker(D("0.05"), 7, name="night", action=Action.FREEZE, warnings=(D("0.03"),))
    assert rule.describe() == {
        "breaker": "night",
        "breaker_type": "drawdown",
        "action": "freeze",
        "limits": {"max_portfolio_dd_nav_pct": 0.05},
        "warnings": ["0.03"],
        "active_hours": None,
        "lookback_days": 7.0,
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda: DrawdownCircuitBreaker(D(10)),
        lambda: DrawdownCircuitBreaker(D("-0.1")),
        lambda: DrawdownCircuitBreaker(0),
        lambda: DrawdownCircuitBreaker(float("nan")),
        lambda: DrawdownCircuitBreaker(lookback_days=0),
        lambda: DrawdownCircuitBreaker(lookback_days=float("inf")),
        lambda: DrawdownCircuitBreaker(warnings=(D("0.10"),)),
        lambda: DrawdownCircuitBreaker(warnings=(0,)),
        lambda: DailyLossCircuitBreaker(D(5_000), max_daily_loss_pct=D("0.05")),
        lambda: DailyLossCircuitBreaker(0),
        lambda: DailyLossCircuitBreaker(max_daily_loss_pct=5),
        lambda: DailyLossCircuitBreaker(D(5_000), warnings=(D(5_000),)),
        lambda: WeeklyLossCircuitBreaker(),
        lambda: WeeklyLossCircuitBreaker(True),
    ],
)
def test_a_limit_that_limits_nothing_is_refused(make: Any) -> None:
    with pytest.raises(ValueError):
        make()
