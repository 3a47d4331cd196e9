"""Everything together: what is told goes out at once, survives this process, and is repeated until somebody heard.

    async with AlertManager([WebhookSettings(name="oncall", url=..., secret=...)], directory=Path("var")) as alerts:
        alerts.tell([RiskEvent(EventName.MANUAL_HALT, {"operator": "me", "reason": "drill"})])

`tell` neither waits nor raises: the guard's own turn must not depend on who is told of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.attempts import FILE_NAME as ATTEMPTS
from risk_daemon.alerts.attempts import Attempt, AttemptLog
from risk_daemon.alerts.channels.base import AnySettings, Attempted, Channel, ChannelSettings
from risk_daemon.alerts.channels.build import Build, all_opened, opened
from risk_daemon.alerts.decide import decide, is_quiet
from risk_daemon.alerts.delivery import Deliverer, Work, going_on, shown
from risk_daemon.alerts.earlier import Earlier, ReadLog
from risk_daemon.alerts.early import Early
from risk_daemon.alerts.outbox import KeptFile, Outbox, lane_of
from risk_daemon.alerts.own import TEST, missed_with, of_failure, of_loss, of_missed, of_test
from risk_daemon.alerts.routing import Router, Sends, is_trip
from risk_daemon.alerts.settings import AlertSettings
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.worker import Worker

_LOG = structlog.get_logger(__name__)

FILE_NAME = "alerts.json"
_HEARD_MAX = 1_000
_KEPT_FOR_S = 24 * 3_600.0  # what a channel owes that is not there
_SAVE_WITHIN_S = 1.0
_LOST_EVERY_S = 10.0
_FAILS_FOR_GOOD = 5  # tries in a row that nobody answered

Record = Callable[[RiskEvent, float], None]


class AlertManager:
    """One a process and directory. directory None: nothing survives it.

    record: told of every attempt, to be written into the event log. position: how many lines of the log have been
    heard for certain; `cursor` is what it was when an earlier process saved it, and read_log reads what stands behind
    that. taken_up: called when all that an earlier process left is known; its owner says then which trip stands.
    alive: whether a heartbeat may say that the guard is; None: nobody is asked. absent: channels that can't be used
    now, and why: what they would hear is kept for them. memo: whatever its owner wants to find again, JSON-able.

    takes_what_it_gets: a channel that can't be opened is absent; without it `start` raises ConfigError.
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
        read_log: ReadLog | None = None,
        taken_up: Callable[[AlertManager], None] | None = None,
        alive: Callable[[], bool] | None = None,
        absent: Sequence[tuple[ChannelSettings, str]] = (),
        takes_what_it_gets: bool = False,
        build: Build = opened,
    ) -> None:
        self.channels = tuple(channels)
        self.memo: dict[str, Any] = {}
        self._clock = clock or SystemClock()
        self._settings = settings or AlertSettings()
        self._record = record or (lambda _event, _wall: None)
        self._position = position
        self._taken_up = taken_up or (lambda _alerts: None)
        self._alive = alive or (lambda: True)
        self._absent = tuple(absent)
        self._takes_what_it_gets = takes_what_it_gets
        self._build = build
        everybody = [*self.channels, *(one for one, _ in self._absent)]
        self._router = Router(everybody, self._settings.routing)
        self._outbox = Outbox(one.name for one in everybody)
        self._heard: deque[str] = deque(maxlen=_HEARD_MAX)
        self._worker = Worker("alerts")
        self._file = None if directory is None else KeptFile(directory / FILE_NAME, self._document, self._worker.run)
        self._earlier = Earlier(
            self._file, self._worker.run, read_log, take=self._take, tell=self._tell_past, lost=self._tell_all
        )
        self._attempts = AttemptLog(None if directory is None else directory / ATTEMPTS, self._worker.run)
        self._broken: set[str] = set()
        self._lost_mono = float("-inf")
        self._count = count(1)
        self._tried = asyncio.Event()
        self._early = Early(lambda error: self._tell_lost(error, ["what came before alerts began"]))
        self._is_keeping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._deliverers: dict[str, Deliverer] = {}

    @property
    def cursor(self) -> int | None:
        """How far an earlier process had heard the log."""
        return self._earlier.cursor

    @property
    def has_caught_up(self) -> bool:
        """Whether nothing that an earlier process left, or logged, is still to be read."""
        return self._earlier.is_found

    # --- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what an earlier process left, and send from now on. What is told meanwhile waits, some seconds.

        Raises ConfigError for a channel that can't be used, unless it takes what it gets; nothing for what it finds.
        """
        good, bad = await all_opened(self.channels, self._clock, self._build)
        if bad and not self._takes_what_it_gets:
            await asyncio.gather(*(channel.close() for channel in good.values()))
            raise ConfigError("\n".join(bad[one.name] for one in self.channels if one.name in bad))
        self._use(good, bad)
        await self._earlier.look()
        self._begin()

    def _use(self, good: Mapping[str, Channel], bad: Mapping[str, str]) -> None:
        self._absent += tuple((one, bad[one.name]) for one in self.channels if one.name in bad)
        self.channels = tuple(one for one in self.channels if one.name in good)
        self._deliverers = {one.name: self._deliverer(good[one.name], one.timeout_s) for one in self.channels}

    def _deliverer(self, channel: Channel, timeout_s: float) -> Deliverer:
        return Deliverer(
            channel,
            self._outbox,
            self._clock,
            self._settings.delivery,
            timeout_s=timeout_s,
            payload=lambda alert: alert.payload(self._settings.strategy_name),
            told=self._note,
        )

    def _begin(self) -> None:
        self._replay()
        for one, why in self._absent:
            self._tell_absent(one.name, why)
        for deliverer in self._deliverers.values():
            deliverer.start()
        self._spawn(self._look, "alerts look")
        self._spawn(self._write_attempts, "alerts attempts")
        self._keep()
        if not self._earlier.is_found:
            work = self._earlier.look_again(self._find_late)
            self._tasks.append(asyncio.get_running_loop().create_task(work, name="alerts earlier"))

    def _replay(self) -> None:
        """What was told before there was anybody to send it, behind what an earlier process left."""
        self._early.begin()
        self._ask_what_stands()

    def _find_late(self) -> None:
        self._ask_what_stands()
        self._keep()

    def _ask_what_stands(self) -> None:
        try:
            self._taken_up(self)
        except Exception as error:  # alerts begin all the same
            self._tell_lost(error, ["the trip that stands"])

    def _keep(self) -> None:
        """Write down what is owed; never over what could not be read."""
        if self._file is None or not self._earlier.is_restored or self._is_keeping:
            return
        self._is_keeping = True
        self._spawn(self._file.keep, "alerts keep")
        self._file.touch()

    async def flushed(self, within_s: float) -> bool:
        """Wait until it has started and everything was tried once, but no longer. False: something was not."""
        try:
            async with asyncio.timeout(within_s):
                await self._early.begun()
                while not all(deliverer.has_tried for deliverer in self._deliverers.values()):
                    self._tried.clear()
                    await self._tried.wait()
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        """Stop sending, also where it never began. What is still owed is kept for the next process."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        self._earlier.close()
        if not self._early.has_begun:
            self._replay()
        await asyncio.gather(*(deliverer.close() for deliverer in self._deliverers.values()))
        try:
            async with asyncio.timeout(_SAVE_WITHIN_S):
                await self._attempts.write()
                if self._file is not None and self._earlier.is_restored:
                    await self._file.save()
        except TimeoutError:
            _LOG.error("alerts_not_kept", error="the disk does not answer")
        self._worker.stop()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.flushed(max((one.timeout_s for one in self.channels), default=0.0))
        await self.aclose()

    def _spawn(self, work: Work, name: str) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(going_on(work, name), name=name))

    # --- what is told ----------------------------------------------------------------------------------

    def tell(self, records: Sequence[RiskEvent], wall: float | None = None) -> None:
        """Everything that was written down at one moment, in order. Returns at once, and never raises.

        It may have been read back from a log: what was told already is left out. Before the start is over it waits.
        """
        try:
            at = self._clock.now().wall if wall is None else wall
            if not is_quiet(records):
                self._early.do(partial(self._tell, tuple(records), at), records)
        except Exception as error:  # whatever it is, it must not reach the guard's turn
            self._tell_lost(error, [str(record.name) for record in records])

    def _tell(self, records: Sequence[RiskEvent], wall: float) -> None:
        try:
            decided = self._decided(records, wall)
        except Exception as error:  # as above
            self._tell_lost(error, [str(record.name) for record in records])
            return
        for alert in decided:
            try:
                self._send_once(alert)
            except Exception as error:  # one that can't be sent takes no other with it
                self._tell_lost(error, [alert.event])

    def _tell_past(self, records: Sequence[RiskEvent], wall: float) -> None:
        """What is read back late is no news of the trip that stands by now."""
        standing = self._router.standing if self._early.has_begun else None
        self._tell(records, wall)
        self._router.standing = standing or self._router.standing

    def send(self, alert: Alert) -> None:
        """An alert of one's own making, that no event stands for. Returns at once, and never raises."""
        self._early.do(partial(self._send_safely, alert))

    def _send_safely(self, alert: Alert) -> None:
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
        self._lost_mono = now.mono
        self._tell_all(f"Something happened that can't be put into words, see the event log: {', '.join(events)}"[:500])

    def _tell_all(self, summary: str) -> None:
        """That alerts are missing, to everybody."""
        alert = of_loss(summary, self._clock.now().wall, next(self._count))
        self._put([(name, alert) for name in self._router.hearers(alert.event, alert.severity)])

    def tell_standing(self, trip_id: str, breaker: str, reason: str, wall: float) -> None:
        """That a trip is not over, whoever told of it before: what is known already is not told again."""
        self._early.do(partial(self._tell_standing, trip_id, breaker, reason, wall))

    def _tell_standing(self, trip_id: str, breaker: str, reason: str, wall: float) -> None:
        standing = self._router.standing
        if (standing is not None and standing.trip_id == trip_id) or trip_id in self._heard:
            return
        facts = {"trip_id": trip_id, "breaker": breaker, "reason": reason}
        self.tell([RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, facts)], wall)

    def tell_nothing_stands(self) -> None:
        """That there is no trip, whatever an earlier process left: its end may be too long ago to be read again."""
        self._early.do(partial(setattr, self._router, "standing", None))

    @property
    def standing_trip(self) -> str | None:
        """The trip that is repeated, or was until somebody acknowledged it."""
        return None if self._router.standing is None else self._router.standing.trip_id

    def acknowledge(self, trip_id: str | None, who: str) -> str | None:
        """Somebody heard of the trip (None: the one that stands). Returns its id, or None where there is none such.

        Before the start is over, when it is not known which one stands, that is the one that was told meanwhile.
        """
        if not self._early.has_begun:
            self._early.do(partial(self._acknowledge, trip_id, who))
            return trip_id or self._early.trip_id
        return self._acknowledge(trip_id, who)

    def _acknowledge(self, trip_id: str | None, who: str) -> str | None:
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
        await self._early.begun()
        names = list(self._deliverers) if channel is None else [self._deliverers[channel].channel.name]
        alert = of_test(self._clock.now().wall)
        tried = await asyncio.gather(*(self._deliverers[name].once(alert) for name in names))
        return dict(zip(names, tried, strict=True))

    def status(self) -> dict[str, Any]:
        """What people are shown, JSON-able."""
        standing = self._router.standing
        return {
            "strategy_name": self._settings.strategy_name,
            "standing": None if standing is None else standing.shown(),
            "channels": {one.name: shown(one, self._outbox, self._deliverers.get(one.name)) for one in self.channels},
            "unusable": {one.name: why for one, why in self._absent},
            "attempts": list(self._attempts.recent),
        }

    def tries(self) -> Mapping[str, tuple[int, int]]:
        """How many tries of each channel arrived and how many failed, since the start."""
        return {one.name: (self._attempts.sent[one.name], self._attempts.failed[one.name]) for one in self.channels}

    def _decided(self, records: Sequence[RiskEvent], wall: float) -> list[Alert]:
        for record in records:
            if record.name is EventName.ALERT_ACKNOWLEDGED:
                self._router.acknowledge(record.fields.get("trip_id"), str(record.fields.get("operator")))
        return decide(records, wall)

    def _send_once(self, alert: Alert) -> None:
        alert = self._router.named(alert)
        if alert.alert_id not in self._heard:
            self._send(alert)

    def _send(self, alert: Alert) -> None:
        self._put(self._router.take(alert, self._clock.now()))
        self._heard.append(alert.alert_id)

    def _put(self, sends: Sends) -> None:
        for name, alert in sends:
            if self._outbox.put(name, alert) and name in self._deliverers:
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
        elif attempt.alert.event != TEST:
            if attempt.is_last:
                self._outbox.missed[name] += missed_with(attempt.alert)
            if name not in self._broken and (attempt.is_last or self._deliverers[name].failures >= _FAILS_FOR_GOOD):
                self._broken.add(name)
                self._tell_broken(attempt)
        if self._file is not None:
            self._file.touch()

    def _tell_broken(self, attempt: Attempt) -> None:
        """By every other channel, whatever it asked for: one that can't be reached can't say so itself."""
        name, outcome = attempt.channel, attempt.outcome
        _LOG.error("alert_channel_failed", channel=name, status=outcome.status, answer=outcome.answer)
        self._tell_others(
            name,
            f"Alerts can't be delivered by {name}: {outcome.status} {outcome.answer}".rstrip(),
            {"alert_id": attempt.alert.alert_id, "status": outcome.status},
        )

    def _tell_absent(self, name: str, why: str) -> None:
        _LOG.critical("alert_channel_left_out", channel=name, error=why)
        self._tell_others(name, f"Alerts can't be delivered by {name}, it is left out: {why}", {"status": "unusable"})

    def _tell_others(self, name: str, summary: str, details: Mapping[str, Any]) -> None:
        now = self._clock.now()
        alert = of_failure(name, summary, details, now.wall)
        self._put([(other, one) for other, one in self._router.take(alert, now) if other != name])

    def _tell_missed_by(self, name: str, wall: float) -> None:
        """What was given up, or fell out of a full lane, is counted, by the channel itself now that it works."""
        missed, self._outbox.missed[name] = self._outbox.missed[name], 0
        if missed:
            self._put([(name, of_missed(name, missed, wall))])

    # --- time, disk ------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            due = self._router.due(self._clock.now(), is_alive=self._is_alive())
            if due:
                self._put(due)
            await asyncio.sleep(self._settings.look_every_s)

    def _is_alive(self) -> bool:
        """Whoever can't say so is not."""
        try:
            return self._alive()
        except Exception as error:
            _LOG.critical("alert_task_failed", task="alerts heartbeat", error=repr(error))
            return False

    async def _write_attempts(self) -> None:
        while True:
            await self._attempts.write()
            await asyncio.sleep(self._settings.look_every_s)

    def _document(self) -> Mapping[str, Any]:
        return {
            "format": 1,
            "cursor": self._heard_up_to(),
            "memo": self.memo,
            "heard": list(self._heard),
            "routing": self._router.document(self._clock.now()),
            "outbox": self._outbox.document(),
        }

    def _heard_up_to(self) -> int | None:
        """A log that can't be read has no lines: then it is what it was."""
        if self._position is None or not self._earlier.is_caught_up:
            return self.cursor
        return self._position() or self.cursor or 0

    def _take(self, document: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError, ValueError or AttributeError for what never was one."""
        if document["format"] != 1:
            raise ValueError(f"its format is {document['format']!r}")
        cursor, memo = document["cursor"], dict(document["memo"])
        self._router.restore(document["routing"], self._clock.now())
        self._outbox.restore(document["outbox"], self._still_matters)
        self._heard.extend(str(alert_id) for alert_id in document["heard"])
        self._earlier.cursor, self.memo = None if cursor is None else int(cursor), memo
        for deliverer in self._deliverers.values():
            deliverer.nudge_all()

    def _still_matters(self, alert: Alert) -> bool:
        """To a channel that is not there: a trip until it is over, and all else for a day."""
        if is_trip(alert):
            return alert.trip_id == self.standing_trip
        return self._clock.now().wall - alert.wall < _KEPT_FOR_S
