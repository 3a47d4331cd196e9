"""Virtual time and the engine: what is known when, what each rule says, and what goes on after a trip."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.replay.outcome import Deed
from tests.unit.replay.world import minutes, replayed, when

FREEZING = '[breakers.daily_loss]\nlimit = "3%"\naction = "freeze"\nwarnings = ["2%"]\n'
TWO = '[breakers.drawdown]\nlimit = "10%"\n[breakers.daily_loss]\nlimit = "4%"\n'


def test_the_limit_is_reached_at_exactly_five_percent(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 9_700, 9_500.01, 9_500, 9_600))
    assert when(outcome, "capital_loss", Deed.WARNED) == 60
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 180
    assert outcome.trip is not None
    assert (outcome.trip.rule, outcome.trip.equity) == ("capital_loss", 9_500)


def test_nothing_happens_to_what_rises(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(*range(10_000, 10_100)))
    assert (outcome.marks, outcome.trip, outcome.freezes) == ({}, None, 0)


def test_what_a_trip_saves_is_measured_from_what_came_after_it(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 8_000, 9_400, 9_000, 9_900))
    trip = outcome.mark("capital_loss", Deed.TRIPPED)
    assert trip is not None
    saved = outcome.saved(trip)
    assert saved is not None
    assert (saved.to_lowest, saved.to_end) == (0, -1_900)


def test_what_is_lost_from_the_first_value_on_trips_with_it(tmp_path: Path) -> None:
    assert when(replayed(tmp_path, minutes(9_000, 9_000)), "capital_loss", Deed.TRIPPED) == 0


def test_after_a_trip_the_other_rules_are_judged_on(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 10_500, 10_050, 9_450, 9_400, 10_500), TWO)
    assert when(outcome, "daily_loss", Deed.TRIPPED) == 180
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 180
    assert when(outcome, "drawdown", Deed.TRIPPED) == 180, "from 10,500, which the next engine knows of"
    assert outcome.trip is not None
    assert outcome.document()["trip"]["time"] == "2025-02-02T12:03:00Z"


def test_a_later_trip_of_another_rule_has_its_own_time(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 9_580, 9_500, 9_100, 8_990), TWO)
    found = {rule: when(outcome, rule, Deed.TRIPPED) for rule in outcome.rules}
    assert found == {"capital_loss": 120, "drawdown": 240, "daily_loss": 60, "blind": None}
    assert outcome.trip is not None
    assert outcome.trip.rule == "daily_loss", "the first is the one that would have ended the daemon"


def test_a_freeze_ends_with_the_day_and_may_come_again(tmp_path: Path) -> None:
    day = [10_000, 9_690, 9_690, 9_690]
    hours = minutes(*day, *[9_690] * 10, 9_390, 9_390, every_s=3_600)
    outcome = replayed(tmp_path, hours, FREEZING + '[circuit_breaker]\nloss_threshold = "20%"\n')
    assert when(outcome, "daily_loss", Deed.FROZE) == 3_600
    assert when(outcome, "daily_loss", Deed.WARNED) == 3_600
    assert outcome.freezes == 2, "of the next day as well"
    assert outcome.trip is None


def test_what_is_not_known_is_no_absence_of_loss(tmp_path: Path) -> None:
    """In the gap the last value grows old; the worst case passes the limit, the guard is blind, and says when."""
    known, gap = [10_000] * 5, [None] * 10
    outcome = replayed(tmp_path, minutes(*known, *gap, 9_990, 9_990))
    lost_at = 5 * 60.0
    assert when(outcome, "blind", Deed.WARNED) == pytest.approx(lost_at + 30 + 10, abs=16)
    assert when(outcome, "blind", Deed.VETOED) == pytest.approx(lost_at + 30 + 30, abs=16)
    assert outcome.trip is None
    (found,) = outcome.gaps
    assert (found.since_wall, found.until_wall) == (outcome.points[0].wall + 300, outcome.points[0].wall + 900)


def test_a_loss_in_a_gap_trips_at_its_end(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 10_000, 10_000, *[None] * 20, 9_300, 9_300))
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 23 * 60


def test_blind_may_trip(tmp_path: Path) -> None:
    blind = '[breakers.blind]\ntrip_after = "2m"\n'
    outcome = replayed(tmp_path, minutes(10_000, 10_000, 10_000, *[None] * 20, 10_000, 9_400), blind)
    assert outcome.trip is not None
    assert outcome.trip.rule == "blind"
    assert when(outcome, "blind", Deed.TRIPPED) == pytest.approx(3 * 60 + 30 + 120, abs=16)
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 24 * 60


def test_a_curve_below_zero_is_read(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 9_800, -500, -700))
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 120
    assert [point.value for point in outcome.points] == [10_000, 9_800, -500, -700]


def test_a_single_value_is_read(tmp_path: Path) -> None:
    assert when(replayed(tmp_path, minutes(9_000)), "capital_loss", Deed.TRIPPED) == 0


def test_days_apart_are_quick_and_judged_day_by_day(tmp_path: Path) -> None:
    days = minutes(10_000, 9_960, 9_920, 9_880, 9_840, 9_550, 9_700, every_s=86_400)
    outcome = replayed(tmp_path, days, '[breakers.daily_loss]\nlimit = "2%"\n')
    assert when(outcome, "daily_loss", Deed.TRIPPED) == 5 * 86_400
    assert when(outcome, "capital_loss", Deed.TRIPPED) is None


def test_capital_may_be_what_there_is_at_first(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(250_000, 250_000, 237_500), capital=None)
    assert outcome.capital == 250_000
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 120


def test_volatility_of_rare_values_is_not_judged(tmp_path: Path) -> None:
    table = '[breakers.volatility]\nlimit = "50%"\naction = "trip"\n'
    rare = replayed(tmp_path, minutes(10_000, 9_900, 10_000, 9_900, every_s=3_600), table)
    assert "volatility" in rare.unjudged
    often = replayed(tmp_path, minutes(*[10_000, 9_990] * 10), table)
    assert often.unjudged == {}
    assert when(often, "volatility", Deed.TRIPPED) is not None


def test_a_rule_of_the_night_trips_when_the_night_begins(tmp_path: Path) -> None:
    night = '[breakers.night]\nrule = "daily_loss"\nlimit = "1%"\naction = "trip"\nactive_hours = "20:00-23:00"\n'
    outcome = replayed(tmp_path, minutes(10_000, 9_800, 9_800, 9_800, every_s=6 * 3_600), night)
    assert when(outcome, "night", Deed.TRIPPED) == pytest.approx(8 * 3_600, abs=16)


def test_freezes_after_a_trip_are_not_counted(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 9_690, 9_400, 9_400, every_s=3_600), FREEZING)
    assert (outcome.freezes, when(outcome, "capital_loss", Deed.TRIPPED)) == (1, 7_200)


def test_values_of_every_second_are_read(tmp_path: Path) -> None:
    falling = [10_000] * 30 + [10_000 - 10 * second for second in range(60)]
    outcome = replayed(tmp_path, minutes(*falling, every_s=1.0))
    assert when(outcome, "capital_loss", Deed.TRIPPED) == 80
