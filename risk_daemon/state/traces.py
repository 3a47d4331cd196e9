"""What tells of a trip besides the store: the lock's two files, and the end of the event log.

They are asked before anything may refuse a start, so nothing here raises: what can't be read tells nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.errors import ExitCode, StateError
from risk_daemon.model.events import EventName
from risk_daemon.state.lock import file
from risk_daemon.state.lock import memory_map as shared
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.log_pieces import backwards_in, closed_pieces, open_piece

_TRIPPED = CircuitBreakerState.TRIGGERED.value


@dataclass(frozen=True, slots=True)
class Trace:
    """A trip that nobody has ended. told_by: the file that tells of it; venues: those swept for it, where known.

    proven: the event log says that its process ended with every cancel proven.
    """

    trip_id: str
    told_by: str
    cause: str = ""
    breaker: str = ""
    reason: str = ""
    since_wall: float = 0.0
    is_freeze: bool = False
    until_wall: float | None = None
    proven: bool = False
    venues: tuple[str, ...] = ()


def trace_left(gate: Path, lock: Path, events: Path) -> Trace | None:
    """The trip that any of these files tells of. None: none of them does. Never raises.

    The lock's files count before the log: they are written on the tick of a trip.
    """
    logged = _logged(events)
    for path, record in ((gate, shared.last_record(gate)), (lock, file.last_record(lock))):
        if record is not None and record.locked and record.trip_id:
            return _of_record(record, record.trip_id, path.name, logged)
    return logged


def _of_record(record: LockRecord, trip_id: str, told_by: str, logged: Trace | None) -> Trace:
    is_same = logged is not None and logged.trip_id == trip_id
    same = logged if logged is not None and is_same else Trace(trip_id, told_by)
    return Trace(
        trip_id,
        told_by,
        record.cause,
        same.breaker,
        same.reason,
        record.since_wall,
        is_freeze=same.is_freeze or record.until_wall is not None,
        until_wall=record.until_wall,
        proven=same.proven,
        venues=() if logged is None else logged.venues,
    )


@dataclass(slots=True)
class _Later:
    """What the log says after a trip: found before it, as the log is read from its end."""

    proven: dict[str, bool] = field(default_factory=dict)
    venues: tuple[str, ...] = ()
    sweep: dict[str, Any] | None = None

    def note(self, entry: dict[str, Any]) -> None:
        trip_id = entry.get("trip_id")
        match entry["event"]:
            case EventName.SYSTEM_SHUTDOWN if entry.get("exit_code") == ExitCode.TRIGGERED_AND_PROVEN:
                self.proven[str(trip_id)] = True
            case EventName.SWEEP_FINISHED:
                self.proven.setdefault(f"freeze {trip_id}", entry.get("proven") is True)
            case EventName.SWEEP_STARTED if isinstance(entry.get("venues"), list) and isinstance(trip_id, str):
                self.venues = self.venues or tuple(map(str, entry["venues"]))
                self.sweep = self.sweep or entry

    def is_proven(self, trip_id: str, is_freeze: bool) -> bool:
        return self.proven.get(trip_id, False) or (is_freeze and self.proven.get(f"freeze {trip_id}", False))


def _logged(events: Path) -> Trace | None:
    """The last trip in the log, unless its end, or a guard that saw no trip, stands after it.

    A log that was begun anew in a trip has no line of its beginning, but one of its sweep.
    """
    later = _Later()
    for entry in _entries_backwards(events):
        name = entry["event"]
        if name == EventName.CIRCUIT_BREAKER_TRIGGERED and isinstance(entry.get("trip_id"), str):
            return _of_entry(entry, events.name, later)
        if name in (EventName.CIRCUIT_BREAKER_RESET, EventName.FREEZE_EXPIRED):
            return None
        if name == EventName.PORTFOLIO_UPDATE and entry.get("state") not in (None, _TRIPPED):
            return None
        later.note(entry)
    return None if later.sweep is None else _of_entry(later.sweep, events.name, later)


def _of_entry(entry: dict[str, Any], told_by: str, later: _Later) -> Trace:
    trip_id, is_freeze = entry["trip_id"], entry.get("action") == "freeze"
    until = entry.get("until_wall")
    return Trace(
        trip_id,
        told_by,
        breaker=str(entry.get("breaker") or ""),
        reason=str(entry.get("reason") or ""),
        since_wall=_wall(entry.get("time")),
        is_freeze=is_freeze,
        until_wall=float(until) if isinstance(until, int | float) else None,
        proven=later.is_proven(trip_id, is_freeze),
        venues=later.venues,
    )


def _wall(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def _entries_backwards(path: Path) -> Iterator[dict[str, Any]]:
    """Every line that is an entry, of all pieces, the last one first. What is damaged is passed over."""
    for line in _lines_backwards(path):
        entry = _parsed(line)
        if isinstance(entry, dict) and isinstance(entry.get("event"), str):
            yield entry


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """A piece that can't be read tells nothing, and keeps none before it from telling."""
    try:
        closed = closed_pieces(path)
    except OSError:
        closed = []
    for piece in (path, *reversed(closed)):
        yield from _lines_of(piece)


def _lines_of(piece: Path) -> Iterator[bytes]:
    try:
        with open_piece(piece) as file:
            yield from backwards_in(file)
    except (OSError, StateError):
        return
