"""The watch broadcasts the trip that stands, where the guard is down and its log does not say that somebody heard it.

It reads no store: the trip is in the gate and in the log. What it has sent is remembered in its own directory. The
guard sends it once more when it is back, which whoever listens tells by the id of the trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from risk_daemon.alerts.outbox import KeptFile
from risk_daemon.app.broadcast import usable_settings, voice_of
from risk_daemon.broadcast.kafka import KafkaLine
from risk_daemon.broadcast.message import Message, Voice, message_of
from risk_daemon.broadcast.outbox import Outbox
from risk_daemon.broadcast.relay import Line, Relay
from risk_daemon.config.load import Settings
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock, Instant
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.worker import Worker
from risk_daemon.watch.troubles import Line as LogLine
from risk_daemon.watch.troubles import Seen

FILE_NAME = "broadcast.json"
WAITS_S = 10.0  # for a guard that is just ending, or starting again: it sends it itself
_LAST_S = 2.0
_LOG = structlog.get_logger(__name__)


class WatchBroadcast:
    """See the module. Nothing here raises once it is opened."""

    def __init__(self, line: Line, voice: Voice, directory: Path, clock: Clock) -> None:
        self._outbox = Outbox()
        self._worker = Worker("watch broadcast")
        self._file = KeptFile(directory / FILE_NAME, self._outbox.document, self._worker.run)
        self._relay = Relay(line, self._outbox, voice, clock, keep=self._keep, told=_say)
        self._told: dict[str, Message] = {}
        self._down_since_mono: float | None = None

    @classmethod
    async def open(cls, settings: Settings, directory: Path, clock: Clock) -> WatchBroadcast | None:
        """Sending. None: nothing is broadcast, or it can't be from here, which is shouted."""
        try:
            kafka = usable_settings(settings)
        except ConfigError as error:
            _LOG.critical("broadcast_left_out", error=str(error))
            return None
        if kafka is None:
            return None
        opened = cls(KafkaLine(kafka), voice_of(settings), directory, clock)
        await opened.start()
        return opened

    async def start(self) -> None:
        """Take up what an earlier process left, and send."""
        document = await self._worker.run(self._file.read)
        self._outbox.restore(document or {})
        self._relay.start()

    def look(self, seen: Seen, now: Instant, *, is_down: bool) -> None:
        """After each look at the guard."""
        self._read(seen.lines or ())
        if not is_down:
            self._down_since_mono = None
            return
        if self._down_since_mono is None:
            self._down_since_mono = now.mono
        if seen.trip_id is None or now.mono - self._down_since_mono < WAITS_S:
            return
        known = Message(trip_id=seen.trip_id, wall=now.wall, rule=seen.trip_cause)
        if self._outbox.put(self._told.get(seen.trip_id, known)):
            self._relay.nudge()

    def _read(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            if line.event == EventName.CIRCUIT_BREAKER_TRIGGERED:
                message = message_of(RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, line.fields), line.wall)
                self._told = {} if message is None else {message.trip_id: message}  # only the last one may stand
            elif line.event == EventName.BROADCAST_SENT:
                self._outbox.settle(str(line.fields.get("trip_id")))

    async def _keep(self) -> None:
        await self._file.save()

    async def aclose(self) -> None:
        """Give what is owed a moment."""
        await self._relay.flushed(_LAST_S)
        await self._relay.aclose()
        await self._file.save()
        self._worker.stop()


def _say(event: RiskEvent) -> None:
    """To the journal: the log is the guard's."""
    (_LOG.info if event.name is EventName.BROADCAST_SENT else _LOG.error)(event.name.value, **event.fields)
