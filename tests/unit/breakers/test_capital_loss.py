"""The loss of initial capital, by an interval of what the equity may be."""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.breakers.base import EvaluationContext, Verdict
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker, CapitalLossSettings
from risk_daemon.model.clock import Instant
from risk_daemon.portfolio.manager import Equity

NOW = Instant(1_000.0, 1_700_000_000.0)


def context(low: object, high: object | None = None, suspected: object | None = None) -> EvaluationContext:
    lowest = Decimal(str(low))
    highest = lowest if high is None else Decimal(str(high))
    equity = Equity((lowest + highest) / 2, lowest, highest)
    at_most = highest if suspected is None else Decimal(str(suspected))
    return EvaluationContext(equity, at_most, Baselines(BaselineSettings(Decimal(10_000))))


def loss(*interval: object, **settings: object) -> Verdict:
    rule = CapitalLossCircuitBreaker(CapitalLossSettings(**settings))  # type: ignore[arg-type]
    return rule.evaluate(context(*interval), NOW)


def test_the_limit_itself_breaches_and_less_does_not() -> None:
    assert loss(9_500).breached
    assert not loss("9500.01").breached


def test_a_breach_is_one_whichever_way_the_unknowns_fall() -> None:
    assert loss(9_000, 9_500).breached
    verdict = loss(9_000, 9_501)
    assert not verdict.breached
    assert verdict.undecided
    assert not loss(9_501, 9_900).undecided


def test_an_unexplained_fall_is_suspected() -> None:
    verdict = loss(9_000, 10_000, 9_400)
    assert verdict.suspected
    assert not verdict.breached


def test_warnings_by_the_better_end_and_their_end_by_the_worse() -> None:
    levels = (Decimal("0.02"), Decimal("0.04"))
    assert loss(9_590, warnings=levels).warning == Decimal("0.04")
    assert loss(9_500, 9_800, warnings=levels).warning == Decimal("0.02")
    assert loss(9_500, 9_801, warnings=levels).warning is None
    assert not loss(9_800, 9_900, warnings=levels).cleared
    assert loss(9_801, 9_900, warnings=levels).cleared
    assert loss(9_501, warnings=()).cleared


def test_what_is_not_known_is_neither_breached_nor_cleared() -> None:
    rule = CapitalLossCircuitBreaker(CapitalLossSettings())
    for unknown in (
        EvaluationContext(None, None, Baselines(BaselineSettings(Decimal(10_000)))),
        EvaluationContext(Equity(Decimal(1), Decimal(1), Decimal(1)), Decimal(1), Baselines()),
    ):
        verdict = rule.evaluate(unknown, NOW)
        assert not verdict.breached
        assert not verdict.cleared


def test_a_verdict_says_what_was_seen_and_what_holds() -> None:
    verdict = loss(9_450)
    assert verdict.reason == "loss of 5.50 % of initial capital, limit 5.00 %"
    assert verdict.observed == {"loss_ratio": 0.055, "equity": "9450"}
    assert verdict.limits == {"loss_threshold": 0.05}
