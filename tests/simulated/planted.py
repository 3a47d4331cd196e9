"""Bugs planted into the product, one at a time: each must be found by some seed.

A plant is a context manager that replaces a function of the product while it lasts. The reason why each
stands here is a real system that had it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from adapters.base import OrderListing, OrderScope
from oms import sweep
from oms.calls import Failure, failure_of
from risk_daemon.circuit_breaker import CircuitBreakerState
from risk_daemon.clock import Instant
from risk_daemon.decision import Decision
from risk_daemon.effects import Effects
from risk_daemon.engine import Engine
from risk_daemon.events import Input, Order
from risk_daemon.portfolio import PortfolioManager
from risk_daemon.trip_control import TripControl
from tests.simulated import life

Plant = Callable[[], AbstractContextManager[Any]]

_FOREVER_S = 1e9


def trip_unlatches() -> AbstractContextManager[Any]:
    """When the data looks fine again, the trip is forgotten."""
    process = Engine.process

    def forgetful(self: Engine, event: Input, now: Instant) -> Decision:
        decision = process(self, event, now)
        is_fine = self.is_started and not any(verdict.breached for verdict in decision.verdicts)
        if self.trip is not None and is_fine:
            self._control.trip = None
            self._machine._state = CircuitBreakerState.ACTIVE
        return decision

    return patch.object(Engine, "process", forgetful)


def silence_is_empty() -> AbstractContextManager[Any]:
    """A venue that does not answer has no orders."""
    ask_for_list = sweep.VenueSweep._list

    async def gullible(self: sweep.VenueSweep, scope: OrderScope) -> OrderListing | Failure:
        asked_mono = self._now_mono()
        answer = await ask_for_list(self, scope)
        if isinstance(answer, Failure):
            return OrderListing(self._proof.venue, scope.name, asked_mono, ())
        return answer

    return patch.object(sweep.VenueSweep, "_list", gullible)


@contextmanager
def deadline_never_fires() -> Iterator[None]:
    """The cancel deadline is there, and nobody looks at it."""
    settings, manager = life.engine_settings, life.OrderManager

    def patient_settings(*args: Any) -> Any:
        return replace(settings(*args), cancel_deadline_s=_FOREVER_S)

    def patient_manager(**kwargs: Any) -> Any:
        return manager(**{**kwargs, "cancel_deadline_s": _FOREVER_S})

    with patch.object(life, "engine_settings", patient_settings), patch.object(life, "OrderManager", patient_manager):
        yield


@contextmanager
def never_seen_is_fine() -> Iterator[None]:
    """A venue that was never seen is missing from nothing."""
    with ExitStack() as stack:
        for name in ("missing", "unseen", "unconfirmed"):
            stack.enter_context(patch.object(PortfolioManager, name, lambda _self: ()))
        yield


def no_timeout() -> AbstractContextManager[Any]:
    """A call to a venue may take as long as it likes."""

    async def patient(call: Callable[[], Any], timeout_s: float) -> Any:
        try:
            return await call()
        except Exception as error:
            return failure_of(error)

    return patch.object(sweep, "ask", patient)


def no_cancel_retry() -> AbstractContextManager[Any]:
    """A scope is cancelled once, and then only looked at."""
    cancel = sweep.VenueSweep._cancel

    async def once(self: sweep.VenueSweep, scope: OrderScope, orders: Sequence[Order], *rest: Any, **more: Any) -> None:
        tried: set[str] = self.__dict__.setdefault("tried_once", set())
        if scope.name not in tried:
            tried.add(scope.name)
            await cancel(self, scope, orders, *rest, **more)

    return patch.object(sweep.VenueSweep, "_cancel", once)


def starting_is_ignored() -> AbstractContextManager[Any]:
    """A breach is not looked for until every venue was read in this run."""
    weigh = TripControl.weigh

    def late(self: TripControl, verdict: Any, turn: Any) -> None:
        if self._books.is_started:
            weigh(self, verdict, turn)

    return patch.object(TripControl, "weigh", late)


def exit_before_latch() -> AbstractContextManager[Any]:
    """Exit 1 does not wait for the latch on disk."""

    async def hasty(_self: Effects) -> bool:
        return True

    return patch.object(Effects, "latch_is_durable", hasty)


def proof_is_forgotten() -> AbstractContextManager[Any]:
    """A start that finds a proven latch sweeps again, and cancels what a person placed since."""
    restore = TripControl.restore

    def forgetful(self: TripControl, latch: Any, now: Instant) -> None:
        restore(self, {**latch, "proven": False}, now)

    return patch.object(TripControl, "restore", forgetful)


def no_confirmation_of_flows() -> AbstractContextManager[Any]:
    """A fall in holdings is a loss at once, withdrawal or not."""
    from risk_daemon.flows import FlowTracker
    from risk_daemon.units import ZERO

    return patch.object(FlowTracker, "unverified", lambda _self: (ZERO, ZERO))


def unlistable_is_well() -> AbstractContextManager[Any]:
    """Listings that fail are told, and nothing follows from it."""
    from risk_daemon.listing_watch import ListingWatch

    return patch.object(ListingWatch, "restraints", lambda _self, _allows_reducing: [])


SEVEN: dict[str, Plant] = {
    "trip un-latches": trip_unlatches,
    "silent venue counts as no orders": silence_is_empty,
    "deadline never fires": deadline_never_fires,
    "never seen is not stale": never_seen_is_fine,
    "no timeout on calls": no_timeout,
    "no cancel retry": no_cancel_retry,
    "breach while starting ignored": starting_is_ignored,
}
"""The seven of the research: a safety or a liveness phase alone misses some of them."""

MORE: dict[str, Plant] = {
    "exit before the latch is durable": exit_before_latch,
    "proof is forgotten": proof_is_forgotten,
    "withdrawal is a loss": no_confirmation_of_flows,
    "unlistable orders are no matter": unlistable_is_well,
}

PLANTS: dict[str, Plant] = {**SEVEN, **MORE}
