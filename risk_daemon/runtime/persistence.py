"""What must survive this process: the latch, the halts, and all that losses are measured from.

Nothing waits for the disk but who asked, and the end. What can't be saved is shouted, tried again, and told
to the engine: a state that can't be saved shuts the gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from risk_daemon.engine.decision import KeepSample, SaveHalts, SaveLatch
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Clock, Instant
from risk_daemon.model.events import StoreChecked
from risk_daemon.runtime.ports import DaemonSettings
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.latch import LATCH, latch_document
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.base import Store

HALTS = "halts"
_LOG = structlog.get_logger(__name__)
_NEVER = float("-inf")


class Persistence:
    """Saves what it is asked to, and keeps the store as new as it should be.

    documents: all that is persisted besides the latch, as it is now. tell: hears how saving went, when that changes.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: DaemonSettings,
        tasks: Tasks,
        *,
        documents: Callable[[], Mapping[str, Any]],
        tell: Callable[[StoreChecked], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._tasks = tasks
        self._documents = documents
        self._tell = tell
        self._error: str | None = None
        self._told: str | None = None
        self._is_wanted = False
        self._saved_mono = _NEVER
        self._saving: asyncio.Task[None] | None = None
        self._latch_saved: asyncio.Task[None] | None = None
        self._halts_saved: asyncio.Task[bool] | None = None

    # --- documents ---------------------------------------------------------------------------------

    def want(self) -> None:
        """Something changed that must not be lost: save soon."""
        self._is_wanted = True

    def save_if_due(self, now: Instant) -> None:
        """Soon after a change; and else now and then, to know that it can be done."""
        every_s = self._settings.persist_every_s if self._is_wanted else self._settings.check_store_every_s
        is_busy = self._saving is not None and not self._saving.done()
        if now.mono - self._saved_mono >= every_s and not is_busy:
            self._is_wanted, self._saved_mono = False, now.mono
            self._saving = self._tasks.spawn(self._save(), "persist")

    async def _save(self) -> None:
        if not await self.save():
            self._is_wanted = True

    async def save(self) -> bool:
        """Save the documents, and tell how that went. False, and shouted, when it failed."""
        error = await self._try_to_save()
        if error is not None:
            _LOG.error("state_save_failed", error=error)
        self._error = error
        self.look()
        return error is None

    def look(self) -> None:
        """Tell what keeps the state from being safe wherever it should be, when that changes."""
        trouble = self._error or self._store.trouble
        if trouble != self._told:
            self._told = trouble
            self._tell(StoreChecked(trouble))

    async def _try_to_save(self) -> str | None:
        saving = asyncio.ensure_future(self._store.save(self._documents()))
        saving.add_done_callback(_look_at)  # the daemon may end before we do
        await asyncio.wait({saving}, timeout=self._settings.call_timeout_s)
        if not saving.done():
            saving.cancel()
            return "the store does not answer"
        error = saving.exception()
        if error is not None and not isinstance(error, RecordError):
            raise error
        return None if error is None else str(error)

    # --- the latch ---------------------------------------------------------------------------------

    def save_latch(self, action: SaveLatch) -> None:
        """Until it is durable, in the order of the trips. Acting never waits for this; ending does."""
        self._latch_saved = self._tasks.spawn(self._save_latch(action, self._latch_saved), "latch")

    async def _save_latch(self, action: SaveLatch, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        document = latch_document(action.latch, self._clock.now())
        while True:
            try:
                documents = self._documents()
                await self._store.save({**documents, LATCH: {**document, ANCHOR: documents[ANCHOR]}})
                return
            except RecordError as error:
                _LOG.critical("latch_save_failed", error=str(error))
                await asyncio.sleep(self._settings.retry_every_s)

    async def latch_written(self) -> None:
        """Give the latch a moment, for who asked for what it says."""
        if self._latch_saved is not None:
            await asyncio.wait({self._latch_saved}, timeout=self._settings.call_timeout_s)

    async def latch_is_durable(self, deadline_mono: float) -> bool:
        """Wait for it until then, and a little in any case. True where there is nothing to save."""
        if self._latch_saved is None:
            return True
        left_s = deadline_mono - self._clock.now().mono
        await asyncio.wait({self._latch_saved}, timeout=max(left_s, self._settings.retry_every_s))
        return self._latch_saved.done() and self._latch_saved.exception() is None

    # --- halts and samples -------------------------------------------------------------------------

    def save_halts(self, action: SaveHalts) -> None:
        """Once: whoever asked is told whether it went well."""
        self._halts_saved = self._tasks.spawn(self._save_halts(action), "halts")

    async def _save_halts(self, action: SaveHalts) -> bool:
        """False, and shouted, when they would not survive a restart."""
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                await self._store.save({HALTS: action.document})
        except (RecordError, TimeoutError) as error:
            _LOG.critical("halts_save_failed", error=str(error) or "the store does not answer")
            return False
        return True

    async def halts_are_durable(self) -> bool:
        """Wait for what was asked for last. True where nothing was."""
        return self._halts_saved is None or await asyncio.shield(self._halts_saved)

    def keep_sample(self, action: KeepSample) -> None:
        """A point of the history that is lost is a gap in a plot, and no more."""
        self._tasks.spawn(self._keep_sample(action), "sample")

    async def _keep_sample(self, action: KeepSample) -> None:
        try:
            await self._store.append_sample(action.sample.document())
        except RecordError as error:
            _LOG.error("sample_not_kept", error=str(error))


def _look_at(ended: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is no surprise to the loop."""
    if not ended.cancelled():
        ended.exception()
