"""Several people behind one channel."""

from __future__ import annotations

from risk_daemon.alerts.channels.base import delivered, later, refused
from risk_daemon.alerts.channels.recipients import Owed, together


def test_who_has_an_alert_is_not_told_again() -> None:
    owed = Owed(("a", "b"))
    owed.reached("trip-1", "a")
    assert (owed.of("trip-1"), owed.of("trip-2")) == (("b",), ("a", "b"))


def test_only_so_many_alerts_are_remembered() -> None:
    owed = Owed(("a",))
    for number in range(300):
        owed.reached(str(number), "a")
    assert (owed.of("0"), owed.of("299")) == (("a",), ())


def test_it_is_delivered_when_everybody_has_it() -> None:
    assert together({"a": delivered("201", "SM1"), "b": delivered("201", "SM2")}) == delivered("201", "SM1")
    assert together({}).delivered


def test_one_who_may_yet_be_reached_is_worth_another_try() -> None:
    one = together({"a": delivered("201"), "b": later("503", retry_after_s=7.0), "c": refused("400", "no number")})
    assert one == later("503, 400", "b: 503; c: no number", retry_after_s=7.0)


def test_one_who_never_will_be_is_told_of() -> None:
    assert together({"a": delivered("201"), "b": refused("400", "no number")}) == refused("400", "b: no number")
