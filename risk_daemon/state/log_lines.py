"""One line of the event log: read, and checked against the line before it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from risk_daemon.errors import StateError

GENESIS = "0" * 64
RESERVED = frozenset({"seq", "time", "event", "prev", "hash"})
_HASH_KEY = b',"hash":"'


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, as read. `time` is UTC text with microseconds; amounts in `fields` are decimal strings."""

    seq: int
    time: str
    event: str
    fields: dict[str, Any]
    prev: str
    hash: str

    @property
    def wall(self) -> float:
        """The time as Unix seconds."""
        return datetime.fromisoformat(self.time).timestamp()


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain has come to: line `seq` has `hash`; 0 and 64 zeros before the first."""

    seq: int = 0
    hash: str = GENESIS

    @classmethod
    def of(cls, line: LogLine | None) -> Link:
        return cls() if line is None else cls(line.seq, line.hash)

    def document(self) -> dict[str, Any]:
        return {"seq": self.seq, "hash": self.hash}


NOTHING = Link()


def at(path: Path, number: int) -> str:
    """A line, for people. number: 0 where it is not known."""
    return f"{path}: line {number}" if number > 0 else f"{path}: a line near its end"


def parse(path: Path, number: int, line: bytes) -> LogLine:
    """Raises StateError unless the line is an entry with the five fixed fields."""
    try:
        entry = json.loads(line)
        seq, moment, event = entry.pop("seq"), entry.pop("time"), entry.pop("event")
        prev, digest = entry.pop("prev"), entry.pop("hash")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StateError(f"{at(path, number)} is not an entry of an event log") from error
    texts = all(isinstance(text, str) for text in (moment, event, prev, digest))
    if not texts or type(seq) is not int:
        raise StateError(f"{at(path, number)} is not an entry of an event log")
    return LogLine(seq, moment, event, entry, prev, digest)


def checked(path: Path, number: int, line: bytes) -> LogLine:
    """The entry, if its own hash holds, and the first of all if it stands where that belongs. Raises StateError."""
    entry = parse(path, number, line)
    body, _, tail = line.rpartition(_HASH_KEY)
    digest = sha256(body + b"}").hexdigest()
    if entry.hash != digest or tail != digest.encode("ascii") + b'"}\n':
        raise StateError(f"{at(path, number)} was changed after it was written: its hash does not fit")
    if entry.seq == 1 and entry.prev != GENESIS:
        raise StateError(f"{at(path, number)} does not follow the line before it: the chain is broken")
    return entry


def check_follows(path: Path, number: int, entry: LogLine, before: Link) -> None:
    """Raises StateError unless `entry` is the next line."""
    if entry.seq != before.seq + 1:
        raise StateError(f"{at(path, number)} has seq {entry.seq} where {before.seq + 1} belongs")
    if entry.prev != before.hash:
        raise StateError(f"{at(path, number)} does not follow the line before it: the chain is broken")
