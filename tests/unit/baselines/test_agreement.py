from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.baselines.agreement import READINGS, Agreement, Standing

EQUITY = Decimal(10_000)


def moved(*moves: object, venue: str = "spot", apart_s: float = 5.0, hold_s: float = 10.0) -> Agreement:
    """A reading each `apart_s`; each move happens before its reading."""
    agreement = Agreement(hold_s)
    for step, amount in enumerate(moves):
        agreement.moved(venue, Decimal(str(amount)))
        agreement.read(EQUITY, step * apart_s)
    return agreement


def test_three_readings_that_say_the_same_over_the_hold() -> None:
    assert not moved(0, 0).standing(EQUITY).holds
    assert moved(0, 0, 0).standing(EQUITY) == Standing(1, True)


def test_many_readings_in_a_moment_are_not_enough() -> None:
    assert not moved(*[0] * 50, apart_s=0.1).standing(EQUITY).holds


def test_two_readings_are_never_enough_however_far_apart() -> None:
    assert READINGS == 3
    assert not moved(0, 0, apart_s=3_600.0).standing(EQUITY).holds


@pytest.mark.parametrize("wild", [(5_000,), (5_000, 0), (-5_000,), (-5_000, 0)], ids=str)
def test_one_or_two_wild_readings_at_the_beginning_agree_with_nothing(wild: tuple[int, ...]) -> None:
    """The first reading moves nothing: it shows as the move back."""
    back = -sum(wild)
    agreement = moved(0, *wild[1:], back, 0)
    assert not agreement.standing(EQUITY).holds
    agreement.read(EQUITY, 100.0)
    assert agreement.standing(EQUITY).holds


def test_what_moves_away_holds_no_more_at_once_and_again_when_it_comes_back() -> None:
    agreement = moved(0, 0, 0)
    before = agreement.standing(EQUITY)
    agreement.moved("spot", Decimal(-5_000))
    assert agreement.standing(EQUITY) == Standing(None, False)
    agreement.moved("spot", Decimal(4_995))
    assert agreement.standing(EQUITY) == before


def test_two_wild_readings_later_on_change_nothing_after_them() -> None:
    agreement = moved(0, 0, 0, -5_000, 0)
    assert agreement.standing(EQUITY) == Standing(2, False), "they agree with each other, for not long enough"
    agreement.moved("spot", Decimal(5_000))
    assert agreement.standing(EQUITY) == Standing(1, True)


def test_what_stays_moved_agrees_in_the_end() -> None:
    agreement = moved(0, 0, 0, -5_000, 0, 0)
    assert agreement.standing(EQUITY) == Standing(2, True)


def test_a_fee_is_no_other_reading_and_what_two_venues_move_is_not_set_off() -> None:
    assert moved(0, -19, -1).standing(EQUITY).holds
    assert not moved(0, -21, 0).standing(EQUITY).holds
    agreement = moved(0, 0, 0)
    agreement.moved("spot", Decimal(-600))
    agreement.moved("perp", Decimal(600))
    assert not agreement.standing(EQUITY).holds, "as long as only one of them may be right"


def test_fees_that_add_up_end_no_stretch() -> None:
    agreement = Agreement(10.0)
    for step in range(200):
        agreement.moved("spot", Decimal(-1))
        agreement.read(EQUITY, step * 5.0)
        if step >= READINGS:
            assert agreement.standing(EQUITY) == Standing(1, True)


def test_next_to_nothing_may_differ_by_one_unit() -> None:
    agreement = Agreement(10.0)
    for step in range(3):
        agreement.moved("spot", Decimal("0.2"))
        agreement.read(Decimal(0), step * 5.0)
    assert agreement.standing(Decimal(0)).holds


def test_begun_anew_only_what_is_requested_later_counts() -> None:
    agreement = moved(0, 0, 0)
    agreement.restart(20.0)
    assert agreement.begun_mono == 20.0
    assert agreement.standing(EQUITY) == Standing(None, False)
    assert agreement.text() == "0 readings agree, 3 in a row over 10 s are needed"
