"""`risk.json`: the status for programs that read a file."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.model.status import Status
from risk_daemon.runtime.ports import RiskWriter
from risk_daemon.runtime.tasks import Tasks

_LOG = structlog.get_logger(__name__)


class RiskExport:
    """writer None: there is no such file."""

    def __init__(self, writer: RiskWriter | None, status: Callable[[], Status], tasks: Tasks) -> None:
        self._writer = writer
        self._status = status
        self._tasks = tasks

    def write_if_due(self, now: Instant) -> None:
        """Start writing what is so now."""
        if self._writer is not None and self._writer.due(now):
            self._tasks.spawn(self.write(self._status(), now), "risk.json")

    async def write(self, status: Status, now: Instant) -> None:
        """Write this one. A file that can't be written is told, and grows old."""
        if self._writer is None:
            return
        try:
            await self._writer.write(status.document(), now)
        except RecordError as error:
            _LOG.error("risk_file_failed", error=str(error))
