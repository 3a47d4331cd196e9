"""The event log: one JSON object a line, each holding the hash of the line before.

    {"seq":1,"time":"2026-11-20T11:00:00.123456Z","event":"...",<fields>,"prev":"<64 hex>","hash":"<64 hex>"}

`hash` is the SHA-256 of the line's own bytes with `,"hash":"..."` and the newline taken out; `prev` is the
`hash` of the line before, 64 zeros in the first. So anybody can verify a log:

    prev = "0" * 64
    for line in open("events.jsonl", "rb"):
        body, _, _ = line.rpartition(b',"hash":"')
        entry, digest = json.loads(line), hashlib.sha256(body + b"}").hexdigest()
        assert (entry["prev"], entry["hash"]) == (prev, digest)
        prev = digest

The chain shows a line that was changed, removed, added or moved. It does not show that lines at the end
are missing, or that the whole file was written anew: for that, `log_anchor` keeps `seq` and `head` in the store.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Self

from risk_daemon.errors import InvariantError, RecordError, StateError
from risk_daemon.model.events import RiskEvent
from risk_daemon.state.files import json_text, sync_directory, utc_text

GENESIS = "0" * 64
RESERVED = frozenset({"seq", "time", "event", "prev", "hash"})
_HASH_KEY = b',"hash":"'
_TAIL_BYTES = 64 * 1024


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
class Verification:
    """What `verify_log` found. problem_line counts from 1; torn: the file ends in the middle of a line."""

    ok: bool
    lines: int
    problem_line: int | None = None
    problem: str | None = None
    torn: bool = False


class EventLog:
    """The writer. One a file: the state directory's owner.

    torn: what happened to a half-written last line found at opening, as a sentence; None if there was none.
    seq, head: number and hash of the last line written; 0 and 64 zeros before the first.
    """

    def __init__(self, path: Path, descriptor: int, size: int, last: LogLine | None, torn: str | None) -> None:
        self.path = path
        self.torn = torn
        self.seq = last.seq if last else 0
        self.head = last.hash if last else GENESIS
        self._descriptor = descriptor
        self._size = size
        self._clean = True

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the log and go on with its chain.

        A half-written last line (power cut, full disk) is moved to `<name>.torn`. Raises StateError when the
        end of the log is damaged in any other way, or the file can't be opened.
        """
        try:
            new = not path.exists()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{path}: the event log can't be opened: {error.strerror}") from error
        try:
            if new:
                sync_directory(path.parent)
            size, last = _check_tail(path, descriptor)
            torn = _set_torn_aside(path, descriptor, size)
        except OSError as error:
            os.close(descriptor)
            raise StateError(f"{path}: the event log can't be read: {error}") from error
        except StateError:
            os.close(descriptor)
            raise
        return cls(path, descriptor, size, last, torn)

    def append(self, event: RiskEvent, wall: float) -> None:
        """Write one line in one call, handed to the operating system when this returns.

        Raises RecordError when it could not be written (a full disk): nothing of it stays, and the next one
        may succeed. Raises InvariantError for a reserved field name, NaN, or what JSON can't say.
        """
        line, digest = self._line(event, wall)
        self._restore()
        self._clean = False
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise self._failed(error.strerror) from error
        if written != len(line):
            raise self._failed(f"only {written} of {len(line)} bytes were written")
        self._clean = True
        self._size += written
        self.seq += 1
        self.head = digest

    def fsync(self) -> None:
        """Force everything to disk. Blocks: call it on a thread. Raises RecordError."""
        try:
            os.fsync(self._descriptor)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise RecordError(f"{self.path}: fsync failed: {error}") from error

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _line(self, event: RiskEvent, wall: float) -> tuple[bytes, str]:
        if not RESERVED.isdisjoint(event.fields):
            clash = ", ".join(sorted(RESERVED & event.fields.keys()))
            raise InvariantError(f"the event {event.name} has a field with a reserved name: {clash}")
        entry = {
            "seq": self.seq + 1,
            "time": utc_text(wall),
            "event": event.name,
            **event.fields,
            "prev": self.head,
        }
        body = json_text(entry).encode("ascii")
        digest = sha256(body).hexdigest()
        return b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode("ascii")), digest

    def _failed(self, why: str | None) -> RecordError:
        """The error to raise, after trying to take back what was written of the line."""
        try:
            self._restore()
        except RecordError as error:
            return error
        return RecordError(f"{self.path}: an event could not be written: {why}")

    def _restore(self) -> None:
        """Make the file end at the last good line. Raises RecordError if it can't be done (now)."""
        if self._clean:
            return
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            raise RecordError(f"{self.path}: a half-written line could not be removed: {error.strerror}") from error
        self._clean = True


