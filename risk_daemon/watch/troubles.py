"""What is wrong with a guard, by what a look at its state directory finds. Pure: time is an argument.

Each trouble is told once it has stood for two looks, again while it stands, and once more when it is over. How a run
ended is told at once. What was there before the first look is known and not told, except for what stands still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.errors import ExitCode
from risk_daemon.model.clock import Instant
from risk_daemon.model.event_names import EventName
from risk_daemon.state.files import utc_text

SILENT_S = 4.0  # a guard that runs stamps the gate many times a second
STARTING_S = 30.0  # this process may have been started before the guard was
OLD_S = 5.0  # risk.json is written once a second
UNTOLD_S = 10.0
REMIND_EVERY_S = 600.0
MANY_STARTS, WITHIN_S = 3, 300.0
LITTLE_BYTES = 64 * 1024 * 1024
_LOOKS = 2
_AFTER_ITS_END_S = 1.0


class Trouble(StrEnum):
    """What is told, as the event of an alert; none of these is ever in the event log."""

    SILENT = "guard_silent"
    ENDED = "guard_ended"
    RESTARTING = "guard_restarting"
    NOT_WRITING = "guard_not_writing"
    DISK_FULL = "disk_full"
    TRIP_UNTOLD = "trip_untold"
    ALERTS_FAILING = "guard_alerts_failing"
    LOG_UNREADABLE = "guard_log_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the event log."""

    event: str
    wall: float
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look found.

    stamp_age_s: since the gate was stamped; None: there is none that was stamped since this machine started.
    is_blank: the gate says nothing at all. trip_id: what it is shut for. risk_age_s: of risk.json; None: there is none.
    lines: what the event log has got since the look before, oldest first; None: it can't be read.
    free_bytes: where the state is kept; None: that can't be seen.
    """

    stamp_age_s: float | None
    is_blank: bool = False
    trip_id: str | None = None
    risk_age_s: float | None
    lines: Sequence[Line] | None
    free_bytes: int | None


@dataclass(slots=True)
class _Standing:
    since_mono: float
    looks: int = 0
    told_mono: float | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """How the last run ended, and when."""

    code: int
    wall: float
    reason: str

    def sentence(self) -> str:
        return f"The guard {_ENDS.get(self.code, f'ended with exit code {self.code}')}."


_ENDS: Mapping[int, str] = {
    ExitCode.STOPPED: "was stopped (exit code 0). The gate is shut and NOTHING IS GUARDED",
    ExitCode.TRIGGERED_AND_PROVEN: "has TRIGGERED and every cancel is proven (exit code 1). It stays down until reset",
    ExitCode.TRIGGERED_UNPROVEN: "has TRIGGERED AND NOT PROVEN it (exit code 4): ORDERS MAY BE OPEN",
    ExitCode.BUG: "ended by a bug (exit code 70). The gate is shut and NOTHING IS GUARDED",
}


@dataclass(slots=True)
class Watcher:
    """began: when this process did."""

    began: Instant
    _standing: dict[Trouble, _Standing] = field(default_factory=dict)
    _starts: deque[float] = field(default_factory=lambda: deque(maxlen=MANY_STARTS))
    _end: _End | None = None
    _is_running: bool = False
    _has_looked: bool = False
    _alive_since_mono: float | None = None
    _was_alive: bool = False
    _told: deque[str] = field(default_factory=lambda: deque(maxlen=1_000))
    _trip: tuple[str, float] | None = None

    def look(self, seen: Seen, now: Instant) -> list[Alert]:
        """What to tell after this look."""
        alerts = [
            *self._read(seen.lines or (), now),
            *self._silence(seen, now),
            *self._restarts(now),
            *self._files(seen, now),
            *self._trip_untold(seen, now),
        ]
        self._has_looked = True
        return alerts

    # --- the event log ---------------------------------------------------------------------------------

    def _read(self, lines: Sequence[Line], now: Instant) -> Iterator[Alert]:
        failed: dict[str, Line] = {}
        for line in lines:
            match line.event:
                case EventName.CONFIGURATION_LOADED:
                    yield from self._started(line, now)
                case EventName.SYSTEM_SHUTDOWN:
                    yield from self._ended(line, now)
                case EventName.ALERT_SENT:
                    self._told.extend(_texts(line))
                case EventName.ALERT_FAILED:
                    failed[str(line.fields.get("channel"))] = line
        if failed and self._has_looked:
            names = ", ".join(sorted(failed))
            sentence = f"Alerts of the guard are not delivered ({names}): somebody may not have heard of something."
            details = {"channels": sorted(failed), "last": dict(failed[max(failed)].fields)}
            yield _alert(Trouble.ALERTS_FAILING, Severity.CRITICAL, sentence, now, details)

    def _started(self, line: Line, now: Instant) -> Iterator[Alert]:
        """A start after a start: between them it was killed, or failed with no last word."""
        self._starts.append(line.wall)
        is_surprise = self._is_running and not self._is_told(Trouble.SILENT)
        self._is_running, self._end = True, None
        if is_surprise and self._has_looked:
            sentence = "The guard was killed, or failed without a word (exit code 70), and has been started again."
            yield _alert(Trouble.ENDED, Severity.CRITICAL, sentence, now, {"exit_code": None})

    def _ended(self, line: Line, now: Instant) -> Iterator[Alert]:
        code, reason = line.fields.get("exit_code"), str(line.fields.get("reason") or "")
        self._is_running = False
        self._end = _End(code if isinstance(code, int) else int(ExitCode.BUG), line.wall, reason)
        if self._end.code == ExitCode.STOPPED or not self._has_looked:
            return
        trip_id = line.fields.get("trip_id")
        details = {"exit_code": self._end.code, "reason": reason}
        yield _alert(Trouble.ENDED, Severity.CRITICAL, self._end.sentence(), now, details, trip_id)
        self._standing[Trouble.SILENT] = _Standing(now.mono, _LOOKS, now.mono)

    # --- what stands -----------------------------------------------------------------------------------

    def _silence(self, seen: Seen, now: Instant) -> Iterator[Alert]:
        """Dead, hung, or ended; its end was told already where it had a last word."""
        is_silent = not _is_stamped(seen)
        is_after_its_end = self._end is not None and not self._was_stamped_since(self._end, seen, now)
        self._was_alive = self._was_alive or not is_silent
        if is_silent or self._alive_since_mono is None:
            self._alive_since_mono = None if is_silent else now.mono
        is_awaited = not self._was_alive and now.mono - self.began.mono < STARTING_S
        is_down = (is_silent or is_after_its_end) and not is_awaited
        if not is_silent and not is_after_its_end:
            self._end = None
        is_stopped = self._end is not None and self._end.code == ExitCode.STOPPED
        yield from self._stands(
            Trouble.SILENT,
            is_down and (is_silent or not is_stopped),
            now,
            self._why_silent(seen),
            "The guard is back.",
            severity=Severity.WARNING if is_stopped else Severity.CRITICAL,
            reminds=not is_stopped,
        )

    @staticmethod
    def _was_stamped_since(end: _End, seen: Seen, now: Instant) -> bool:
        ended_s = max(0.0, now.wall - end.wall)
        return seen.stamp_age_s is not None and seen.stamp_age_s < ended_s - _AFTER_ITS_END_S

    def _why_silent(self, seen: Seen) -> str:
        if self._end is not None:
            return self._end.sentence()
        if seen.is_blank:
            return _End(ExitCode.BUG, 0.0, "").sentence()
        if seen.stamp_age_s is None:
            return "There is no guard: it was not started since this machine was. NOTHING IS GUARDED."
        return (
            f"The guard is silent for {seen.stamp_age_s:.0f} s: it was killed, or it hangs."
            " The gate is shut and NOTHING IS GUARDED."
        )

    def _restarts(self, now: Instant) -> Iterator[Alert]:
        young = [wall for wall in self._starts if abs(now.wall - wall) <= WITHIN_S]
        yield from self._stands(
            Trouble.RESTARTING,
            len(young) >= MANY_STARTS,
            now,
            f"The guard is started again and again: {len(young)} times in {WITHIN_S / 60:.0f} min.",
            "The guard is not started again and again any more.",
        )

    def _files(self, seen: Seen, now: Instant) -> Iterator[Alert]:
        alive_s = 0.0 if self._alive_since_mono is None else now.mono - self._alive_since_mono
        is_old = seen.risk_age_s is None or seen.risk_age_s > OLD_S
        free = seen.free_bytes
        yield from self._stands(
            Trouble.DISK_FULL,
            free is not None and free < LITTLE_BYTES * (2 if Trouble.DISK_FULL in self._standing else 1),
            now,
            f"The disk of the guard is full: {(free or 0) / 2**20:.0f} MiB are left where it keeps its state.",
            "The disk of the guard has room again.",
        )
        yield from self._stands(
            Trouble.NOT_WRITING,
            is_old and alive_s > OLD_S,
            now,
            "The guard runs and its files are not written: risk.json is old. Is its disk full, or read-only?",
            "The files of the guard are written again.",
        )
        yield from self._stands(
            Trouble.LOG_UNREADABLE,
            seen.lines is None,
            now,
            "The event log of the guard can't be read from here: how it ends and which alerts fail is not seen.",
            "The event log of the guard can be read again.",
            severity=Severity.WARNING,
            reminds=False,
        )

    def _trip_untold(self, seen: Seen, now: Instant) -> Iterator[Alert]:
        """The gate says that it tripped, and no channel has taken the guard's own alert of that."""
        if seen.trip_id is None or self._trip is None or self._trip[0] != seen.trip_id:
            self._trip = None if seen.trip_id is None else (seen.trip_id, now.mono)
        since_mono = now.mono if self._trip is None else self._trip[1]
        is_told = seen.trip_id is None or any(text.startswith(seen.trip_id) for text in self._told)
        yield from self._stands(
            Trouble.TRIP_UNTOLD,
            not is_told and now.mono - since_mono >= UNTOLD_S,
            now,
            f"The guard has TRIPPED (trip {seen.trip_id}) and no alert of its own was delivered.",
            "",
            trip_id=seen.trip_id,
        )

    def _is_told(self, trouble: Trouble) -> bool:
        standing = self._standing.get(trouble)
        return standing is not None and standing.told_mono is not None

    def _stands(
        self,
        trouble: Trouble,
        is_so: bool,
        now: Instant,
        sentence: str,
        over: str,
        *,
        severity: Severity = Severity.CRITICAL,
        reminds: bool = True,
        trip_id: str | None = None,
    ) -> Iterator[Alert]:
        """over: told at the end of what was told; empty: nothing."""
        standing = self._standing.get(trouble)
        if not is_so:
            self._standing.pop(trouble, None)
            if over and standing is not None and standing.told_mono is not None:
                seconds = round(now.mono - standing.since_mono, 1)
                yield _alert(trouble, Severity.WARNING, over, now, {"over": True, "after_s": seconds}, trip_id)
            return
        if standing is None:
            standing = self._standing[trouble] = _Standing(now.mono)
        standing.looks += 1
        told_mono = standing.told_mono
        is_due = standing.looks >= _LOOKS if told_mono is None else reminds and now.mono - told_mono >= REMIND_EVERY_S
        if is_due:
            standing.told_mono = now.mono
            yield _alert(trouble, severity, sentence, now, {"for_s": round(now.mono - standing.since_mono, 1)}, trip_id)


def _is_stamped(seen: Seen) -> bool:
    return seen.stamp_age_s is not None and seen.stamp_age_s <= SILENT_S


def _texts(line: Line) -> Iterator[str]:
    """Whatever may be the id of an alert, or of its trip."""
    return (value for value in line.fields.values() if isinstance(value, str) and value)


def _alert(
    trouble: Trouble,
    severity: Severity,
    sentence: str,
    now: Instant,
    details: Mapping[str, Any],
    trip_id: object = None,
) -> Alert:
    stamp = utc_text(now.wall).replace(":", "").replace("-", "")
    return Alert(
        alert_id=f"{trouble}-{stamp}",
        event=trouble,
        severity=severity,
        summary=sentence,
        wall=now.wall,
        trip_id=trip_id if isinstance(trip_id, str) else None,
        details=details,
    )
