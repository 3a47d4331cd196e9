"""Every order scope of a venue, listed in every round: what a sweep would need must be had all the time.

Each scope is one call a round, beside the readings of the feed, and one more asks whether the key may cancel: a key
that was made read-only is found within a round. What else it may do is asked now and then. A refused or failed listing
is told, and asked again with backoff.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import asdict

from adapters.base import CancelProbe, KeyAuditor, OrderScope, VenueAdapter
from adapters.lane import PushedAside
from risk_daemon.errors import VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import CancelChecked, Input, KeyAudited, ListingFailed, OrdersListed

_ASK_AGAIN_S = 0.5
AUDIT_EVERY_S = 3_600.0


class OrderRounds:
    """Lists for as long as it runs; every outcome is an input given to `emit`.

    may_list: whether it shall now: while a sweep lists, it keeps out of its way.
    """

    def __init__(
        self,
        adapter: VenueAdapter,
        emit: Callable[[Input], None],
        clock: Clock,
        *,
        every_s: float,
        call_timeout_s: float,
        backoff: Callable[[int], float],
        may_list: Callable[[], bool],
    ) -> None:
        self._adapter = adapter
        self._emit = emit
        self._clock = clock
        self._every_s = every_s
        self._call_timeout_s = call_timeout_s
        self._backoff = backoff
        self._may_list = may_list
        self._retry_after_s = 0.0
        self._audited_mono = -math.inf

    async def run(self) -> None:
        """Until it is cancelled."""
        failures = 0
        while True:
            if not self._may_list():
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            is_well = await self._round()
            failures = 0 if is_well else failures + 1
            pause_s = self._every_s if failures == 0 else min(self._every_s, self._backoff(failures))
            due_mono = self._clock.now().mono + max(pause_s, self._retry_after_s)
            if is_well:  # else it is known already that something is wrong, and lists must go on
                await self._probe()
                await self._audit()
            await asyncio.sleep(max(0.0, due_mono - self._clock.now().mono))

    async def _round(self) -> bool:
        """Every scope once. False if one of them was not listed."""
        self._retry_after_s = 0.0
        listed = [await self._list(scope) for scope in self._adapter.scopes]
        return all(listed)

    async def _list(self, scope: OrderScope) -> bool:
        requested_mono, venue = self._clock.now().mono, self._adapter.name
        try:
            async with asyncio.timeout(self._call_timeout_s):
                listing = await self._adapter.list_orders(scope, urgent=False)
        except PushedAside:
            return False
        except (VenueError, TimeoutError) as error:
            is_refused = isinstance(error, VenueRejected)
            if isinstance(error, VenueUnavailable) and error.retry_after_s is not None:
                self._retry_after_s = max(self._retry_after_s, error.retry_after_s)
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            self._emit(ListingFailed(venue, scope.name, requested_mono, reason, is_refused))
            return False
        self._emit(OrdersListed(venue, scope.name, listing.requested_mono, listing.orders))
        return True

    async def _probe(self) -> None:
        """What the venue did not answer says nothing about the key: it is asked in the next round."""
        if not isinstance(self._adapter, CancelProbe):
            return
        try:
            async with asyncio.timeout(self._call_timeout_s):
                answer = await self._adapter.cancel_permission()
        except (VenueError, TimeoutError):
            return
        self._emit(CancelChecked(self._adapter.name, answer.may_cancel, answer.reason))

    async def _audit(self) -> None:
        """What the key may do beside cancelling; where the venue gives no answer, it is asked in the next round."""
        now_mono = self._clock.now().mono
        if not isinstance(self._adapter, KeyAuditor) or now_mono - self._audited_mono < AUDIT_EVERY_S:
            return
        try:
            async with asyncio.timeout(self._call_timeout_s):
                powers = await self._adapter.audit_key()
        except (VenueError, TimeoutError):
            return
        self._audited_mono = now_mono
        if powers is not None:
            self._emit(KeyAudited(venue=self._adapter.name, **asdict(powers)))
