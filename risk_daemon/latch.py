"""The persisted fact that trading is locked, with the trip behind it, as one document in the store.

A document that can't be read counts as a trip that is not proven: locked, and to be swept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.clock import Instant
from risk_daemon.gate import Cause, cause_of
from risk_daemon.lock.base import LockRecord
from risk_daemon.state_dir import LATCH
from risk_daemon.trip import new_trip_id

__all__ = ["LATCH", "latch_document", "latch_of"]


def latch_document(latch: Mapping[str, Any] | None, now: Instant) -> dict[str, Any]:
    """What is stored for a trip's latch, or for none: the lock record, and how far the proof has come."""
    if latch is None:
        return LockRecord(locked=False, since_wall=now.wall).document()
    record = LockRecord(True, cause_of(latch["breaker"]), latch["trip_id"], latch["since_wall"])
    return {**record.document(), **latch}


def latch_of(documents: Mapping[str, Any], now: Instant) -> dict[str, Any] | None:
    """The latch to go on with. None only where a readable document says that nothing is locked."""
    document = documents.get(LATCH)
    try:
        record = LockRecord.from_document({} if document is None else document)
    except (ValueError, TypeError, AttributeError):
        return _unreadable(now)
    if not record.locked:
        return None
    data = dict(document or {})
    return {
        "trip_id": record.trip_id or new_trip_id(now, 0),
        "breaker": str(data.get("breaker") or record.cause or Cause.LOCKED),
        "reason": str(data.get("reason") or record.cause or "locked before"),
        "since_wall": record.since_wall,
        "proven": data.get("proven") is True,
    }


def _unreadable(now: Instant) -> dict[str, Any]:
    reason = "the lock in the state directory can't be read, so it counts as locked"
    return {
        "trip_id": new_trip_id(now, 0),
        "breaker": Cause.LOCKED.value,
        "reason": reason,
        "since_wall": now.wall,
        "proven": False,
    }
