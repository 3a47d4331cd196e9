"""What is owed: once a trip, until it is acknowledged, over restarts; what is spoilt takes nothing else with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.broadcast.message import Message
from risk_daemon.broadcast.outbox import OWED_MAX, SENT_MAX, Outbox
from risk_daemon.model.event_names import EventName, RiskEvent

WALL = 1_790_000_000.0


def message(number: int) -> Message:
    return Message(trip_id=f"trip-{number}", wall=WALL + number)


def ids(outbox: Outbox) -> list[str]:
    return [one.trip_id for one in outbox.owed()]


def restarted(outbox: Outbox) -> Outbox:
    found = Outbox()
    found.restore(json.loads(json.dumps(outbox.document())))
    return found


def test_a_trip_is_owed_once_until_it_is_acknowledged_and_never_again() -> None:
    outbox = Outbox()
    assert outbox.put(message(1))
    assert outbox.put(message(2))
    assert not outbox.put(message(1))
    assert ids(outbox) == ids(restarted(outbox)) == ["trip-1", "trip-2"]
    outbox.settle("trip-1")
    again = restarted(outbox)
    assert not again.put(message(1))
    assert ids(again) == ["trip-2"]
    assert again.acknowledged() == ("trip-1",)
    assert again.knows("trip-1")
    assert not again.knows("trip-3")


def test_every_trip_of_a_turn_is_owed() -> None:
    trips = [RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, {"trip_id": f"trip-{number}"}) for number in (1, 2)]
    outbox = Outbox()
    assert outbox.hear([RiskEvent(EventName.GATE_SHUT), *trips], WALL)
    assert ids(outbox) == ["trip-1", "trip-2"]
    assert not outbox.hear(trips, WALL)
    assert not outbox.hear([RiskEvent(EventName.WARNING_TRIGGERED)], WALL)


def test_it_is_bounded_and_what_is_given_up_is_shouted() -> None:
    outbox = Outbox()
    with capture_logs() as logs:
        for number in range(OWED_MAX + 1):
            outbox.put(message(number))
    assert [log["trip_id"] for log in logs if log["event"] == "broadcast_lost"] == ["trip-0"]
    assert len(outbox.owed()) == OWED_MAX
    for number in range(OWED_MAX + 1):
        outbox.settle(f"trip-{number}")
    assert len(outbox.acknowledged()) == SENT_MAX
    assert outbox.acknowledged()[-1] == f"trip-{OWED_MAX}"


GOOD = message(1).document()
SPOILT: dict[str, Any] = {
    "nothing": {},
    "owed is no list": {"owed": {"a": 1}, "sent": []},
    "sent is no list": {"owed": [GOOD], "sent": 7},
    "one is no object": {"owed": [GOOD, 7, None, "x"], "sent": [1, None]},
    "one has no time": {"owed": [{**GOOD, "trip_id": "trip-9", "wall": None}, GOOD], "sent": []},
    "one has no id": {"owed": [{}, GOOD], "sent": ["trip-7"]},
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_spoilt_is_shouted_and_takes_nothing_else_with_it(case: str) -> None:
    outbox, document = Outbox(), SPOILT[case]
    with capture_logs() as logs:
        outbox.restore(document)
    assert ids(outbox) == (["trip-1"] if GOOD in list(document.get("owed", [])) else [])
    assert bool(logs) is (case != "nothing")
