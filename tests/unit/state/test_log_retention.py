"""How old a piece is, and that a clock which jumps does not make everything old."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.model.clock import Instant
from risk_daemon.state.files import utc_text
from risk_daemon.state.log_lines import LogLine
from risk_daemon.state.log_retention import (
    SILENT_AT_MOST_S,
    believed_wall,
    is_older,
    last_wall_of,
    oldest_to_remove,
    remove,
)
from tests.unit.state.log_writing import WALL, piece, write

DAY = 86_400.0
seconds = st.floats(min_value=0, max_value=1e9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    for day in range(4):
        write(path, 6, wall=WALL + day * DAY)
    assert piece(path, 4).exists()
    return path


def test_the_oldest_goes_when_its_last_line_is_old_enough(path: Path) -> None:
    assert oldest_to_remove(path, WALL) is None
    found = oldest_to_remove(path, WALL + DAY + 60)
    assert found is not None
    assert (found.path, found.first.seq, found.end.seq) == (piece(path, 1), 1, 5)
    remove(found.path)
    remove(found.path)
    assert not piece(path, 1).exists()


def test_the_newest_closed_piece_stays_and_so_does_what_is_written(path: Path) -> None:
    """Or its number would be given again."""
    for number in (1, 2, 3):
        found = oldest_to_remove(path, 1e12)
        assert found is not None
        assert found.path == piece(path, number)
        remove(found.path)
    assert oldest_to_remove(path, 1e12) is None


def test_a_piece_that_can_not_be_read_stays(path: Path) -> None:
    piece(path, 1).write_bytes(b"")
    assert oldest_to_remove(path, 1e12) is None


def test_a_link_goes_and_not_what_it_leads_to(path: Path, tmp_path: Path) -> None:
    os.rename(piece(path, 1), tmp_path / "archive")
    piece(path, 1).symlink_to(tmp_path / "archive")
    found = oldest_to_remove(path, 1e12)
    assert found is not None
    remove(found.path)
    assert (tmp_path / "archive").exists()
    assert not piece(path, 1).is_symlink()


def test_when_the_last_line_was_written(path: Path, tmp_path: Path) -> None:
    assert last_wall_of(path) == WALL + 3 * DAY + 5
    os.rename(path, piece(path, 9))
    assert last_wall_of(path) == WALL + 3 * DAY + 5
    assert last_wall_of(tmp_path / "none" / "events.jsonl") is None


def line(time: str) -> LogLine:
    return LogLine(1, time, "x", {}, "", "")


def test_a_line_of_a_clock_that_was_ahead_is_corrected_by_the_next_piece() -> None:
    ahead, right = line("2036-01-01T00:00:00.000000Z"), line("2026-01-01T00:00:00.000000Z")
    before_wall = 1_790_000_000.0
    assert not is_older([ahead], before_wall)
    assert is_older([ahead, right], before_wall)
    assert not is_older([line("yesterday"), right], before_wall)


def test_a_last_line_of_a_clock_that_was_behind_makes_no_piece_old(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, 12)
    for number in (1, 2):
        *before, last = piece(path, number).read_text().splitlines()
        told = {**json.loads(last), "time": utc_text(0.0)}
        piece(path, number).write_text("\n".join([*before, json.dumps(told)]) + "\n")
    assert oldest_to_remove(path, WALL - DAY) is None
    assert oldest_to_remove(path, WALL + DAY) is not None


# --- the clock ---------------------------------------------------------------------------------------


@given(jump=seconds, ran=seconds, silent=seconds)
def test_no_jump_ages_anything_by_more_than_a_week(jump: float, ran: float, silent: float) -> None:
    """Whether it jumps before the start or afterwards; what is measured counts."""
    began = Instant(wall=WALL + silent, mono=50.0)
    now = Instant(wall=began.wall + ran + jump, mono=50.0 + ran)
    assert believed_wall(now, began, WALL) <= WALL + SILENT_AT_MOST_S + ran + 1.0


@given(back=seconds, ran=seconds)
def test_a_clock_that_is_set_back_is_believed(back: float, ran: float) -> None:
    """Then less is old."""
    began = Instant(wall=WALL, mono=0.0)
    assert believed_wall(Instant(wall=WALL + ran - back, mono=ran), began, WALL) <= WALL + ran - back


def test_a_clock_that_goes_as_it_should_is_believed() -> None:
    began, now = Instant(wall=WALL, mono=7.0), Instant(wall=WALL + 90 * DAY, mono=7.0 + 90 * DAY)
    assert believed_wall(now, began, WALL - DAY) == WALL + 90 * DAY
    assert believed_wall(now, began, None) == WALL + 90 * DAY
