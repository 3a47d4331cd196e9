"""What a log gets from now on, over its cuts: no line twice, and none left out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from risk_daemon.state.log_lines import LogLine, parse
from risk_daemon.state.log_pieces import backwards_in, closed_pieces, open_if_there, read_at

_AT_ONCE = 16 << 20


class Follower:
    """A place in a log, kept by an open file and not by its name: a cut only renames what is read.

    A file that another one stands in place of, and that is no piece of the log any more, was another log: the new one
    is read from its beginning. So is one that was truncated. Made at the beginning of the oldest piece. Who may not
    list the directory follows all the same, from the file on that is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._piece = path
        self._file: BinaryIO | None = None
        self._at = 0

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def at_end(self, back: int = 0) -> None:
        """Take only what comes from now on, and what stands in the last `back` bytes. Raises StateError, OSError."""
        for piece, file in self._newest_first():
            size = _size(file)
            at = max(0, size - back) if back else _line_end(file)
            self._move_to(piece, file, at)
            if back <= size:
                return
            back -= size

    def last(self, count: int) -> list[LogLine]:
        """The last `count` lines; from now on only what comes after them is taken. Raises StateError, OSError."""
        found: list[LogLine] = []
        for piece, file in self._newest_first():
            end = _line_end(file)
            lines = islice(backwards_in(file, end), count - len(found))
            found += (parse(piece, 0, line) for line in lines)
            if self._file is None:
                self._move_to(piece, file, end)
            else:
                file.close()
            if len(found) >= count:
                break
        return found[::-1]

    def take(self, most_bytes: int = _AT_ONCE) -> tuple[Path, list[bytes]]:
        """Some of the complete lines that were not taken yet, of one file; none only where there is none.

        What has no end within `most_bytes` is no line, and is passed over. Raises StateError, OSError.
        """
        if self._file is None:
            self._begin()
        while self._file is not None:
            after = self._after(self._file)  # looked for first: then what is read to its end is read for good
            lines, is_at_end = self._take_from(self._file, most_bytes)
            if after is not None and is_at_end and not lines:
                self._move_to(*after, 0)
                continue
            if after is not None:
                after[1].close()
            if lines or is_at_end:
                return self._piece, lines
        return self.path, []

    # --- places --------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """At the oldest piece, if there is any."""
        for piece in (*self._closed(), self.path):
            file = open_if_there(piece)
            if file is not None:
                self._move_to(piece, file, 0)
                return

    def _move_to(self, piece: Path, file: BinaryIO, at: int) -> None:
        self.close()
        self._piece, self._file, self._at = piece, file, at

    def _after(self, file: BinaryIO) -> tuple[Path, BinaryIO] | None:
        """The file after this one, open; None where this is the one that is written, or there is none now."""
        live = open_if_there(self.path)
        if live is None:
            return None
        if _is_same(live, file):
            live.close()
            return None
        closed = self._closed()
        place = next((place for place, piece in enumerate(closed) if _is_at(piece, file)), len(closed))
        between = open_if_there(closed[place + 1]) if place + 1 < len(closed) else None
        if between is None:
            return self.path, live
        live.close()
        return closed[place + 1], between

    def _closed(self) -> list[Path]:
        try:
            return closed_pieces(self.path)
        except PermissionError:
            return []

    def _newest_first(self) -> Iterator[tuple[Path, BinaryIO]]:
        """All files as they are now, open, the newest first: whoever gets one closes it. Raises StateError, OSError."""
        while True:
            closed, live = self._closed(), open_if_there(self.path)
            if closed == self._closed():
                break
            if live is not None:
                live.close()
        if live is not None:
            yield self.path, live
        for piece in reversed(closed):
            file = open_if_there(piece)
            if file is None:  # removed meanwhile, as all before it
                return
            yield piece, file

    def _take_from(self, file: BinaryIO, most_bytes: int) -> tuple[list[bytes], bool]:
        """Lines, and whether the file has no more now. Raises OSError."""
        if _size(file) < self._at:
            self._at = 0
        block = read_at(file.fileno(), self._at, most_bytes)
        is_at_end, end = len(block) < most_bytes, block.rfind(b"\n") + 1
        self._at += end if end or is_at_end else len(block)
        return block[:end].split(b"\n")[:-1], is_at_end


def follow(
    path: Path,
    *,
    from_end: bool = False,
    after: Follower | None = None,
    poll_s: float = 0.2,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """Every complete line there is and will be, for ever. Waits for the log to begin, and for a new one.

    from_end: only lines written from now on. after: from that place on. Raises StateError for a line that is not an
    entry.
    """
    follower = after or Follower(path)
    if from_end:
        follower.at_end()
    try:
        while True:
            piece, lines = follower.take()
            yield from (parse(piece, 0, line) for line in lines)
            if not lines:
                sleep(poll_s)
    finally:
        follower.close()


# --- files -------------------------------------------------------------------------------------------


def _is_same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.sameopenfile(one.fileno(), other.fileno())


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _line_end(file: BinaryIO) -> int:
    """Where the last complete line ends. Raises OSError."""
    size, want = _size(file), 1 << 16
    while True:
        start = max(0, size - want)
        end = read_at(file.fileno(), start, size - start).rfind(b"\n") + 1
        if end or start == 0:
            return start + end if end else 0
        want *= 4
