"""What is wrong with a guard, by what a look at its state directory finds. Pure: time is an argument.

Each trouble is told once it has stood for two looks, again while it stands, and once more when it is over. How a run
ended is told at once. What was there before the first look is known and not told, except for what stands still.

A trip that the guard could not tell of, or can't go on telling of because it has ended, is told from here as a trip:
then it is repeated and escalated like any other, until somebody acknowledges it or it is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.errors import ExitCode
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.event_names import EventName
from risk_daemon.state.files import utc_text

SILENT_S = 4.0  # a guard that runs stamps the gate many times a second
PAUSE_S, STEADY_S = 2.0, 3.0  # a start that is refused, or a command, stamps it too, and then no more
UNSTEADY_S = 20.0
INTENDED_S = 600.0  # so long a clean stop is one that somebody wanted: maintenance, an upgrade
STARTING_S = 30.0  # this process may have been started before the guard was
OLD_S = 5.0  # risk.json is written once a second
UNTOLD_S = 8.0
ALONE_S = 60.0  # so long after its guard has gone a trip is repeated from here
FAILING_S = 5.0
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
    ALERTS_FAILING = "guard_alerts_failing"
    LOG_UNREADABLE = "guard_log_unreadable"
    CONFIGURATION_REFUSED = "guard_configuration_refused"


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
    is_visible: whether there is one can be seen. is_blank: there is a gate and nothing in it. is_legible: it says
    something. trip_id, trip_cause: what it is shut for.
    risk_age_s: of risk.json; None: there is none.
    lines: what the event log has got since the look before, oldest first; None: it can't be read.
    free_bytes: where the state is kept; None: that can't be seen.
    """

    stamp_age_s: float | None
    is_visible: bool = True
    is_blank: bool = False
    is_legible: bool = True
    trip_id: str | None = None
    trip_cause: str = ""
    risk_age_s: float | None
    lines: Sequence[Line] | None
    free_bytes: int | None


@dataclass(slots=True)
class _Standing:
    since_mono: float
    looks: int = 0
    told_mono: float | None = None
    severity: Severity = Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class _End:
    """How the last run ended, and when."""

    code: int
    mono: float
    reason: str = ""

    def sentence(self) -> str:
        why = f": {self.reason}" if self.code == ExitCode.REFUSED and self.reason else ""
        return f"The guard {_ENDS.get(self.code, f'ended with exit code {self.code}')}{why}."


_ENDS: Mapping[int, str] = {
    ExitCode.STOPPED: "was stopped (exit code 0). The gate is shut and NOTHING IS GUARDED",
    ExitCode.TRIGGERED_AND_PROVEN: "has TRIGGERED and every cancel is proven (exit code 1). It stays down until reset",
    ExitCode.TRIGGERED_UNPROVEN: "has TRIGGERED AND NOT PROVEN it (exit code 4): ORDERS MAY BE OPEN",
    ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START: "could not reach a venue at its first start (exit code 75)",
    ExitCode.BUG: "ended by a bug (exit code 70). The gate is shut and NOTHING IS GUARDED",
    ExitCode.REFUSED: "was REFUSED A START (exit code 78), stays down, and NOTHING IS GUARDED",
}


@dataclass(slots=True)
class _Pulse:
    """The stamps that came without a pause: when the first and the last of them were made."""

    first_mono: float | None = None
    last_mono: float = 0.0

    def feel(self, stamp_age_s: float | None, now: Instant) -> None:
        if stamp_age_s is None or stamp_age_s > PAUSE_S:
            self.first_mono = None
            return
        self.last_mono = now.mono - stamp_age_s
        self.first_mono = self.last_mono if self.first_mono is None else self.first_mono

    @property
    def lasts_s(self) -> float:
        return 0.0 if self.first_mono is None else self.last_mono - self.first_mono

    @property
    def is_steady(self) -> bool:
        """A guard runs."""
        return self.lasts_s >= STEADY_S


@dataclass(slots=True)
class _Trip:
    """The one that the gate is shut for. down_mono: since when its guard is gone; None: it is not."""

    trip_id: str
    since_mono: float
    down_mono: float | None = None
    is_told_here: bool = False


