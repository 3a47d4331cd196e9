"""What happens at the API's doors, written down without anybody waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from risk_daemon.api.tally import Tally
from risk_daemon.errors import RecordError
from risk_daemon.model.event_names import RiskEvent

_LOG = structlog.get_logger(__name__)


class Noter:
    """write: has one event on disk when it returns; raises RecordError."""

    def __init__(self, write: Callable[[RiskEvent], Awaitable[None]]) -> None:
        self._write = write
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, event: RiskEvent) -> None:
        """Have it written down. What can't be is shouted."""
        task = asyncio.get_running_loop().create_task(self._written(event), name=f"note {event.name}")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def flushed(self, tally: Tally | None = None) -> None:
        """The last of them, before the log is closed; `tally` is to count no more."""
        if tally is not None:
            tally.stop()
        await self.written()

    async def written(self) -> None:
        """Wait for all that is being written."""
        if self._writing:
            await asyncio.wait(self._writing)

    async def _written(self, event: RiskEvent) -> None:
        try:
            await self._write(event)
        except RecordError as error:
            _LOG.error("event_log_failed", error=str(error), events=[str(event.name)])
