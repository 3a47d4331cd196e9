"""The lock: the shared, persisted fact "no new orders", with its cause.

A store holds a positive `open` that expires. Whoever reads it takes absent, stale or unreadable for
locked; so a dead daemon, a lost file and a full disk all lock. The end of a freeze (`until_wall`) is data
in the record and unlocks nothing by itself: only the daemon opens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

from risk_daemon.model.clock import Instant

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class LockRecord:
    """One state of the lock.

    cause: a veto reason (`manual_halt`, `capital_loss`, ...), empty when open. trip_id: of the trip that locked.
    since_wall, until_wall: Unix seconds; until_wall only where an end is known (a freeze).
    """

    locked: bool
    cause: str = ""
    trip_id: str | None = None
    since_wall: float = 0.0
    until_wall: float | None = None

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The record in `document`, which may hold more. Raises ValueError if it isn't one."""
        locked, cause, trip_id = (document.get(name) for name in ("locked", "cause", "trip_id"))
        since, until = document.get("since_wall"), document.get("until_wall")
        texts = isinstance(cause, str) and isinstance(trip_id, str | None)
        times = _is_time(since) and (until is None or _is_time(until))
        if not (isinstance(locked, bool) and texts and times):
            raise ValueError(f"{document!r} is not a record of a lock")
        return cls(locked, str(cause), trip_id, float(str(since)), until)


UNREADABLE = LockRecord(locked=True, cause="locked")


class LockStore(Protocol):
    """Where the lock is kept for others to read."""

    @property
    def name(self) -> str: ...

    async def write(self, record: LockRecord, now: Instant) -> None:
        """Put the record in force. Raises RecordError; then readers see it locked at the latest when the
        last `open` runs out."""
        ...

    async def refresh(self, now: Instant) -> bool:
        """Say again what is in force, where and when that is due: an `open` runs out. Whether it was said.

        Raises RecordError.
        """
        ...


@cache
def boot_id() -> bytes:
    """16 bytes that name this boot of the machine: times since boot compare only within one. Raises OSError.

    Read once: no process outlives the boot it began in.
    """
    try:
        boot = bytes.fromhex(_BOOT_ID.read_text("ascii").replace("-", ""))
    except ValueError as error:
        raise OSError(f"{_BOOT_ID} is not a boot id") from error
    if len(boot) != 16:
        raise OSError(f"{_BOOT_ID} is not a boot id")
    return boot


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
