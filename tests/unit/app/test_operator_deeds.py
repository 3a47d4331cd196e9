"""Who asked a running guard for something at the venues, and what came of it: in the log, and shown."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from risk_daemon.app.operator_deeds import KEEP, OperatorDeeds
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.event_names import EventName, RiskEvent

CANCEL = (EventName.CANCEL_ALL_ASKED, EventName.CANCEL_ALL_FINISHED)
FACTS: dict[str, Any] = {"operator": "uid:1000 (ann)", "venues": ["kraken"], "market": None}


class Case:
    def __init__(self) -> None:
        self.clock = ManualClock(wall=1_000.0)
        self.noted: list[RiskEvent] = []
        self.deeds = OperatorDeeds(self.noted.append, lambda: self.clock.now().wall)

    def lines(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event.name.value, dict(event.fields)) for event in self.noted]


def test_who_asked_is_said_at_once_and_what_came_of_it_when_it_is_over() -> None:
    case = Case()
    with case.deeds.on_record("cancel-all", *CANCEL, FACTS) as deed:
        assert case.lines() == [("cancel_all_asked", FACTS)]
        [row] = case.deeds.document()
        assert (row["operator"], row["ended_wall"], row["came_to"]) == ("uid:1000 (ann)", None, None)
        case.clock.advance(7)
        deed.ended({"outcome": {"proven": True}})
    assert case.lines()[1:] == [("cancel_all_finished", {**FACTS, "outcome": {"proven": True}})]
    [row] = case.deeds.document()
    assert (row["what"], row["time_wall"], row["ended_wall"], row["came_to"]) == ("cancel-all", 1_000, 1_007, "proven")


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        ({"proven": False}, "NOT PROVEN"),
        ({}, "NOT PROVEN"),
        ({"flat": None, "sweep": {"proven": True}}, "NOT FLAT"),
        ({"flat": True}, "flat"),
        ({"proven": "yes"}, "NOT PROVEN"),
    ],
)
def test_what_is_not_known_to_be_done_is_not_done(outcome: dict[str, Any], word: str) -> None:
    case = Case()
    with case.deeds.on_record("close-positions", *CANCEL, FACTS) as deed:
        deed.ended({"outcome": outcome})
    assert case.deeds.document()[0]["came_to"] == word


@pytest.mark.parametrize(("error", "why"), [(VenueUnavailable("no route"), "no route"), (asyncio.CancelledError(), "")])
def test_what_fails_or_is_cut_off_has_its_line_too(error: BaseException, why: str) -> None:
    case = Case()
    with pytest.raises(type(error)), case.deeds.on_record("cancel-all", *CANCEL, FACTS):
        raise error
    assert case.lines()[-1] == ("cancel_all_finished", {**FACTS, "reason": why or "CancelledError"})
    assert case.deeds.document()[0]["came_to"].startswith("NOT DONE")


def test_only_the_last_are_shown() -> None:
    case = Case()
    for number in range(KEEP + 3):
        with case.deeds.on_record("cancel-all", *CANCEL, {**FACTS, "operator": f"{number}"}):
            pass
    assert [row["operator"] for row in case.deeds.document()] == [f"{number}" for number in range(3, KEEP + 3)]
