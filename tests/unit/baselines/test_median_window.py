from __future__ import annotations

from decimal import Decimal

from risk_daemon.baselines.median_window import RESOLUTION, MedianWindow


def filled(*values: object, step_s: float = 1.0, hold_s: float = 10.0) -> MedianWindow:
    """A value each `step_s`, from 0 on."""
    window = MedianWindow(hold_s)
    for step, value in enumerate(values):
        window.add(step * step_s, Decimal(str(value)))
    return window


def test_nothing_before_there_is_as_much_as_the_window() -> None:
    window = filled(*[100] * 10)
    assert window.median(9.9) is None
    assert window.median(10.0) == 100


def test_what_held_for_most_of_the_time_counts_and_not_how_often_it_was_told() -> None:
    window = filled(*[100] * 11)
    for tick in range(500):
        window.add(10.5 + tick * 0.001, Decimal(1 + tick))
    window.add(11.0, Decimal(100))
    assert window.median(11.0) == 100


def test_a_wick_is_nothing_and_more_than_half_of_the_window_is_the_value() -> None:
    window = filled(*[100] * 11)
    window.add(11.0, Decimal(1))
    assert window.median(15.9) == 100
    assert window.median(16.1) == 1


def test_the_higher_of_two_that_held_equally_long() -> None:
    assert filled(*[100] * 5, *[90] * 6).median(10.0) == 100
    assert filled(*[90] * 5, *[100] * 6).median(10.0) == 100


def test_a_long_sleep_is_no_stretch() -> None:
    window = filled(*[100] * 11)
    assert window.median(80.0) is None
    window.add(80.0, Decimal(50))
    assert window.median(85.0) is None
    assert window.median(90.0) == 50


def test_it_stays_small_however_fast_it_is_told() -> None:
    window = MedianWindow(10.0)
    for step in range(60_000):
        window.add(step / 5_000, Decimal(step))
    assert len(window._entries) <= RESOLUTION + 2
    median = window.median(12.0)
    assert median is not None
    assert abs(median - 35_000) <= 60, "the value of 5 s ago, to a hundredth of a second"


def test_a_flow_moves_it_and_a_new_beginning_forgets_it() -> None:
    window = filled(*[100] * 11)
    window.rescale(Decimal("1.5"))
    assert window.median(10.0) == 150
    window.clear()
    assert window.median(10.0) is None
