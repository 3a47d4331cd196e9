"""What a member has lost: never less than is known, and not by one bad reading."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.fund.messages import LossRead, LossUnknown
from risk_daemon.model.events import EventName, Input, Noted, ReadingsWanted
from risk_daemon.portfolio.manager import Equity
from risk_daemon.runtime.fund_loss import FundLoss
from risk_daemon.runtime.fund_status import MemberSettings
from tests.unit.fund.fund import lost, two

START = Decimal(10_000)


class Case:
    """Member b, with a budget of 400."""

    def __init__(self, *, enabled: bool = True) -> None:
        _, _, self.state = two()
        self.told: list[Input] = []
        self.read_mono = float("-inf")
        settings = MemberSettings(fund="alpha", member="b", limit="10%", currency="USDT", confirm=enabled)
        self.loss = FundLoss(settings, self.told.append, lambda mono: self.read_mono >= mono)

    def sees(self, low: int, high: int, now: float, *, by_prices: bool = True) -> LossRead | LossUnknown:
        equity = Equity(Decimal(low), Decimal(low), Decimal(high))
        return self.loss.read(self.state, START, equity, now, by_prices=by_prices)

    def names(self) -> list[EventName]:
        return [event.event.name for event in self.told if isinstance(event, Noted)]


def test_a_loss_is_from_the_start_to_both_ends_of_the_equity() -> None:
    assert Case().sees(9_900, 9_950, 1.0) == lost(50, 100)


@pytest.mark.parametrize("start", [None, START])
def test_what_is_not_known_is_no_loss_of_nothing(start: Decimal | None) -> None:
    case = Case()
    equity = None if start is not None else Equity(START, START, START)
    assert case.loss.read(case.state, start, equity, 1.0, by_prices=True) == LossUnknown()


def test_a_lost_budget_is_read_again_first_and_counts_when_fresh_readings_say_so() -> None:
    case = Case()
    assert case.sees(9_600, 9_600, 1.0) == LossUnknown()
    assert case.loss.is_confirming
    assert case.names() == [EventName.BREACH_CONFIRMING]
    assert ReadingsWanted() in case.told
    assert case.sees(9_600, 9_600, 1.5) == LossUnknown()
    case.read_mono = 1.2
    assert case.sees(9_600, 9_600, 1.6) == lost(400)
    assert not case.loss.is_confirming


def test_one_that_was_none_is_told_and_known_again() -> None:
    case = Case()
    case.sees(9_000, 9_000, 1.0)
    assert case.sees(9_990, 9_990, 1.2) == lost(10)
    assert case.names() == [EventName.BREACH_CONFIRMING, EventName.PHANTOM_BREACH]


def test_at_the_deadline_it_counts_without_readings() -> None:
    case = Case()
    case.sees(9_600, 9_600, 1.0)
    assert case.sees(9_600, 9_600, 2.9) == LossUnknown()
    assert case.sees(9_600, 9_600, 3.0) == lost(400)


def test_without_confirmation_it_counts_at_once() -> None:
    assert Case(enabled=False).sees(9_600, 9_600, 1.0) == lost(400)


def test_a_doubt_that_comes_meanwhile_has_everything_read_again() -> None:
    case = Case()
    case.sees(9_600, 9_600, 1.0)
    assert case.sees(9_500, 9_700, 1.5) == LossUnknown()
    case.told.clear()
    assert case.sees(9_600, 9_600, 1.8) == LossUnknown()
    assert case.told == [ReadingsWanted()]
