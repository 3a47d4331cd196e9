"""Who hears an alert, and when: rates, repeats, escalation, heartbeats. Pure: time is an argument.

A trip is held back by nothing. Of everything else one rule is told `rate` times an hour at each severity; what comes
above is counted, and told in one summary once it is quiet, or when the hour is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.channels.base import ChannelSettings
from risk_daemon.model.clock import Instant
from risk_daemon.model.event_names import EventName

HOUR_S = 3_600.0
QUIET_S = 15.0  # without one more, a burst is over, and its summary goes out
REPEAT_EVERY_S = 60.0
REPEAT_LATER_S = 600.0  # once an hour has passed: a phone that nobody looks at is not filled up
HEARTBEAT, LOST = "heartbeat", "alert_lost"

_TRIP = EventName.CIRCUIT_BREAKER_TRIGGERED
_ENDS = (EventName.CIRCUIT_BREAKER_RESET, EventName.FREEZE_EXPIRED)
_OF_ORDERS = (EventName.SWEEP_FINISHED, EventName.VENUE_UNPROVEN)
_MANUAL = "manual"

Sends = list[tuple[str, Alert]]


def is_trip(alert: Alert) -> bool:
    """Whether it goes before everything else."""
    return alert.event == _TRIP


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSettings:
    """rate: of one rule in an hour. escalate_after_s, heartbeat_every_s: None: never."""

    rate: int = 10
    escalate_after_s: float | None = 300.0
    heartbeat_every_s: float | None = None


@dataclass(slots=True)
class Standing:
    """A trip that is not over. number: of the last alert of it. who: acknowledged it.

    outcome: the last that was told of its orders. proofs: how often they were told to be proven gone.
    is_proof_lost: whether that is not so any more.
    """

    alert: Alert
    since_mono: float
    told_mono: float
    number: int = 1
    who: str | None = None
    is_escalated: bool = False
    outcome: str = ""
    proofs: int = 0
    is_proof_lost: bool = False

    def note(self, alert: Alert) -> None:
        """What became of its orders: a repeat that says less than what was told since would mislead."""
        if alert.trip_id != self.trip_id or alert.event not in _OF_ORDERS:
            return
        is_proof = alert.details.get("proven") is True
        self.outcome = alert.summary
        self.proofs += is_proof
        self.is_proof_lost = self.proofs > 0 and not is_proof

    @property
    def trip_id(self) -> str:
        return self.alert.trip_id or self.alert.alert_id

    def shown(self) -> dict[str, Any]:
        """What people are shown, JSON-able."""
        return {
            "trip_id": self.trip_id,
            "summary": self.alert.summary,
            "since": self.alert.timestamp,
            "told": self.number,
            "acknowledged_by": self.who,
        }


@dataclass(slots=True)
class _Tally:
    """What was told of one rule within an hour, and what was held back since. count: of what happened."""

    sent_mono: deque[float] = field(default_factory=deque)
    summary_mono: float = float("-inf")
    held: Alert | None = None
    messages: int = 0
    count: int = 0
    first_mono: float = 0.0
    last_mono: float = 0.0

    def hold(self, alert: Alert, now_mono: float) -> None:
        if self.held is None:
            self.first_mono, self.messages, self.count = now_mono, 0, 0
        self.held, self.last_mono = alert, now_mono
        self.messages += 1
        self.count += _weight(alert)

    def due(self, now_mono: float) -> Alert | None:
        """What was held back, as one alert, where it is time: after a burst, and after that once the hour is over."""
        held = self.held
        is_quiet = now_mono - self.last_mono >= QUIET_S and now_mono - self.summary_mono >= HOUR_S
        if held is None or not (is_quiet or now_mono - self.first_mono >= HOUR_S):
            return None
        self.held, self.summary_mono = None, now_mono
        minutes = max(1, round((now_mono - self.first_mono) / 60))
        return replace(
            held,
            alert_id=f"{held.alert_id}.summary",
            summary=f"{self.count} more of {held.event} in {minutes} min; the last: {held.summary}",
            details={"count": self.count, "messages": self.messages, "last": dict(held.details)},
        )


def _weight(alert: Alert) -> int:
    """How often it happened: vetoes come already counted."""
    count = alert.details.get("count")
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 1


class Router:
    """What was told to whom, as far as it matters for what comes. One trip stands at a time."""

    def __init__(self, channels: Sequence[ChannelSettings], settings: RoutingSettings | None = None) -> None:
        self.standing: Standing | None = None
        self._channels = tuple(channels)
        self._settings = settings or RoutingSettings()
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self._beat_mono = float("-inf")

    # --- what happens ----------------------------------------------------------------------------------

    def take(self, alert: Alert, now: Instant) -> Sends:
        """Who hears of it at once."""
        if is_trip(alert):
            if self.standing is not None and self.standing.trip_id == alert.trip_id:
                return []
            self.standing = Standing(alert, now.mono, now.mono)
            return self._to_hearers(alert)
        if self.standing is not None:
            self.standing.note(alert)
        if alert.event in _ENDS:
            self.standing = None
        if self._is_above_rate(alert, now.mono):
            return []
        return self._to_hearers(alert)

    def named(self, alert: Alert) -> Alert:
        """A proof after one that was lost is news, with an id of its own: whoever was told NOT PROVEN waits for it."""
        standing = self.standing
        is_proof = alert.event == EventName.SWEEP_FINISHED and alert.details.get("proven") is True
        if standing is None or alert.trip_id != standing.trip_id or not (is_proof and standing.is_proof_lost):
            return alert
        return replace(alert, alert_id=f"{alert.alert_id}.{standing.proofs + 1}")

    def acknowledge(self, trip_id: str | None, who: str) -> Standing | None:
        """Somebody heard, so nothing is repeated. trip_id None: the trip that stands. Returns None if there is none."""
        standing = self.standing
        if standing is None or trip_id not in (None, standing.trip_id):
            return None
        standing.who = standing.who or who
        return standing

    def due(self, now: Instant, *, is_alive: bool = True) -> Sends:
        """What time alone asks for: summaries, repeats, and heartbeats while the guard is alive."""
        beats = self._heartbeats(now) if is_alive else []
        return [*self._summaries(now.mono), *self._repeats(now), *beats]

    # --- who hears -------------------------------------------------------------------------------------

    def hearers(self, event: str, severity: Severity, rule: str = "") -> tuple[str, ...]:
        """The channels that hear of it. A manual halt goes to all, and so does that alerts are lost or a channel fails.

        The latter not to one that only counts heartbeats: whatever it gets says to it that all is well.
        """
        to_all = event == EventName.MANUAL_HALT or (event == _TRIP and rule == _MANUAL)
        to_people = event in (EventName.ALERT_FAILED, LOST)
        return tuple(
            channel.name
            for channel in self._channels
            if to_all
            or (to_people and channel.events != {HEARTBEAT})
            or (severity.reaches(channel.severity) and (not channel.events or event in channel.events))
        )

    def _to_hearers(self, alert: Alert) -> Sends:
        return [(name, alert) for name in self.hearers(alert.event, alert.severity, alert.rule)]

    # --- the rate --------------------------------------------------------------------------------------

    def _is_above_rate(self, alert: Alert, now_mono: float) -> bool:
        tally = self._tallies.setdefault((_about(alert), alert.severity), _Tally())
        sent = tally.sent_mono
        while sent and now_mono - sent[0] >= HOUR_S:
            sent.popleft()
        if tally.held is None and len(sent) < self._settings.rate:
            sent.append(now_mono)
            return False
        tally.hold(alert, now_mono)
        return True

    def _summaries(self, now_mono: float) -> Sends:
        due = [alert for tally in self._tallies.values() if (alert := tally.due(now_mono)) is not None]
        self._tallies = {key: tally for key, tally in self._tallies.items() if not _is_forgotten(tally, now_mono)}
        return [send for alert in due for send in self._to_hearers(alert)]

    # --- repeats and heartbeats ------------------------------------------------------------------------

    def _repeats(self, now: Instant) -> Sends:
        """A trip that nobody acknowledged, again; and from some time on to those who are called last."""
        standing, escalate_after_s = self.standing, self._settings.escalate_after_s
        if standing is None or standing.who is not None:
            return []
        age_s = now.mono - standing.since_mono
        is_late = escalate_after_s is not None and age_s >= escalate_after_s
        is_due = now.mono - standing.told_mono >= (REPEAT_EVERY_S if age_s <= HOUR_S else REPEAT_LATER_S)
        first = standing.alert
        hearers = self.hearers(first.event, first.severity, first.rule)
        called = [one.name for one in self._channels if one.escalation] if is_late else []
        if not is_due:  # those who are called last are called at their own time
            called = [] if standing.is_escalated else [name for name in called if name not in hearers]
        names = list(dict.fromkeys([*(hearers if is_due else ()), *called]))
        standing.is_escalated = standing.is_escalated or is_late
        if is_due:
            standing.told_mono = now.mono
        if not names:
            return []
        standing.number += 1
        again = replace(
            first,
            alert_id=f"{standing.trip_id}.{standing.number}",
            summary=f"Nobody has acknowledged this for {round(age_s / 60)} min: {_since_then(standing)}",
        )
        return [(name, again) for name in names]

    def _heartbeats(self, now: Instant) -> Sends:
        every_s = self._settings.heartbeat_every_s
        if every_s is None or now.mono - self._beat_mono < every_s:
            return []
        self._beat_mono = now.mono
        alert = Alert(
            alert_id=f"{HEARTBEAT}-{now.wall:.3f}",
            event=HEARTBEAT,
            severity=Severity.INFO,
            summary="The guard is alive.",
            wall=now.wall,
        )
        return [(channel.name, alert) for channel in self._channels if channel.heartbeat]

    # --- over a restart --------------------------------------------------------------------------------

    def document(self, now: Instant) -> dict[str, Any]:
        """Times as ages, for the clock of the next process begins elsewhere."""
        standing = self.standing
        return {
            "wall": now.wall,
            "standing": None if standing is None else _standing_document(standing, now.mono),
            "tallies": [_tally_document(key, tally, now.mono) for key, tally in self._tallies.items()],
        }

    def restore(self, document: Mapping[str, Any], now: Instant) -> None:
        """What was told since goes before. Raises KeyError, TypeError or ValueError for what never was one."""
        gone_s = max(0.0, now.wall - float(document["wall"]))
        then_mono = now.mono - gone_s
        saved = document["standing"]
        standing = None if saved is None else _standing_of(saved, then_mono)
        tallies = dict(_tally_of(one, then_mono) for one in document["tallies"])
        self.standing, self._tallies = self.standing or standing, {**tallies, **self._tallies}


def _since_then(standing: Standing) -> str:
    return f"{standing.alert.summary} Since then: {standing.outcome}" if standing.outcome else standing.alert.summary


def _about(alert: Alert) -> str:
    """What the rate is kept of: the rule, or the event at its venue."""
    return alert.rule or f"{alert.event} {alert.details.get('venue') or ''}".strip()


def _is_forgotten(tally: _Tally, now_mono: float) -> bool:
    return tally.held is None and (not tally.sent_mono or now_mono - tally.sent_mono[-1] >= HOUR_S)


def _standing_document(standing: Standing, now_mono: float) -> dict[str, Any]:
    ages = {"since_s": now_mono - standing.since_mono, "told_s": now_mono - standing.told_mono}
    told = {"number": standing.number, "who": standing.who, "is_escalated": standing.is_escalated}
    proof = {"outcome": standing.outcome, "proofs": standing.proofs, "is_proof_lost": standing.is_proof_lost}
    return {"alert": standing.alert.document(), **told, **proof, **ages}


def _standing_of(document: Mapping[str, Any], then_mono: float) -> Standing:
    since_mono, told_mono = then_mono - float(document["since_s"]), then_mono - float(document["told_s"])
    who = document["who"]
    alert = Alert.restored(document["alert"])
    return Standing(
        alert,
        since_mono,
        told_mono,
        int(document["number"]),
        None if who is None else str(who),
        document.get("is_escalated") is True,
        str(document.get("outcome") or ""),
        int(document.get("proofs") or 0),
        document.get("is_proof_lost") is True,
    )


def _tally_document(key: tuple[str, str], tally: _Tally, now_mono: float) -> dict[str, Any]:
    has_summary = tally.summary_mono != float("-inf")
    return {
        "about": key[0],
        "severity": str(key[1]),
        "sent_s": [now_mono - sent for sent in tally.sent_mono],
        "summary_s": now_mono - tally.summary_mono if has_summary else None,
        "held": None if tally.held is None else tally.held.document(),
        "messages": tally.messages,
        "count": tally.count,
        "first_s": now_mono - tally.first_mono,
        "last_s": now_mono - tally.last_mono,
    }


def _tally_of(document: Mapping[str, Any], then_mono: float) -> tuple[tuple[str, str], _Tally]:
    held, summary_s = document["held"], document["summary_s"]
    tally = _Tally(
        sent_mono=deque(then_mono - float(age_s) for age_s in document["sent_s"]),
        summary_mono=float("-inf") if summary_s is None else then_mono - float(summary_s),
        held=None if held is None else Alert.restored(held),
        messages=int(document["messages"]),
        count=int(document["count"]),
        first_mono=then_mono - float(document["first_s"]),
        last_mono=then_mono - float(document["last_s"]),
    )
    return (str(document["about"]), Severity(document["severity"])), tally
