"""Closes the positions of all venues at once, and proves that they are flat and that no order is left.

First every order scope of every venue is proven empty, because whatever rests there could undo it. Then each venue
is closed by itself. Closing placed orders, so the scopes are proven empty once more, and if an order was found there,
what is held may have changed: then it all begins again, until nothing is found or the time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from adapters.base import VenueAdapter
from oms.calls import Failure, ask
from oms.results import CloseResult, SweepResult, VenueClosed
from oms.venue_closing import CloseTerms, VenueClosing
from risk_daemon.model.events import BalancesSeen, ClosingFinished
from risk_daemon.model.units import EXACT, ZERO

BALANCES_WITHIN_S = 30.0
BALANCES_EVERY_S = 1.0
"""What is held after it is only told: for so long it is asked for, so often."""


class Sweep(Protocol):
    """Proves every order scope empty, in the time that is left."""

    def __call__(self, *, within_s: float, is_first: bool) -> Awaitable[SweepResult]: ...


class Closing:
    """One closing of all its venues. deadline_s: after this many seconds it returns, flat or not."""

    def __init__(self, adapters: Sequence[VenueAdapter], terms: CloseTerms, sweep: Sweep, deadline_s: float) -> None:
        self._adapters = adapters
        self._terms = terms
        self._sweep = sweep
        self._started_mono = self._now_mono()
        self._deadline_s = deadline_s
        self._venues = [VenueClosing(adapter, terms) for adapter in adapters]
        self._working: asyncio.Task[None] | None = None
        self._stopped = False
        self._waits_for: str | None = None

    async def run(self) -> CloseResult:
        """To its end. Never raises for what a venue does."""
        sweep, is_done = await self._sweep(within_s=self._left_s(), is_first=True), False
        while sweep.proven and not is_done and not self._is_over():
            if not await self._close_all():
                break
            sweep = await self._sweep(within_s=self._left_s(), is_first=False)
            is_done = sweep.proven and not _found_orders(sweep)
            if not is_done:
                for venue in self._venues:
                    venue.again()
        return await self._finish(sweep, is_flat=is_done)

    def stop(self) -> None:
        """End it now, with what is closed so far. The sweep under way is stopped by whoever made it."""
        self._stopped = True
        if self._working is not None:
            self._working.cancel()

    def snapshot(self) -> Mapping[str, VenueClosed]:
        """The venues as they stand, by name."""
        verdicts = (venue.verdict(self._waits_for) for venue in self._venues)
        return {verdict.venue: verdict for verdict in verdicts}

    async def _close_all(self) -> bool:
        """Whether every venue is flat in time."""
        self._working = asyncio.ensure_future(_all(venue.run() for venue in self._venues))
        await asyncio.wait({self._working}, timeout=self._left_s())
        if not self._working.done():
            self._working.cancel()
            await asyncio.wait({self._working})
        return all(verdict.flat for verdict in self.snapshot().values())

    async def _finish(self, sweep: SweepResult, *, is_flat: bool) -> CloseResult:
        self._waits_for = _what_blocks(sweep)
        venues = self.snapshot()
        if sweep.proven and not is_flat:
            for venue in self._venues:
                venue.tell_end()
        remaining = await self._remaining(venues.values())
        elapsed_s = self._now_mono() - self._started_mono
        result = CloseResult(
            trip_id=self._terms.trip_id,
            flat=is_flat,
            elapsed_s=elapsed_s,
            venues=venues,
            sweep=sweep,
            remaining=remaining,
        )
        self._terms.emit(
            ClosingFinished(
                trip_id=self._terms.trip_id,
                flat=is_flat,
                elapsed_s=elapsed_s,
                reason=result.reason,
                remaining=remaining,
            )
        )
        return result

    async def _remaining(self, venues: Iterable[VenueClosed]) -> Mapping[str, Decimal] | None:
        """What is held of the underlyings of what was closed."""
        assets = {leg.position.underlying for venue in venues for leg in venue.legs}
        if not assets:
            return {}
        if self._is_over():
            return None
        answers = await asyncio.gather(*map(self._balances, self._adapters))
        held = dict.fromkeys(sorted(assets), ZERO)
        for answer in answers:
            if answer is None:
                return None
            for asset in assets & answer.amounts.keys():
                held[asset] = EXACT.add(held[asset], answer.amounts[asset])
        return {asset: amount for asset, amount in held.items() if amount}

    async def _balances(self, adapter: VenueAdapter) -> BalancesSeen | None:
        """Asked for again and again: a venue that was asked so much may have no room for one more call yet."""
        until_mono = self._now_mono() + min(BALANCES_WITHIN_S, self._left_s())
        while not self._stopped and (left_s := until_mono - self._now_mono()) > 0:
            within_s = min(self._terms.call_timeout_s, left_s)
            answer = await ask(lambda: adapter.read_balances(urgent=True), within_s)
            if not isinstance(answer, Failure):
                return answer
            await asyncio.sleep(min(BALANCES_EVERY_S, max(0.0, until_mono - self._now_mono())))
        return None

    def _is_over(self) -> bool:
        return self._stopped or self._left_s() <= 0

    def _left_s(self) -> float:
        return max(0.0, self._started_mono + self._deadline_s - self._now_mono())

    def _now_mono(self) -> float:
        return self._terms.clock.now().mono


async def _all(runs: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*runs)


def _found_orders(sweep: SweepResult) -> bool:
    """Whether an order was open, or one is left alone: either may fill, or have filled."""
    return any(venue.cancelled or venue.replaced or venue.kept for venue in sweep.venues.values())


def _what_blocks(sweep: SweepResult) -> str | None:
    """Nothing is closed anywhere before every venue is proven: which is not. None where that is no obstacle."""
    if sweep.proven is True:
        return None
    unproven = [name for name, venue in sweep.venues.items() if venue.proven is not True]
    return f"nothing is closed before the orders of {', '.join(unproven) or 'all venues together'} are proven gone"
