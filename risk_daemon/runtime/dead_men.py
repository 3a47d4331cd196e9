"""The venues' own switches, carried out: refreshed when the engine asks for it, disarmed at a good end.

Nothing here keeps time: without the engine's word no switch is refreshed. A refresh that is under way at the end is
awaited before the disarm leaves, because the venue may take it after the disarm and would be armed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import structlog

from adapters.base import VenueAdapter
from adapters.budget import HeldBack
from adapters.dead_man import CancelsByItself
from adapters.lane import PushedAside
from risk_daemon.engine.decision import RefreshDeadMan
from risk_daemon.errors import VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import DeadManAnswered, DeadManDisarmed, Input
from risk_daemon.runtime.tasks import Tasks

_LOG = structlog.get_logger(__name__)
_PAUSE_S = 0.5

Symbols = Callable[[str], Collection[str]]


class DeadMen:
    """emit: takes the outcome of every refresh. symbols: what has orders or positions at a venue now."""

    def __init__(
        self,
        adapters: Mapping[str, VenueAdapter],
        clock: Clock,
        tasks: Tasks,
        *,
        emit: Callable[[Input], None],
        symbols: Symbols,
    ) -> None:
        self._switches = {name: one for name, one in adapters.items() if isinstance(one, CancelsByItself)}
        self._clock = clock
        self._tasks = tasks
        self._emit = emit
        self._symbols = symbols
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._was_armed: dict[str, bool | None] = {}
        self._unanswered: set[str] = set()
        self._is_over = False

    def refresh(self, action: RefreshDeadMan) -> None:
        """Begin a refresh, beside everything else. After the end has begun there is none."""
        if not self._is_over and action.venue in self._switches:
            self._under_way[action.venue] = self._tasks.spawn(self._refresh(action), f"dead man {action.venue}")

    async def _refresh(self, action: RefreshDeadMan) -> None:
        """What comes of it is an input of the engine, whatever it is."""
        asked = DeadManAnswered(venue=action.venue, requested_mono=self._clock.now().mono)
        self._unanswered.add(action.venue)
        try:
            async with asyncio.timeout(action.within_s):
                armed = await self._arm(action)
        except (VenueError, TimeoutError) as error:
            if isinstance(error, VenueRejected | HeldBack):  # else the venue may still take it
                self._unanswered.discard(action.venue)
            reason = str(error) or f"no answer within {action.within_s:g} s"
            rest_s = (error.retry_after_s if isinstance(error, VenueUnavailable) else None) or 0.0
            is_held_back = isinstance(error, PushedAside)
            self._emit(replace(asked, error=reason, is_held_back=is_held_back, retry_after_s=rest_s))
        else:
            self._unanswered.discard(action.venue)
            self._emit(replace(asked, armed=armed, was_armed=self._was_armed[action.venue]))

    async def _arm(self, action: RefreshDeadMan) -> tuple[str, ...]:
        """Before the first time the venue is asked whether somebody has armed it already."""
        venue = self._switches[action.venue]
        if action.venue not in self._was_armed:
            self._was_armed[action.venue] = await _asked(venue)
        return await venue.arm_dead_men(action.timeout_s, self._symbols(action.venue), urgent=action.urgent)

    # --- the end -----------------------------------------------------------------------------------

    async def disarm(self, within_s: float) -> list[DeadManDisarmed]:
        """End all refreshes, await them, then disarm what was armed in this run.

        within_s: how long each venue is asked for it again and again.
        """
        self._is_over = True
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        return await asyncio.gather(*(self._disarm(venue, within_s) for venue in self._was_armed))

    async def _disarm(self, venue: str, within_s: float) -> DeadManDisarmed:
        is_certain, why = venue not in self._unanswered, "no answer in time"
        try:
            async with asyncio.timeout(within_s):
                while (refusal := await self._refusal(venue)) is not None:
                    why = refusal
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            return DeadManDisarmed(venue, why, is_certain=False)
        return DeadManDisarmed(venue, is_certain=is_certain)

    async def _refusal(self, venue: str) -> str | None:
        """Disarm once. Why it was not taken; None: it was."""
        try:
            await self._switches[venue].disarm_dead_men()
        except VenueError as error:
            return str(error)
        return None


async def _asked(venue: CancelsByItself) -> bool | None:
    """Whether it is armed, where the venue can be asked and answers: that must keep nobody from arming it."""
    try:
        return await venue.are_dead_men_armed()
    except VenueError as error:
        _LOG.warning("dead_man_not_known", error=str(error))
        return None
