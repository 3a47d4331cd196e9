"""Losses of single venues and positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers import (
    EvaluationContext,
    PositionLossCircuitBreaker,
    PositionView,
    VenueLossCircuitBreaker,
    VenueView,
    Verdict,
)
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Position
from risk_daemon.portfolio.manager import Equity

NOW = Instant(1_000.0, 1_700_000_000.0)
D = Decimal


@dataclass
class Accounts:
    venues: Mapping[str, VenueView] = field(default_factory=dict)
    positions: Sequence[PositionView] = ()

    def venue_views(self) -> Mapping[str, VenueView]:
        return self.venues

    def position_views(self) -> Sequence[PositionView]:
        return self.positions


def view(start: object, low: object | None, high: object | None = None, paid_in: object | None = None) -> VenueView:
    began = None if start is None else D(str(start))
    paid = began if paid_in is None else D(str(paid_in))
    if low is None:
        return VenueView(None, began, paid)
    lowest, highest = D(str(low)), D(str(low if high is None else high))
    return VenueView(Equity((lowest + highest) / 2, lowest, highest), began, paid)


def venues(rule: VenueLossCircuitBreaker, **views: VenueView) -> Verdict:
    return rule.evaluate(EvaluationContext(None, None, Baselines(), accounts=Accounts(venues=views)), NOW)


def ten_percent(**more: Any) -> VenueLossCircuitBreaker:
    return VenueLossCircuitBreaker(max_venue_loss_pct=D("0.10"), **more)


# --- venues ----------------------------------------------------------------------------------------------


def test_the_limit_itself_breaches_and_less_does_not() -> None:
    assert venues(ten_percent(), kraken=view(1_000, 900)).breached
    assert not venues(ten_percent(), kraken=view(1_000, "900.01")).breached


def test_one_venue_is_enough_and_the_worst_is_named() -> None:
    rule = ten_percent()
    verdict = venues(rule, a=view(1_000, 890), b=view(5_000, 4_000), c=view(1_000, 1_500))
    assert verdict.breached
    assert verdict.observed == {"venue": "b", "loss_ratio": 0.2}
    assert verdict.limits == {"max_venue_loss_pct": 0.1}
    assert verdict.reason == "loss of 20.00 % of venue b since the start of the day, limit 10.00 %"


def test_a_breach_is_one_whichever_way_the_unknowns_fall() -> None:
    assert venues(ten_percent(), a=view(1_000, 500, 900)).breached
    verdict = venues(ten_percent(), a=view(1_000, 500, 901))
    assert (verdict.breached, verdict.suspected, verdict.undecided) == (False, False, True)
    verdict = venues(ten_percent(), a=view(1_000, 500, 901), b=view(1_000, 900))
    assert (verdict.breached, verdict.undecided) == (True, False)


def test_a_venue_that_was_seen_today_and_is_not_known_now_is_undecided() -> None:
    verdict = venues(ten_percent(), a=view(1_000, None), b=view(1_000, 1_000))
    assert (verdict.breached, verdict.undecided, verdict.cleared) == (False, True, False)
    assert "the loss of venue a is not known" in verdict.reason


def test_a_venue_without_a_start_of_day_says_nothing_and_clears_nothing() -> None:
    for unseen in (view(None, 500), view(None, None)):
        verdict = venues(ten_percent(), a=unseen, b=view(1_000, 1_000))
        assert (verdict.breached, verdict.undecided, verdict.cleared) == (False, False, False)


def test_no_venue_at_all_clears_nothing() -> None:
    verdict = venues(ten_percent())
    assert (verdict.breached, verdict.undecided, verdict.cleared) == (False, False, False)


def test_it_may_look_at_one_venue_only() -> None:
    rule = ten_percent(venue="a")
    verdict = venues(rule, a=view(1_000, 1_000), b=view(1_000, 0))
    assert not verdict.breached
    assert verdict.cleared
    assert venues(rule, a=view(1_000, 0)).breached
    assert not venues(rule, b=view(1_000, 0)).cleared, "nothing is known of a"
    assert rule.describe()["venue"] == "a"


def test_money_is_measured_from_what_was_paid_in() -> None:
    rule = VenueLossCircuitBreaker(D(500))
    verdict = venues(rule, a=view(2_000, 1_400, paid_in=1_900))
    assert verdict.breached
    assert verdict.observed == {"venue": "a", "loss": "500"}
    assert not venues(rule, a=view(2_000, 1_401, paid_in=1_900)).breached


def test_what_began_the_day_empty_loses_only_by_falling_below_zero() -> None:
    assert not venues(ten_percent(), a=view(0, 0), b=view("0.9", 0)).breached
    assert venues(ten_percent(), a=view(0, -2)).breached
    assert not venues(ten_percent(), a=view(0, "-0.01")).breached


def test_a_warning_needs_no_breach() -> None:
    verdict = venues(ten_percent(warnings=(D("0.05"),)), a=view(1_000, 950), b=view(1_000, 1_000))
    assert (verdict.warning, verdict.breached, verdict.cleared) == (D("0.05"), False, False)


# --- positions -------------------------------------------------------------------------------------------


def held(unrealized: object | None, entry_value: object | None = 1_000, symbol: str = "BTC/USDT:USDT") -> PositionView:
    position = Position(symbol=symbol, quantity=D(1), entry=D(100), settle="USDT", underlying="BTC")
    worth = None if unrealized is None else Equity(*[D(str(unrealized))] * 3)
    return PositionView("krakenfutures", position, None if entry_value is None else D(str(entry_value)), worth)


def positions(rule: PositionLossCircuitBreaker, *views: PositionView) -> Verdict:
    return rule.evaluate(EvaluationContext(None, None, Baselines(), accounts=Accounts(positions=views)), NOW)


def test_a_position_breaches_at_its_limit() -> None:
    rule = PositionLossCircuitBreaker(max_position_loss_pct=D("0.20"))
    assert positions(rule, held(-200)).breached
    assert not positions(rule, held("-199.99")).breached
    money = PositionLossCircuitBreaker(D(200))
    assert positions(money, held(-200, 50_000)).breached
    assert not positions(money, held(200, 50_000)).breached


def test_the_worst_position_is_named() -> None:
    rule = PositionLossCircuitBreaker(max_position_loss_pct=D("0.20"))
    verdict = positions(rule, held(-300, symbol="A"), held(-400, symbol="B"), held(500, symbol="C"))
    assert verdict.observed == {"venue": "krakenfutures", "symbol": "B", "loss_ratio": 0.4}
    assert verdict.reason == "loss of 40.00 % of position krakenfutures B since its entry, limit 20.00 %"


def test_a_position_without_a_price_is_undecided() -> None:
    rule = PositionLossCircuitBreaker(max_position_loss_pct=D("0.20"))
    for unknown in (held(None), held(-10, None)):
        verdict = positions(rule, unknown, held(-10))
        assert (verdict.breached, verdict.undecided, verdict.cleared) == (False, True, False)
    assert not positions(rule, held(-10, 0)).undecided, "what cost nothing has no loss in percent"
    assert positions(rule, held(None), held(-200)).breached
    assert not positions(PositionLossCircuitBreaker(D(200)), held(-10, None)).undecided, "money needs no entry"


def test_no_position_is_no_loss() -> None:
    verdict = positions(PositionLossCircuitBreaker(D(200)))
    assert (verdict.breached, verdict.undecided, verdict.cleared) == (False, False, True)


@pytest.mark.parametrize("rule", [VenueLossCircuitBreaker, PositionLossCircuitBreaker])
def test_exactly_one_limit_is_needed(rule: Any) -> None:
    name = rule.__name__.removesuffix("LossCircuitBreaker").lower()
    with pytest.raises(ValueError, match="a limit is needed"):
        rule()
    with pytest.raises(ValueError, match="give one of them"):
        rule(100, **{f"max_{name}_loss_pct": 0.1})
