"""Whoever follows a log goes on over its cuts: no line twice, and none left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.state import log_follow
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.log_follow import Follower
from risk_daemon.state.log_lines import parse
from tests.unit.state.log_writing import SMALL, WALL, event, piece, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def taken(follower: Follower, most_bytes: int = 1 << 20) -> list[int]:
    """All there is now."""
    found: list[int] = []
    while True:
        file, lines = follower.take(most_bytes)
        if not lines:
            return found
        found += [parse(file, 0, line).seq for line in lines]


@pytest.mark.parametrize("between", [1, 3, 5, 11, 40])
def test_over_one_cut_and_several_between_two_looks(path: Path, between: int) -> None:
    follower, found = Follower(path), []
    for _ in range(4):
        write(path, between)
        found += taken(follower)
    follower.close()
    assert found == list(range(1, 4 * between + 1))


def test_lines_that_came_before_the_cut_and_after_the_last_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut between the look at the name and the look at the lines."""
    write(path, 2)
    follower = Follower(path)
    assert taken(follower) == [1, 2]
    real = log_follow.read_at

    def cut_first(descriptor: int, start: int, count: int) -> bytes:
        monkeypatch.undo()
        write(path, 12)
        return real(descriptor, start, count)

    monkeypatch.setattr(log_follow, "read_at", cut_first)
    assert taken(follower) == list(range(3, 15))


def test_in_the_middle_of_a_cut_there_is_nothing_new(path: Path) -> None:
    write(path, 3)
    follower = Follower(path)
    assert taken(follower) == [1, 2, 3]
    os.rename(path, piece(path, 1))
    assert taken(follower) == []
    write(path, 2)
    assert taken(follower) == [4, 5]


def test_the_last_lines_come_from_older_pieces_too(path: Path) -> None:
    assert Follower(path).last(3) == []
    write(path, 14)
    for count in (0, 1, 3, 9, 14, 50):
        follower = Follower(path)
        assert [line.seq for line in follower.last(count)] == list(range(15 - min(count, 14), 15))
        assert taken(follower) == []
        follower.close()
    follower = Follower(path)
    follower.last(2)
    write(path, 7)
    assert taken(follower) == list(range(15, 22))


def test_where_it_was_just_cut_it_goes_on_with_the_next_file(path: Path) -> None:
    write(path, 5)
    os.rename(path, piece(path, 1))
    follower = Follower(path)
    assert [line.seq for line in follower.last(2)] == [4, 5]
    write(path, 1)
    assert taken(follower) == [6]


@pytest.mark.parametrize("back", [0, 300, 900, 5_000])
def test_from_the_end_on_and_some_bytes_before_it(path: Path, back: int) -> None:
    write(path, 12)
    follower = Follower(path)
    follower.at_end(back)
    first = follower.take()[1]
    assert bool(first) is (back > 0)
    write(path, 3)
    whole = taken(follower)
    assert whole[-3:] == [13, 14, 15]


def test_another_log_in_its_place_is_read_from_its_beginning(path: Path) -> None:
    write(path, 3)
    follower = Follower(path)
    assert taken(follower) == [1, 2, 3]
    os.rename(path, path.with_name("moved-away"))
    write(path, 2)
    assert taken(follower) == [1, 2]
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert taken(follower) == [1], "and one that was truncated"


def test_a_piece_that_was_removed_meanwhile_is_passed_over(path: Path) -> None:
    write(path, 12)
    follower = Follower(path)
    assert follower.take()[1]
    write(path, 12)
    for number in (1, 2, 3):
        piece(path, number).unlink()
    assert taken(follower)[-1] == 24


def test_who_may_not_list_the_directory_follows_from_file_to_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch is such a user: `chmod 711`."""

    def refused(_: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(log_follow, "closed_pieces", refused)
    write(path, 2)
    follower = Follower(path)
    assert taken(follower) == [1, 2]
    write(path, 4)
    assert taken(follower) == [3, 4, 5, 6]
    assert piece(path, 1).exists()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["write", "cut", "look", "open again"]), max_size=40),
    most_bytes=st.sampled_from([300, 700, 1 << 20]),
    max_bytes=st.sampled_from([1, SMALL, 1 << 20]),
)
def test_any_sequence_of_lines_cuts_and_looks(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], most_bytes: int, max_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    follower, log, found = Follower(path), EventLog.open(path, max_bytes), []

    def cut() -> None:
        if path.stat().st_size:
            log.close()
            os.rename(path, piece(path, 900_000 + log.seq))

    doing: dict[str, Callable[[], object]] = {
        "write": lambda: log.append(event(), WALL),
        "look": lambda: found.extend(taken(follower, most_bytes)),
    }
    for step in steps:
        if step in doing:
            doing[step]()
            continue
        if step == "cut":
            cut()
        log.close()
        log = EventLog.open(path, max_bytes)
    found += taken(follower, most_bytes)
    follower.close()
    assert found == list(range(1, log.seq + 1))
    log.close()
