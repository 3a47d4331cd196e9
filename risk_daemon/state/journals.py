"""Files on a thread of their own: a slow disk never stops the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import RiskEvent
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.log_anchor import Anchor
from risk_daemon.state.risk_file import RiskFile
from risk_daemon.state.worker import Worker

_FORCE_EVERY_S = 5.0  # how old the log's anchor may be


class LogJournal:
    """The event log, written by one thread in order."""

    def __init__(self, log: EventLog, worker: Worker | None = None) -> None:
        self._log = log
        self._worker = worker or Worker("event-log")
        self._anchor = Anchor(log.seq, log.head)
        self._forced_wall = float("-inf")

    def anchor(self) -> Mapping[str, Any]:
        return self._anchor.document()

    async def append(self, events: Sequence[RiskEvent], wall: float, *, durable: bool) -> None:
        """Write the events. Raises RecordError; the others of the batch are written all the same."""
        await self._worker.run(self._append, events, wall, durable)

    def _append(self, events: Sequence[RiskEvent], wall: float, durable: bool) -> None:
        failures: list[RecordError] = []
        for event in events:
            try:
                self._log.append(event, wall)
            except RecordError as error:
                failures.append(error)
        if not failures and (durable or abs(wall - self._forced_wall) >= _FORCE_EVERY_S):
            self._log.fsync()
            self._anchor, self._forced_wall = Anchor(self._log.seq, self._log.head), wall
        if failures:
            raise failures[0]

    async def close(self) -> None:
        """Finish what was asked for and close the file."""
        await self._worker.run(self._log.close)
        self._worker.stop()


class RiskJournal:
    """`risk.json`, written by a thread of its own."""

    def __init__(self, file: RiskFile) -> None:
        self._file = file
        self._worker = Worker("risk-file")

    def due(self, now: Instant) -> bool:
        return self._file.due(now)

    async def write(self, document: Mapping[str, Any], now: Instant) -> None:
        """Put the document there. Raises RecordError."""
        await self._worker.run(self._write, document, now)

    def _write(self, document: Mapping[str, Any], now: Instant) -> None:
        self._file.write(document, now, force=True)

    def close(self) -> None:
        self._worker.stop()
