"""Closing the positions of one venue: look, order, make sure that no order is left, look again, until it is flat.

The orders of one look leave one after the other. Then nothing is ordered until every order scope of the venue was
listed empty, by listings requested when the last order had arrived for certain: what rests there is cancelled first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from adapters.base import Lot, Market, OrderScope, PositionCloser, VenueAdapter
from oms.calls import FIRST_PAUSE_S, Failure, Pace, ask, failure_of
from oms.flat import CloseOrder, FlatProof, positions_fault
from oms.proof import listing_fault
from oms.results import VenueClosed
from oms.telling import Telling
from risk_daemon.model.account import Order, Position
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import Input, PositionClosed, PositionsSeen, VenueUnproven
from risk_daemon.model.units import plain

LONGEST_REST_S = 30.0

_turns: WeakKeyDictionary[object, asyncio.Lock] = WeakKeyDictionary()
"""One closing at a time on a venue, whoever asks for it: two would each order the whole of a position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTerms:
    """What the venues of one closing share. Times in seconds; see OrderManager."""

    trip_id: str
    clock: Clock
    settle_s: float
    order_flight_s: float
    call_timeout_s: float
    emit: Callable[[Input], None]


class VenueClosing:
    """One venue. `run` ends when it is flat, or by cancellation."""

    def __init__(self, adapter: VenueAdapter, terms: CloseTerms) -> None:
        self._adapter = adapter
        self._terms = terms
        self._proof = FlatProof(settle_s=terms.settle_s, flight_s=terms.order_flight_s)
        self._pace = Pace()
        self._failure: str | None = None
        self._telling = Telling()
        self._told: set[tuple[str, str]] = set()

    def again(self) -> None:
        """Look anew: what was found open since may have changed what is held."""
        self._proof.failed()

    def verdict(self, waits_for: str | None = None) -> VenueClosed:
        """How the venue stands. waits_for: why it was not begun, if it was not."""
        is_flat = self._proof.is_flat or not self._may_hold_positions()
        reason = None if is_flat else self._reason() or waits_for or "its positions were not listed yet"
        return VenueClosed(venue=self._adapter.name, flat=is_flat, legs=self._proof.legs, reason=reason)

    async def run(self) -> None:
        """Until it is flat."""
        if not self._may_hold_positions():
            self._proof.is_flat = True
            return
        turn = _turns.setdefault(self._adapter, asyncio.Lock())
        is_second = turn.locked()
        async with turn:
            if is_second:  # whoever was first may have been stopped with an order on its way
                self._proof.ordering()
                self._proof.answered(self._now_mono(), is_certain=False)
            while not self._proof.is_flat:
                try:
                    await self._step()
                except Exception as error:  # the edge of this task: a bug must not end the closing
                    self._fail(failure_of(error))
                    await asyncio.sleep(FIRST_PAUSE_S)
        self._tell_closed()

    def tell_end(self) -> None:
        """Why it is not flat, if it is not."""
        reason = self.verdict().reason
        if reason is not None:
            terms = self._terms
            terms.emit(VenueUnproven(self._adapter.name, terms.trip_id, reason, max(1, self._telling.rest())))

    def _may_hold_positions(self) -> bool:
        """Spot has none; elsewhere a venue whose positions can't be read is never flat."""
        return self._adapter.capabilities.has_positions or bool(self._adapter.markets - {Market.SPOT})

    async def _step(self) -> None:
        await self._until(max(self._proof.not_before_mono, self._proof.due_mono, self._pace.resume_mono))
        if self._proof.is_working:
            await self._clear_orders()
            return
        seen = await self._look()
        if isinstance(seen, Failure):
            self._proof.failed()
            self._fail(seen)
            return
        orders = self._proof.listed(seen.positions, seen.requested_mono, self._lot_of)
        if self._proof.blocked:
            self._fail(Failure("; ".join(self._proof.blocked)))
        for order in orders:
            await self._send(order)

    # --- looking -----------------------------------------------------------------------------------

    async def _look(self) -> PositionsSeen | Failure:
        if not self._adapter.capabilities.has_positions:
            return Failure("its positions can't be read, so nobody can say that there are none")
        asked_mono = self._now_mono()
        answer = await ask(lambda: self._adapter.read_positions(urgent=True), self._terms.call_timeout_s)
        if isinstance(answer, Failure):
            return answer
        fault = positions_fault(answer, self._adapter.name, asked_mono=asked_mono, received_mono=self._now_mono())
        return answer if fault is None else Failure(fault)

    def _lot_of(self, position: Position) -> Lot | str:
        if not isinstance(self._adapter, PositionCloser):
            return "this adapter can't close positions"
        try:
            return self._adapter.lot(position.symbol)
        except Exception as error:  # whatever it is, the other positions are closed
            return failure_of(error).reason

    # --- ordering ----------------------------------------------------------------------------------

    async def _send(self, order: CloseOrder) -> None:
        closer = self._adapter
        if not isinstance(closer, PositionCloser):  # never: there is no lot then, and so no order
            return
        self._proof.ordering()
        send = partial(closer.close_position, order.position, order.quantity, label=self._terms.trip_id)
        answer = await ask(send, self._terms.call_timeout_s)
        self._proof.answered(self._now_mono(), is_certain=not isinstance(answer, Failure))
        if isinstance(answer, Failure):
            reason = f"{order.position.symbol} {plain(order.position.quantity)} could not be closed: {answer.reason}"
            self._fail(Failure(reason, answer.retry_after_s))
        else:
            self._failure = None

    async def _clear_orders(self) -> None:
        """Make sure that nothing of ours is working; what rests is cancelled, and looked for again."""
        requested_mono = self._now_mono()
        found = False
        for scope in self._adapter.scopes:
            orders = await self._orders_of(scope)
            if isinstance(orders, Failure):
                self._fail(orders)
                return
            if orders:
                found = True
                await self._cancel(scope, orders)
        if found:
            self._pace.struck(self._now_mono())
        else:
            self._proof.no_order_left(requested_mono)

    async def _orders_of(self, scope: OrderScope) -> tuple[Order, ...] | Failure:
        asked_mono = self._now_mono()
        answer = await ask(lambda: self._adapter.list_orders(scope), self._terms.call_timeout_s)
        if isinstance(answer, Failure):
            return answer
        name, now_mono = self._adapter.name, self._now_mono()
        fault = listing_fault(answer, name, scope.name, asked_mono=asked_mono, received_mono=now_mono)
        return answer.orders if fault is None else Failure(fault)

    async def _cancel(self, scope: OrderScope, orders: tuple[Order, ...]) -> None:
        answer = await ask(lambda: self._adapter.cancel_orders(scope, orders), self._terms.call_timeout_s)
        self._proof.answered(self._now_mono(), is_certain=not isinstance(answer, Failure))

    # --- telling -----------------------------------------------------------------------------------

    def _fail(self, failure: Failure) -> None:
        self._failure = failure.reason
        now_mono = self._now_mono()
        self._pace.struck(now_mono)
        if failure.retry_after_s > 0:
            rest_s = min(failure.retry_after_s, LONGEST_REST_S)
            self._pace.resume_mono = max(self._pace.resume_mono, now_mono + rest_s)
        changes = self._telling.changed(failure.reason, now_mono)
        if changes:
            self._terms.emit(VenueUnproven(self._adapter.name, self._terms.trip_id, failure.reason, changes))

    def _reason(self) -> str | None:
        legs = ", ".join(f"{leg.position.symbol} {plain(leg.position.quantity)}" for leg in self._proof.open_legs)
        told = f"positions are open: {legs}" if legs else None
        return "; ".join(filter(None, (told, self._failure))) or None

    def _tell_closed(self) -> None:
        for leg in self._proof.legs:
            key = (leg.position.symbol, leg.side)
            if key not in self._told:
                self._told.add(key)
                self._terms.emit(
                    PositionClosed(
                        trip_id=self._terms.trip_id,
                        venue=self._adapter.name,
                        symbol=leg.position.symbol,
                        side=leg.side,
                        quantity=leg.size - leg.residual,
                        residual=leg.residual,
                    )
                )

    async def _until(self, at_mono: float) -> None:
        wait_s = at_mono - self._now_mono()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _now_mono(self) -> float:
        return self._terms.clock.now().mono
