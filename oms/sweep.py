"""The sweep of one venue: cancel, then list, until nothing is left.

Every order scope has a worker of its own, so that a scope that fails holds up no other. The first
thing a worker sends is the cancel; after that it acts on what it sees. What a cancel call answers is
never believed, only what the next listing shows.

A call that fails quickly is made once more in its place, at once: a venue that refuses every second call
(its nonce is shared with a bot) answers one of the two. If a scope can't be seen all the same, the cancel
goes out unseen, in each such round, because orders may be placed behind a broken listing. That undoes
the evidence, so where there is some, one failed look is repeated first.

Calls to one account take turns, as many at once as its lane is wide: where its signed requests leave one after
another, a call that waited for that behind one that hangs would run out of time together with it, each time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

from adapters.base import Market, OrderListing, OrderScope, VenueAdapter
from oms.calls import FIRST_PAUSE_S, Failure, Pace, Signal, ask, failure_of, wait_for_event
from oms.proof import JointRound, Sighting, VenueProof, is_protective, listing_fault
from oms.results import VenueVerdict
from oms.telling import RoundTelling, Telling
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import Input, Order, OrderReplaced, Position, VenueProven, VenueSwept, VenueUnproven

T = TypeVar("T")

LONGEST_REST_S = 30.0
"""A venue that asks for more rest than this is asked again all the same: its orders may still be open."""

QUICK_S = 2.0
"""A call that fails within this time may be made once more without holding up the other scopes."""


@runtime_checkable
class SelectiveCancel(Protocol):
    """An adapter that can leave the rest of a scope alone. Needed to keep protective orders."""

    async def cancel_only(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        """Ask the venue to cancel these orders and no others. Returning proves nothing. Always urgent."""
        ...


@dataclass(frozen=True, slots=True)
class VenuePlan:
    """A venue and the scopes to sweep. problem: why there are none, where there are none.

    lane_width: how many calls the venue takes at once. never: why nothing that is listed there proves anything.
    unprovable: what no listing there shows, for the record.
    """

    adapter: VenueAdapter
    scopes: tuple[OrderScope, ...]
    problem: str = "no order scope"
    lane_width: int = 1
    never: str | None = None
    unprovable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Campaign:
    """What the venues of one sweep share. `update` weighs the evidence and wakes who waits for it."""

    trip_id: str
    clock: Clock
    started_mono: float
    call_timeout_s: float
    keep_protective: bool
    joint: JointRound
    changed: Signal
    update: Callable[[], None]
    emit: Callable[[Input], None]
    positions: Callable[[str], tuple[Position, ...] | None]


def may_hold_protective(scope: OrderScope, adapter: VenueAdapter) -> bool:
    """Spot has no positions, so nothing there is reduce-only. Markets that are not guarded do not count."""
    return bool(scope.markets & adapter.markets - {Market.SPOT})


class VenueSweep:
    """Runs the workers of one venue and says what they found."""

    def __init__(self, plan: VenuePlan, proof: VenueProof, campaign: Campaign) -> None:
        self._plan = plan
        self._proof = proof
        self._campaign = campaign
        self._turn = asyncio.Semaphore(max(1, plan.lane_width))
        self._quiet_until_mono = -math.inf
        self._first_cancel_s: float | None = None
        self._proven_s: float | None = None
        self._rounds = 0
        self._looked_at: set[str] = set()  # the scopes, in the round that goes on
        self._round_telling = RoundTelling(campaign.started_mono)
        self._telling = Telling()  # the state is the reason why it is not proven; "" stands for proven

    def start(self) -> list[asyncio.Task[None]]:
        """One task a scope. They end only by cancellation."""
        self._tell()
        return [
            asyncio.create_task(self._work(scope), name=f"sweep {self._proof.venue} {scope.name}")
            for scope in self._plan.scopes
        ]

    def verdict(self) -> VenueVerdict:
        proof, left = self._proof, self._proof.left
        return VenueVerdict(
            venue=proof.venue,
            proven=proof.proven,
            cancelled=proof.cancelled,
            replaced=proof.replaced,
            kept=proof.kept,
            unproven_reason=proof.reason,
            first_cancel_s=self._first_cancel_s,
            proven_s=self._proven_s if proof.proven else None,
            scopes=tuple(scope.name for scope in self._plan.scopes),
            unprovable=self._plan.unprovable,
            listed_mono=proof.listed_mono,
            open=None if left is None else left + len(proof.kept),
            failing=not proof.proven and (proof.alarm or self._plan.never is not None),
        )

    async def _work(self, scope: OrderScope) -> None:
        pace = Pace()
        keeps = self._campaign.keep_protective and may_hold_protective(scope, self._plan.adapter)
        unseen = not keeps and not self._proof.swept_before(scope.name)
        while True:
            try:
                if unseen:
                    unseen = False
                    await self._cancel_unseen(scope)
                await self._until_due(scope, pace)
                unseen = not keeps  # however the look fails
                await self._look(scope, pace, keeps)
                unseen = unseen and self._proof.is_unseen(scope.name)
                self._end_look(scope)
            except Exception as error:  # the edge of this task: a bug must not end the sweep
                self._failed(scope, failure_of(error), pace)
                await asyncio.sleep(FIRST_PAUSE_S)

    def _end_look(self, scope: OrderScope) -> None:
        """With the last scope of a round, tell what it came to; of a venue that is proven there is nothing to tell."""
        self._looked_at.add(scope.name)
        if len(self._looked_at) < len(self._plan.scopes):
            return
        self._looked_at.clear()
        self._rounds += 1
        proof, now_mono = self._proof, self._now_mono()
        reason = proof.reason
        if reason is not None and self._round_telling.is_due((proof.cancelled, proof.left), now_mono):
            self._campaign.emit(
                VenueSwept(
                    venue=proof.venue,
                    trip_id=self._campaign.trip_id,
                    rounds=self._rounds,
                    cancelled=proof.cancelled,
                    left=proof.left,
                    elapsed_s=now_mono - self._campaign.started_mono,
                    reason=reason,
                )
            )

    async def _until_due(self, scope: OrderScope, pace: Pace) -> None:
        campaign = self._campaign
        while True:
            changed = campaign.changed.next()
            campaign.update()
            now_mono = self._now_mono()
            due_mono = campaign.joint.due_mono(self._proof.venue, scope.name, now_mono)
            at_mono = max(due_mono, pace.resume_mono)
            if at_mono <= now_mono:
                return
            await wait_for_event(changed, at_mono - now_mono)

    async def _look(self, scope: OrderScope, pace: Pace, keeps: bool) -> None:
        listing = await self._list(scope)
        if isinstance(listing, Failure):
            self._failed(scope, listing, pace)
            return
        keep = self._keeper() if keeps else _keep_none
        found = self._proof.listed(listing, self._now_mono(), keep)
        self._set_pace(found, pace)
        self._name(found.replaced)
        self._tell()
        if found.open:
            await self._cancel(scope, found.open, selective=keeps)
            self._tell()

    async def _list(self, scope: OrderScope) -> OrderListing | Failure:
        async with self._turn:
            await self._rest()
            return await self._twice(lambda: self._ask_for_listing(scope))

    async def _twice(self, call: Callable[[], Awaitable[T | Failure]]) -> T | Failure:
        """A call, and if it fails quickly the same at once again, before a read of other parts takes the lane."""
        asked_mono = self._now_mono()
        answer = await call()
        if isinstance(answer, Failure) and not answer.retry_after_s and self._now_mono() - asked_mono < QUICK_S:
            answer = await call()
        return answer

    async def _ask_for_listing(self, scope: OrderScope) -> OrderListing | Failure:
        adapter, asked_mono = self._plan.adapter, self._now_mono()
        answer = await ask(lambda: adapter.list_orders(scope), self._campaign.call_timeout_s)
        if isinstance(answer, Failure):
            return answer
        venue, received_mono = self._proof.venue, self._now_mono()
        fault = listing_fault(answer, venue, scope.name, asked_mono=asked_mono, received_mono=received_mono)
        return answer if fault is None else Failure(fault)

    async def _cancel_unseen(self, scope: OrderScope) -> None:
        """Everything in the scope; where that goes by id or symbol, what was seen or believed there."""
        await self._cancel(scope, self._proof.may_be_open(scope.name), listed=())

    async def _cancel(
        self,
        scope: OrderScope,
        orders: Sequence[Order],
        *,
        listed: Sequence[Order] | None = None,
        selective: bool = False,
    ) -> None:
        async with self._turn:
            await self._rest()
            self._note_cancel(scope, orders if listed is None else listed)
            send = partial(self._send, scope, orders, selective)
            answer = await self._twice(lambda: ask(send, self._campaign.call_timeout_s))
        failure = answer if isinstance(answer, Failure) else None
        self._proof.cancel_answered(scope.name, failure.reason if failure else None, self._now_mono())
        if failure:
            self._obey(failure)

    async def _send(self, scope: OrderScope, orders: Sequence[Order], selective: bool) -> None:
        adapter = self._plan.adapter
        if selective and isinstance(adapter, SelectiveCancel):
            await adapter.cancel_only(scope, orders)
        else:
            await adapter.cancel_orders(scope, orders)

    def _note_cancel(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        now_mono = self._now_mono()
        if self._first_cancel_s is None:
            self._first_cancel_s = now_mono - self._campaign.started_mono
        self._proof.cancelling(scope.name, orders, now_mono)

    async def _rest(self) -> None:
        """Leave the venue alone for as long as it asked."""
        rest_s = self._quiet_until_mono - self._now_mono()
        if rest_s > 0:
            await asyncio.sleep(rest_s)

    def _failed(self, scope: OrderScope, failure: Failure, pace: Pace) -> None:
        if not self._campaign.joint.passed:  # else it is over: what fails now undoes nothing
            self._proof.failed(scope.name, failure.reason)
        pace.struck(self._now_mono())
        self._obey(failure)
        self._tell()

    def _obey(self, failure: Failure) -> None:
        """Retry-After counts for the account: asking from another scope would earn a ban."""
        if failure.retry_after_s > 0:
            rest_s = min(failure.retry_after_s, LONGEST_REST_S)
            self._quiet_until_mono = max(self._quiet_until_mono, self._now_mono() + rest_s)

    def _set_pace(self, found: Sighting, pace: Pace) -> None:
        if not found.open:
            pace.quiet()
        elif found.stubborn:
            pace.struck(self._now_mono())
        else:
            pace.found_new(self._now_mono())

    def _keeper(self) -> Callable[[Order], bool]:
        positions = self._campaign.positions(self._proof.venue)
        return lambda order: is_protective(order, positions)

    def _name(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self._campaign.emit(OrderReplaced(self._campaign.trip_id, order))

    def _tell(self) -> None:
        """Weigh the evidence; emit a proof, and each new reason why there is none (any more)."""
        self._campaign.update()
        proof, told = self._proof, self._telling.state
        reason = proof.reason
        if reason is None and told != "":
            self._proven_s = self._now_mono() - self._campaign.started_mono
        if reason is None or proof.alarm or told == "":  # else it is work in progress
            changes = self._telling.changed(reason or "", self._now_mono())
            if changes:
                self._emit_state(changes)

    def _emit_state(self, changes: int) -> None:
        campaign, proof, reason = self._campaign, self._proof, self._telling.state
        if reason:
            campaign.emit(VenueUnproven(proof.venue, campaign.trip_id, reason, changes))
        else:
            elapsed_s = self._proven_s or 0.0
            told = (proof.venue, campaign.trip_id, proof.cancelled, elapsed_s, proof.kept, changes)
            campaign.emit(VenueProven(*told, unprovable=self._plan.unprovable))

    def tell_end(self) -> None:
        """Emit how it ends: what was held back, and in any case why it is not proven."""
        reason = self._proof.reason
        changes = self._telling.rest()
        if reason is not None:
            self._campaign.emit(VenueUnproven(self._proof.venue, self._campaign.trip_id, reason, max(1, changes)))
        elif changes:
            self._emit_state(changes)

    def _now_mono(self) -> float:
        return self._campaign.clock.now().mono


def _keep_none(_order: Order) -> bool:
    return False
