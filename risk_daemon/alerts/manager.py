"""Everything together: what is told goes out at once, survives this process, and is repeated until somebody heard.

    async with AlertManager([WebhookSettings(name="oncall", url=..., secret=...)], directory=Path("var")) as alerts:
        alerts.tell([RiskEvent(EventName.MANUAL_HALT, {"operator": "me", "reason": "drill"})])

`tell` neither waits nor raises: the guard's own turn must not depend on who is told of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.attempts import FILE_NAME as ATTEMPTS
from risk_daemon.alerts.attempts import Attempt, AttemptLog
from risk_daemon.alerts.channels.base import AnySettings, Attempted, Channel
from risk_daemon.alerts.channels.build import opened
from risk_daemon.alerts.decide import decide
from risk_daemon.alerts.delivery import Deliverer, DeliverySettings, Work, going_on
from risk_daemon.alerts.outbox import KeptFile, Outbox, lane_of
from risk_daemon.alerts.routing import Router, RoutingSettings, Sends
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.worker import Worker

_LOG = structlog.get_logger(__name__)

FILE_NAME = "alerts.json"
TEST, LOST = "test", "alert_lost"
_HEARD_MAX = 1_000
_READ_WITHIN_S = 2.0
_SAVE_WITHIN_S = 1.0
_LOST_EVERY_S = 10.0
_FAILS_FOR_GOOD = 5  # tries in a row that nobody answered

Record = Callable[[RiskEvent, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """What holds for all channels. look_every_s: how often time is looked at for repeats and summaries."""

    strategy_name: str = "risk-daemon"
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    look_every_s: float = 0.5


class AlertManager:
    """One a process and directory. directory None: nothing survives it. Raises ConfigError for a useless channel.

    record: told of every attempt, to be written into the event log. position: how many lines of the log have been
    heard for certain; `cursor` is what it was when an earlier process saved it. memo: whatever its owner wants to find
    again, JSON-able.
    """

    def __init__(
        self,
        channels: Sequence[AnySettings],
        settings: AlertSettings | None = None,
        *,
        directory: Path | None = None,
        clock: Clock | None = None,
        record: Record | None = None,
        position: Callable[[], int] | None = None,
        build: Callable[[AnySettings, Clock], Channel] = opened,
    ) -> None:
        self.channels = tuple(channels)
        self._clock = clock or SystemClock()
        built = [build(one, self._clock) for one in self.channels]
        self.cursor: int | None = None
        self.memo: dict[str, Any] = {}
        self._settings = settings or AlertSettings()
        self._record = record or _nowhere
        self._position = position
        self._router = Router(self.channels, self._settings.routing)
        self._outbox = Outbox(channel.name for channel in self.channels)
        self._heard: deque[str] = deque(maxlen=_HEARD_MAX)
        self._worker = Worker("alerts")
        self._file = None if directory is None else KeptFile(directory / FILE_NAME, self._document, self._worker.run)
        self._attempts = AttemptLog(None if directory is None else directory / ATTEMPTS, self._worker.run)
        self._broken: set[str] = set()
        self._lost_mono = float("-inf")
        self._tried = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._deliverers = {one.name: self._deliverer(one) for one in built}

    def _deliverer(self, channel: Channel) -> Deliverer:
        return Deliverer(
            channel,
            self._outbox,
            self._clock,
            self._settings.delivery,
            payload=lambda alert: alert.payload(self._settings.strategy_name),
            told=self._note,
        )

    # --- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what an earlier process left, and send from now on. Never raises for what it finds."""
        await self._restore()
        for deliverer in self._deliverers.values():
            deliverer.start()
        self._spawn(self._look, "alerts look")
        self._spawn(self._write_attempts, "alerts attempts")
        if self._file is not None:
            self._spawn(self._file.keep, "alerts keep")
            self._file.touch()

    async def flushed(self, within_s: float) -> bool:
        """Wait until everything was tried once, but no longer. False: something was not."""
        try:
            async with asyncio.timeout(within_s):
                while not all(deliverer.has_tried for deliverer in self._deliverers.values()):
                    self._tried.clear()
                    await self._tried.wait()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """Stop sending. What is still owed is kept for the next process."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        await asyncio.gather(*(deliverer.close() for deliverer in self._deliverers.values()))
        try:
            async with asyncio.timeout(_SAVE_WITHIN_S):
                await self._attempts.write()
                if self._file is not None:
                    await self._file.save()
        except TimeoutError:
            _LOG.error("alerts_not_kept", error="the disk does not answer")
        self._worker.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.flushed(self._settings.delivery.timeout_s)
        await self.aclose()

    def _spawn(self, work: Work, name: str) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(going_on(work, name), name=name))

    # --- what is told ----------------------------------------------------------------------------------

    def tell(self, records: Sequence[RiskEvent], wall: float | None = None) -> None:
        """Everything that was written down at one moment, in order. Returns at once, and never raises.

        It may have been read back from a log: what was told already is left out.
        """
        try:
            at = self._clock.now().wall if wall is None else wall
            for alert in self._decided(records, at):
                self._send_once(alert)
        except Exception as error:  # whatever it is, it must not reach the guard's turn
            self._tell_lost(error, [str(record.name) for record in records])

    def send(self, alert: Alert) -> None:
        """An alert of one's own making, that no event stands for. Returns at once, and never raises."""
        try:
            self._send(alert)
        except Exception as error:  # as above
            self._tell_lost(error, [repr(alert)])

    def _tell_lost(self, error: Exception, events: list[str]) -> None:
        """What could not be put into words is named at least, to everybody; a flood of it once in a while."""
        _LOG.critical("alert_lost", error=repr(error), events=events)
        now = self._clock.now()
        if now.mono - self._lost_mono < _LOST_EVERY_S:
            return
        self._lost_mono, wall = now.mono, now.wall
        alert = Alert(
            alert_id=f"{LOST}-{wall:.6f}",
            event=LOST,
            severity=Severity.CRITICAL,
            summary=f"Something happened that can't be put into words, see the event log: {', '.join(events)}"[:500],
            wall=wall,
        )
        self._put([(one.name, alert) for one in self.channels])

    def tell_standing(self, trip_id: str, breaker: str, reason: str, wall: float) -> None:
        """That a trip is not over, whoever told of it before: what is known already is not told again."""
        standing = self._router.standing
        if (standing is not None and standing.trip_id == trip_id) or trip_id in self._heard:
            return
        facts = {"trip_id": trip_id, "breaker": breaker, "reason": reason}
        self.tell([RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, facts)], wall)

    def tell_nothing_stands(self) -> None:
        """That there is no trip, whatever an earlier process left: its end may be too long ago to be read again."""
        self._router.standing = None

    @property
    def standing_trip(self) -> str | None:
        """The trip that is repeated, or was until somebody acknowledged it."""
        return None if self._router.standing is None else self._router.standing.trip_id

    def acknowledge(self, trip_id: str | None, who: str) -> str | None:
        """Somebody heard of the trip (None: the one that stands). Returns its id, or None where there is none such."""
        standing = self._router.standing
        is_new = standing is not None and standing.who is None
        standing = self._router.acknowledge(trip_id, who)
        if standing is None or not is_new:
            return None if standing is None else standing.trip_id
        facts = {"trip_id": standing.trip_id, "operator": who}
        event, wall = RiskEvent(EventName.ALERT_ACKNOWLEDGED, facts), self._clock.now().wall
        self._record(event, wall)
        self.tell([event], wall)
        return standing.trip_id

    async def test(self, channel: str | None = None) -> dict[str, Attempted]:
        """Send one alert through a channel, or all of them, now and once. Raises KeyError for one that is not there."""
        names = list(self._deliverers) if channel is None else [self._deliverers[channel].channel.name]
        now = self._clock.now()
        alert = Alert(
            alert_id=f"test-{now.wall:.6f}",
            event=TEST,
            severity=Severity.INFO,
            summary="This is a test: nothing happened.",
            wall=now.wall,
        )
        tried = await asyncio.gather(*(self._deliverers[name].once(alert) for name in names))
        return dict(zip(names, tried, strict=True))

    def status(self) -> dict[str, Any]:
        """What people are shown, JSON-able."""
        standing = self._router.standing
        return {
            "strategy_name": self._settings.strategy_name,
            "standing": None
            if standing is None
            else {
                "trip_id": standing.trip_id,
                "summary": standing.alert.summary,
                "since": standing.alert.timestamp,
                "told": standing.number,
                "acknowledged_by": standing.who,
            },
            "channels": {one.name: self._channel_status(one) for one in self.channels},
            "attempts": list(self._attempts.recent),
        }

    def _channel_status(self, one: AnySettings) -> dict[str, Any]:
        return {
            "kind": one.kind,
            "severity": str(one.severity),
            "owed": len(self._outbox.owed(one.name)),
            "missed": self._outbox.missed[one.name],
            "failures": self._deliverers[one.name].failures,
            "escalation": one.escalation,
            "heartbeat": one.heartbeat,
        }

    def _decided(self, records: Sequence[RiskEvent], wall: float) -> list[Alert]:
        for record in records:
            if record.name is EventName.ALERT_ACKNOWLEDGED:
                self._router.acknowledge(record.fields.get("trip_id"), str(record.fields.get("operator")))
        return decide(records, wall)

    def _send_once(self, alert: Alert) -> None:
        if alert.alert_id not in self._heard:
            self._send(alert)

    def _send(self, alert: Alert) -> None:
        self._put(self._router.take(alert, self._clock.now()))
        self._heard.append(alert.alert_id)

    def _put(self, sends: Sends) -> None:
        for name, alert in sends:
            if self._outbox.put(name, alert):
                self._deliverers[name].nudge(lane_of(alert))
        if self._file is not None:
            self._file.touch()

    # --- what became of it -----------------------------------------------------------------------------

    def _note(self, attempt: Attempt) -> None:
        """Every try: a line, an event, and where a channel is broken, an alert by the others."""
        name, outcome = attempt.channel, attempt.outcome
        self._attempts.note(attempt)
        self._tried.set()
        facts = {
            "channel": name,
            "alert_id": attempt.alert.alert_id,
            "alert_event": str(attempt.alert.event),
            "attempt": attempt.number,
            "status": outcome.status,
            "seconds": round(attempt.seconds, 4),
        }
        self._record(
            RiskEvent(EventName.ALERT_SENT if outcome.delivered else EventName.ALERT_FAILED, facts), attempt.wall
        )
        if outcome.delivered:
            self._broken.discard(name)
            self._tell_missed_by(name, attempt.wall)
        elif (
            name not in self._broken
            and attempt.alert.event != TEST
            and (attempt.is_last or self._deliverers[name].failures >= _FAILS_FOR_GOOD)
        ):
            self._broken.add(name)
            self._tell_broken(attempt)
        if self._file is not None:
            self._file.touch()

    def _tell_broken(self, attempt: Attempt) -> None:
        """By every other channel that hears a warning: one that can't be reached can't say so itself."""
        name, outcome = attempt.channel, attempt.outcome
        alert = Alert(
            alert_id=f"{EventName.ALERT_FAILED}-{name}-{attempt.wall:.6f}",
            event=EventName.ALERT_FAILED,
            severity=Severity.WARNING,
            summary=f"Alerts can't be delivered by {name}: {outcome.status} {outcome.answer}".rstrip(),
            details={"channel": name, "alert_id": attempt.alert.alert_id, "status": outcome.status},
            wall=attempt.wall,
        )
        _LOG.error("alert_channel_failed", channel=name, status=outcome.status, answer=outcome.answer)
        self._put([(other, one) for other, one in self._router.take(alert, self._clock.now()) if other != name])

    def _tell_missed_by(self, name: str, wall: float) -> None:
        """That a lane was full once: what fell out of it is counted, by the channel itself."""
        missed, self._outbox.missed[name] = self._outbox.missed[name], 0
        if missed:
            alert = Alert(
                alert_id=f"missed-{name}-{wall:.6f}",
                event=EventName.ALERT_FAILED,
                severity=Severity.WARNING,
                summary=f"{missed} older alerts never got here, there were too many of them: see the event log.",
                details={"count": missed, "channel": name},
                wall=wall,
            )
            self._put([(name, alert)])

    # --- time, disk ------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            due = self._router.due(self._clock.now())
            if due:
                self._put(due)
            await asyncio.sleep(self._settings.look_every_s)

    async def _write_attempts(self) -> None:
        while True:
            await self._attempts.write()
            await asyncio.sleep(self._settings.look_every_s)

    def _document(self) -> Mapping[str, Any]:
        return {
            "format": 1,
            "cursor": (0 if self._position is None else self._position()) or self.cursor,
            "memo": self.memo,
            "heard": list(self._heard),
            "routing": self._router.document(self._clock.now()),
            "outbox": self._outbox.document(),
        }

    async def _restore(self) -> None:
        if self._file is None:
            return
        try:
            async with asyncio.timeout(_READ_WITHIN_S):
                document = await self._worker.run(self._file.read)
        except TimeoutError:
            _LOG.critical("alerts_not_restored", error="the disk does not answer")
            return
        if document is None:
            return
        try:
            self._take(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            await self._worker.run(self._file.set_aside, repr(error))

    def _take(self, document: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError, ValueError or AttributeError for what never was one."""
        if document["format"] != 1:
            raise ValueError(f"its format is {document['format']!r}")
        cursor, memo = document["cursor"], dict(document["memo"])
        self._router.restore(document["routing"], self._clock.now())
        self._outbox.restore(document["outbox"])
        self._heard.extend(str(alert_id) for alert_id in document["heard"])
        self.cursor, self.memo = None if cursor is None else int(cursor), memo


def _nowhere(_event: RiskEvent, _wall: float) -> None:
    return
