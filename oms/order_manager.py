"""Cancels every open order on every venue and proves that they are gone; closes positions where it is asked to.

All venues are swept at once. A sweep runs in a task that the manager holds: whoever asked for it may be
cancelled, the sweep goes on until it is proven, its deadline is over, or the owner says `stop()`.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market, OrderScope, VenueAdapter
from oms.calls import failure_of
from oms.closing import Closing
from oms.joint_sweep import JointSweep, KnownByVenue, Surroundings, SweepSettings
from oms.results import CloseResult, SweepResult, VenueClosed, VenueVerdict
from oms.sweep import SelectiveCancel, VenuePlan, may_hold_protective
from oms.venue_closing import CloseTerms
from risk_daemon.errors import UsageError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.events import Input, Order, Position

Markets = frozenset[Market]

TELLS_S = 0.5
"""So long before the deadline a sweep or closing ends: who waits no longer than that still hears what is open."""

_TRIPS_REMEMBERED = 4


class OrderManager:
    """Sweeps venues. Not thread-safe; belongs to one event loop.

    settle_s: seconds between the two empty listings of a proof. order_flight_s: how long an order sent
    under the last lease may take to arrive. lease_s: how long a lease is valid. call_timeout_s: limit of
    one adapter call. cancel_deadline_s: by then a sweep has returned, at most TELLS_S before.
    protective_orders: "cancel" everything, or "keep" reduce-only orders against an open position.
    emit: takes VenueProven, VenueUnproven, VenueSwept, OrderReplaced and SweepFinished as they happen, of a closing
    PositionClosed and ClosingFinished as well; must not block.
    positions: the open positions of a venue, or None if they are not known (then nothing is kept).
    open_orders: the orders believed open on a venue when a sweep begins, so that those which the first
    cancel removes are counted and are not taken for new; never evidence.

    Raises UsageError for times that are negative or not finite, for another word in
    `protective_orders`, and for "keep" without `positions`.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        settle_s: float = 2.0,
        order_flight_s: float = 5.0,
        lease_s: float = 1.0,
        call_timeout_s: float = 10.0,
        cancel_deadline_s: float = 300.0,
        protective_orders: str = "cancel",
        emit: Callable[[Input], None] | None = None,
        positions: Callable[[str], tuple[Position, ...] | None] | None = None,
        open_orders: Callable[[str], tuple[Order, ...]] | None = None,
    ) -> None:
        self._positions = positions
        self._lease_s = lease_s
        self._call_timeout_s = call_timeout_s
        self.reconfigure(
            settle_s=settle_s,
            order_flight_s=order_flight_s,
            cancel_deadline_s=cancel_deadline_s,
            protective_orders=protective_orders,
        )
        self._emit = emit
        self._open_orders = open_orders
        self._around = Surroundings(
            clock or SystemClock(), self._safe_emit, self._safe_positions, self._safe_open_orders
        )
        self._adapters: dict[str, VenueAdapter] = {}
        self._markets: dict[str, Markets] = {}
        self._running: dict[tuple[str, Markets], tuple[JointSweep, asyncio.Task[SweepResult]]] = {}
        self._known: dict[str, KnownByVenue] = {}
        self._closings: dict[str, tuple[Closing, asyncio.Task[CloseResult]]] = {}
        self._latest: JointSweep | None = None

    def reconfigure(
        self, *, settle_s: float, order_flight_s: float, cancel_deadline_s: float, protective_orders: str
    ) -> None:
        """For every sweep that begins from now on. One that runs ends as it began. Raises like the constructor."""
        if protective_orders not in ("cancel", "keep"):
            raise UsageError(f'protective_orders is "cancel" or "keep", not {protective_orders!r}')
        if protective_orders == "keep" and self._positions is None:
            raise UsageError('protective_orders = "keep" needs to know the open positions')
        times_s = (settle_s, order_flight_s, self._lease_s, self._call_timeout_s, cancel_deadline_s)
        if not all(math.isfinite(seconds) and seconds >= 0 for seconds in times_s):
            raise UsageError("the times of a sweep are finite seconds, zero or more")
        ends_s = cancel_deadline_s - min(TELLS_S, cancel_deadline_s / 10)
        self._settings = SweepSettings(*times_s[:-1], ends_s, keep_protective=protective_orders == "keep")

    def add_spot_adapter(self, adapter: VenueAdapter) -> None:
        """Its spot and margin scopes take part. Raises UsageError if it has none, or the name is taken."""
        self._add(adapter, SPOT_MARKETS)

    def add_perp_adapter(self, adapter: VenueAdapter) -> None:
        """Its perp scopes take part. The same adapter may be added to both. Raises like `add_spot_adapter`."""
        self._add(adapter, PERP_MARKETS)

    async def cancel_all_spot_orders(
        self, *, trip_id: str | None = None, locked_mono: float | None = None
    ) -> SweepResult:
        """Sweep the spot and margin scopes. See `cancel_all_orders`."""
        return await self._cancel_all(SPOT_MARKETS, trip_id, locked_mono)

    async def cancel_all_perp_orders(
        self, *, trip_id: str | None = None, locked_mono: float | None = None
    ) -> SweepResult:
        """Sweep the perp scopes. See `cancel_all_orders`."""
        return await self._cancel_all(PERP_MARKETS, trip_id, locked_mono)

    async def cancel_all_orders(self, *, trip_id: str | None = None, locked_mono: float | None = None) -> SweepResult:
        """Cancel every open order of every registered scope and prove that they are gone.

        trip_id: every action carries it; None makes a new one. locked_mono: when new orders were locked
        out, in seconds of `Instant.mono`; None counts from now. The joint round waits until the lock is
        older than `lease_s + order_flight_s`.

        A venue that fails, hangs or is not proven never raises: it is in the result. Cancelling the
        caller does not cancel the sweep. A call for a trip and markets that are being swept joins that
        sweep; any other call starts a sweep of its own at once, beside those that run, because a new
        trip must not wait for an old one. A sweep of a trip that was swept before looks first and
        cancels what it sees, so that every order placed since is named.

        Raises UsageError if no adapter is registered for these markets: an empty sweep proves nothing.
        """
        return await self._cancel_all(SPOT_MARKETS | PERP_MARKETS, trip_id, locked_mono)

    async def close_all_positions(self, *, trip_id: str | None = None, locked_mono: float | None = None) -> CloseResult:
        """Cancel every open order, and once that is proven close every position; then prove both.

        Each position is closed by market orders that can only reduce it, of its size floored to the venue's step. What
        is too small to be ordered is left and named. Spot holdings are not sold. Protective orders that the first sweep
        kept go with the positions they protect.

        `cancel_deadline_s` is the time for all of it. See `cancel_all_orders`: nothing a venue does raises, cancelling
        the caller does not cancel the closing, and a call for a trip that is being closed joins it. On one venue there
        is one closing at a time, whoever asks.

        Raises UsageError if no adapter is registered.
        """
        trip_id = trip_id or uuid.uuid4().hex
        if trip_id not in self._closings:
            self._plans(SPOT_MARKETS | PERP_MARKETS)
            self._start_closing(trip_id, locked_mono)
        _, task = self._closings[trip_id]
        return await asyncio.shield(task)

    def snapshot(self) -> Mapping[str, VenueVerdict]:
        """The venues of the sweep that began last, as they stand now. Empty before the first."""
        return self._latest.snapshot() if self._latest else {}

    def closing_snapshot(self) -> Mapping[str, VenueClosed]:
        """The venues of the closing that runs, as they stand now. Empty while there is none."""
        closings = list(self._closings.values())
        return closings[-1][0].snapshot() if closings else {}

    async def stop(self) -> None:
        """End all running sweeps and closings. Their callers get a result with what is proven and closed so far."""
        tasks = [task for _, task in (*self._closings.values(), *self._running.values())]
        self.stop_soon()
        if tasks:
            await asyncio.wait(tasks)

    def stop_soon(self) -> None:
        """The same without waiting: nothing more is begun."""
        for closing, _ in self._closings.values():
            closing.stop()
        for sweep, _ in self._running.values():
            sweep.stop()

    def _add(self, adapter: VenueAdapter, markets: Markets) -> None:
        name = adapter.name
        if self._adapters.get(name, adapter) is not adapter:
            raise UsageError(f"two adapters are called {name!r}: one would hide the other")
        scopes = _scopes_of(adapter, markets)
        if not scopes:
            raise UsageError(f"{name} has no order scope for {_words(markets)}: nothing there can be cancelled")
        if self._settings.keep_protective and any(may_hold_protective(scope, adapter) for scope in scopes):
            _require_selective(adapter)
        self._adapters[name] = adapter
        self._markets[name] = self._markets.get(name, frozenset()) | markets

    def _start_closing(self, trip_id: str, locked_mono: float | None) -> None:
        """What the first sweep may keep goes in those after it: the positions are gone."""
        settings = self._settings

        async def sweep(*, within_s: float, is_first: bool) -> SweepResult:
            keeps = settings.keep_protective and is_first
            terms = replace(settings, cancel_deadline_s=within_s, keep_protective=keeps)
            return await self._cancel_all(SPOT_MARKETS | PERP_MARKETS, trip_id, locked_mono, terms)

        terms = CloseTerms(
            trip_id=trip_id,
            clock=self._around.clock,
            settle_s=settings.settle_s,
            order_flight_s=settings.order_flight_s,
            call_timeout_s=settings.call_timeout_s,
            emit=self._safe_emit,
        )
        closing = Closing(list(self._adapters.values()), terms, sweep, settings.cancel_deadline_s)
        task = asyncio.create_task(self._close(trip_id, closing), name=f"closing {trip_id}")
        self._closings[trip_id] = (closing, task)

    async def _close(self, trip_id: str, closing: Closing) -> CloseResult:
        try:
            return await closing.run()
        finally:
            del self._closings[trip_id]

    async def _cancel_all(
        self, markets: Markets, trip_id: str | None, locked_mono: float | None, settings: SweepSettings | None = None
    ) -> SweepResult:
        trip_id = trip_id or uuid.uuid4().hex
        key = (trip_id, markets)
        if key not in self._running:
            self._start(key, locked_mono, settings or self._settings)
        _, task = self._running[key]
        return await asyncio.shield(task)

    def _start(self, key: tuple[str, Markets], locked_mono: float | None, settings: SweepSettings) -> None:
        trip_id, markets = key
        sweep = JointSweep(
            trip_id,
            self._plans(markets),
            settings,
            self._around,
            locked_mono=locked_mono,
            known=self._known.get(trip_id, {}),
        )
        self._latest = sweep
        self._running[key] = (sweep, asyncio.create_task(self._run(key, sweep), name=f"sweep {trip_id}"))

    async def _run(self, key: tuple[str, Markets], sweep: JointSweep) -> SweepResult:
        try:
            return await sweep.run()
        finally:
            self._remember(sweep)
            del self._running[key]

    def _remember(self, sweep: JointSweep) -> None:
        """Keep what was seen under a trip, for its next sweep; old trips are forgotten."""
        before = self._known.pop(sweep.trip_id, {})
        self._known[sweep.trip_id] = {**before, **_merged(before, sweep.known)}
        while len(self._known) > _TRIPS_REMEMBERED:
            del self._known[next(iter(self._known))]

    def _plans(self, markets: Markets) -> list[VenuePlan]:
        wanted = {name: self._markets[name] & markets for name in self._adapters}
        plans = [_plan(self._adapters[name], asked) for name, asked in wanted.items() if asked]
        if not plans:
            raise UsageError(f"no adapter is registered for {_words(markets)}: an empty sweep proves nothing")
        return plans

    def _safe_emit(self, event: Input) -> None:
        if self._emit is not None:
            try:
                self._emit(event)
            except Exception as error:  # telling must not stop the sweep
                _complain("a listener of the sweep failed", error)

    def _safe_positions(self, venue: str) -> tuple[Position, ...] | None:
        try:
            return self._positions(venue) if self._positions else None
        except Exception as error:  # unknown positions: nothing is kept
            _complain(f"the positions of {venue} are not known", error)
            return None

    def _safe_open_orders(self, venue: str) -> tuple[Order, ...]:
        try:
            return tuple(self._open_orders(venue)) if self._open_orders else ()
        except Exception as error:  # only the count suffers
            _complain(f"the open orders of {venue} are not known", error)
            return ()


