"""Bugs planted into the product, one at a time: each must be found by some seed.

A plant is a context manager that replaces a function of the product while it lasts. The reason why each
stands here is a real system that had it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from adapters.base import OrderListing, OrderScope
from oms import proof, sweep
from oms.calls import Failure, failure_of
from oms.proof import JointRound
from oms.telling import Telling
from risk_daemon.engine.decision import Decision
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.engine.trip_control import TripControl
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Input, Order
from risk_daemon.portfolio.manager import PortfolioManager
from risk_daemon.portfolio.witnesses import Heard, Row
from risk_daemon.runtime.persistence import Persistence
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


def cancel_once_only() -> AbstractContextManager[Any]:
    """Where nothing can be seen, nothing is cancelled after the first time."""
    cancel = sweep.VenueSweep._cancel_unseen

    async def once(self: sweep.VenueSweep, scope: OrderScope) -> None:
        tried: set[str] = self.__dict__.setdefault("tried_unseen", set())
        if scope.name not in tried:
            tried.add(scope.name)
            await cancel(self, scope)

    return patch.object(sweep.VenueSweep, "_cancel_unseen", once)


@contextmanager
def failed_look_undoes_the_proof() -> Iterator[None]:
    """One refused listing, and everything that was proven has to be proven again."""
    step = JointRound.step

    async def only_once(_self: sweep.VenueSweep, call: Callable[[], Any]) -> Any:
        return await call()

    def strict(self: JointRound, now_mono: float) -> None:
        if not self.all_proven:
            self.began_mono = None
        step(self, now_mono)

    never_patient = property(lambda scope: scope.misses > 0)
    with ExitStack() as stack:
        stack.enter_context(patch.object(sweep.VenueSweep, "_twice", only_once))
        stack.enter_context(patch.object(proof._Scope, "is_unseen", never_patient))
        stack.enter_context(patch.object(JointRound, "step", strict))
        yield


def everything_is_told() -> AbstractContextManager[Any]:
    """Each change of a venue's proof is a line, however often it changes."""

    def chatty(self: Telling, state: str, _now_mono: float) -> int:
        is_new, self.state = state != self.state, state
        return int(is_new)

    return patch.object(Telling, "changed", chatty)


def starting_is_ignored() -> AbstractContextManager[Any]:
    """A breach is not looked for until every venue was read in this run."""
    weigh = TripControl.weigh

    def late(self: TripControl, verdict: Any, turn: Any) -> None:
        if self._books.is_started:
            weigh(self, verdict, turn)

    return patch.object(TripControl, "weigh", late)


def exit_before_latch() -> AbstractContextManager[Any]:
    """Exit 1 does not wait for the latch on disk."""

    async def hasty(_self: Persistence, _deadline_mono: float) -> bool:
        return True

    return patch.object(Persistence, "latch_is_durable", hasty)


def proof_is_forgotten() -> AbstractContextManager[Any]:
    """A start that finds a proven latch sweeps again, and cancels what a person placed since."""
    restore = TripControl.restore

    def forgetful(self: TripControl, latch: Any, now: Instant) -> None:
        restore(self, {**latch, "proven": False}, now)

    return patch.object(TripControl, "restore", forgetful)


def no_confirmation_of_flows() -> AbstractContextManager[Any]:
    """A fall in holdings is a loss at once, withdrawal or not."""
    from risk_daemon.model.units import ZERO
    from risk_daemon.portfolio.flows import FlowTracker

    return patch.object(FlowTracker, "doubts", lambda _self, *_at: (ZERO, ZERO))


def two_readings_are_a_loss() -> AbstractContextManager[Any]:
    """What is gone in two readings in a row is lost, whatever the venue's book says."""
    from risk_daemon.portfolio.venue_flows import VenueFlows

    return patch.object(VenueFlows, "_verified_mono", lambda _self, account_mono: account_mono)


def unknown_rows_count() -> AbstractContextManager[Any]:
    """A row of the book is a flow, whether the holdings show it or not."""
    from risk_daemon.portfolio.venue_flows import VenueFlows

    def trusting(self: Any, rate: Any, total: Any) -> Any:
        rows = [row for row in self._pending if row.is_certain and rate(row.flow.asset)]
        self._pending = [row for row in self._pending if row not in rows]
        return [self._settled(row.flow, row.flow.amount * rate(row.flow.asset), None, total) for row in rows]

    return patch.object(VenueFlows, "_match", trusting)


def stream_always_wins() -> AbstractContextManager[Any]:
    """What a stream says is newer than any answer of REST."""
    answer = Row.answer

    def deferent(self: Row[Any], value: Any, other: Any, asked_mono: float, terms: Any, *, is_aside: bool) -> Heard:
        return Heard.KEPT if self._words else answer(self, value, other, asked_mono, terms, is_aside=is_aside)

    return patch.object(Row, "answer", deferent)


def one_reading_is_enough() -> AbstractContextManager[Any]:
    """The first equity that is known is the capital: no other reading need say the same."""
    from risk_daemon.baselines.baselines import Baselines

    observe = Baselines.observe

    def hasty(self: Baselines, low: Decimal, now: Instant, **known: Any) -> bool:
        changed = observe(self, low, now, **known)
        if self.capital is not None or not known["trusted"]:
            return changed
        self.capital = low
        return True

    return patch.object(Baselines, "observe", hasty)


def unlistable_is_well() -> AbstractContextManager[Any]:
    """Listings that fail are told, and nothing follows from it."""
    from risk_daemon.engine.listing_watch import ListingWatch

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
    "two readings are a loss": two_readings_are_a_loss,
    "a row is a flow, shown or not": unknown_rows_count,
    "the stream always wins": stream_always_wins,
    "one reading is enough": one_reading_is_enough,
    "unseen it cancels once": cancel_once_only,
    "a failed look undoes the proof": failed_look_undoes_the_proof,
    "what flaps fills the log": everything_is_told,
    "unlistable orders are no matter": unlistable_is_well,
}

PLANTS: dict[str, Plant] = {**SEVEN, **MORE}
