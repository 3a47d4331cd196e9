"""Is a log whole? Every hash is computed anew, over all pieces, and compared with what is known from beside the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from risk_daemon.errors import StateError
from risk_daemon.state.log_lines import GENESIS, NOTHING, Link, LogLine, at, check_follows, checked
from risk_daemon.state.log_pieces import number_of, open_piece, piece_path, reading


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify_log` found. problem_line counts from 1 in its file, which is `problem_piece`.

    lines: those that are there. first: the number of the first of them. torn: the log ends in the middle of a line.
    """

    ok: bool
    lines: int
    problem_line: int | None = None
    problem: str | None = None
    torn: bool = False
    problem_piece: str | None = None
    first: int = 1
    pieces: int = 1


def verify_log(path: Path, seq: int = 0, digest: str = GENESIS, removed: Link | None = NOTHING) -> Verification:
    """Read all of it and recompute every hash. Never raises for what the files hold.

    seq, digest: the line `seq` must be there, with that hash. removed: the last line that may be missing at the
    beginning, because retention removed it; None: that is not known, and any may. A torn last line is not counted and
    not a problem: it is named in `torn`.
    """
    walk = _Walk(path, Link(seq, digest), removed)
    try:
        for piece, file in reading(path):
            walk.read(piece, file)
        walk.end()
    except (StateError, OSError) as error:
        return walk.found(str(error))
    return walk.found(None)


def verify_piece(piece: Path) -> Verification:
    """One file by itself, wherever its chain comes from. Never raises."""
    walk = _Walk(piece, Link(), None)
    try:
        with open_piece(piece) as file:
            walk.read(piece, file)
    except (StateError, OSError) as error:
        return walk.found(str(error))
    return walk.found(None)


class _Walk:
    """One way through all lines."""

    def __init__(self, path: Path, anchor: Link, removed: Link | None) -> None:
        self._path = path
        self._anchor = anchor
        self._removed = removed
        self._last: Link | None = None
        self._first = 1
        self._lines = 0
        self._pieces: list[Path] = []
        self._place: tuple[Path, int] | None = None  # the line that is looked at
        self._torn: tuple[Path, int] | None = None

    def found(self, problem: str | None) -> Verification:
        piece, number = (None, None) if problem is None or self._place is None else self._place
        return Verification(
            ok=problem is None,
            lines=self._lines,
            problem_line=number,
            problem=problem,
            torn=self._torn is not None,
            problem_piece=None if piece is None else piece.name,
            first=self._first,
            pieces=len(self._pieces),
        )

    def read(self, piece: Path, file: BinaryIO) -> None:
        """Raises StateError, OSError."""
        self._pieces.append(piece)
        for number, line in enumerate(file, start=1):
            if self._torn is not None:
                self._place = self._torn
                raise StateError(f"{at(*self._torn)} is half-written, and more follows")
            self._place = piece, number
            if not line.endswith(b"\n"):
                self._torn = self._place
                continue
            entry = checked(piece, number, line)
            self._check_place(piece, number, entry)
            self._check_known(piece, number, entry)
            self._last = Link.of(entry)
            self._lines += 1
        self._place = None

    def end(self) -> None:
        """Raises StateError where lines are missing at the end."""
        last = 0 if self._last is None else self._last.seq
        if last < self._anchor.seq:
            missing = self._anchor.seq - last
            raise StateError(f"{self._path}: it ends after line {last}, and at least {missing} more were written")

    def _check_place(self, piece: Path, number: int, entry: LogLine) -> None:
        if self._last is None:
            self._first = entry.seq
            self._check_beginning(piece, entry)
            return
        try:
            check_follows(piece, number, entry, self._last)
        except StateError as error:
            between = "".join(self._lost_between(piece, entry.seq)) if number == 1 else ""
            raise StateError(f"{error}{between}") from None

    def _check_beginning(self, piece: Path, entry: LogLine) -> None:
        removed = self._removed
        if removed is None or entry.seq <= removed.seq:
            return
        try:
            check_follows(piece, 1, entry, removed)
        except StateError as error:
            by = f": lines {removed.seq + 1} to {entry.seq - 1} are missing, and retention did not remove them"
            raise StateError(f"{error}{by if entry.seq > removed.seq + 1 else ''}") from None

    def _lost_between(self, piece: Path, seq: int) -> Iterator[str]:
        """What is missing before a piece, by the lines and by the names."""
        expected = 1 if self._last is None else self._last.seq + 1
        if seq > expected:
            yield f": lines {expected} to {seq - 1} are missing"
        before, after = number_of(self._path, self._pieces[-2]), number_of(self._path, piece)
        if before is not None and after is not None and after > before + 1:
            for number in range(before + 1, min(after, before + 4)):
                lost = piece_path(self._path, number)
                packed = next(iter(sorted(lost.parent.glob(f"{lost.name}.*"))), None)
                yield f"; {lost.name} is gone" + (f": unpack or bring back {packed.name}" if packed else "")

    def _check_known(self, piece: Path, number: int, entry: LogLine) -> None:
        """What is known from beside the log of this very line."""
        for known in (self._anchor, self._removed):
            if known is not None and known.seq == entry.seq and known.hash != entry.hash:
                raise StateError(f"{piece}: line {number} is not the one that was written there: this is another log")
