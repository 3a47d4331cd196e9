"""One look at a state directory, by a process that owns nothing there and may read only."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from risk_daemon.errors import StateError
from risk_daemon.model.clock import Instant
from risk_daemon.state.directory import Paths
from risk_daemon.state.lock.base import boot_id
from risk_daemon.state.lock.memory_map import HEAD, Opened, last_record, prefix
from risk_daemon.state.log_follow import Follower
from risk_daemon.watch.troubles import Line, Seen

_TAIL_BYTES = 256 * 1024
_MOST_BYTES = 16 * 1024 * 1024  # of one look; what is left comes with the next


class Eyes:
    """Remembers how far the event log was read. Never raises: what can't be seen is None."""

    def __init__(self, state_dir: Path) -> None:
        self._paths = Paths(state_dir)
        self._log = Tail(self._paths.events)

    def look(self, now: Instant) -> Seen:
        """As things are now. Blocks, as files do."""
        stamp_age_s, is_blank, is_visible = _stamp(self._paths.gate, now)
        record = last_record(self._paths.gate)
        is_shut = record is not None and record.locked
        return Seen(
            stamp_age_s=stamp_age_s,
            is_visible=is_visible,
            is_blank=is_blank,
            is_legible=record is not None,
            trip_id=record.trip_id if record is not None and is_shut else None,
            trip_cause=record.cause if record is not None and is_shut else "",
            risk_age_s=_age_s(self._paths.risk, now),
            lines=self._log.news(),
            free_bytes=_free_bytes(self._paths.root),
        )


def _stamp(gate: Path, now: Instant) -> tuple[float | None, bool, bool]:
    """How old the gate's stamp is, whether the gate is blank, and whether that could be seen at all."""
    try:
        opened, boot = Opened(gate), boot_id()
        head = opened.head()
    except OSError as error:
        return None, False, isinstance(error, FileNotFoundError)
    if len(head) != HEAD.size:
        return None, False, True
    found, _, stamp_ns, _, _ = HEAD.unpack(head)
    age_s = now.mono - stamp_ns / 1e9
    is_of_this_boot = found == prefix(boot) and age_s > -1.0
    return (max(0.0, age_s) if is_of_this_boot else None), not any(head), True


def _age_s(path: Path, now: Instant) -> float | None:
    try:
        return max(0.0, now.wall - path.stat().st_mtime)
    except OSError:
        return None


def _free_bytes(directory: Path) -> int | None:
    """As much as anybody but root may write; nothing, where no file can be made any more."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    is_out_of_files = found.f_files > 0 and found.f_favail == 0
    return 0 if is_out_of_files else found.f_bavail * found.f_frsize


class Tail:
    """The lines that a log gets, over its cuts. One that was replaced or truncated is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self._follower = Follower(path)
        self._is_first = True

    def news(self) -> tuple[Line, ...] | None:
        """What came since the last call; the end of the log at the first one. None: it can't be read."""
        try:
            if self._is_first:
                self._follower.at_end(back=_TAIL_BYTES)
            self._is_first = False
            _, lines = self._follower.take(_MOST_BYTES)
        except (OSError, StateError):
            return None
        return tuple(line for text in lines if (line := _line(text)) is not None)


def _line(text: bytes) -> Line | None:
    """None for what is no line, such as the second half of one."""
    try:
        entry: Any = json.loads(text)
        wall = datetime.fromisoformat(entry["time"]).timestamp()
        return Line(event=str(entry["event"]), wall=wall, fields=entry)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
