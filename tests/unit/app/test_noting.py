"""Logins that failed, from a real server into a real log: bounded, with counts, and never what was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.api.tally import ADDRESSES_MAX, FailedLogins, Tally
from risk_daemon.app.noting import Noter
from risk_daemon.errors import RecordError
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog, read_log, verify_log
from tests.api_world import serving

NEVER = 3_600.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    log = EventLog.open(tmp_path / "events.jsonl")
    yield log
    log.close()


def noter(log: EventLog) -> Noter:
    async def write(event: RiskEvent) -> None:
        log.append(event, 1_790_000_000.0)

    return Noter(write)


def told(log: EventLog) -> list[dict[str, Any]]:
    return [line.fields for line in read_log(log.path) if line.event == "logins_failed"]


async def test_a_flood_of_them_is_two_lines_with_counts(log: EventLog, tmp_path: Path) -> None:
    """The first at once, the others together; the last ones before the log is closed."""
    notes = noter(log)
    tally = Tally(NEVER, notes.note)
    async with serving(tmp_path, tally=tally) as world:
        for number in range(9):
            assert (await world.check(token=f"rdt_guess{number}")).status in (401, 429)
        headers = {"Authorization": "Basic c2VjcmV0OnNlY3JldA=="}
        assert (await world.tcp("GET", "/api/v1/state", headers=headers)).status in (401, 429)
        assert (await world.check()).status == 200, "a good token always passes"
        await notes.flushed(tally)
        first, rest = told(log)
        assert (first["count"], rest["count"]) == (1, 9)
        assert rest["reasons"] == {"the token is not valid": 8, "it is no bearer token": 1}
        assert (rest["from"], rest["from_elsewhere"]) == ({"127.0.0.1": 9}, 0)
        text = log.path.read_text()
        assert "guess" not in text
        assert "c2VjcmV0" not in text
        assert verify_log(log.path).ok
        state = await world.tcp("GET", "/api/v1/state", token=world.operator)
        assert state.body["turned_away"]["failed_login"] == 10
    assert len(told(log)) == 2, "told once"


def test_of_ever_so_many_addresses_the_most_are_named_and_the_rest_counted() -> None:
    logins = FailedLogins()
    for number in range(3 * ADDRESSES_MAX):
        logins.count("x", f"192.0.2.{number}")
    for _ in range(5):
        logins.count("x", "192.0.2.7")
    event = logins.event(60.0)
    assert event is not None
    assert event.fields["from"]["192.0.2.7"] == 6
    assert len(event.fields["from"]) == 10
    assert event.fields["count"] == 3 * ADDRESSES_MAX + 5
    assert sum(event.fields["from"].values()) + event.fields["from_elsewhere"] == event.fields["count"]
    assert len(json.dumps(dict(event.fields))) < 1_000
    assert FailedLogins().event(60.0) is None


async def test_what_can_not_be_written_is_shouted_and_keeps_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    async def write(event: RiskEvent) -> None:
        raise RecordError("no space left on device")

    notes = Noter(write)
    notes.note(RiskEvent(EventName.LOGINS_FAILED, {}))
    await notes.flushed(Tally(NEVER))
    assert "event_log_failed" in capsys.readouterr().out
