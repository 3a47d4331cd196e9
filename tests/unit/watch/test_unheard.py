"""What was written while no guard ran is told from the watch, and what a guard tells itself is left to it."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.model.clock import Instant
from risk_daemon.watch.troubles import Line
from risk_daemon.watch.unheard import RECENT_S, WAITS_S, Turn, Unheard

WALL = 1_790_000_000.0


def line(event: str, wall: float = WALL, **fields: Any) -> Line:
    entry = {"seq": 1, "time": "x", "event": event, **fields, "prev": "x", "hash": "x"}
    return Line(event=event, wall=wall, fields=entry)


def at(seconds: float) -> Instant:
    return Instant(1_000.0 + seconds, WALL + seconds)


def names(turns: list[Turn]) -> list[list[str]]:
    return [[str(record.name) for record in records] for _, records in turns]


@pytest.fixture
def unheard() -> Unheard:
    """One that has looked once."""
    found = Unheard()
    assert found.take((), at(0), is_down=True, is_running=False) == []
    return found


@pytest.mark.parametrize(
    "event",
    [
        *("override_asked", "override_granted", "override_refused", "break_glass_begun", "break_glass_ended"),
        *("alert_acknowledged", "circuit_breaker_reset"),
    ],
)
def test_it_is_told_once_with_its_fields_alone(unheard: Unheard, event: str) -> None:
    ((wall, (record,)),) = unheard.take([line(event, who="root")], at(1), is_down=True, is_running=False)
    assert (wall, record.name, record.fields) == (WALL, event, {"who": "root"})
    assert unheard.take((), at(2), is_down=True, is_running=False) == []


def test_what_others_tell_is_left_to_them(unheard: Unheard) -> None:
    lines = [line("portfolio_update"), line("system_shutdown"), line("override_agreed"), line("of another version")]
    assert unheard.take(lines, at(1), is_down=True, is_running=False) == []


def test_what_was_written_at_one_moment_stays_together(unheard: Unheard) -> None:
    lines = [line("override_granted", WALL), line("circuit_breaker_reset", WALL), line("override_asked", WALL + 1)]
    turns = unheard.take(lines, at(1), is_down=True, is_running=False)
    assert names(turns) == [["override_granted", "circuit_breaker_reset"], ["override_asked"]]


def test_a_guard_that_runs_tells_of_its_own(unheard: Unheard) -> None:
    lines = [line("override_asked")]
    assert unheard.take(lines, at(0), is_down=False, is_running=True) == []
    assert unheard.take((), at(WAITS_S), is_down=False, is_running=True) == []
    assert unheard.take((), at(WAITS_S + 1), is_down=True, is_running=False) == []


def test_one_that_dies_meanwhile_may_not_have_told(unheard: Unheard) -> None:
    unheard.take([line("override_asked")], at(0), is_down=False, is_running=True)
    assert names(unheard.take((), at(5), is_down=True, is_running=False)) == [["override_asked"]]


def test_nothing_is_dropped_before_it_is_known_whether_a_guard_runs(unheard: Unheard) -> None:
    unheard.take([line("break_glass_begun")], at(0), is_down=False, is_running=False)
    assert unheard.take((), at(60), is_down=False, is_running=False) == []
    assert names(unheard.take((), at(61), is_down=True, is_running=False)) == [["break_glass_begun"]]


def test_after_a_start_only_what_is_young_and_ends_no_trip() -> None:
    lines = [
        line("break_glass_begun", WALL - RECENT_S - 1),
        line("break_glass_begun", WALL - 60),
        line("circuit_breaker_reset", WALL - 50),
    ]
    assert names(Unheard().take(lines, at(0), is_down=True, is_running=False)) == [["break_glass_begun"]]
