"""Days and weeks by any reset time and zone, on the days its clocks change as well."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from risk_daemon.baselines.trading_day import ActiveHours, TradingDay

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("moment", "key"),
    [
        ("2026-11-20T00:00:00", "2026-11-20"),
        ("2026-11-20T23:59:59.999", "2026-11-20"),
        ("2026-11-21T00:00:00", "2026-11-21"),
    ],
)
def test_a_day_begins_at_midnight_utc(moment: str, key: str) -> None:
    assert TradingDay().key(at(moment)) == key


def test_a_day_may_begin_at_another_time_in_another_zone() -> None:
    day = TradingDay(time(17, 30), "America/New_York")
    assert day.key(at("2026-11-20T17:29:59", "America/New_York")) == "2026-11-19"
    assert day.key(at("2026-11-20T17:30:00", "America/New_York")) == "2026-11-20"
    assert day.end_wall(at("2026-11-20T12:00", "America/New_York")) == at("2026-11-20T17:30", "America/New_York")


def test_weeks_are_named_by_their_monday() -> None:
    day = TradingDay(time(8, 0))
    assert day.week_key(at("2026-11-16T07:59:59")) == "2026-11-09"
    assert day.week_key(at("2026-11-16T08:00:00")) == "2026-11-16"
    assert day.week_key(at("2026-11-23T07:59:59")) == "2026-11-16"


@pytest.mark.parametrize("moment", ["2026-11-20T00:00:00", "2026-11-20T12:00:00", "2026-11-20T23:59:59"])
def test_the_end_is_the_next_beginning(moment: str) -> None:
    assert TradingDay().end_wall(at(moment)) == at("2026-11-21T00:00:00")


@pytest.mark.parametrize(("date", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_days_on_which_the_clocks_change_are_shorter_or_longer(date: str, hours: int) -> None:
    begin = at(f"{date}T00:00:00", BERLIN)
    assert TradingDay(timezone=BERLIN).end_wall(begin) - begin == hours * 3_600


def test_a_reset_within_the_hour_that_is_skipped_comes_with_its_end() -> None:
    day = TradingDay(time(2, 30), BERLIN)
    skipped = at("2026-03-29T03:00:00", BERLIN)  # 02:00 to 03:00 is left out
    end = day.end_wall(at("2026-03-29T01:00:00", BERLIN))
    assert end == skipped
    assert day.key(end) == "2026-03-29"
    assert day.key(end - 1) == "2026-03-28"


def test_a_reset_within_the_hour_that_comes_twice_happens() -> None:
    day = TradingDay(time(2, 30), BERLIN)
    before, first, second = (at(f"2026-10-25T{t}", BERLIN, f) for t, f in (("02:29", 0), ("02:30", 0), ("02:30", 1)))
    assert [day.key(moment) for moment in (before, first, second)] == ["2026-10-24", "2026-10-25", "2026-10-25"]
    assert day.end_wall(before - 3_600) in (first, second)


@pytest.mark.parametrize("date", ["2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25", "2026-12-31"])
@pytest.mark.parametrize("reset_at", [time(0, 0), time(2, 30), time(3, 0), time(23, 59)])
def test_the_end_belongs_to_a_later_day_and_the_minute_before_does_not(date: str, reset_at: time) -> None:
    day = TradingDay(reset_at, BERLIN)
    for hour in range(24):
        moment = at(f"{date}T{hour:02}:10:00")
        end = day.end_wall(moment)
        assert end > moment
        assert day.key(end) > day.key(moment)
        assert day.key(end - 60) <= day.key(moment)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(Exception, match="Mars"):
        TradingDay(timezone="Mars/Olympus")


# --- hours -----------------------------------------------------------------------------------------------


def within(hours: ActiveHours, *moments: str) -> list[bool]:
    return [hours.contains(at(f"2026-11-20T{moment}", hours.timezone)) for moment in moments]


def test_hours_begin_with_their_start_and_end_before_their_end() -> None:
    hours = ActiveHours(time(14, 30), time(21, 0))
    assert within(hours, "14:29:59", "14:30:00", "20:59:59", "21:00:00") == [False, True, True, False]


def test_hours_may_lie_over_midnight() -> None:
    hours = ActiveHours(time(22, 0), time(6, 0))
    assert within(hours, "21:59", "22:00", "00:00", "05:59", "06:00") == [False, True, True, True, False]


def test_hours_are_those_of_their_zone() -> None:
    hours = ActiveHours(time(9, 0), time(10, 0), "Asia/Tokyo")
    assert within(hours, "08:59", "09:00", "10:00") == [False, True, False]
    assert hours.contains(datetime(2026, 11, 20, 0, 30, tzinfo=UTC).timestamp())
