"""A log in pieces: whatever happens in the middle of a cut, the chain goes on and no line is lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import RecordError, StateError
from risk_daemon.state import event_log
from risk_daemon.state.event_log import EventLog, hash_at, lines_since, read_log, verify_log
from risk_daemon.state.log_pieces import closed_pieces, next_number, number_of, open_piece
from tests.unit.state.log_writing import SMALL, WALL, event, names, piece, seqs, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


# --- cutting -----------------------------------------------------------------------------------------


def test_a_piece_that_is_full_is_closed_under_its_number(path: Path) -> None:
    write(path, 12)
    assert names(path) == ["events.000001.jsonl", "events.000002.jsonl", "events.jsonl"]
    sizes = [piece(path, number).stat().st_size for number in (1, 2)]
    assert all(SMALL <= size < SMALL + 300 for size in sizes), "the line that fills it is its last"
    assert seqs(path) == list(range(1, 13))
    found = verify_log(path)
    assert (found.ok, found.lines, found.pieces) == (True, 12, 3)


def test_the_recipe_in_the_docstring_verifies_all_pieces(path: Path) -> None:
    write(path, 12)
    prev, count = "0" * 64, 0
    for name in [*sorted(path.parent.glob("events.*.jsonl")), path]:
        for line in name.open("rb"):
            body, _, _ = line.rpartition(b',"hash":"')
            entry, digest = json.loads(line), hashlib.sha256(body + b"}").hexdigest()
            assert (entry["prev"], entry["hash"]) == (prev, digest)
            prev, count = digest, count + 1
    assert count == 12


def test_the_group_may_read_the_next_file_too_and_it_belongs_to_whom_the_log_does(path: Path) -> None:
    write(path, 1)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    log = EventLog.open(path, max_bytes=1)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)  # opening gives it to the group of the directory
    log.append(event(), WALL)
    log.close()
    first, second = piece(path, 1).stat(), path.stat()
    assert (first.st_mode, first.st_uid, first.st_gid) == (second.st_mode, second.st_uid, second.st_gid)


def test_a_log_that_was_just_cut_goes_on_from_its_last_piece(path: Path) -> None:
    write(path, 12)
    os.rename(path, piece(path, 3))
    for opened in ("without a file", "with an empty one"):
        log = EventLog.open(path)
        log.close()
        assert log.seq == 12, opened
    assert verify_log(path).lines == 12
    write(path, 1)
    assert seqs(path)[-1] == 13


class Killed(BaseException):
    """kill -9: nothing that the process would do any more is done."""


CALLS = ("open", "fsync", "rename", "write", "fchown", "fchmod", "close", "ftruncate")


@contextmanager
def dies_at(monkeypatch: pytest.MonkeyPatch, count: int, error: type[BaseException] | OSError) -> Iterator[list[str]]:
    """The system call number `count` of the log's writer does not come back; or it fails."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            if len(done) == count:
                raise error
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield done


def test_killed_between_any_two_calls_of_a_cut_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the next one is killed as well, at its first call."""
    count, told = 1, 0
    while True:
        path = tmp_path / str(count) / "events.jsonl"
        path.parent.mkdir()
        write(path, 4, max_bytes=10_000)
        log, appended = EventLog.open(path, SMALL), 4
        with dies_at(monkeypatch, count, Killed) as done:
            try:
                for _ in range(7):
                    log.append(event(), WALL)
                    appended += 1
            except Killed:
                told += 1
        if len(done) < count:
            break
        with dies_at(monkeypatch, 1, Killed), pytest.raises(Killed):
            EventLog.open(path, SMALL)
        goes_on = EventLog.open(path, SMALL)
        assert goes_on.seq in (appended, appended + 1), "the line that was being written is there or not"
        goes_on.append(event(), WALL)
        assert verify_log(path).ok, done
        assert seqs(path) == list(range(1, goes_on.seq + 1)), done
        count += 1
    assert told > 15
    assert {"rename", "fsync", "open", "write"} <= set(done)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EMFILE, errno.EIO])
def test_whatever_fails_in_a_cut_no_line_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    count = 1
    while True:
        path = tmp_path / str(count) / "events.jsonl"
        path.parent.mkdir()
        write(path, 4, max_bytes=10_000)
        log, appended = EventLog.open(path, SMALL), 4
        with dies_at(monkeypatch, count, OSError(code, os.strerror(code))) as done:
            for _ in range(7):
                try:
                    log.append(event(), WALL)
                    appended += 1
                except RecordError:
                    assert done[-1] in ("write", "ftruncate")
        if len(done) < count:
            break
        for _ in range(3):
            log.append(event(), WALL)
        assert verify_log(path).ok, done
        assert seqs(path) == list(range(1, appended + 4)), done
        assert EventLog.open(path).seq == appended + 3
        count += 1
    assert count > 15


def test_a_cut_that_fails_is_said_once_and_tried_again_later(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(event_log, "_AGAIN_BYTES", 1_000)
    log = EventLog.open(path, SMALL)
    with monkeypatch.context() as patch:

        def refused(*_: object) -> None:
            raise OSError(errno.EACCES, "Permission denied")

        patch.setattr("os.rename", refused)
        for _ in range(15):
            log.append(event(), WALL)
    assert capsys.readouterr().out.count("event_log_not_cut") == 1
    assert closed_pieces(path) == []
    while not closed_pieces(path):
        log.append(event(), WALL)
    assert verify_log(path).lines == log.seq < 25


def test_a_force_that_failed_in_a_cut_is_told_to_whoever_forces_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says it once."""
    write(path, 4, max_bytes=10_000)
    log = EventLog.open(path, max_bytes=1)
    with dies_at(monkeypatch, 1, OSError(errno.EIO, "Input/output error")) as done:
        log.append(event(), WALL)
    assert done[0] == "fsync"
    with pytest.raises(RecordError, match="Input/output error"):
        log.fsync()
    log.fsync()


