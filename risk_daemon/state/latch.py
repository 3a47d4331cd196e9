"""The persisted fact that trading is locked, with the trip behind it, as one document in the store.

A document that can't be read counts as a trip that is not proven: locked, and to be swept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.engine.trip import new_trip_id
from risk_daemon.errors import StateError
from risk_daemon.gate.restraints import Cause, cause_of
from risk_daemon.model.clock import Instant
from risk_daemon.state.directory import LATCH, Paths
from risk_daemon.state.lock.base import LockRecord, boot_id
from risk_daemon.state.store.sqlite import peek_documents
from risk_daemon.state.traces import Trace, trace_left

__all__ = ["LATCH", "latch_document", "latch_of", "trip_left", "unproven_latch"]


def latch_document(latch: Mapping[str, Any] | None, now: Instant) -> dict[str, Any]:
    """What is stored for a trip's latch, or for none: the lock record, and how far the proof has come."""
    if latch is None:
        return LockRecord(locked=False, since_wall=now.wall).document()
    cause = latch.get("cause") or cause_of(latch["breaker"])
    record = LockRecord(True, cause, latch["trip_id"], latch["since_wall"], latch.get("until_wall"))
    return {**record.document(), **latch, "boot": _boot()}


def _boot() -> str | None:
    """Which boot of the machine this is: seconds since boot mean something within it only."""
    try:
        return boot_id().hex()
    except OSError:
        return None


def trip_left(paths: Paths) -> Trace | None:
    """A trip that the lock files or the event log still speak of. The store may be gone, older, or never written."""
    return trace_left(paths.gate, paths.lock, paths.events)


def latch_of(documents: Mapping[str, Any], now: Instant, left: Trace | None = None) -> dict[str, Any] | None:
    """The latch to go on with; the most restrictive of the witnesses wins.

    left: a trip that is told of beside the store. None only where a readable document says that nothing is
    locked, and nothing else says otherwise.
    """
    latch = _stored(documents, now)
    if left is None:
        return latch
    is_older = latch is not None and latch["proven"] and latch["trip_id"] != left.trip_id and not left.proven
    return _of_trace(left) if latch is None or is_older else latch


def refuse_unproven(paths: Paths, documents: Mapping[str, Any], now: Instant) -> None:
    """Raises StateError while orders of a trip may still be open: whatever takes time comes after them."""
    latch = latch_of(documents, now, trip_left(paths))
    if latch is not None and not latch["proven"]:
        raise StateError(f"trip {latch['trip_id']} is not proven yet: let the guard finish it first (risk-daemon run)")


def unproven_latch(paths: Paths, now: Instant) -> tuple[dict[str, Any] | None, Mapping[str, Any]]:
    """The latch of a trip that is not proven, by any witness that can be read, and what the store says besides.

    Never raises: it is asked when something else is in the way of a start, whatever that is.
    """
    documents, left = peek_documents(paths.database), trip_left(paths)
    latch = None if left is None else _of_trace(left)
    if documents:
        latch = latch_of(documents, now, left)
    return (None if latch is None or latch["proven"] else latch), documents


def _stored(documents: Mapping[str, Any], now: Instant) -> dict[str, Any] | None:
    document = documents.get(LATCH)
    try:
        record = LockRecord.from_document({} if document is None else document)
    except (ValueError, TypeError, AttributeError):
        return _unreadable(now)
    return _latch(record, document or {}, now) if record.locked else None


def _of_trace(left: Trace) -> dict[str, Any]:
    return {
        "trip_id": left.trip_id,
        "breaker": left.breaker or left.cause or Cause.LOCKED.value,
        "reason": left.reason or left.cause or f"{left.told_by} tells of it",
        "since_wall": left.since_wall,
        "proven": left.proven,
        "cause": left.cause or cause_of(left.breaker),
        "is_freeze": left.is_freeze,
        "until_wall": left.until_wall,
        "until_mono": None,
        "day": None,
    }


def _latch(record: LockRecord, data: Mapping[str, Any], now: Instant) -> dict[str, Any]:
    return {
        "trip_id": record.trip_id or new_trip_id(now, 0),
        "breaker": str(data.get("breaker") or record.cause or Cause.LOCKED),
        "reason": str(data.get("reason") or record.cause or "locked before"),
        "since_wall": record.since_wall,
        "proven": data.get("proven") is True,
        "proven_wall": data.get("proven_wall"),
        "cause": str(data.get("cause") or record.cause or ""),
        "is_freeze": data.get("is_freeze") is True,
        "until_wall": data.get("until_wall"),
        "until_mono": data.get("until_mono") if data.get("boot") == _boot() else None,
        "day": data.get("day"),
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