def read_log(path: Path) -> Iterator[LogLine]:
    """Every complete line, without checking the chain; a torn last line is left out.

    Raises StateError, naming file and line, for a line that is not an entry, or a file that can't be read.
    """
    with _open_to_read(path) as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield _parse(path, number, line)


def verify_log(path: Path, seq: int = 0, digest: str = GENESIS) -> Verification:
    """Read all of it and recompute every hash. Never raises for what the file holds.

    seq, digest: the line `seq` must be there, with that hash. A torn last line is not counted and not a problem: it
    is named in `torn`.
    """
    try:
        with _open_to_read(path) as file:
            return _verify(path, file, seq, digest)
    except (StateError, OSError) as error:
        return Verification(ok=False, lines=0, problem=str(error))


def _verify(path: Path, file: BinaryIO, seq: int, digest: str) -> Verification:
    lines, prev, torn = 0, GENESIS, False
    for line in file:
        if not line.endswith(b"\n"):
            torn = True
            break
        try:
            prev = _check_link(path, lines + 1, line, lines + 1, prev).hash
        except StateError as error:
            return Verification(ok=False, lines=lines, problem_line=lines + 1, problem=str(error))
        lines += 1
        if lines == seq and prev != digest:
            problem = f"{path}: line {seq} is not the one that was written there: this is another log"
            return Verification(ok=False, lines=lines, problem_line=seq, problem=problem)
    if lines < seq:
        problem = f"{path}: it ends after line {lines}, and at least {seq - lines} more were written"
        return Verification(ok=False, lines=lines, problem=problem, torn=torn)
    return Verification(ok=True, lines=lines, torn=torn)


def hash_at(path: Path, seq: int) -> str | None:
    """The hash of line `seq`, looked for from the end; None if there is no such line. Raises StateError, OSError."""
    return next((entry.hash for entry in _tail(path, seq) if entry.seq == seq), None)


def lines_since(path: Path, seq: int, most_bytes: int) -> list[LogLine]:
    """The lines after line `seq`, as far as they are among the last `most_bytes`. Raises StateError, OSError."""
    return [entry for entry in _tail(path, seq, most_bytes) if entry.seq > seq]


def _tail(path: Path, seq: int, most_bytes: float = float("inf")) -> list[LogLine]:
    """The last lines, line `seq` among them if it is there. Raises StateError, OSError."""
    with _open_to_read(path) as file:
        descriptor, want = file.fileno(), _TAIL_BYTES
        size = os.fstat(descriptor).st_size
        while True:
            start = max(0, size - want)
            block = _read_at(descriptor, start, size - start)
            lines = block[: block.rfind(b"\n") + 1].split(b"\n")[0 if start == 0 else 1 : -1]
            entries = [_parse(path, 0, line) for line in lines]
            if start == 0 or want >= most_bytes or (entries and entries[0].seq <= seq):
                return entries
            want *= 4


def follow(
    path: Path, *, from_end: bool = False, poll_s: float = 0.2, sleep: Callable[[float], None] = time.sleep
) -> Iterator[LogLine]:
    """Every complete line there is and will be, for ever. Waits for the file to appear, and for a new one.

    from_end: only lines written from now on. Raises StateError for a line that is not an entry.
    """
    while not path.exists():
        sleep(poll_s)
        from_end = False
    while True:
        with _open_to_read(path) as file:
            yield from _follow_one(path, file.fileno(), from_end, poll_s, sleep)
        from_end = False


def _follow_one(
    path: Path, descriptor: int, from_end: bool, poll_s: float, sleep: Callable[[float], None]
) -> Iterator[LogLine]:
    """Lines of one file, until another stands in its place."""
    good, number = (_last_line_end(descriptor), -1) if from_end else (0, 0)
    while True:
        lines = _complete_lines(descriptor, good)
        for line in lines:
            good += len(line)
            number += 1 if number >= 0 else 0
            yield _parse(path, number, line)
        if not lines and _replaced(path, descriptor):
            return
        if not lines:
            sleep(poll_s)


