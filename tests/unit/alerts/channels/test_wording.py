"""An alert as people read it."""

from __future__ import annotations

from dataclasses import replace

from risk_daemon.alerts.channels.wording import headline, page, short
from tests.unit.alerts.channels.worlds import PAYLOAD, TRIP


def test_a_headline_is_one_line_of_a_bearable_length() -> None:
    assert headline(TRIP, PAYLOAD) == ("CRITICAL momentum: Drawdown reached 10.2 % of 10 %: everything is cancelled.")
    long = headline(replace(TRIP, summary="so\r\nSubject: forged " + "x" * 500), PAYLOAD)
    assert (len(long), "\n" in long, long[-3:]) == (150, False, "...")


def test_a_short_message_names_the_trip_however_long_the_summary_is() -> None:
    assert short(TRIP, PAYLOAD).endswith("is cancelled. (trip trip-1)")
    long = short(replace(TRIP, summary="x" * 5_000), PAYLOAD)
    assert (len(long), long.endswith("... (trip trip-1)")) == (480, True)


def test_without_a_trip_there_is_nothing_to_acknowledge() -> None:
    veto = replace(TRIP, trip_id=None, rule="", details={})
    assert short(veto, PAYLOAD) == headline(veto, PAYLOAD)
    assert "acknowledge" not in page(veto, PAYLOAD)


def test_a_page_has_everything() -> None:
    assert page(TRIP, PAYLOAD).splitlines() == [
        "Drawdown reached 10.2 % of 10 %: everything is cancelled.",
        "",
        "event: circuit_breaker_triggered",
        "severity: critical",
        "circuit breaker: drawdown",
        "trip: trip-1",
        "acknowledge: risk-daemon alerts ack trip-1",
        "strategy: momentum",
        "time: 2023-11-14T22:13:20.250000Z",
        "id: trip-1",
        "",
        "observed: 0.102",
        "orders: 3",
    ]


def test_halves_of_signs_and_signs_that_do_things_become_harmless() -> None:
    odd = replace(TRIP, summary="half \ud83d sign \x1b[2J\x00", details={"reply": "\udc00\n\ttab", "more": ["\ud800"]})
    assert short(odd, PAYLOAD) == "CRITICAL momentum: half ? sign [2J (trip trip-1)"
    lines = page(odd, PAYLOAD).splitlines()
    assert (lines[0], lines[-2:]) == ("half ? sign [2J", ["reply: ? tab", 'more: ["\\ud800"]'])


def test_a_page_ends_however_much_there_is_to_say() -> None:
    long = replace(TRIP, details={str(number): "x" * 5_000 for number in range(1_000)})
    text = page(long, PAYLOAD)
    assert len(text) == 20_001
    assert max(map(len, text.splitlines())) < 1_010
