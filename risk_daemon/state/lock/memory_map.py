"""The lock in a page of shared memory, `gate.bin`: bots read it in a microsecond or two, with one system call.

One page of 4096 bytes, little-endian:

      0   8  magic "RDGATE\\r\\n"
      8   4  version, 1
     12   4  zero
     16  16  boot id of the machine
     32   8  sequence: odd while a record is being written
     40   8  stamp: nanoseconds since boot, suspend included (CLOCK_BOOTTIME)
     48   4  state: "OPEN", all else is locked
     52   4  how long a stamp is valid, in ms; readers take 1000 at most
     56   8  locked since, float, Unix seconds
     64   8  locked until, float, Unix seconds; NaN: no end is known
     72   2  length of the cause in bytes
     74   2  length of the trip id in bytes
     76   4  CRC-32 of bytes 48..76 and 80..464
     80 256  cause, UTF-8
    336 128  trip id, UTF-8

It says open only if magic, version and boot id fit, the state is OPEN, and the stamp is neither in the future
nor older than its validity. A record is written under the sequence; a stamp is one aligned word and needs
none. The file is never truncated or replaced while it is good. Mapping it is possible and not wise: whoever has
it mapped dies of SIGBUS when somebody truncates it. So reader and writer here use pread and pwrite, on the page
that the kernel keeps in memory; and the writer looks at it again and again (`look`), and mends what is not its own.
"""

from __future__ import annotations

import errno
import math
import os
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Clock, Instant, SystemClock
from risk_daemon.state.lock.base import UNREADABLE, LockRecord, boot_id

FILE_NAME: Final = "gate.bin"
SIZE: Final = 4096
MAX_VALID_MS: Final = 1000
OPEN: Final = int.from_bytes(b"OPEN", "little")
SHUT: Final = int.from_bytes(b"SHUT", "little")
HEAD: Final = struct.Struct("<32sQQII")
SEQUENCE: Final = struct.Struct("<Q")
SEQUENCE_AT: Final = 32

_PREFIX = struct.Struct("<8sII16s")
_STAMP_AT = 40
_RECORD = struct.Struct("<IIddHH")
_RECORD_AT = 48
_CRC = struct.Struct("<I")
_CRC_AT = 76
_TEXTS_AT = 80
_CAUSE_BYTES = 256
_TRIP_BYTES = 128
_END = _TEXTS_AT + _CAUSE_BYTES + _TRIP_BYTES
_TRIES = 64
_STAMP_EVERY_S = 0.01


def prefix(boot: bytes) -> bytes:
    """The first 32 bytes of a good file of this boot."""
    return _PREFIX.pack(b"RDGATE\r\n", 1, 0, boot)


class Opened:
    """The file, open for reading, until nobody holds this any more. head(): its first bytes, as many as there are.

    A program that closes descriptors it doesn't know may have closed ours, and another file may have its number:
    then `is_at` is False. Raises OSError.
    """

    __slots__ = ("_status", "descriptor", "head")

    def __init__(self, path: Path) -> None:
        self.descriptor = _open_to_read(path)
        self.head: Callable[[], bytes] = partial(os.pread, self.descriptor, HEAD.size, 0)
        self._status = os.fstat(self.descriptor)

    def is_at(self, path: Path) -> bool:
        """Whether this is the file that stands there now. Raises OSError."""
        here = os.fstat(self.descriptor)
        return os.path.samestat(here, self._status) and os.path.samestat(here, os.stat(path))

    def __del__(self) -> None:
        try:
            if os.path.samestat(os.fstat(self.descriptor), self._status):
                os.close(self.descriptor)
        except (OSError, AttributeError):
            return