def _complete_lines(descriptor: int, start: int) -> list[bytes]:
    """Some of the complete lines from `start` on; none only if there is none."""
    chunk = _read_at(descriptor, start, _TAIL_BYTES)
    if len(chunk) == _TAIL_BYTES and b"\n" not in chunk:
        chunk = _read_at(descriptor, start, os.fstat(descriptor).st_size - start)
    return [line + b"\n" for line in chunk.split(b"\n")[:-1]]


def _replaced(path: Path, descriptor: int) -> bool:
    try:
        return not os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _last_line_end(descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    start = max(0, size - _TAIL_BYTES)
    return start + _read_at(descriptor, start, size - start).rfind(b"\n") + 1


def _open_to_read(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise StateError(f"{path}: the event log can't be read: {error.strerror}") from error


def _at(path: Path, number: int) -> str:
    return f"{path}: line {number}" if number > 0 else f"{path}: a line near its end"


def _parse(path: Path, number: int, line: bytes) -> LogLine:
    """Raises StateError unless the line is an entry with the five fixed fields."""
    try:
        entry = json.loads(line)
        seq, moment, event = entry.pop("seq"), entry.pop("time"), entry.pop("event")
        prev, digest = entry.pop("prev"), entry.pop("hash")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StateError(f"{_at(path, number)} is not an entry of an event log") from error
    texts = all(isinstance(text, str) for text in (moment, event, prev, digest))
    if not texts or type(seq) is not int:
        raise StateError(f"{_at(path, number)} is not an entry of an event log")
    return LogLine(seq, moment, event, entry, prev, digest)


def _check_link(path: Path, number: int, line: bytes, seq: int | None, prev: str | None) -> LogLine:
    """The entry, if its own hash holds and it follows `seq` and `prev` (None: not known). Else StateError."""
    entry = _parse(path, number, line)
    body, _, tail = line.rpartition(_HASH_KEY)
    digest = sha256(body + b"}").hexdigest()
    if entry.hash != digest or tail != digest.encode("ascii") + b'"}\n':
        raise StateError(f"{_at(path, number)} was changed after it was written: its hash does not fit")
    if seq is not None and entry.seq != seq:
        raise StateError(f"{_at(path, number)} has seq {entry.seq} where {seq} belongs")
    if prev is not None and entry.prev != prev:
        raise StateError(f"{_at(path, number)} does not follow the line before it: the chain is broken")
    return entry


def _check_tail(path: Path, descriptor: int) -> tuple[int, LogLine | None]:
    """Where the last complete line ends, and that line. Checks the last 64 KiB, but two lines at least."""
    size, want = os.fstat(descriptor).st_size, _TAIL_BYTES
    while True:
        start = max(0, size - want)
        block = _read_at(descriptor, start, size - start)
        if start == 0 or block.count(b"\n") >= 3:
            return _check_block(path, start, block)
        want *= 4


def _check_block(path: Path, start: int, block: bytes) -> tuple[int, LogLine | None]:
    """A block that starts in the middle of a line (unless `start` is 0) and may end in one."""
    first = 0 if start == 0 else block.index(b"\n") + 1
    end = block.rfind(b"\n") + 1
    last: LogLine | None = None
    seq, prev = (1, GENESIS) if start == 0 else (None, None)
    number = 1 if start == 0 else 0
    for line in block[first:end].split(b"\n")[:-1]:
        try:
            last = _check_link(path, number, line + b"\n", seq, prev)
        except StateError as error:
            raise _with_line_number(path, error) from error
        seq, prev, number = last.seq + 1, last.hash, number + (number > 0)
    return start + end, last


def _with_line_number(path: Path, error: StateError) -> StateError:
    """The same refusal, naming the first line that is wrong: that needs all of the file."""
    problem = verify_log(path).problem or str(error)
    return StateError(f"{problem}: keep the file for inspection, move it away, and start again")


def _read_at(descriptor: int, start: int, count: int) -> bytes:
    chunks = []
    while count > 0 and (chunk := os.pread(descriptor, count, start)):
        chunks.append(chunk)
        start, count = start + len(chunk), count - len(chunk)
    return b"".join(chunks)


def _set_torn_aside(path: Path, descriptor: int, end: int) -> str | None:
    """Move what follows the last complete line to a file of its own. Raises OSError."""
    rest = _read_at(descriptor, end, os.fstat(descriptor).st_size - end)
    if not rest:
        return None
    aside = path.with_name(path.name + ".torn")
    with aside.open("ab") as file:
        file.write(rest + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.ftruncate(descriptor, end)
    return f"{path}: the last line was half-written; its {len(rest)} bytes are now in {aside.name}"
