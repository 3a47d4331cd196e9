"""Events into the log, in order and without waiting; where the log ends is kept when the process does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import RiskEvent
from risk_daemon.runtime.ports import Journal
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.base import Store

_LOG = structlog.get_logger(__name__)


class EventWriter:
    """What can't be written is shouted, with the events' names, and acted on all the same."""

    def __init__(self, journal: Journal, tasks: Tasks) -> None:
        self._journal = journal
        self._tasks = tasks
        self._tail: asyncio.Task[None] | None = None

    def write(self, records: Sequence[RiskEvent], now: Instant, *, durable: bool) -> None:
        """Put events into the log, after those before them."""
        self._tail = self._tasks.spawn(self._append(records, now.wall, durable, self._tail), "journal")

    async def _append(
        self, records: Sequence[RiskEvent], wall: float, durable: bool, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        try:
            await self._journal.append(records, wall, durable=durable)
        except RecordError as error:
            names = [record.name.value for record in records]
            _LOG.critical("event_log_failed", error=str(error), events=names)

    async def written(self, within_s: float) -> None:
        """Give what was put there a moment to be written."""
        if self._tail is not None:
            await asyncio.wait({self._tail}, timeout=within_s)

    async def anchor(self, store: Store, now: Instant, within_s: float) -> None:
        """Keep where the log ends, once its last line is on disk: one that is cut after this is found."""
        try:
            async with asyncio.timeout(within_s):
                await self._journal.append((), now.wall, durable=True)
                await store.save({ANCHOR: self._journal.anchor()})
        except (RecordError, TimeoutError) as error:
            _LOG.error("log_not_anchored", error=str(error) or "the disk does not answer")
