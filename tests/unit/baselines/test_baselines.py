from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from risk_daemon.baselines.baselines import Baselines, BaselineSettings, PortfolioDDState, get_portfolio_dd_state
from risk_daemon.model.clock import Instant, ManualClock


def noon(day: int = 20, hour: int = 12, minute: int = 0) -> float:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()


class Watch:
    """Observes one value a second, with a REST read at every step, unless told otherwise."""

    def __init__(self, clock: ManualClock | None = None, **settings: object) -> None:
        self.clock = clock or ManualClock(wall=noon())
        self.baselines = Baselines(BaselineSettings(**settings))  # type: ignore[arg-type]

    def see(
        self, value: object, seconds: int = 1, *, trusted: bool = True, has_rest: bool = True, agreed: bool = True
    ) -> None:
        for _ in range(seconds):
            now = self.clock.advance(1.0)
            rest = now.mono if has_rest else None
            self.baselines.observe(Decimal(str(value)), now, trusted=trusted, rest_mono=rest, agreed=agreed)


# --- capital and peak ----------------------------------------------------------------------------------


def test_capital_is_what_held_for_most_of_the_first_ten_trusted_seconds() -> None:
    watch = Watch()
    watch.see(100, 5)
    watch.see(98)
    watch.see(105, 4)
    assert watch.baselines.capital is None
    watch.see(105)
    assert watch.baselines.capital == 100


@pytest.mark.parametrize("wick", [1, 900])
def test_a_wick_in_either_direction_becomes_no_capital(wick: int) -> None:
    watch = Watch()
    watch.see(100, 7)
    watch.see(wick, 4)
    assert watch.baselines.capital == 100


def test_nothing_is_taken_while_the_readings_do_not_agree() -> None:
    watch = Watch()
    watch.see(100, 60, agreed=False)
    baselines = watch.baselines
    assert (baselines.capital, baselines.peak, baselines.start_of_day, baselines.start_of_week) == (None,) * 4
    assert baselines.waiting() == ("initial capital", "peak", "start of day", "start of week")
    watch.see(100)
    assert (baselines.capital, baselines.peak, baselines.start_of_day, baselines.start_of_week) == (100,) * 4
    assert not baselines.waiting()


def test_a_peak_that_is_there_rises_though_readings_do_not_agree() -> None:
    watch = Watch()
    watch.see(100, 12)
    watch.see(110, 12, agreed=False)
    assert watch.baselines.peak == 110
    assert watch.baselines.capital == 100


def test_a_new_stretch_of_readings_begins_anew() -> None:
    watch = Watch()
    watch.see(50, 10)
    watch.baselines.begin_anew()
    watch.see(100, 10)
    assert watch.baselines.capital is None
    watch.see(100)
    assert watch.baselines.capital == 100


def test_capital_is_never_taken_from_the_low_end_of_a_doubt() -> None:
    watch = Watch()
    watch.see(60, 30, trusted=False)
    assert watch.baselines.capital is None
    watch.see(100, 9)
    assert watch.baselines.capital is None
    watch.see(100, 3)
    assert watch.baselines.capital == 100


def test_a_longer_doubt_breaks_the_stretch() -> None:
    watch = Watch()
    watch.see(98, 6)
    watch.see(60, 4, trusted=False)
    watch.see(100, 6)
    assert watch.baselines.capital is None
    watch.see(100, 6)
    assert watch.baselines.capital == 100


def test_half_a_second_of_doubt_does_not_break_the_stretch() -> None:
    watch = Watch()
    watch.see(100, 6)
    watch.see(90, trusted=False)
    watch.see(100, 6)
    assert watch.baselines.capital == 100


def test_without_a_rest_read_nothing_is_taken() -> None:
    watch = Watch()
    watch.see(100, 60, has_rest=False)
    assert watch.baselines.capital is None
    assert watch.baselines.peak is None


def test_one_wild_value_never_becomes_a_peak_and_a_lasting_one_does() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(100, 20)
    watch.see(900, 9)
    watch.see(100, 20)
    assert watch.baselines.peak == 100
    watch.see(110, 12)
    assert watch.baselines.peak == 110


