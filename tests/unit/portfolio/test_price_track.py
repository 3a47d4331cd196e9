from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.portfolio.price_track import KEEP, RESOLUTION, PriceTrack


def told(*entries: tuple[float, object], steady_s: float = 3.0) -> PriceTrack:
    track = PriceTrack(steady_s)
    for mono, value in entries:
        track.add(mono, Decimal(str(value)))
    return track


def test_nothing_is_known_before_it_was_told() -> None:
    track = PriceTrack(3.0)
    assert track.around(10.0, 12.0) is None
    assert track.spread(0.0) == 0


@pytest.mark.parametrize("for_s", [0.1, 1.0, 2.9])
@pytest.mark.parametrize("into", [0.0, 0.5, 1.0])
def test_a_wick_around_the_moment_is_nothing(for_s: float, into: float) -> None:
    begins = 10.0 - for_s * into
    track = told((0.0, 100), (begins, 50), (begins + for_s, 100))
    assert track.around(10.0, 13.0) == 100


@pytest.mark.parametrize(("falls_at", "value"), [(9.5, 90), (7.5, 90), (10.5, 100), (12.5, 100)])
def test_a_fall_that_stays_counts_if_it_came_before_the_moment(falls_at: float, value: int) -> None:
    track = told((0.0, 100), (falls_at, 90))
    assert track.around(10.0, 13.0) == value


def test_what_is_not_known_yet_does_not_count() -> None:
    assert told((0.0, 100), (9.0, 90)).around(10.0, 10.0) == 100, "it held for two seconds of three"
    assert told((9.0, 90)).around(10.0, 10.5) == 90
    assert told((20.0, 90)).around(10.0, 21.0) is None


def test_the_spread_is_of_what_held_since() -> None:
    track = told((0.0, 100), (5.0, 50), (6.0, 101))
    assert track.spread(6.5) == 0
    assert track.spread(5.5) == 51, "50 held still"
    assert track.spread(4.0) == 51
    assert told((0.0, 100), (5.0, 99)).spread(4.0) == 1


def test_it_stays_small_and_forgets_what_is_long_over() -> None:
    track = PriceTrack(3.0)
    for step in range(100_000):
        track.add(step / 1_000, Decimal(step))
    assert len(track._entries) <= KEEP * RESOLUTION + 2
    assert track.around(97.0, 100.0) == pytest.approx(Decimal(97_000), abs=40)
    track.clear()
    assert track.around(97.0, 100.0) is None
