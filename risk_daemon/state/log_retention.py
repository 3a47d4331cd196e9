"""Which pieces of the event log are old enough to go. Nothing is removed here but by `remove`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from risk_daemon.model.clock import Instant
from risk_daemon.state.files import sync_directory
from risk_daemon.state.log_lines import Link, LogLine
from risk_daemon.state.log_pieces import closed_pieces
from risk_daemon.state.log_reader import ends_of

SILENT_AT_MOST_S = 7 * 86_400.0  # how long nobody may have written, as far as a clock that jumped is believed


@dataclass(frozen=True, slots=True)
class Piece:
    """A closed piece, by its first and its last line."""

    path: Path
    first: LogLine
    last: LogLine

    @property
    def end(self) -> Link:
        """What the next piece follows."""
        return Link.of(self.last)


def believed_wall(now: Instant, began: Instant, last_wall: float | None) -> float:
    """The time by which ages are judged, Unix seconds: a clock that jumps ahead must not make everything old.

    began: when this process did; since then time is measured and not told. last_wall: of the last line before; from
    there to the start a week at most is believed, whatever the clock says. None: there was no line.
    """
    began_wall = began.wall if last_wall is None else min(began.wall, last_wall + SILENT_AT_MOST_S)
    return min(now.wall, began_wall + now.mono - began.mono)


def oldest_to_remove(path: Path, before_wall: float) -> Piece | None:
    """The oldest piece, if what it ends with was written before then. Raises StateError, OSError.

    The newest closed piece stays however old it is: its number must not be given again.
    """
    closed = closed_pieces(path)
    if len(closed) < 2:
        return None
    oldest = _piece(closed[0])
    after = _piece(closed[1])
    if oldest is None or not is_older([_later(one) for one in (oldest, after) if one is not None], before_wall):
        return None
    return oldest


def _later(piece: Piece) -> LogLine:
    """Of its first and its last line the one with the later time: a clock that was behind makes nothing old."""
    try:
        return max((piece.first, piece.last), key=lambda line: line.wall)
    except ValueError:
        return piece.last


def is_older(ends: Sequence[LogLine], before_wall: float) -> bool:
    """ends: a line of a piece, and of the one after it. One of a clock that was ahead is corrected by the next.

    What has no time that can be read has no age.
    """
    try:
        return min(line.wall for line in ends) < before_wall
    except ValueError:
        return False


def remove(piece: Path) -> None:
    """Raises OSError."""
    piece.unlink(missing_ok=True)
    sync_directory(piece.parent)


def last_wall_of(path: Path) -> float | None:
    """When the last line was written; None where there is none, or it can't be read."""
    for piece in (path, *reversed(closed_pieces(path))):
        ends = ends_of(piece)
        if ends is not None:
            return ends[1].wall
    return None


def _piece(path: Path) -> Piece | None:
    ends = ends_of(path)
    return None if ends is None else Piece(path, *ends)
