"""Lines of the event log over all its pieces: all of them, or the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from risk_daemon.errors import StateError
from risk_daemon.state.log_lines import LogLine, parse
from risk_daemon.state.log_pieces import backwards_in, lines_backwards, open_if_there, pieces_now, reading


def read_log(path: Path) -> Iterator[LogLine]:
    """Every complete line of all pieces, the oldest first, without checking the chain; a torn one is left out.

    path: that of the file that is written, `events.jsonl`. Raises StateError, naming file and line, for a line that
    is not an entry, or a file that can't be read.
    """
    for piece, file in reading(path):
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield parse(piece, number, line)


def read_piece(piece: Path) -> Iterator[LogLine]:
    """Every complete line of one file. Raises StateError, as `read_log` does."""
    file = open_if_there(piece)
    if file is None:
        raise StateError(f"{piece}: the event log can't be read: No such file or directory")
    with file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield parse(piece, number, line)


def first_line(path: Path) -> LogLine | None:
    """The first line that is still there. Raises StateError, OSError."""
    return next(read_log(path), None)


def ends_of(piece: Path) -> tuple[LogLine, LogLine] | None:
    """The first and the last complete line of one file; None where it has none. Raises StateError, OSError."""
    file = open_if_there(piece)
    if file is None:
        return None
    with file:
        first = file.readline()
        last = next(backwards_in(file), None)
    return None if last is None else (parse(piece, 1, first), parse(piece, 0, last))


def hash_at(path: Path, seq: int) -> str | None:
    """The hash of line `seq`, looked for from the end; None if there is no such line. Raises StateError, OSError."""
    with pieces_now(path) as now:
        newest_first = [path] * (now.live is not None) + list(reversed(now.closed))
    for piece in newest_first:
        ends = ends_of(piece)
        if ends is not None and ends[0].seq <= seq:
            return _hash_in(piece, seq)
    return None


def _hash_in(piece: Path, seq: int) -> str | None:
    file = open_if_there(piece)
    if file is None:
        return None
    with file:
        for line in backwards_in(file):
            entry = parse(piece, 0, line)
            if entry.seq <= seq:
                return entry.hash if entry.seq == seq else None
    return None


def lines_since(path: Path, seq: int, most_bytes: int) -> list[LogLine]:
    """The lines after line `seq`, as far as they are among the last `most_bytes`. Raises StateError, OSError."""
    found: list[LogLine] = []
    for piece, line in lines_backwards(path):
        most_bytes -= len(line) + 1
        entry = parse(piece, 0, line)
        if entry.seq <= seq or most_bytes < 0:
            break
        found.append(entry)
    return found[::-1]