@dataclass(slots=True)
class Watcher:
    """began: when this process did."""

    began: Instant
    _standing: dict[Trouble, _Standing] = field(default_factory=dict)
    _starts: deque[float] = field(default_factory=lambda: deque(maxlen=MANY_STARTS))
    _end: _End | None = None
    _is_running: bool = False
    _has_looked: bool = False
    _pulse: _Pulse = field(default_factory=_Pulse)
    _trying_since_mono: float | None = None
    _was_alive: bool = False
    _is_down: bool = False
    _failing: dict[str, float] = field(default_factory=dict)
    _trip: _Trip | None = None
    _sent: deque[str] = field(default_factory=lambda: deque(maxlen=1_000))
    _acknowledged: deque[str] = field(default_factory=lambda: deque(maxlen=1_000))

    def look(self, seen: Seen, now: Instant) -> list[Alert]:
        """What to tell after this look."""
        alerts = [
            *self._read(seen.lines or (), now),
            *self._silence(seen, now),
            *self._restarts(now),
            *self._files(seen, now),
            *self._failing_alerts(now),
            *self._trips(seen, now),
        ]
        self._has_looked = True
        return alerts

    @property
    def standing(self) -> tuple[Trouble, ...]:
        """What was told and is not over."""
        return tuple(trouble for trouble in self._standing if self._is_told(trouble))

    @property
    def is_down(self) -> bool:
        """No guard runs, as far as is known by now: it had its last word, or is silent."""
        return self._is_down or self._end is not None

    @property
    def is_running(self) -> bool:
        """A guard runs, as far as is known by now. Neither of both while that has to be seen."""
        return self._pulse.is_steady and not self.is_down

    # --- the event log ---------------------------------------------------------------------------------

    def _read(self, lines: Sequence[Line], now: Instant) -> Iterator[Alert]:
        for line in lines:
            match line.event:
                case EventName.CONFIGURATION_LOADED:
                    yield from self._started(line, now)
                case EventName.SYSTEM_SHUTDOWN:
                    yield from self._ended(line, now)
                case EventName.ALERT_SENT:
                    self._failing.pop(str(line.fields.get("channel")), None)
                    self._sent.append(str(line.fields.get("alert_id")))
                case EventName.ALERT_FAILED if self._has_looked:
                    self._failing.setdefault(str(line.fields.get("channel")), now.mono)
                case EventName.ALERT_ACKNOWLEDGED:
                    self._acknowledged.append(str(line.fields.get("trip_id")))

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
        if not self._is_running:
            self._starts.append(line.wall)  # one that was refused before it could say that it had begun
        self._is_running, self._pulse = False, _Pulse()
        ago_s = 0.0 if self._has_looked else max(0.0, now.wall - line.wall)
        self._end = _End(code if isinstance(code, int) else int(ExitCode.BUG), now.mono - ago_s, reason)
        if self._end.code == ExitCode.STOPPED or not self._has_looked:
            return
        trip_id = line.fields.get("trip_id")
        details = {"exit_code": self._end.code, "reason": reason}
        yield _alert(Trouble.ENDED, Severity.CRITICAL, self._end.sentence(), now, details, trip_id)
        self._standing[Trouble.SILENT] = _Standing(now.mono, _LOOKS, now.mono)

    # --- what stands -----------------------------------------------------------------------------------

    def _silence(self, seen: Seen, now: Instant) -> Iterator[Alert]:
        """Dead, hung, or ended; its end was told already where it had a last word. It is back when it stays."""
        self._feel(seen, now)
        end = self._end
        is_awaited = not self._was_alive and now.mono - self.began.mono < STARTING_S
        is_stopped = end is not None and end.code == ExitCode.STOPPED
        is_not_back = (end is not None and not is_stopped) or self._is_told(Trouble.SILENT)
        is_steady = self._pulse.is_steady
        self._is_down = not is_awaited and not is_steady and (is_not_back or self._is_silent(seen, now))
        is_coming = end is None and not self._is_silent(seen, now)
        is_calm = is_coming or (is_stopped and self._is_intended(seen, now))
        yield from self._stands(
            Trouble.SILENT,
            self._is_down,
            now,
            self._why_silent(seen, now),
            "The guard is back.",
            severity=Severity.WARNING if is_calm else Severity.CRITICAL,
            reminds=not is_calm,
            since_mono=self._silent_since_mono(seen, now),
        )

    def _silent_since_mono(self, seen: Seen, now: Instant) -> float:
        """Since the last sign of it, which is what is judged, and not since the look that found it missing."""
        standing = self._standing.get(Trouble.SILENT)
        if standing is not None:
            return standing.since_mono
        if seen.stamp_age_s is not None and seen.stamp_age_s > SILENT_S:
            return now.mono - seen.stamp_age_s
        return now.mono if self._trying_since_mono is None else self._trying_since_mono

    def _feel(self, seen: Seen, now: Instant) -> None:
        self._pulse.feel(seen.stamp_age_s, now)
        self._was_alive = self._was_alive or _is_stamped(seen)
        if self._pulse.is_steady:
            self._end = None
        if self._pulse.is_steady or not _is_stamped(seen):
            self._trying_since_mono = None
        elif self._trying_since_mono is None:
            self._trying_since_mono = now.mono

    def _is_silent(self, seen: Seen, now: Instant) -> bool:
        """Also where single stamps come again and again, and never a guard that goes on."""
        since_mono = self._trying_since_mono
        return not _is_stamped(seen) or (since_mono is not None and now.mono - since_mono > UNSTEADY_S)

    def _is_intended(self, seen: Seen, now: Instant) -> bool:
        """Nobody means a machine that has started to stay without its guard."""
        return seen.stamp_age_s is not None and self._end is not None and now.mono - self._end.mono < INTENDED_S

    def _why_silent(self, seen: Seen, now: Instant) -> str:
        end, age_s = self._end, seen.stamp_age_s
        is_stopped = end is not None and end.code == ExitCode.STOPPED
        if end is not None and not is_stopped:
            return end.sentence()
        if not seen.is_visible:
            return (
                "The guard can't be seen from here: the disk with its state does not answer, or may not be read."
                " It is not known whether anything is guarded."
            )
        if seen.is_blank:
            return _End(ExitCode.BUG, 0.0).sentence()
        if age_s is None:
            return "There is no guard: it was not started since this machine was. NOTHING IS GUARDED."
        if end is not None:
            minutes = int((now.mono - end.mono) / 60)
            return end.sentence() if self._is_intended(seen, now) else f"{end.sentence()} For {minutes} min by now."
        if age_s <= SILENT_S:
            return "The guard is started again and again, and does not get as far as guarding. NOTHING IS GUARDED."
        silent_s = now.mono - self._silent_since_mono(seen, now)
        return (
            f"The guard is silent for {silent_s:.1f} s: it was killed, or it hangs."
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
            is_old and self._pulse.lasts_s > OLD_S,
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

    def _failing_alerts(self, now: Instant) -> Iterator[Alert]:
        names = ", ".join(sorted(self._failing))
        yield from self._stands(
            Trouble.ALERTS_FAILING,
            any(now.mono - since_mono >= FAILING_S for since_mono in self._failing.values()),
            now,
            f"Alerts of the guard are not delivered ({names}): somebody may not have heard of something.",
            "Alerts of the guard are delivered again.",
            reminds=False,
        )

    # --- trips -----------------------------------------------------------------------------------------

    def _trips(self, seen: Seen, now: Instant) -> Iterator[Alert]:
        """A gate that says nothing says nothing of a trip that it told of before: that stands."""
        trip, trip_id = self._trip, seen.trip_id
        if not seen.is_legible:
            trip_id = None if trip is None else trip.trip_id
        if trip is not None and trip.trip_id != trip_id:
            if trip.is_told_here:
                yield _trip_alert(EventName.CIRCUIT_BREAKER_RESET, trip.trip_id, now, "The trip is over.", "")
            self._trip = trip = None
        if trip_id is None:
            return
        if trip is None:
            trip = self._trip = _Trip(trip_id, now.mono)
        if not self._is_told(Trouble.SILENT):
            trip.down_mono = None
        elif trip.down_mono is None:
            trip.down_mono = now.mono
        why = self._why_from_here(trip, now)
        if why is not None and not trip.is_told_here and trip_id not in self._acknowledged:
            trip.is_told_here = True
            yield _trip_alert(EventName.CIRCUIT_BREAKER_TRIGGERED, trip_id, now, why, seen.trip_cause)

    def _why_from_here(self, trip: _Trip, now: Instant) -> str | None:
        # The first alert of a trip has its id, the others that and a number.
        is_sent = any(sent == trip.trip_id or sent.startswith(f"{trip.trip_id}.") for sent in self._sent)
        if not is_sent and now.mono - trip.since_mono >= UNTOLD_S:
            return f"The guard has TRIPPED (trip {trip.trip_id}), and it is not known that anybody was told."
        if trip.down_mono is not None and now.mono - trip.down_mono >= ALONE_S:
            return f"The guard has TRIPPED (trip {trip.trip_id}) and has ended since. Nobody has reset it yet."
        return None

    # --- telling ---------------------------------------------------------------------------------------

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
        since_mono: float | None = None,
    ) -> Iterator[Alert]:
        """over: what is told at the end of what was told. since_mono: when it began; None: at the first look at it."""
        standing = self._standing.get(trouble)
        if not is_so:
            self._standing.pop(trouble, None)
            if standing is not None and standing.told_mono is not None:
                seconds = round(now.mono - standing.since_mono, 1)
                yield _alert(trouble, Severity.WARNING, over, now, {"over": True, "after_s": seconds})
            return
        if standing is None:
            standing = self._standing[trouble] = _Standing(now.mono if since_mono is None else since_mono)
        standing.looks += 1
        told_mono = standing.told_mono
        is_due = standing.looks >= _LOOKS if told_mono is None else reminds and now.mono - told_mono >= REMIND_EVERY_S
        is_worse = severity is Severity.CRITICAL and standing.severity is not Severity.CRITICAL
        if is_due or (told_mono is not None and is_worse):
            standing.told_mono, standing.severity = now.mono, severity
            yield _alert(trouble, severity, sentence, now, {"for_s": round(now.mono - standing.since_mono, 1)})


def _is_stamped(seen: Seen) -> bool:
    return seen.stamp_age_s is not None and seen.stamp_age_s <= SILENT_S


_RULES: Mapping[str, str] = {kind.cause: kind.value for kind in CircuitBreakerType}


def _trip_alert(event: EventName, trip_id: str, now: Instant, sentence: str, cause: str) -> Alert:
    is_over = event is EventName.CIRCUIT_BREAKER_RESET
    return Alert(
        alert_id=f"{trip_id}.watch.over" if is_over else f"{trip_id}.watch",
        event=event,
        severity=Severity.CRITICAL,
        summary=sentence,
        wall=now.wall,
        rule=_RULES.get(cause, cause),  # a halt by hand goes to everybody by it
        trip_id=trip_id,
        details={"told_by": "watch"},
    )


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