def _open_to_read(path: Path) -> int:
    """Without a time of access, where it is our own file: a tenth of what a look costs. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        return os.open(path, flags)


def read(path: Path, clock: Clock) -> LockRecord:
    """The lock as `path` has it now: absent, stale, torn or foreign is locked, cause `locked`."""
    try:
        opened, boot = Opened(path), boot_id()
    except OSError:
        return UNREADABLE
    return read_opened(opened, boot, lambda: round(clock.now().mono * 1e9))


def read_opened(opened: Opened, boot: bytes, clock_ns: Callable[[], int]) -> LockRecord:
    """The whole record of an open gate. An `open` counts only while its stamp is valid.

    clock_ns: nanoseconds since boot; asked after the copy is made, or a new stamp would lie in the future.
    """
    block = _consistent(opened.descriptor)
    record = _decode(block) if block is not None else None
    if block is None or record is None:
        return UNREADABLE
    found, _, stamp_ns, _, valid_ms = HEAD.unpack_from(block)
    fresh = 0 <= clock_ns() - stamp_ns <= min(valid_ms, MAX_VALID_MS) * 1_000_000
    if record.locked or (fresh and found == prefix(boot)):
        return record
    return UNREADABLE


class MemoryMap:
    """The writer. One a file: the state directory's owner, on one thread.

    Opening it shuts the gate with `cause`, unless it is shut already: then the cause that stands there stays.
    Raises RecordError where the file can't be made or written.
    """

    name = "shared"

    def __init__(self, path: Path, *, cause: str = "starting", valid_ms: int = MAX_VALID_MS) -> None:
        self.path = path
        self._valid_ms = min(valid_ms, MAX_VALID_MS)
        self._descriptor = -1
        self._failure: str | None = None
        self._told: str | None = None
        self._stamp_ns = 0
        now = SystemClock().now()
        try:
            self._prefix = prefix(boot_id())
            self._descriptor = _open_to_write(path)
            self._record = _record_to_go_on_with(self._descriptor, cause, now)
            self._sequence = _sequence_in(self._descriptor)
            self._write(now)
        except (OSError, ValueError) as error:
            self.close()
            raise RecordError(f"{path}: the gate can't be made: {error}") from error

    def write(self, record: LockRecord, now: Instant) -> None:
        """Put `record` in force, stamped `now`. Raises ValueError once closed.

        Never waits and never fails: what can't be written is not stamped any more, so that an `open` that still
        stands there runs out; `look` tries again, and tells.
        """
        if self._descriptor < 0:
            raise ValueError(f"{self.path}: the gate is closed")
        self._record = record
        try:
            self._write(now)
        except OSError as error:
            self._failure = f"it can't be written: {error.strerror}"

    def stamp(self, now: Instant) -> None:
        """Say that what is written held at `now`. To be called by the evaluation loop, many times a second."""
        stamp_ns = int(now.mono * 1e9)
        is_new = not 0 <= stamp_ns - self._stamp_ns < _STAMP_EVERY_S * 1e9
        if not is_new or self._failure is not None:
            return
        try:
            self._put(SEQUENCE.pack(stamp_ns), _STAMP_AT)
            self._stamp_ns = stamp_ns
        except OSError as error:
            self._failure = f"it can't be written: {error.strerror}"

    def look(self, now: Instant) -> str | None:
        """Mend what somebody else made of the file: truncated, replaced, changed, removed. A sentence, once for each
        finding; None while what was written stands there.
        """
        found = self._failure or self._difference()
        if found is not None:
            found = f"{self.path}: {found}: {self._mend(now)}"
        told, self._told = self._told, found
        return None if found == told else found

    def close(self) -> None:
        """Close the file. What is written stays, and an `open` runs out."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _write(self, now: Instant) -> None:
        """Raises OSError."""
        self._sequence = (self._sequence | 1) % 2**64
        self._put(SEQUENCE.pack(self._sequence), SEQUENCE_AT)
        self._stamp_ns = int(now.mono * 1e9)
        self._put(self._block(), 0)
        self._sequence = (self._sequence + 1) % 2**64
        self._put(SEQUENCE.pack(self._sequence), SEQUENCE_AT)
        self._failure = None

    def _block(self) -> bytes:
        """What should stand in the file now."""
        beat = SEQUENCE.pack(self._sequence) + SEQUENCE.pack(self._stamp_ns)
        return self._prefix + beat + _encode(self._record, self._valid_ms)

    def _put(self, data: bytes, at: int) -> None:
        if os.pwrite(self._descriptor, data, at) != len(data):
            raise OSError(errno.ENOSPC, "only a part could be written")

    def _difference(self) -> str | None:
        """What is not as it was left; None if all is."""
        try:
            status = os.stat(self.path)
            if not os.path.samestat(status, os.fstat(self._descriptor)):
                return "another file stood in its place"
            if status.st_size != SIZE:
                return f"it had {status.st_size} bytes"
            return None if os.pread(self._descriptor, _END, 0) == self._block() else "somebody had written into it"
        except FileNotFoundError:
            return "it was gone"
        except OSError as error:
            return f"it can't be looked at: {error.strerror}"

    def _mend(self, now: Instant) -> str:
        try:
            if not self.path.exists() or not os.path.samestat(os.stat(self.path), os.fstat(self._descriptor)):
                self._stand_in_place()
            os.ftruncate(self._descriptor, SIZE)
            self._write(now)
        except OSError as error:
            self._failure = f"it can't be written: {error.strerror}"
            return f"not mended: {error.strerror}"
        return "written anew"

    def _stand_in_place(self) -> None:
        """A new file where ours should be. Who has the old one open finds nothing in it, and asks again. OSError."""
        old, self._descriptor = self._descriptor, _new_file(self.path)
        try:
            os.pwrite(old, bytes(_END), 0)
        finally:
            os.close(old)