def test_a_wild_stretch_between_two_rest_reads_never_becomes_a_peak() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(100, 20)
    last_read = watch.clock.now().mono
    for _ in range(14):
        now = watch.clock.advance(1.0)
        watch.baselines.observe(Decimal(900), now, trusted=True, rest_mono=last_read, agreed=True)
    watch.see(100, 5)
    assert watch.baselines.peak == 100


def test_a_peak_may_rise_while_something_is_in_doubt() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(120, 15, trusted=False)
    assert watch.baselines.peak == 120


def test_a_peak_is_forgotten_after_the_lookback_and_the_next_lower_one_takes_over() -> None:
    watch = Watch(initial_capital=Decimal(100), lookback_days=2.0)
    watch.see(200, 15)
    watch.clock.advance(86_400)
    watch.see(150, 15)
    watch.clock.advance(86_400 * 0.9)
    watch.see(120, 15)
    assert watch.baselines.peak == 200
    watch.clock.advance(86_400 * 0.3)
    watch.see(120, 15)
    assert watch.baselines.peak == 150


def test_all_remembers_for_ever_and_an_hour_leaves_one_entry() -> None:
    watch = Watch(initial_capital=Decimal(100), lookback_days=None)
    watch.see(200, 15)
    for day in range(50):
        watch.clock.advance(86_400)
        for step in range(10):
            watch.see(190 - day - step / 10, 15)
    assert watch.baselines.peak == 200
    assert len(watch.baselines.snapshot()["peaks"]) < 60
    week = watch.baselines.peak_within(7, watch.clock.now())
    assert week is not None
    assert 146 < week < 148


def test_peaks_stay_one_an_hour_at_most() -> None:
    watch = Watch(initial_capital=Decimal(100), lookback_days=1.0)
    for step in range(2_000):
        watch.clock.advance(60)
        watch.see(10_000 - step)
    assert len(watch.baselines.snapshot()["peaks"]) <= 27


def test_what_is_watched_stays_small_while_equity_only_rises() -> None:
    watch = Watch(initial_capital=Decimal(100))
    for step in range(5_000):
        now = watch.clock.advance(0.01)
        watch.baselines.observe(Decimal(100 + step), now, trusted=True, rest_mono=None, agreed=True)
    assert len(watch.baselines._window._minima) <= 120


# --- ratios --------------------------------------------------------------------------------------------


def test_ratios_and_their_absence() -> None:
    baselines = Baselines()
    assert baselines.loss_ratio(Decimal(5)) is None
    assert baselines.drawdown_ratio(Decimal(5)) is None
    assert baselines.daily_loss_ratio(Decimal(5)) is None
    baselines = Baselines(BaselineSettings(initial_capital=Decimal(10_000)))
    assert baselines.loss_ratio(Decimal(9_500)) == Decimal("0.05")
    assert baselines.loss_ratio(Decimal(11_000)) == Decimal("-0.1")
    assert baselines.loss_ratio(Decimal(0)) == 1
    assert baselines.loss_ratio(Decimal(-500)) == Decimal("1.05")


def test_exactly_at_the_limit_is_exact_after_many_flows() -> None:
    baselines = Baselines(BaselineSettings(initial_capital=Decimal(10_000)))
    equity = Decimal(9_500)
    for amount in (333, -777, 4_321, -5_000, 17):
        baselines.rescale(equity, equity + amount)
        equity += amount
        assert baselines.loss_ratio(equity) == Decimal("0.05")


# --- flows ---------------------------------------------------------------------------------------------


def test_a_flow_moves_every_baseline_alike() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(120, 15)
    watch.baselines.rescale(Decimal(90), Decimal(45))
    assert watch.baselines.capital == 50
    assert watch.baselines.peak == 60
    assert watch.baselines.start_of_day == 60
    watch.see(45, 15)
    assert watch.baselines.peak == 60


def test_emptied_and_filled_again() -> None:
    baselines = Baselines(BaselineSettings(initial_capital=Decimal(100)))
    baselines.rescale(Decimal(90), Decimal(0))
    assert baselines.is_emptied
    assert baselines.loss_ratio(Decimal("0.3")) == 0
    assert baselines.loss_ratio(Decimal(-50)) == 1
    baselines.rescale(Decimal(0), Decimal("0.5"))
    assert baselines.is_emptied
    baselines.rescale(Decimal("0.5"), Decimal(180))
    assert baselines.capital == 200
    assert baselines.loss_ratio(Decimal(180)) == Decimal("0.1")


