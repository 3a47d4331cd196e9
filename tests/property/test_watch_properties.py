"""Whatever a guard does, the second process knows after a few looks whether it is down, and says so once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.watch.troubles import LITTLE_BYTES, Trouble
from tests.unit.watch.test_troubles import PLENTY, Guard

SETTLES_S = 7.0
DOES = st.sampled_from(["start", "die", 0, 1, 4, 70, "fill", "free", "log gone", "log back", "nothing"])


def act(guard: Guard, what: object) -> None:
    match what:
        case "start" if not guard.runs:
            guard.runs = True
            if guard.lines is not None:
                guard.starts()
        case "die":
            guard.ends(None)
        case int() if guard.runs:
            guard.ends(what if guard.lines is not None else None)
        case "fill" | "free":
            guard.free = 0 if what == "fill" else PLENTY
        case "log gone":
            guard.lines = None
        case "log back" if guard.lines is None:
            guard.lines = []


@given(st.lists(st.tuples(DOES, st.sampled_from([0.5, 1.0, 3.0, 5.0, 40.0])), max_size=12))
def test_what_stands_is_what_is_so(story: list[tuple[object, float]]) -> None:
    guard = Guard()
    guard.starts()
    told = guard.look() + guard.wait(SETTLES_S)
    assert told == []
    for what, seconds in story:
        act(guard, what)
        told += guard.wait(seconds)
    told += guard.wait(SETTLES_S)
    standing = set(guard.watcher.standing)
    assert (Trouble.SILENT in standing) is not guard.runs
    assert (Trouble.DISK_FULL in standing) is (guard.free < LITTLE_BYTES)
    assert (Trouble.LOG_UNREADABLE in standing) is (guard.lines is None)
    assert len({alert.alert_id for alert in told}) == len(told)
    downs = [alert for alert in told if alert.event in (Trouble.SILENT, Trouble.ENDED)]
    assert guard.runs or downs, "nobody was told"
