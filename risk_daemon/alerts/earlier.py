"""What an earlier process left: what it still owed, and what the event log says since it last looked.

A disk that is slow or broken holds up nobody: what is not found within some seconds is looked for again later, and
people are told that something may be missing. Until it is found nothing is written over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from risk_daemon.alerts.outbox import KeptFile
from risk_daemon.model.event_names import RiskEvent
from risk_daemon.state.worker import Run

_LOG = structlog.get_logger(__name__)

READ_WITHIN_S = 2.0
AGAIN_AFTER_S = 5.0
AGAIN_AT_MOST_EVERY_S = 600.0
AGAIN_WITHIN_S = 60.0  # nobody waits for it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What was written down, each moment of it (Unix) with its records. left_out: what is missing before it, or ""."""

    turns: Sequence[tuple[Sequence[RiskEvent], float]]
    left_out: str = ""


Document = Mapping[str, Any]
ReadLog = Callable[[int], Awaitable[Turns]]


class Earlier:
    """cursor: how far an earlier process had read the log; None: it is not known, or there was none.

    read_log: what stands behind that line; may raise anything. take: is given what the file has, and raises for what
    it can't understand. tell: is given each turn. lost: is told what people should know to be missing.
    """

    def __init__(
        self,
        file: KeptFile | None,
        run: Run,
        read_log: ReadLog | None,
        *,
        take: Callable[[Document], None],
        tell: Callable[[Sequence[RiskEvent], float], None],
        lost: Callable[[str], None],
    ) -> None:
        self.cursor: int | None = None
        self.is_restored = file is None
        self.is_caught_up = file is None or read_log is None
        self._file = file
        self._run = run
        self._read_log = read_log
        self._take = take
        self._tell = tell
        self._lost = lost
        self._said: set[str] = set()
        self._reading: asyncio.Future[Document | None] | None = None

    @property
    def is_found(self) -> bool:
        """Whether there is nothing left to look for."""
        return self.is_restored and self.is_caught_up

    async def look(self, within_s: float | None = None) -> None:
        """Look for what is not found yet, for so long each. Never raises for what it finds."""
        within_s = READ_WITHIN_S if within_s is None else within_s
        if self._file is not None and not self.is_restored:
            await self._restore(self._file, within_s)
        if self.is_restored and not self.is_caught_up:
            await self._catch_up(within_s)

    async def look_again(self, found: Callable[[], None]) -> None:
        """Until it is found, with growing pauses. found: called after each look that found something."""
        pause_s = AGAIN_AFTER_S
        while not self.is_found:
            await asyncio.sleep(pause_s)
            before, pause_s = (self.is_restored, self.is_caught_up), min(2 * pause_s, AGAIN_AT_MOST_EVERY_S)
            await self.look(AGAIN_WITHIN_S)
            if before != (self.is_restored, self.is_caught_up):
                found()

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._reading is not None:
            self._reading.cancel()

    # --- the file --------------------------------------------------------------------------------------

    async def _restore(self, file: KeptFile, within_s: float) -> None:
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._run(file.read))
        await asyncio.wait({self._reading}, timeout=within_s)
        if not self._reading.done():
            _LOG.critical("alerts_not_restored", error="the disk does not answer")
            self._lose_once("The disk does not answer: what an earlier run still owed is sent when it does.")
            return
        reading, self._reading = self._reading, None
        is_understood = await self._understand(file, reading, within_s)
        self.is_restored = True
        if file.was_damaged or not is_understood:
            self.cursor = 0
            self._lose_once("What an earlier run still owed can't be read, and is lost: see the event log.")
        elif self.cursor is None:
            self.is_caught_up = True  # nobody looked before, so nothing was missed

    async def _understand(self, file: KeptFile, reading: asyncio.Future[Document | None], within_s: float) -> bool:
        try:
            document = reading.result()
            if document is not None:
                self._take(document)
        except Exception as error:  # whatever is wrong with a file, alerts begin
            why = repr(error)
        else:
            return True
        try:
            async with asyncio.timeout(within_s):
                await self._run(file.set_aside, why)
        except TimeoutError:
            _LOG.error("alerts_not_set_aside", error="the disk does not answer")
        return False

    # --- the log ---------------------------------------------------------------------------------------

    async def _catch_up(self, within_s: float) -> None:
        """What can't be read now may be later: until then the next process begins where this one did."""
        if self._read_log is None or self.cursor is None:
            return
        try:
            async with asyncio.timeout(within_s):
                past = await self._read_log(self.cursor)
        except Exception as error:  # whatever is wrong with a log, alerts begin
            why = str(error) or "the disk does not answer"
            _LOG.error("alerts_not_caught_up", error=why)
            self._lose_once(f"What was logged since an earlier run can't be read, and is not told yet: {why}"[:500])
            return
        self.is_caught_up = True
        if past.left_out:
            self._lose_once(past.left_out)
        for records, wall in past.turns:
            self._tell(records, wall)

    def _lose_once(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._lost(what)