def test_money_that_comes_without_a_row_fills_an_emptied_account_too() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(90, 15)
    watch.baselines.rescale(Decimal(90), Decimal(0))
    watch.see(0, 15)
    assert watch.baselines.is_emptied
    watch.see(45, 15)
    assert not watch.baselines.is_emptied
    assert watch.baselines.capital == 50
    assert watch.baselines.loss_ratio(Decimal(40)) == Decimal("0.2")


def test_a_flow_into_less_than_nothing_moves_by_its_amount() -> None:
    baselines = Baselines(BaselineSettings(initial_capital=Decimal(100)))
    baselines.rescale(Decimal(-50), Decimal(150))
    assert baselines.capital == 300
    assert baselines.loss_ratio(Decimal(150)) == Decimal("0.5")


def test_a_small_flow_at_less_than_nothing_does_not_look_like_an_emptied_account() -> None:
    baselines = Baselines(BaselineSettings(initial_capital=Decimal(100)))
    baselines.rescale(Decimal(-50), Decimal(-51))
    assert not baselines.is_emptied
    assert baselines.loss_ratio(Decimal(-51)) > 1  # type: ignore[operator]


def test_forgetting_takes_everything_anew() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(90, 15)
    watch.baselines.forget()
    assert watch.baselines.capital is None
    assert watch.baselines.peak is None
    watch.see(80, 15)
    assert (watch.baselines.capital, watch.baselines.peak, watch.baselines.start_of_day) == (80, 80, 80)


# --- days ----------------------------------------------------------------------------------------------


def test_the_first_day_starts_with_the_first_trusted_value() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(97, 15)
    assert watch.baselines.day == "2026-11-20"
    assert watch.baselines.start_of_day == 97


def test_a_day_starts_with_the_last_value_before_it() -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 58)), initial_capital=Decimal(100))
    watch.see(100, 60)
    watch.see(103, 57)
    watch.see(90, 30)
    assert watch.baselines.day == "2026-11-21"
    assert watch.baselines.start_of_day == 103, "what held for most of the last ten seconds before midnight"


@pytest.mark.parametrize("wick", [1, 60, 900])
@pytest.mark.parametrize(("before_s", "for_s"), [(9, 4), (4, 4), (4, 3), (1, 1)])
def test_a_wick_before_the_boundary_is_no_start_of_day(wick: int, before_s: int, for_s: int) -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 59)), initial_capital=Decimal(100))
    watch.see(100, 60 - before_s - 1)
    watch.see(wick, for_s)
    watch.see(100, before_s - for_s + 30)
    assert watch.baselines.day == "2026-11-21"
    assert (watch.baselines.start_of_day, watch.baselines.daily_loss(Decimal(90))) == (100, 10)


def test_a_wick_that_lasts_over_the_boundary_is_no_start_of_day() -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 59)), initial_capital=Decimal(100))
    watch.see(100, 56)
    watch.see(50, 40)
    assert watch.baselines.day == "2026-11-21"
    assert watch.baselines.start_of_day == 100


def test_a_day_that_begins_while_readings_differ_starts_with_what_was_sure() -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 58)), initial_capital=Decimal(100))
    watch.see(100, 60)
    watch.see(50, 90, agreed=False)
    assert watch.baselines.day == "2026-11-21"
    assert watch.baselines.start_of_day == 100
    assert watch.baselines.is_day_settled


@pytest.mark.parametrize("jump_s", [86_400 * 3, 7_200, -7_200])
def test_a_jump_of_the_clock_in_a_wick_takes_no_start_from_it(jump_s: float) -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 0)), initial_capital=Decimal(100))
    watch.see(100, 60)
    watch.see(50, 3)
    watch.clock.jump(jump_s)
    watch.see(50)
    watch.see(100, 20)
    assert watch.baselines.start_of_day == 100
    watch.clock.jump(-jump_s)
    watch.see(100, 4_000)
    assert watch.baselines.start_of_day == 100


