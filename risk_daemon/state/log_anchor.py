"""The event log's anchor: how many lines it has and the hash of the last one, kept in the store.

A log tells by itself of a line that was changed, but not of lines that are missing at its end, nor that all of it was
written anew. The anchor does. It names lines that were forced to disk before it was saved: after a kill or a power cut
the log may have more lines than that, never fewer.

Beside it stands the last line that retention removed from the log's beginning: what else is missing there, somebody
else removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from risk_daemon.errors import RecordError, StateError
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.files import utc_text
from risk_daemon.state.log_lines import NOTHING, Link, check_follows
from risk_daemon.state.log_pieces import closed_pieces
from risk_daemon.state.log_reader import ends_of, first_line, hash_at
from risk_daemon.state.store.sqlite import connect, read_documents, write_documents

ANCHOR = "log_anchor"
REMOVED = "log_removed"
CUTS = "log_cuts"
_EXPLAINED = "log_cuts_explained"
# All that is known of one machine's log, and says nothing of another's.
LOG_DOCUMENTS = (ANCHOR, REMOVED, CUTS, _EXPLAINED)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Line `seq` of the log has `hash`; 0 and no line at all before the first."""

    seq: int
    hash: str

    def document(self) -> dict[str, Any]:
        return {"seq": self.seq, "hash": self.hash}

    @classmethod
    def of(cls, documents: Mapping[str, Any], name: str = ANCHOR) -> Anchor | None:
        """None where none was saved. Raises StateError for one that makes no sense."""
        document = documents.get(name)
        if document is None:
            return None
        match document:
            case {"seq": int(seq), "hash": str(digest)} if not isinstance(seq, bool) and seq >= 0:
                return cls(seq, digest)
        raise StateError(f"the document {name!r} of the state is damaged")


@dataclass(frozen=True, slots=True)
class Witness:
    """What the store knows of the log. cuts: found at earlier starts, and explained by nobody yet.

    removed: the last line that retention removed, or one that was missing before a start told of it.
    """

    anchor: Anchor | None
    cuts: Sequence[str] = ()
    removed: Link = NOTHING


def removed_of(documents: Mapping[str, Any]) -> Link:
    """The last line that may be missing at the beginning. Raises StateError for one that makes no sense."""
    found = Anchor.of(documents, REMOVED)
    return NOTHING if found is None else Link(found.seq, found.hash)


def beginning_of(path: Path) -> Link:
    """The last line before the first that is there. Raises StateError, OSError."""
    first = first_line(path)
    return NOTHING if first is None else Link(first.seq - 1, first.prev)


def cut_of(path: Path, lines: int, documents: Mapping[str, Any]) -> str | None:
    """What is missing of a log of `lines` lines, as a sentence; None if it goes on where the anchor says.

    Not all of it is read: its end is compared, its beginning, and what is written now with the piece before.
    """
    try:
        anchor = Anchor.of(documents)
        if anchor is None or anchor.seq == 0:
            return None
        found = (_end_cut(path, lines, anchor), _beginning_cut(path, removed_of(documents)), _seam_cut(path, documents))
        return "; ".join(filter(None, found)) or None
    except (StateError, OSError) as error:
        return f"{path} could not be compared with what the state knows of it: {error}"


def _end_cut(path: Path, lines: int, anchor: Anchor) -> str | None:
    """Raises StateError, OSError."""
    if lines < anchor.seq:
        return f"{path} ends after line {lines}, and {anchor.seq - lines} lines after it were on disk before"
    if hash_at(path, anchor.seq) != anchor.hash:
        return f"{path} is another log than before: its line {anchor.seq} is not the one that was written"
    return None


def _beginning_cut(path: Path, removed: Link) -> str | None:
    """Raises StateError, OSError."""
    found = beginning_of(path)
    if found.seq < removed.seq or found == removed:
        return None
    if found.seq == removed.seq:
        return f"{path} does not begin with the line that followed what retention removed"
    return f"{path} begins with line {found.seq + 1}, and retention removed none after line {removed.seq}"


def _seam_cut(path: Path, documents: Mapping[str, Any]) -> str | None:
    """Told once, though it stays. Raises StateError, OSError."""
    closed, written = closed_pieces(path), ends_of(path)
    before = ends_of(closed[-1]) if closed else None
    if before is None or written is None:
        return None
    try:
        check_follows(path, 1, written[0], Link.of(before[1]))
    except StateError as error:
        sentence = f"{error}, after {closed[-1].name}"
        return None if any(sentence in told for told in _found(documents)) else sentence
    return None


def with_cut(documents: Mapping[str, Any], sentence: str, wall: float) -> dict[str, Any]:
    """The document CUTS with one more."""
    return {"found": [*_found(documents), f"{utc_text(wall)[:19]}: {sentence}"]}


def witness(database: Path) -> Witness | None:
    """Ask the store, with or without a daemon on it; None where there is none. Raises StateError."""
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            documents = read_documents(database, connection)
    except sqlite3.Error as error:
        raise StateError(f"{database}: it can't be read ({error}): try as the daemon's user, or root") from error
    explained = documents.get(_EXPLAINED, {}).get("count")
    cuts = _found(documents)
    untold = cuts[explained if isinstance(explained, int) else 0 :]
    return Witness(Anchor.of(documents), untold, removed_of(documents))


def explain(database: Path, reason: str, operator: str) -> None:
    """Let `witness` tell no more of the cuts found so far. They stay in the store. Raises StateError."""
    try:
        with closing(connect(database)) as connection:
            count = len(_found(read_documents(database, connection)))
            said = {"count": count, "reason": reason, "operator": operator, "wall": SystemClock().now().wall}
            write_documents(database, connection, {_EXPLAINED: said})
    except RecordError as error:
        raise StateError(str(error)) from error


def _found(documents: Mapping[str, Any]) -> list[str]:
    found = documents.get(CUTS, {}).get("found")
    return [str(sentence) for sentence in found] if isinstance(found, list) else []
