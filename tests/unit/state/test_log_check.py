"""What was done to a log in pieces is named, with the piece and the line."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.state.event_log import EventLog, read_log, verify_log
from risk_daemon.state.log_lines import Link
from tests.unit.state.log_writing import WALL, event, piece, write

LINES = 27  # five or so in each piece


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    write(path, LINES)
    assert piece(path, 4).exists()
    return path


def edit(file: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))


def swapped(path: Path) -> None:
    first, second = piece(path, 1).read_bytes(), piece(path, 2).read_bytes()
    piece(path, 1).write_bytes(second)
    piece(path, 2).write_bytes(first)


def swapped_later(path: Path) -> None:
    second, third = piece(path, 2).read_bytes(), piece(path, 3).read_bytes()
    piece(path, 2).write_bytes(third)
    piece(path, 3).write_bytes(second)


def foreign(path: Path) -> None:
    other = path.parent / "other" / "events.jsonl"
    other.parent.mkdir()
    write(other, LINES, wall=WALL + 1_000)
    os.replace(piece(other, 2), piece(path, 2))


def packed(path: Path) -> None:
    piece(path, 3).with_name(f"{piece(path, 3).name}.gz").write_bytes(gzip.compress(piece(path, 3).read_bytes()))
    piece(path, 3).unlink()


DAMAGES = {
    "a changed byte": (lambda p: edit(piece(p, 2), lambda lines: [b"{ " + lines[0][1:], *lines[1:]]),
                       "events.000002.jsonl", 1, "was changed after it was written"),
    "a line taken out": (lambda p: edit(piece(p, 2), lambda lines: [lines[0], *lines[2:]]),
                         "events.000002.jsonl", 2, "has seq 8 where 7 belongs"),
    "the first line of a piece": (lambda p: edit(piece(p, 3), lambda lines: lines[1:]),
                                  "events.000003.jsonl", 1, "has seq 12 where 11 belongs: lines 11 to 11 are missing"),
    "the last line of a piece": (lambda p: edit(piece(p, 1), lambda lines: lines[:-1]),
                                 "events.000002.jsonl", 1, "has seq 6 where 5 belongs: lines 5 to 5 are missing"),
    "half the last line of a piece": (lambda p: piece(p, 1).write_bytes(piece(p, 1).read_bytes()[:-20]),
                                      "events.000001.jsonl", 5, "line 5 is half-written, and more follows"),
    "the first piece": (lambda p: piece(p, 1).unlink(), "events.000002.jsonl", 1,
                        "has seq 6 where 1 belongs: lines 1 to 5 are missing, and retention did not remove them"),
    "a piece in between": (lambda p: piece(p, 2).unlink(), "events.000003.jsonl", 1,
                           "has seq 11 where 6 belongs: lines 6 to 10 are missing; events.000002.jsonl is gone"),
    "a piece that was packed": (packed, "events.000004.jsonl", 1,
                                "events.000003.jsonl is gone: unpack or bring back events.000003.jsonl.gz"),
    "the newest piece": (lambda p: piece(p, 5).unlink(), "events.jsonl", 1, "lines 21 to 25 are missing"),
    "pieces that were swapped": (swapped, "events.000001.jsonl", 1, "retention did not remove them"),
    "later pieces that were swapped": (swapped_later, "events.000002.jsonl", 1, "has seq 11 where 6 belongs"),
    "a piece of another log": (foreign, "events.000002.jsonl", 1, "does not follow the line before it"),
    "a piece that is there twice": (lambda p: piece(p, 7).write_bytes(piece(p, 5).read_bytes()),
                                    "events.000007.jsonl", 1, "has seq 21 where 26 belongs"),
    "an empty piece is none": (lambda p: piece(p, 3).write_bytes(b""),
                               "events.000004.jsonl", 1, "lines 11 to 15 are missing"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_what_was_done_to_it_is_named(path: Path, what: str) -> None:
    damage, where, line, says = DAMAGES[what]
    damage(path)
    found = verify_log(path)
    assert not found.ok
    assert found.problem_piece == where
    assert says in str(found.problem)
    assert found.problem_line == line
    assert EventLog.open(path).seq == LINES, "the guard starts all the same: its end is whole"


def test_a_tail_that_was_cut_off_is_seen_by_what_is_known_of_it(path: Path) -> None:
    last = list(read_log(path))[-1]
    assert verify_log(path, last.seq, last.hash).ok
    path.write_bytes(b"")
    found = verify_log(path, last.seq, last.hash)
    assert (found.ok, found.problem) == (False, f"{path}: it ends after line 25, and at least 2 more were written")
    path.unlink()
    piece(path, 5).unlink()
    assert "it ends after line 20, and at least 7 more were written" in str(
        verify_log(path, last.seq, last.hash).problem
    )


def test_all_of_it_written_anew_is_another_log(path: Path) -> None:
    last = list(read_log(path))[-1]
    for file in path.parent.iterdir():
        file.unlink()
    write(path, LINES, wall=WALL + 5)
    found = verify_log(path, last.seq, last.hash)
    assert "is not the one that was written there: this is another log" in str(found.problem)
    assert (found.problem_piece, found.problem_line) == ("events.jsonl", 2)


def test_what_retention_removed_may_be_missing_and_nothing_else(path: Path) -> None:
    lines = list(read_log(path))
    removed = Link.of(lines[9])
    assert verify_log(path, removed=removed).ok, "not removed yet"
    piece(path, 1).unlink()
    assert verify_log(path, removed=removed).ok, "killed between the two"
    piece(path, 2).unlink()
    found = verify_log(path, removed=removed)
    assert (found.ok, found.first, found.lines, found.pieces) == (True, 11, 17, 4)
    piece(path, 3).unlink()
    found = verify_log(path, removed=removed)
    assert "has seq 16 where 11 belongs: lines 11 to 15 are missing, and retention did not" in str(found.problem)
    assert verify_log(path, removed=None).ok, "whoever knows nothing of it has nothing to say"


def test_what_follows_must_follow_what_was_removed(path: Path) -> None:
    piece(path, 1).unlink()
    assert "does not follow" in str(verify_log(path, removed=Link(5, "f" * 64)).problem)
    assert "another log" in str(verify_log(path, removed=Link(7, "f" * 64)).problem)


def test_a_torn_end_is_torn_wherever_the_log_ends(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"seq":')
    assert (verify_log(path).ok, verify_log(path).torn) == (True, True)
    os.rename(path, piece(path, 6))
    assert (verify_log(path).ok, verify_log(path).torn) == (True, True)
    log = EventLog.open(path)
    assert log.seq == LINES
    assert "events.000006.jsonl.torn" in str(log.torn)
    log.append(event(), WALL)
    found = verify_log(path)
    assert (found.ok, found.lines, found.torn) == (True, LINES + 1, False)
