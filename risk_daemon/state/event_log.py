"""The event log: one JSON object a line, each holding the hash of the line before.

    {"seq":1,"time":"2026-11-20T11:00:00.123456Z","event":"...",<fields>,"prev":"<64 hex>","hash":"<64 hex>"}

`hash` is the SHA-256 of the line's own bytes with `,"hash":"..."` and the newline taken out; `prev` is the
`hash` of the line before, 64 zeros in the first. So anybody can verify a log:

    prev = "0" * 64
    for name in [*sorted(glob("events.*.jsonl")), "events.jsonl"]:
        for line in open(name, "rb"):
            body, _, _ = line.rpartition(b',"hash":"')
            entry, digest = json.loads(line), hashlib.sha256(body + b"}").hexdigest()
            assert (entry["prev"], entry["hash"]) == (prev, digest)
            prev = digest

A file of `MAX_BYTES` is closed under a number and the next one begun; `log_pieces` says how.

The chain shows a line that was changed, removed, added or moved. It does not show that lines at the end
are missing, or that the whole log was written anew: for that, `log_anchor` keeps `seq` and `head` in the store.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Self

import structlog

from risk_daemon.errors import InvariantError, RecordError, StateError
from risk_daemon.model.events import RiskEvent
from risk_daemon.state.files import json_text, let_group_read, sync_directory, utc_text
from risk_daemon.state.log_check import Verification, verify_log, verify_piece
from risk_daemon.state.log_follow import Follower, follow
from risk_daemon.state.log_lines import GENESIS, RESERVED, Link, LogLine, check_follows, checked
from risk_daemon.state.log_pieces import closed_pieces, next_number, piece_path, read_at
from risk_daemon.state.log_reader import hash_at, lines_since, read_log

__all__ = [
    "GENESIS",
    "RESERVED",
    "EventLog",
    "Follower",
    "LogLine",
    "Verification",
    "follow",
    "hash_at",
    "lines_since",
    "read_log",
    "verify_log",
]

MAX_BYTES = 64 * 1024 * 1024
_TAIL_BYTES = 64 * 1024
_AGAIN_BYTES = 1024 * 1024  # how much is written on before a cut that failed is tried again
_LOG = structlog.get_logger(__name__)


class EventLog:
    """The writer. One a log: the state directory's owner.

    torn: what happened to a half-written last line found at opening, as a sentence; None if there was none.
    seq, head: number and hash of the last line written; 0 and 64 zeros before the first.
    """

    def __init__(
        self, path: Path, descriptor: int, size: int, last: LogLine | None, torn: str | None, max_bytes: int
    ) -> None:
        self.path = path
        self.torn = torn
        self.seq, self.head = Link.of(last).seq, Link.of(last).hash
        self._descriptor = descriptor
        self._size = size
        self._max_bytes = max_bytes
        self._cut_at = max_bytes
        self._clean = True
        self._is_named = True  # whether its names are on disk
        self._unforced: str | None = None

    @classmethod
    def open(cls, path: Path, max_bytes: int = MAX_BYTES) -> Self:
        """Open or create the log and go on with its chain. A cut that was begun is finished by that.

        A half-written last line (power cut, full disk) is moved to `<name>.torn`. Raises StateError when the
        end of the log is damaged in any other way, or the file can't be opened.
        """
        try:
            descriptor = _created(path)
        except OSError as error:
            raise StateError(f"{path}: the event log can't be opened: {error.strerror}") from error
        try:
            size, last, torn = _end_of(path, descriptor)
            if last is None:
                last, torn_before = _end_of_closed(path)
                torn = torn or torn_before
        except OSError as error:
            os.close(descriptor)
            raise StateError(f"{path}: the event log can't be read: {error}") from error
        except StateError:
            os.close(descriptor)
            raise
        return cls(path, descriptor, size, last, torn, max_bytes)

    def append(self, event: RiskEvent, wall: float) -> None:
        """Write one line in one call, handed to the operating system when this returns.

        Raises RecordError when it could not be written (a full disk): nothing of it stays, and the next one
        may succeed. Raises InvariantError for a reserved field name, NaN, or what JSON can't say.
        """
        line, digest = self._line(event, wall)
        self._restore()
        if self._size >= self._cut_at:
            self._cut()
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
        unforced, self._unforced = self._unforced, None
        try:
            os.fsync(self._descriptor)
            if not self._is_named:
                _force_names(self.path.parent)
                self._is_named = True
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise RecordError(f"{self.path}: fsync failed: {error}") from error
        if unforced is not None:
            raise RecordError(f"{self.path}: fsync failed: {unforced}")

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

    # --- cutting -------------------------------------------------------------------------------------

    def _cut(self) -> None:
        """Close this piece and begin the next. What can't be done now is tried again later, and nothing is lost.

        Until the next file is there, lines go on into this one, whatever it is called by now.
        """
        try:
            descriptor = self._begun_anew()
        except OSError as error:
            if self._cut_at == self._max_bytes:
                _LOG.error("event_log_not_cut", path=str(self.path), error=str(error))
            self._cut_at = self._size + _AGAIN_BYTES
            return
        closed, self._descriptor = self._descriptor, descriptor
        self._size, self._cut_at, self._is_named = 0, self._max_bytes, False
        with suppress(OSError):  # it is on disk, and nothing more is written to it
            os.close(closed)

    def _begun_anew(self) -> int:
        """The next file, after this one has got its number. Raises OSError."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._unforced = str(error)  # the kernel says it once, and whoever forces the log must hear it
            raise
        if self._is_at_its_place():
            self._is_named = False
            os.rename(self.path, piece_path(self.path, next_number(self.path)))
        descriptor = os.open(self.path, _FLAGS | os.O_EXCL, 0o600)
        _give_alike(descriptor, self._descriptor)
        return descriptor

    def _is_at_its_place(self) -> bool:
        """False after a cut that came half way. Raises OSError; FileExistsError where another file has its place."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        if not os.path.samestat(there, os.fstat(self._descriptor)):
            raise FileExistsError(errno.EEXIST, "another file stands in its place", str(self.path))
        return True


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


def _created(path: Path) -> int:
    """The file that is written, open. Raises OSError."""
    new = not path.exists()
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        let_group_read(descriptor, path.parent)  # the second process of `watch`, which has no keys
        if new:
            _force_names(path.parent)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _give_alike(descriptor: int, like: int) -> None:
    """Whoever cuts it, root with a command as well: the next file belongs to whom this one does."""
    status = os.fstat(like)
    try:
        os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, status.st_mode & 0o777)
    except OSError as error:
        _LOG.warning("event_log_owner", error=str(error))


def _force_names(directory: Path) -> None:
    """Raises OSError. Where directories can't be forced at all, there is nothing to wait for."""
    try:
        sync_directory(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


# --- the end of a log ----------------------------------------------------------------------------------


def _end_of_closed(path: Path) -> tuple[LogLine | None, str | None]:
    """The last line before a file that has none, and what was torn behind it. Raises StateError, OSError."""
    for piece in reversed(closed_pieces(path)):
        descriptor = os.open(piece, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _, last, torn = _end_of(piece, descriptor)
        finally:
            os.close(descriptor)
        if last is not None:
            return last, torn
    return None, None


def _end_of(piece: Path, descriptor: int) -> tuple[int, LogLine | None, str | None]:
    """Where the last complete line ends, that line, and what was torn behind it. Raises StateError, OSError.

    The last 64 KiB are checked, but two lines at least.
    """
    size, want = os.fstat(descriptor).st_size, _TAIL_BYTES
    while True:
        start = max(0, size - want)
        block = read_at(descriptor, start, size - start)
        if start == 0 or block.count(b"\n") >= 3:
            break
        want *= 4
    try:
        end, last = _check_block(piece, start, block)
    except StateError as error:
        raise _with_line_number(piece, error) from error
    return end, last, _set_torn_aside(piece, descriptor, end)


def _check_block(piece: Path, start: int, block: bytes) -> tuple[int, LogLine | None]:
    """A block that starts in the middle of a line (unless `start` is 0) and may end in one. Raises StateError."""
    first = 0 if start == 0 else block.index(b"\n") + 1
    end = block.rfind(b"\n") + 1
    last: LogLine | None = None
    number = 1 if start == 0 else 0
    for line in block[first:end].split(b"\n")[:-1]:
        entry = checked(piece, number, line + b"\n")
        if last is not None:
            check_follows(piece, number, entry, Link.of(last))
        last, number = entry, number + (number > 0)
    return start + end, last


def _with_line_number(piece: Path, error: StateError) -> StateError:
    """The same refusal, naming the first line that is wrong: that needs all of the file."""
    problem = verify_piece(piece).problem or str(error)
    return StateError(f"{problem}: keep the file for inspection, move it away, and start again")


def _set_torn_aside(piece: Path, descriptor: int, end: int) -> str | None:
    """Move what follows the last complete line to a file of its own. Raises OSError."""
    rest = read_at(descriptor, end, os.fstat(descriptor).st_size - end)
    if not rest:
        return None
    aside = piece.with_name(piece.name + ".torn")
    with aside.open("ab") as file:
        file.write(rest + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.ftruncate(descriptor, end)
    return f"{piece}: the last line was half-written; its {len(rest)} bytes are now in {aside.name}"