def test_the_names_of_a_cut_are_forced_with_the_next_line_that_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 4, max_bytes=10_000)
    log = EventLog.open(path, max_bytes=1)
    log.append(event(), WALL)
    with monkeypatch.context() as patch:

        def broken(_: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(event_log, "sync_directory", broken)
        for _ in range(2):
            with pytest.raises(RecordError, match="fsync failed"):
                log.fsync()
    log.fsync()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_directory_that_can_not_be_forced_at_all_is_no_fault(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def unsupported(_: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(event_log, "sync_directory", unsupported)
    log = EventLog.open(path, max_bytes=1)
    for _ in range(3):
        log.append(event(), WALL)
        log.fsync()
    assert verify_log(path).pieces == 3


def test_another_file_in_the_logs_place_is_left_alone(path: Path) -> None:
    log = EventLog.open(path, SMALL)
    log.append(event(), WALL)
    os.rename(path, path.with_name("moved"))
    path.write_text("somebody's\n")
    for _ in range(9):
        log.append(event(), WALL)
    assert path.read_text() == "somebody's\n"
    assert len(path.with_name("moved").read_text().splitlines()) == 10


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["events.1.jsonl", "events.0000001.jsonl", "events.000001.jsonl.gz", "events.000001.json", "events.jsonl"],
)
def test_other_names_are_no_pieces(path: Path, name: str) -> None:
    write(path, 12)
    (path.parent / name.replace("events.jsonl", "events-2026.jsonl")).write_text("x")
    assert number_of(path, path.with_name(name)) is None
    assert closed_pieces(path) == [piece(path, 1), piece(path, 2)]


def test_no_number_is_given_twice(path: Path) -> None:
    """Also not that of a piece that was packed, or set aside."""
    assert next_number(path) == 1
    path.with_name("events.000007.jsonl.gz").touch()
    assert next_number(path) == 8
    path.with_name("events.1000000.jsonl.damaged-5").touch()
    assert next_number(path) == 1_000_001
    write(path, 6)
    assert closed_pieces(path) == [path.with_name("events.1000001.jsonl")]


def test_a_pipe_or_a_directory_in_a_pieces_place_is_refused_and_not_waited_for(path: Path) -> None:
    write(path, 12)
    piece(path, 1).unlink()
    os.mkfifo(piece(path, 1))
    assert "not a file" in str(verify_log(path).problem)
    piece(path, 1).unlink()
    piece(path, 1).mkdir()
    with pytest.raises(StateError, match=r"events\.000001\.jsonl: .* not a file"):
        open_piece(piece(path, 1))
    assert EventLog.open(path).seq == 12, "the guard goes on"


def test_a_piece_behind_a_symbolic_link_is_read(path: Path, tmp_path: Path) -> None:
    write(path, 12)
    elsewhere = tmp_path / "elsewhere.jsonl"
    os.rename(piece(path, 1), elsewhere)
    piece(path, 1).symlink_to(elsewhere)
    assert verify_log(path).ok
    piece(path, 1).unlink()
    piece(path, 1).symlink_to(piece(path, 1))
    assert not verify_log(path).ok, "to itself"


# --- reading -----------------------------------------------------------------------------------------


def test_the_end_is_read_over_the_cuts(path: Path) -> None:
    write(path, 30)
    assert [line.seq for line in lines_since(path, 5, 1 << 20)] == list(range(6, 31))
    last = [line.seq for line in lines_since(path, 5, 2_000)]
    assert 5 <= len(last) <= 9
    assert last == list(range(31 - len(last), 31)), "the newest of them"
    every = {line.seq: line.hash for line in read_log(path)}
    assert {seq: hash_at(path, seq) for seq in range(32)} == {0: None, 31: None, **every}


def test_of_ten_thousand_pieces_a_start_reads_the_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 12)
    for number in range(10, 10_010):
        os.link(piece(path, 2), piece(path, number))
    with dies_at(monkeypatch, 0, Killed) as done:
        assert EventLog.open(path).seq == 12
    assert done.count("open") < 5, "the end alone is read"
