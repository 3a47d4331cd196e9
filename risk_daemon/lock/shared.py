"""The lock in a memory map, `gate.bin`: bots read it in under a microsecond, without a system call.

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
none. The file is never truncated or replaced while it is good, so that no reader's map goes bad.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from risk_daemon.clock import Clock, Instant, SystemClock
from risk_daemon.errors import RecordError
from risk_daemon.lock.base import UNREADABLE, LockRecord, boot_id

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


def prefix(boot: bytes) -> bytes:
    """The first 32 bytes of a good file of this boot."""
    return _PREFIX.pack(b"RDGATE\r\n", 1, 0, boot)


def map_to_read(path: Path) -> tuple[mmap.mmap, os.stat_result]:
    """The file, mapped read-only, and which file it is. Raises OSError; ValueError if it has another size."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_size != SIZE:
            raise ValueError(f"{path} is not a gate: {status.st_size} bytes")
        return mmap.mmap(descriptor, SIZE, access=mmap.ACCESS_READ), status
    finally:
        os.close(descriptor)


def read(path: Path, clock: Clock) -> LockRecord:
    """The lock as `path` has it now: absent, stale, torn or foreign is locked, cause `locked`."""
    try:
        view, _ = map_to_read(path)
        boot = boot_id()
    except (OSError, ValueError):
        return UNREADABLE
    with view:
        return read_map(view, boot, lambda: round(clock.now().mono * 1e9))


def read_map(view: mmap.mmap, boot: bytes, clock_ns: Callable[[], int]) -> LockRecord:
    """The whole record of a mapped gate. An `open` counts only while its stamp is valid.

    clock_ns: nanoseconds since boot; asked after the copy is made, or a new stamp would lie in the future.
    """
    block = _consistent(view)
    record = _decode(block) if block is not None else None
    if block is None or record is None:
        return UNREADABLE
    found, _, stamp_ns, _, valid_ms = HEAD.unpack_from(block)
    fresh = 0 <= clock_ns() - stamp_ns <= min(valid_ms, MAX_VALID_MS) * 1_000_000
    if record.locked or (fresh and found == prefix(boot)):
        return record
    return UNREADABLE


class SharedLock:
    """The writer. One a file: the state directory's owner, on one thread.

    Opening it shuts the gate with `cause`, unless it is shut already: then the cause that stands there stays.
    Raises RecordError where the file can't be made or mapped.
    """

    name = "shared"

    def __init__(self, path: Path, *, cause: str = "starting", valid_ms: int = MAX_VALID_MS) -> None:
        self.path = path
        self._valid_ms = min(valid_ms, MAX_VALID_MS)
        try:
            self._prefix = prefix(boot_id())
            self._view = _map_to_write(path)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: the gate can't be mapped: {error}") from error
        block = bytes(self._view[:_END])
        record = _decode(block)
        now = SystemClock().now()
        if record is None or not record.locked:
            record = LockRecord(locked=True, cause=cause, since_wall=now.wall)
        self.write(record, now)

    def write(self, record: LockRecord, now: Instant) -> None:
        """Put `record` in force, stamped `now`. No system call, no wait. Raises ValueError once closed."""
        view = self._view
        sequence = SEQUENCE.unpack_from(view, SEQUENCE_AT)[0] | 1
        SEQUENCE.pack_into(view, SEQUENCE_AT, sequence)
        view[: _PREFIX.size] = self._prefix
        view[_RECORD_AT:_END] = _encode(record, self._valid_ms)
        self.stamp(now)
        SEQUENCE.pack_into(view, SEQUENCE_AT, (sequence + 1) % 2**64)

    def stamp(self, now: Instant) -> None:
        """Say that what is written held at `now`. To be called by the evaluation loop, many times a second."""
        SEQUENCE.pack_into(self._view, _STAMP_AT, int(now.mono * 1e9))

    def close(self) -> None:
        """Unmap. What is written stays, and an `open` runs out."""
        self._view.close()


def shut(path: Path, record: LockRecord | None = None) -> None:
    """Shut the gate where no daemon is running: with `record`, else with the cause that stands there, or `locked`.

    Raises RecordError.
    """
    lock = SharedLock(path, cause="locked")
    if record is not None:
        lock.write(record, SystemClock().now())
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


def _map_to_write(path: Path) -> mmap.mmap:
    """Map the page, made first if it is absent or of another size. Its bytes exist on disk: a write to the map
    of a sparse file ends in SIGBUS when the disk is full."""
    if not path.exists() or path.stat().st_size != SIZE:
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as file:
            file.write(bytes(SIZE))
        os.replace(temporary, path)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, SIZE)
    finally:
        os.close(descriptor)


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


def _consistent(view: mmap.mmap) -> bytes | None:
    """A copy of the page that no write overlapped; None if there was no such moment."""
    for _ in range(_TRIES):
        before = SEQUENCE.unpack_from(view, SEQUENCE_AT)[0]
        block = view[:_END]
        if not before & 1 and SEQUENCE.unpack_from(view, SEQUENCE_AT)[0] == before:
            return block
    return None
