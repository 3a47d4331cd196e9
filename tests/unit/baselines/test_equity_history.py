"""What a clock does to the history of equity: nothing that was lived is lost to a jump."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.baselines import equity_history
from risk_daemon.baselines.equity_history import EquityHistory
from risk_daemon.model.clock import ManualClock
from risk_daemon.portfolio.manager import Equity

YEAR_S = 365 * 86_400.0
NOON = 1_700_000_040.0  # a minute begins
ONE_WORTH = Equity(Decimal(1), Decimal(1), Decimal(1))


class Kept:
    """A history, and the clock by which a sample a minute is taken."""

    def __init__(self) -> None:
        self.history = EquityHistory()
        self.clock = ManualClock(wall=NOON)

    def run(self, minutes: int) -> None:
        for _ in range(minutes):
            self.history.observe(ONE_WORTH, self.clock.now())
            self.clock.advance(60)

    def minutes(self) -> list[float]:
        """Of the samples, since noon."""
        return [(sample.wall - NOON) / 60 for sample in self.history.samples]


@pytest.mark.parametrize("far_s", [YEAR_S, 600.0, -600.0, -YEAR_S])
def test_a_jump_there_and_back_loses_nothing(far_s: float) -> None:
    kept = Kept()
    kept.run(60)
    kept.clock.jump(far_s)
    kept.run(1)
    kept.clock.jump(-far_s)
    kept.run(5)
    assert set(range(60)) <= set(kept.minutes())
    assert len(kept.history.log_returns(3_600, kept.clock.now())) >= 52


def test_a_clock_that_is_set_right_is_sampled_at_once() -> None:
    """It was an hour ahead: what it wrote keeps no minute of the hour that comes again from being taken."""
    kept = Kept()
    kept.clock.jump(3_600)
    kept.run(60)
    kept.clock.jump(-3_600)
    before = list(kept.history.samples)
    known = {id(sample) for sample in before}
    kept.run(62)
    fresh = [sample for sample in kept.history.samples if id(sample) not in known]
    assert len(fresh) >= 60
    assert kept.minutes() == sorted(set(kept.minutes()))


def test_a_restart_among_samples_of_the_future_goes_on() -> None:
    kept = Kept()
    kept.run(10)
    kept.clock.jump(YEAR_S)
    kept.run(2)
    kept.clock.jump(-YEAR_S)
    again = Kept()
    again.clock = kept.clock
    whole = [*kept.history.samples]
    again.history.restore(sample.document() for sample in whole)
    again.run(3)
    assert again.minutes() == [*range(10), 12, 13, 14]


@pytest.mark.parametrize("far_s", [YEAR_S, -YEAR_S])
def test_with_as_many_as_are_kept_a_wrong_one_costs_one_and_goes_first(
    monkeypatch: pytest.MonkeyPatch, far_s: float
) -> None:
    monkeypatch.setattr(equity_history, "KEEP", 10)
    kept = Kept()
    kept.run(10)
    kept.clock.jump(far_s)
    kept.run(1)
    kept.clock.jump(-far_s)
    kept.run(1)
    assert len(kept.minutes()) == 10
    assert len({*range(10)}.intersection(kept.minutes())) == 9
    kept.run(9)
    assert kept.minutes() == [*range(11, 21)]
