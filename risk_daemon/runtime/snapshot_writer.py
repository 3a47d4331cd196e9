"""Keeps the day's snapshots while the guard runs: nothing waits for it, and what fails there is told and hurts nothing.

An account is written when its worth moved, every ten seconds at most; all of them in each minute, at once on a trip and
when a day begins. While the database is out of reach the newest of each account waits; what they took the
place of is missing there.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import structlog

from risk_daemon.engine.decision import Decision
from risk_daemon.engine.engine import Engine
from risk_daemon.model.clock import Clock, Instant
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.events import Tick
from risk_daemon.runtime.day_snapshots import snapshots_of
from risk_daemon.state.store.snapshots import Account, Snapshot

LOOK_EVERY_S = 10.0
LOOK_FOR_MISSING_EVERY_S = 1.0
_MINUTE_S = 60.0
_FORGET_EVERY_S = 3_600.0
_DAY_S = 86_400.0

_LOG = structlog.get_logger(__name__)


class Place(Protocol):
    """Where they are kept. Whatever it raises, it may be asked again."""

    async def keep(self, snapshots: Sequence[Snapshot]) -> None:
        """All or none. Takes no longer than it was told at most."""
        ...

    async def forget(self, before_wall: float, keep_days: int) -> bool:
        """Remove what is from before then (Unix seconds), but for the newest days on which anything was kept.

        True: there may be more of it.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSettings:
    """moves_by: a change in worth, in the reference currency, that is written down. keep_s None: for ever."""

    guard: str
    accounts: Sequence[Account]
    moves_by: Decimal
    keep_s: float | None
    again_after_s: float = 5.0
    end_within_s: float = 0.5


class SnapshotWriter:
    """`heard` is told of every decision; `start` has a task write. note: has an event written down, without waiting."""

    def __init__(
        self, engine: Engine, clock: Clock, place: Place, settings: SnapshotSettings, note: Callable[[RiskEvent], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._place = place
        self._settings = settings
        self._note = note
        self._ids = {one.venue: one.account_id for one in settings.accounts}
        self._waiting: dict[str, Snapshot] = {}
        self._taken: dict[str, Snapshot] = {}
        self._news = asyncio.Event()
        self._look_mono = self._forget_mono = float("-inf")
        self._trip_id: str | None = None
        self._period: tuple[str | None, int] = (None, 0)
        self._is_whole = False
        self._is_failing = False
        self._writing: asyncio.Task[None] | None = None
        self._is_closed = False

    # --- taking --------------------------------------------------------------------------------------

    def heard(self, decision: Decision) -> None:
        """Looks at the accounts when it is time; must not block, nor raise."""
        now, trip = decision.now, self._engine.trip
        trip_id = None if trip is None else trip.trip_id
        if trip_id != self._trip_id:
            self._trip_id = trip_id
            self.look(now, all_of_them=True)
        elif isinstance(decision.event, Tick):
            period = (self._engine.baselines.day, int(now.wall // _MINUTE_S))
            every_s = LOOK_EVERY_S if self._is_whole else LOOK_FOR_MISSING_EVERY_S
            if period != self._period or now.mono - self._look_mono >= every_s:
                self.look(now, all_of_them=period != self._period)
                self._period = period

    def look(self, now: Instant, *, all_of_them: bool = False) -> None:
        """Take what is worth writing; with `all_of_them`, whatever is known."""
        self._look_mono = now.mono
        try:
            self._take(now, all_of_them)
        except Exception as error:  # a bug in here must not end the turn of the guard that it stands beside
            self._tell(error)

    def _take(self, now: Instant, all_of_them: bool) -> None:
        found = snapshots_of(self._engine, now, self._settings.guard, self._ids)
        self._is_whole = found.keys() == self._ids.keys()
        due = {venue: one for venue, one in found.items() if all_of_them or self._is_due(self._taken.get(venue), one)}
        if due:
            self._taken |= due
            self._waiting |= due
            self._news.set()

    def _is_due(self, before: Snapshot | None, now: Snapshot) -> bool:
        if before is None or now.trading_day != before.trading_day:
            return True
        age_s = now.wall - before.wall
        if 0 <= age_s < LOOK_EVERY_S:
            return False
        if not 0 <= age_s < _MINUTE_S:  # it was not seen when all were written
            return True
        moves = (now.current_equity - before.current_equity, now.start_of_day_equity - before.start_of_day_equity)
        return max(map(abs, moves)) > self._settings.moves_by or now.loss_limit != before.loss_limit

    # --- writing -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Write beside everything else, until `close`."""
        self._writing = asyncio.get_running_loop().create_task(self._run(), name="snapshots")

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            if not await self._write():
                await asyncio.sleep(self._settings.again_after_s)

    async def close(self) -> None:
        """Write the last of them, if that can be done at once, and let go of the place. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self.look(self._clock.now(), all_of_them=True)
        try:
            async with asyncio.timeout(self._settings.end_within_s):
                await self._stop_writing()
                await self._write()
        except TimeoutError:
            _LOG.warning("snapshots_not_written", waiting=len(self._waiting))
        await self._place.close()

    async def _stop_writing(self) -> None:
        """What is under way is begun anew: a row that is there twice does no harm."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})

    async def _write(self) -> bool:
        """What waits now. Returns whether it is kept; what is not waits on, unless there is something newer."""
        self._news.clear()
        taken, self._waiting = self._waiting, {}
        try:
            await self._place.keep(list(taken.values()))
            taken = {}
            await self._forget_old()
        except Exception as error:  # whatever it is: the guard has nothing to do with it
            self._tell(error)
            return False
        finally:
            self._wait_on(taken)
        self._tell(None)
        return True

    def _wait_on(self, unwritten: Mapping[str, Snapshot]) -> None:
        """Those that were not kept, where nothing newer took their place."""
        self._waiting = {**unwritten, **self._waiting}
        if self._waiting:
            self._news.set()

    async def _forget_old(self) -> None:
        now = self._clock.now()
        if self._settings.keep_s is not None and now.mono - self._forget_mono >= _FORGET_EVERY_S:
            keep_s = self._settings.keep_s
            if not await self._place.forget(now.wall - keep_s, math.ceil(keep_s / _DAY_S)):
                self._forget_mono = now.mono

    def _tell(self, error: Exception | None) -> None:
        """Once when it begins, and once when it ends."""
        if (error is not None) == self._is_failing:
            return
        self._is_failing = error is not None
        if error is None:
            self._note(RiskEvent(EventName.SNAPSHOTS_WRITABLE))
        else:
            self._note(RiskEvent(EventName.SNAPSHOTS_UNWRITABLE, {"error": str(error) or repr(error)}))
