"""The files of one log: pieces that are closed, by number, and the file that is written.

    events.000001.jsonl, events.000002.jsonl, ..., events.jsonl

A cut renames the file that is written, which has its number from then on and is never written again, and begins the
next. The first line of each holds the `prev` and `seq` that follow the last line of the one before: the chain goes
over the cuts, and what stands between two of them is found wherever it is missing, swapped or another log's. Between
the two steps of a cut there is no `events.jsonl`; so it is like an empty one to everybody who reads.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from risk_daemon.errors import StateError

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Pieces:
    """As they stood at one moment. closed: the oldest first. live: open for reading, None where there is none."""

    closed: Sequence[Path]
    live: BinaryIO | None


# --- names -------------------------------------------------------------------------------------------


def piece_path(path: Path, number: int) -> Path:
    """The piece `number` of the log at `path`."""
    return path.with_name(f"{path.stem}.{number:06d}{path.suffix}")


def number_of(path: Path, piece: Path) -> int | None:
    """The number of a closed piece of the log at `path`; None for any other file."""
    match = re.fullmatch(rf"{re.escape(path.stem)}\.([0-9]{{6,}}){re.escape(path.suffix)}", piece.name)
    number = None if match is None else int(match[1])
    return number if number is not None and piece_path(path, number).name == piece.name else None


def closed_pieces(path: Path) -> list[Path]:
    """The oldest first. Raises OSError."""
    found = [piece for name in _names(path) if number_of(path, piece := path.with_name(name)) is not None]
    return sorted(found, key=lambda piece: number_of(path, piece) or 0)


def next_number(path: Path) -> int:
    """Above whatever has a number, also what is packed or set aside: none is given twice. Raises OSError."""
    numbered = re.compile(rf"{re.escape(path.stem)}\.([0-9]{{6,}})\b")
    return 1 + max((int(match[1]) for name in _names(path) if (match := numbered.match(name))), default=0)


def is_begun(path: Path) -> bool:
    """Whether there is anything of this log. Raises OSError."""
    return path.exists() or bool(closed_pieces(path))


def _names(path: Path) -> list[str]:
    try:
        return [name for name in os.listdir(path.parent) if name.startswith(f"{path.stem}.")]
    except (FileNotFoundError, NotADirectoryError):
        return []


# --- reading -----------------------------------------------------------------------------------------


def open_piece(path: Path) -> BinaryIO:
    """Raises FileNotFoundError, and StateError for what can't be read. A pipe is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"{path}: the event log can't be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StateError(f"{path}: the event log can't be read: this is not a file")
    return open(descriptor, "rb")


@contextmanager
def pieces_now(path: Path) -> Iterator[Pieces]:
    """All of the log as it is now: a cut in between shows by its new name. Raises StateError."""
    closed, live = _at_one_moment(path)
    try:
        yield Pieces(closed, live)
    finally:
        if live is not None:
            live.close()


def _at_one_moment(path: Path) -> tuple[list[Path], BinaryIO | None]:
    try:
        while True:
            closed = closed_pieces(path)
            live = open_if_there(path)
            if closed_pieces(path) == closed:
                return closed, live
            if live is not None:
                live.close()
    except OSError as error:
        raise StateError(f"{path.parent}: the event log can't be read: {error.strerror}") from error


def open_if_there(path: Path) -> BinaryIO | None:
    """Raises StateError."""
    try:
        return open_piece(path)
    except FileNotFoundError:
        return None


def reading(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Each file of the log, open, the oldest first. Raises StateError; also where there is none at all.

    The first ones may be removed meanwhile, which retention does from the oldest on.
    """
    is_first = True
    with pieces_now(path) as now:
        if not now.closed and now.live is None:
            raise StateError(f"{path}: the event log can't be read: No such file or directory")
        for piece in now.closed:
            file = open_if_there(piece)
            if file is None and not is_first:
                raise StateError(f"{piece}: it was there a moment ago, and is gone")
            if file is not None:
                is_first = False
                with file:
                    yield piece, file
        if now.live is not None:
            yield path, now.live


def lines_backwards(path: Path) -> Iterator[tuple[Path, bytes]]:
    """Every complete line without its end, the last one first, with its file. Raises StateError, OSError."""
    with pieces_now(path) as now:
        if now.live is not None:
            for line in backwards_in(now.live):
                yield path, line
        for piece in reversed(now.closed):
            file = open_if_there(piece)
            if file is None:  # removed meanwhile, as all before it
                return
            with file:
                for line in backwards_in(file):
                    yield piece, line


def backwards_in(file: BinaryIO, end: int | None = None) -> Iterator[bytes]:
    """The complete lines of one file, the last one first. end: where to begin. Raises OSError."""
    end, rest, is_torn = os.fstat(file.fileno()).st_size if end is None else end, b"", True
    while end > 0:
        start = max(0, end - _CHUNK)
        first, *lines = (read_at(file.fileno(), start, end - start) + rest).split(b"\n")
        if lines and is_torn:
            lines.pop()  # what stands behind the last line's end is no line
            is_torn = False
        yield from reversed(lines)
        end, rest = start, first
    if not is_torn:
        yield rest


def read_at(descriptor: int, start: int, count: int) -> bytes:
    """Raises OSError."""
    chunks = []
    while count > 0 and (chunk := os.pread(descriptor, count, start)):
        chunks.append(chunk)
        start, count = start + len(chunk), count - len(chunk)
    return b"".join(chunks)
