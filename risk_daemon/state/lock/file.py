"""The lock in a file, `lock.json`, replaced whole: for readers that can't map memory.

Locked, it holds the cause. Open, it holds when that was said, in seconds since boot, with the boot's id: a
wall clock that is set back must not keep a dead daemon's `open` alive.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Clock, Instant
from risk_daemon.state.files import json_text, replace_file
from risk_daemon.state.lock.base import UNREADABLE, LockRecord, boot_id
from risk_daemon.state.worker import Run, Worker

FILE_NAME = "lock.json"
FORMAT = 1
# As long as in the memory map: a disk that takes no write leaves an `open` there for so long, and a proof waits for it.
LEASE_S = 1.0
MAX_LEASE_S = 10.0


class FileLock:
    """The writer. lease_s: how long an `open` holds, at most 10; it is renewed at a third of that."""

    name = "file"

    def __init__(self, path: Path, *, lease_s: float = LEASE_S, run: Run | None = None) -> None:
        self.path = path
        self._lease_s = min(lease_s, MAX_LEASE_S)
        self._run = run or Worker("lock-file").run
        self._record: LockRecord | None = None
        self._renew_mono = 0.0

    async def write(self, record: LockRecord, now: Instant) -> None:
        """Put `record` in force. A waiter may give up: the writes still land in their order. Raises RecordError."""
        self._record = record
        try:
            data = self._text(record, now)
            await self._run(replace_file, self.path, data)
        except OSError as error:
            raise RecordError(f"{self.path}: the lock could not be written: {error}") from error
        self._renew_mono = now.mono + self._lease_s / 3

    async def refresh(self, now: Instant) -> bool:
        """Renew an `open` when a third of its lease is over; a lock stays. Whether it did. Raises RecordError."""
        record = self._record
        if record is None or record.locked or now.mono < self._renew_mono:
            return False
        await self.write(record, now)
        return True

    def _text(self, record: LockRecord, now: Instant) -> bytes:
        document = {"format": FORMAT, **record.document()}
        if not record.locked:
            document |= {"boot_id": boot_id().hex(), "stamp_mono": now.mono, "lease_s": self._lease_s}
        return json_text(document).encode("ascii") + b"\n"


def read(path: Path, clock: Clock) -> LockRecord:
    """The lock as `path` has it now: absent, stale or unreadable is locked, cause `locked`."""
    try:
        document = json.loads(path.read_bytes())
        record = LockRecord.from_document(document)
        if document["format"] == FORMAT and (record.locked or _fresh(document, clock.now())):
            return record
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return UNREADABLE
    return UNREADABLE


def last_record(path: Path) -> LockRecord | None:
    """What was written last, however old; None where nothing can be read."""
    try:
        return LockRecord.from_document(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _fresh(document: dict[str, Any], now: Instant) -> bool:
    age_s = now.mono - float(document["stamp_mono"])
    same_boot = bool(document["boot_id"] == boot_id().hex())
    return same_boot and 0 <= age_s <= min(float(document["lease_s"]), MAX_LEASE_S)
