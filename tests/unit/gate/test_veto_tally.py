"""Summaries of vetoes: at once, then now and then, and never one too few."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.gate.restraints import Veto
from risk_daemon.gate.veto_tally import VetoTally
from risk_daemon.state.files import json_text


def note(tally: VetoTally, cause: str = "blind", bot: str | None = "alpha", reason: str = "why") -> None:
    tally.note(Veto(cause, reason), bot)


def test_nothing_vetoed_is_nothing_to_tell() -> None:
    tally = VetoTally()
    assert tally.due(0.0) is None
    assert tally.flush() is None


def test_a_summary() -> None:
    tally = VetoTally()
    note(tally, "blind", "alpha", "first")
    note(tally, "daily_loss", None, "second")
    note(tally, "blind", "beta", "third")
    summary = tally.due(5.0)
    assert summary == {
        "count": 3,
        "by_reason": {"blind": 2, "daily_loss": 1},
        "by_bot": {"alpha": 1, "beta": 1},
        "without_bot": 1,
        "first_reason": "first",
        "last_reason": "third",
        "total": 3,
    }
    assert json_text(summary)


def test_the_first_is_told_at_once_and_the_next_after_a_while() -> None:
    tally = VetoTally()
    note(tally)
    assert tally.due(10.0) is not None
    note(tally, reason="a")
    assert tally.due(10.999) is None
    note(tally, reason="b")
    summary = tally.due(11.0)
    assert summary is not None
    assert (summary["count"], summary["first_reason"], summary["last_reason"], summary["total"]) == (2, "a", "b", 3)
    assert tally.due(99.0) is None
    note(tally)
    assert tally.due(99.0, every_s=88.5) is None
    assert tally.due(99.5, every_s=88.5) is not None


def test_flushing_waits_for_nothing() -> None:
    tally = VetoTally()
    note(tally)
    assert tally.due(10.0) is not None
    note(tally)
    summary = tally.flush()
    assert summary is not None
    assert (summary["count"], summary["total"]) == (1, 2)


@given(
    st.lists(
        st.tuples(st.sampled_from(["blind", "daily_loss", "custom:x"]), st.none() | st.sampled_from(["alpha", ""]))
        | st.floats(0, 2)
    )
)
def test_no_count_is_ever_lost(steps: list[tuple[str, str | None] | float]) -> None:
    tally, now, told = VetoTally(), 0.0, []
    for step in steps:
        if isinstance(step, float):
            now += step
            told.append(tally.due(now))
        else:
            note(tally, *step)
    told.append(tally.flush())
    noted = [step for step in steps if not isinstance(step, float)]
    summaries = [summary for summary in told if summary is not None]
    by_reason = sum((Counter(summary["by_reason"]) for summary in summaries), Counter[str]())
    assert by_reason == Counter(cause for cause, _ in noted)
    assert sum(summary["count"] for summary in summaries) == len(noted) == tally.total
    named = sum(sum(summary["by_bot"].values()) for summary in summaries)
    assert named + sum(summary["without_bot"] for summary in summaries) == len(noted)