def shut(path: Path, record: LockRecord | None = None) -> None:
    """Shut the gate where no daemon is running: with `record`, else with the cause that stands there, or `locked`.

    Raises RecordError.
    """
    lock = MemoryMap(path, cause="locked")
    try:
        if record is not None:
            lock.write(record, SystemClock().now())
        if lock._failure is not None:
            raise RecordError(f"{path}: the gate can't be shut: {lock._failure}")
    finally:
        lock.close()


def last_record(path: Path) -> LockRecord | None:
    """What was written last, however old and in whichever boot: evidence of a trip, not a licence to trade.

    None where nothing can be read.
    """
    try:
        block = path.read_bytes()[:_END]
    except OSError:
        return None
    return _decode(block) if len(block) == _END else None


def _open_to_write(path: Path) -> int:
    """The file, made anew if it is absent or of another size. Raises OSError."""
    if path.exists() and path.stat().st_size == SIZE:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    return _new_file(path)


def _new_file(path: Path) -> int:
    """A page of zeros, which is shut, in the place of whatever stood there. Raises OSError."""
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, 0o644)  # every bot may read it, whatever the umask
        if os.pwrite(descriptor, bytes(SIZE), 0) != SIZE:
            raise OSError(errno.ENOSPC, "only a part could be written")
        os.replace(temporary, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _record_to_go_on_with(descriptor: int, cause: str, now: Instant) -> LockRecord:
    block = os.pread(descriptor, _END, 0)
    record = _decode(block) if len(block) == _END else None
    if record is None or not record.locked:
        return LockRecord(locked=True, cause=cause, since_wall=now.wall)
    return record


def _sequence_in(descriptor: int) -> int:
    found = os.pread(descriptor, SEQUENCE.size, SEQUENCE_AT)
    return int(SEQUENCE.unpack(found)[0]) if len(found) == SEQUENCE.size else 0


def _clip(text: str, size: int) -> bytes:
    """UTF-8, cut to `size` bytes between characters."""
    data = text.encode("utf-8", "replace")
    return data if len(data) <= size else data[:size].decode("utf-8", "ignore").encode("utf-8")


def _encode(record: LockRecord, valid_ms: int) -> bytes:
    """Bytes 48..464."""
    cause, trip = _clip(record.cause, _CAUSE_BYTES), _clip(record.trip_id or "", _TRIP_BYTES)
    state = SHUT if record.locked else OPEN
    until = math.nan if record.until_wall is None else record.until_wall
    head = _RECORD.pack(state, valid_ms, record.since_wall, until, len(cause), len(trip))
    texts = cause.ljust(_CAUSE_BYTES, b"\0") + trip.ljust(_TRIP_BYTES, b"\0")
    return head + _CRC.pack(zlib.crc32(texts, zlib.crc32(head))) + texts


def _decode(block: bytes) -> LockRecord | None:
    """The record in a copy of the page, stale or not; None if its checksum does not fit."""
    head, texts = block[_RECORD_AT:_CRC_AT], block[_TEXTS_AT:_END]
    if zlib.crc32(texts, zlib.crc32(head)) != _CRC.unpack_from(block, _CRC_AT)[0]:
        return None
    state, _, since, until, cause_bytes, trip_bytes = _RECORD.unpack(head)
    try:
        cause = texts[:cause_bytes].decode("utf-8")
        trip = texts[_CAUSE_BYTES : _CAUSE_BYTES + trip_bytes].decode("utf-8")
    except UnicodeDecodeError:
        return None
    locked = state != OPEN
    until_wall = None if math.isnan(until) else until
    return LockRecord(locked, cause or ("locked" if locked else ""), trip or None, since, until_wall)


def _consistent(descriptor: int) -> bytes | None:
    """A copy of the page that no write overlapped; None if there was no such moment, or no page."""
    try:
        for _ in range(_TRIES):
            block = os.pread(descriptor, _END, 0)
            if len(block) != _END:
                return None
            sequence = block[SEQUENCE_AT:_STAMP_AT]
            if not sequence[0] & 1 and os.pread(descriptor, SEQUENCE.size, SEQUENCE_AT) == sequence:
                return block
    except OSError:
        return None
    return None
