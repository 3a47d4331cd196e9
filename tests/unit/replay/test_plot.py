"""What a plot shows: the text and shapes of an SVG, as far as a machine can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.errors import UsageError
from risk_daemon.replay.outcome import Outcome
from risk_daemon.replay.plot import draw
from tests.unit.replay.world import minutes, replayed

RULES = '[breakers.drawdown]\nlimit = "8%"\n[breakers.daily_loss]\nlimit = "3%"\naction = "freeze"\n'


def drawn(outcome: Outcome, directory: Path) -> str:
    file = directory / "out.svg"
    draw(outcome, file)
    return file.read_text()


def test_axes_limits_marks_and_what_came_later_are_named(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 10_200, 9_650, 9_300, 9_800), RULES)
    picture = drawn(outcome, tmp_path)
    for text in (
        "equity (USDT)",
        "time (UTC), 2025",
        "capital_loss limit",
        "daily_loss limit",
        "drawdown limit",
        "warned",
        "froze",
        "tripped, and the daemon ended",
        "held on after the trip",
        "drawdown tripped at 02 Feb 12:03: 9,300 USDT",
    ):
        assert f"<!-- {text}" in picture, text


def test_levels_follow_what_losses_are_measured_from(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, minutes(10_000, 10_500, 10_000), RULES)
    levels = {rule: [level for _, level in steps] for rule, steps in outcome.levels.items()}
    assert levels["capital_loss"] == [9_500]
    assert (levels["drawdown"][0], levels["drawdown"][-1]) == (9_200, 9_660)
    assert levels["daily_loss"] == [9_700]


def test_a_gap_is_hatched_and_doubt_is_shown(tmp_path: Path) -> None:
    calm = drawn(replayed(tmp_path, minutes(10_000, 9_990, 9_980)), tmp_path)
    assert "<pattern" not in calm
    assert "<pattern" in drawn(replayed(tmp_path, minutes(10_000, 9_990, 9_980, *[None] * 9, 9_990)), tmp_path)


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    with pytest.raises(UsageError, match="can't be written"):
        draw(replayed(tmp_path, minutes(10_000, 9_990)), tmp_path / "out.png")
