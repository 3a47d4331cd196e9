"""One sweep of all its venues at once, until the joint round passes or the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adapters.base import OrderScope, ScopeKind
from oms.calls import Signal
from oms.proof import JointRound, Known, VenueProof
from oms.results import SweepResult, VenueVerdict
from oms.sweep import Campaign, VenuePlan, VenueSweep
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import Input, Order, Position, SweepFinished

KnownByVenue = Mapping[str, Known]

RANKS = {kind: rank for rank, kind in enumerate(ScopeKind)}
"""What can become another comes first: see proof.py."""


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Times in seconds. See OrderManager."""

    settle_s: float
    order_flight_s: float
    lease_s: float
    call_timeout_s: float
    cancel_deadline_s: float
    keep_protective: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a sweep looks and speaks. None of these may raise."""

    clock: Clock
    emit: Callable[[Input], None]
    positions: Callable[[str], tuple[Position, ...] | None]
    open_orders: Callable[[str], tuple[Order, ...]]


class JointSweep:
    """Starts in the constructor: the first cancels leave before anything else is awaited.

    known: orders seen by earlier sweeps of this trip, by venue and scope.
    """

    def __init__(
        self,
        trip_id: str,
        plans: Sequence[VenuePlan],
        settings: SweepSettings,
        around: Surroundings,
        *,
        locked_mono: float | None = None,
        known: KnownByVenue,
    ) -> None:
        self.trip_id = trip_id
        self._settings = settings
        self._around = around
        self._over = asyncio.Event()
        self._stopped = False
        self._changed = Signal()
        self._stage: object = None
        self._started_mono = around.clock.now().mono
        self._proofs = {plan.adapter.name: self._proof(plan, known.get(plan.adapter.name, {})) for plan in plans}
        self._joint = JointRound(self._proofs, not_before_mono=self._not_before_mono(locked_mono))
        campaign = self._campaign()
        self._venues = [VenueSweep(plan, self._proofs[plan.adapter.name], campaign) for plan in plans]
        self._workers = [worker for venue in self._venues for worker in venue.start()]

    async def run(self) -> SweepResult:
        """Wait for the end. Returns at the deadline at the latest, whatever the venues do."""
        ending = asyncio.ensure_future(self._end())
        try:
            await asyncio.wait({ending}, timeout=self._settings.cancel_deadline_s)
        finally:
            for task in (ending, *self._workers):
                task.cancel()
        if self._workers:
            await asyncio.wait(self._workers)
        return self._finish()

    async def _end(self) -> None:
        """Wait until it is proven or stopped."""
        while not self._stopped and not self._joint.passed:
            await self._over.wait()
            self._over.clear()

    def stop(self) -> None:
        """End the sweep now, with what is proven so far."""
        self._stopped = True
        self._over.set()

    def snapshot(self) -> dict[str, VenueVerdict]:
        """The venues as they stand, by name."""
        verdicts = (venue.verdict() for venue in self._venues)
        return {verdict.venue: verdict for verdict in verdicts}

    @property
    def known(self) -> KnownByVenue:
        """The orders seen so far, by venue and scope."""
        return {name: proof.known for name, proof in self._proofs.items()}

    def _finish(self) -> SweepResult:
        elapsed_s = self._around.clock.now().mono - self._started_mono
        result = SweepResult(self.trip_id, self._joint.passed, elapsed_s, self.snapshot())
        for venue in self._venues:
            venue.tell_end()
        unprovable = tuple(f"{v.venue}: {what}" for v in result.venues.values() for what in v.unprovable)
        self._around.emit(SweepFinished(self.trip_id, result.proven, result.cancelled, elapsed_s, unprovable))
        return result

    def _update(self) -> None:
        self._joint.step(self._around.clock.now().mono)
        if self._joint.passed:
            self._over.set()
        if self._joint.stage != self._stage:
            self._stage = self._joint.stage
            self._changed.fire()

    def _not_before_mono(self, locked_mono: float | None) -> float:
        """A lock from the future is of another boot: then the sweep's start counts."""
        started_mono = self._started_mono
        locked_mono = started_mono if locked_mono is None else min(locked_mono, started_mono)
        return locked_mono + self._settings.lease_s + self._settings.order_flight_s

    def _proof(self, plan: VenuePlan, known: Known) -> VenueProof:
        venue = plan.adapter.name
        return VenueProof(
            venue,
            map(_scope_name, plan.scopes),
            settle_s=self._settings.settle_s,
            flight_s=self._settings.order_flight_s,
            started_mono=self._started_mono,
            open_before=self._around.open_orders(venue),
            known=known,
            without_plan=plan.problem,
            never=plan.never,
            ranks={scope.name: RANKS[scope.kind] for scope in plan.scopes},
        )

    def _campaign(self) -> Campaign:
        return Campaign(
            trip_id=self.trip_id,
            clock=self._around.clock,
            started_mono=self._started_mono,
            call_timeout_s=self._settings.call_timeout_s,
            keep_protective=self._settings.keep_protective,
            joint=self._joint,
            changed=self._changed,
            update=self._update,
            emit=self._around.emit,
            positions=self._around.positions,
        )


def _scope_name(scope: OrderScope) -> str:
    return scope.name