def _complain(message: str, error: Exception) -> None:
    """Hand an error of the surroundings to the loop's handler: it is told, and the sweep goes on."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def _scopes_of(adapter: VenueAdapter, markets: Markets) -> tuple[OrderScope, ...]:
    scopes = tuple(scope for scope in adapter.scopes if scope.markets & markets)
    if len({scope.name for scope in scopes}) != len(scopes):
        raise UsageError(f"two order scopes of {adapter.name} share a name: one would prove the other")
    return scopes


def _plan(adapter: VenueAdapter, markets: Markets) -> VenuePlan:
    """The plan as it is now. A venue that can't say its scopes is swept as unproven, beside the others."""
    try:
        scopes = _scopes_of(adapter, markets)
    except Exception as error:  # becomes the venue's reason
        return VenuePlan(adapter, (), f"its order scopes are not known: {failure_of(error).reason}")
    can = adapter.capabilities
    return VenuePlan(
        adapter,
        scopes,
        f"no order scope for {_words(markets)}",
        lane_width=can.lane_width,
        never=None if can.is_provable else "; ".join(can.unprovable),
        unprovable=can.unprovable,
    )


def _merged(before: KnownByVenue, after: KnownByVenue) -> KnownByVenue:
    """`after`, with what was known before in the scopes it shares and in those it left out."""
    merged = {}
    for venue, scopes in after.items():
        old = before.get(venue, {})
        names = {**old, **scopes}
        merged[venue] = {name: {**old.get(name, {}), **scopes.get(name, {})} for name in names}
    return merged


def _require_selective(adapter: VenueAdapter) -> None:
    if not isinstance(adapter, SelectiveCancel):
        raise UsageError(
            f'{adapter.name} can only cancel a whole scope: protective_orders = "keep" is not possible there'
        )


def _words(markets: Markets) -> str:
    return " or ".join(market.value for market in Market if market in markets)