@pytest.mark.parametrize(("first_after", "expected"), [(120, 120), (80, 100)])
def test_after_a_long_gap_the_higher_counts(first_after: int, expected: int) -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(100, 15)
    watch.clock.advance(86_400)
    watch.see(first_after)
    assert watch.baselines.start_of_day == 100
    watch.see(first_after, 15)
    assert watch.baselines.start_of_day == expected


def test_untrusted_values_are_never_the_last_before_a_day() -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 58)), initial_capital=Decimal(100))
    watch.see(100, 60)
    watch.see(50, 90, trusted=False)
    assert watch.baselines.day == "2026-11-21"
    assert watch.baselines.start_of_day == 100


def test_the_start_of_a_day_moves_with_flows() -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 58)), initial_capital=Decimal(100))
    watch.see(100, 60)
    watch.baselines.rescale(Decimal(100), Decimal(200))
    watch.clock.advance(60)
    watch.see(200, 2)
    assert watch.baselines.start_of_day == 200


def test_days_only_move_forward() -> None:
    watch = Watch(initial_capital=Decimal(100))
    watch.see(100, 15)
    watch.clock.jump(86_400 * 3)
    watch.see(110, 15)
    assert watch.baselines.day == "2026-11-23"
    assert watch.baselines.start_of_day == 100
    watch.clock.jump(-86_400 * 3)
    watch.see(90, 120)
    assert watch.baselines.day == "2026-11-23"
    assert watch.baselines.start_of_day == 100


@pytest.mark.parametrize(
    ("zone", "reset_at", "start"),
    [
        ("Europe/Berlin", time(2, 30), datetime(2026, 10, 24, 20, 0, tzinfo=UTC)),  # 02:30 comes twice
        ("Europe/Berlin", time(2, 30), datetime(2026, 3, 28, 20, 0, tzinfo=UTC)),  # 02:30 does not come
        ("America/New_York", time(0, 0), datetime(2026, 10, 31, 20, 0, tzinfo=UTC)),
    ],
)
def test_a_day_turns_once_at_a_change_of_summer_time(zone: str, reset_at: time, start: datetime) -> None:
    baselines = Baselines(BaselineSettings(Decimal(100), reset_at=reset_at, timezone=zone))
    days = []
    for minute in range(0, 24 * 60, 10):
        wall = (start + timedelta(minutes=minute)).timestamp()
        baselines.observe(Decimal(100), Instant(minute * 60.0, wall), trusted=True, rest_mono=None, agreed=True)
        days.append(baselines.day)
    assert sorted(days) == days  # type: ignore[type-var]
    assert len(set(days)) == 2


# --- across restarts, and the bare function -------------------------------------------------------------


def test_everything_survives_a_restart() -> None:
    watch = Watch(ManualClock(wall=noon(20, 23, 58)), initial_capital=Decimal(100))
    watch.see(130, 15)
    watch.see("100.123456789012345678901234567890", 150)
    watch.baselines.rescale(Decimal(3), Decimal(1) / 3 + 2)
    saved = json.loads(json.dumps(watch.baselines.snapshot()))
    again = Baselines(BaselineSettings(initial_capital=Decimal(7)))
    again.restore(saved)
    assert again.snapshot() == saved
    assert (again.capital, again.peak, again.day) == (
        watch.baselines.capital,
        watch.baselines.peak,
        watch.baselines.day,
    )


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], None),
        ([None, float("nan")], None),
        ([0.0, -5.0], None),
        ([100.0, None], None),
        ([100.0, float("inf")], None),
        ([100.0], PortfolioDDState(0.0, 100.0, 100.0)),
        ([80.0, None, 100.0, 95.0], PortfolioDDState(0.05, 100.0, 95.0)),
        ([100.0, 0.0], PortfolioDDState(1.0, 100.0, 0.0)),
        ([100.0, -50.0], PortfolioDDState(1.5, 100.0, -50.0)),
    ],
)
def test_drawdown_of_a_history(history: list[float | None], expected: PortfolioDDState | None) -> None:
    assert get_portfolio_dd_state(history) == expected
