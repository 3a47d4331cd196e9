"""The event log is kept as long as `[state] keep_logs` says: older pieces are removed, and nothing else ever is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from risk_daemon.app.composition import Opened
from risk_daemon.app.hearers import Hearers
from risk_daemon.config.settings import Settings
from risk_daemon.errors import StateError
from risk_daemon.model.clock import Clock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.runtime.ports import Journal, Parts
from risk_daemon.state.log_anchor import REMOVED
from risk_daemon.state.log_retention import Piece, believed_wall, last_wall_of, oldest_to_remove, remove
from risk_daemon.state.store.base import Store

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 3_600.0  # one piece a look: whatever goes wrong with a clock, there are days to see it


class LogKeeper:
    """Removes one piece at a time, the oldest. What it ends with is in the store and in the log before it is gone.

    last_wall: when the last line before this run was written. may_remove: whether nobody needs old lines now.
    """

    def __init__(
        self,
        path: Path,
        keep_s: float,
        journal: Journal,
        store: Store,
        clock: Clock,
        *,
        last_wall: float | None,
        may_remove: Callable[[], bool],
    ) -> None:
        self._path = path
        self._keep_s = keep_s
        self._journal = journal
        self._store = store
        self._clock = clock
        self._began = clock.now()
        self._last_wall = last_wall
        self._may_remove = may_remove

    async def run(self) -> None:
        """For ever; one look an hour."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Remove the oldest piece if it may go. Raises nothing: what can't be done now is tried again."""
        if not self._may_remove():
            return
        try:
            before_wall = believed_wall(self._clock.now(), self._began, self._last_wall) - self._keep_s
            piece = await asyncio.to_thread(oldest_to_remove, self._path, before_wall)
            if piece is not None:
                await self._remove(piece)
        except Exception as error:  # the edge of a task: a bug must not stop the looks to come
            _LOG.error("log_not_pruned", path=str(self._path), error=str(error) or repr(error))

    async def _remove(self, piece: Piece) -> None:
        """Raises RecordError, OSError. Killed in between, the next look does it again."""
        await self._store.save({REMOVED: piece.end.document()})
        facts = {
            "piece": piece.path.name,
            "first_line": piece.first.seq,
            "last_line": piece.last.seq,
            "last_time": piece.last.time,
            "last_hash": piece.last.hash,
        }
        await self._journal.append([RiskEvent(EventName.LOG_PRUNED, facts)], self._clock.now().wall, durable=True)
        await asyncio.to_thread(remove, piece.path)
        _LOG.info("log_pruned", **facts)


def keep_log(settings: Settings, opened: Opened, parts: Parts, hearers: Hearers, stack: AsyncExitStack) -> None:
    """Beside the guard, but not while a trip stands or alerts have not read what they missed."""
    if settings.state.keep_logs is None:
        return

    def may_remove() -> bool:
        is_read = not settings.alerts.channels or (hearers.alerts is not None and hearers.alerts.has_caught_up)
        return parts.engine.trip is None and is_read

    keeper = LogKeeper(
        opened.paths.events,
        settings.state.keep_logs,
        parts.journal,
        parts.store,
        parts.clock,
        last_wall=opened.log_wall,
        may_remove=may_remove,
    )
    stack.callback(asyncio.get_running_loop().create_task(keeper.run(), name="log keeping").cancel)


def last_written(path: Path) -> float | None:
    """When the last line of the log was. A log that can't be read refuses the start elsewhere, or does not."""
    try:
        return last_wall_of(path)
    except (StateError, OSError, ValueError):
        return None
