"""The last events as rows: bounded, newest first, as text."""

from __future__ import annotations

from risk_daemon.api.dashboard.log import Log
from risk_daemon.api.feed import FeedEvent
from tests.api_world import WALL


def event(seq: int, name: str = "venue_lost", **fields: object) -> FeedEvent:
    return FeedEvent(seq, name, fields, WALL)


def test_newest_first_and_only_what_is_new() -> None:
    log = Log()
    for number in range(1, 4):
        log.note(event(number, reason=f"number {number}"))
    assert ["number 3" in row for row in log.since(0)] == [True, False, False]
    assert len(list(log.since(2))) == 1
    assert list(log.since(3)) == []


def test_it_keeps_no_more_than_it_may() -> None:
    log = Log(keep=10)
    for number in range(1, 26):
        log.note(event(number))
    assert (len(log), log.last) == (10, 25)


def test_rows_are_text_with_a_level_and_short() -> None:
    log = Log()
    log.note(event(1, "circuit_breaker_triggered", reason="<script>" * 200, until=None))
    log.note(event(2, "of_another_version"))
    other, row = log.since(0)
    assert "<script>" not in row
    assert "critical" in row
    assert "until" not in row
    assert len(row) < 3_000
    assert "of_another_version" in other


def test_every_word_must_be_there() -> None:
    log = Log()
    log.note(event(1, venue="kraken", reason="TIMEOUT"))
    assert len(list(log.since(0, "timeout Kraken"))) == 1
    assert list(log.since(0, "timeout mexc")) == []


def test_when_a_sweep_was_proven() -> None:
    log = Log()
    log.note(event(1, "sweep_started"))
    log.note(event(2, "venue_proven", venue="kraken"))
    assert log.proven == {"kraken": WALL}
    log.note(event(3, "venue_unproven", venue="kraken"))
    assert log.proven == {}
    log.note(event(4, "venue_proven", venue="kraken"))
    log.note(event(5, "sweep_started"))
    assert log.proven == {}
