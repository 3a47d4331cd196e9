"""The engine: one event in, one decision out. No await, no clock, no I/O, no randomness.

Books, rules and the table are put together here and nowhere else. The same sequence of events and
instants gives the same sequence of decisions.

    books.py          what is owned and what losses are measured from
    breakers/         the rules: verdicts from the books
    watches.py        warnings and blindness
    trip_control.py   breach, confirmation, trip, proof
    requests.py       what people ask for
    figures.py        what is told of it all
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import localcontext
from typing import Any

from risk_daemon.baselines import Baselines
from risk_daemon.books import Books
from risk_daemon.breakers.base import Action, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker
from risk_daemon.breakers.manager import CircuitBreakerManager
from risk_daemon.breakers.manual import ManualCircuitBreaker
from risk_daemon.circuit_breaker import CircuitBreakerState, StateMachine
from risk_daemon.clock import Instant
from risk_daemon.decision import Decision, SetGate
from risk_daemon.engine_settings import EngineSettings
from risk_daemon.events import (
    BalancesSeen,
    DisableRequested,
    EnableRequested,
    EventName,
    FlowsListed,
    HaltRequested,
    Input,
    Kind,
    OrderReplaced,
    OrdersSeen,
    PositionsSeen,
    PricesSeen,
    ResetRequested,
    Started,
    StoreChecked,
    StreamConfirmed,
    SweepFinished,
    Tick,
    VenueConnected,
    VenueLost,
    VenueProven,
    VenueUnproven,
)
from risk_daemon.figures import Updates, figures_of
from risk_daemon.gate import Cause, GateState, cause_of
from risk_daemon.operator_requests import Requests
from risk_daemon.portfolio import Equity, PortfolioManager
from risk_daemon.trip import Trip
from risk_daemon.trip_control import TripControl
from risk_daemon.turn import Turn
from risk_daemon.units import EXACT
from risk_daemon.watches import BlindWatch, WarningWatch

__all__ = ["Engine", "EngineSettings"]


class Engine:
    """The guard's mind. `process` is its only verb."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.books = Books(settings)
        self.manager = CircuitBreakerManager()
        self.gate = GateState(locked=True, cause=Cause.STARTING)
        self.connected: dict[str, bool] = dict.fromkeys(settings.portfolio.expected, False)
        self._capital_loss = CapitalLossCircuitBreaker(settings.capital_loss)
        self._blind = BlindCircuitBreaker(settings.blind)
        manual = ManualCircuitBreaker()
        for breaker in (self._capital_loss, manual, self._blind):
            self.manager.add_breaker(breaker)
        self._machine = StateMachine()
        self._control = TripControl(settings, self.books, self.manager, self._machine, self.figures)
        self._warnings = WarningWatch(self._machine, settings.warning_hold_s)
        self._blindness = BlindWatch(self._blind)
        self._requests = Requests(self.books, self._control, self._machine, self.manager, manual, self._warnings)
        self._updates = Updates(self.books, settings.update_every_s)
        self._lost: set[tuple[str, Kind | None]] = set()
        self._store_error: str | None = None
        self._seq = 0

    # --- the one verb ------------------------------------------------------------------------------

    def process(self, event: Input, now: Instant) -> Decision:
        """Take one event in at `now` and decide. Raises InvariantError only for bugs of ours."""
        self._seq += 1
        before, turn = self.state, Turn(now, self._seq)
        with localcontext(EXACT):
            self._take(event, turn)
            self.books.settle_flows(turn)
            verdicts = self._evaluate(turn)
            self._control.keep_deadline(turn)
            self._move_gate(turn)
            self._updates.tell(before, self.state, turn)
            wake = self._next_wake(now.mono)
        return Decision(
            self._seq,
            now,
            event,
            verdicts,
            before,
            self.state,
            self.gate,
            tuple(turn.actions),
            tuple(turn.records),
            wake,
            turn.persist,
            turn.answer,
        )

    # --- what is asked between events --------------------------------------------------------------

    def judged(self, now_mono: float) -> Equity | None:
        """The equity to judge by: flows that are not yet seen from both sides widen the interval."""
        with localcontext(EXACT):
            picture = self.books.picture(now_mono)
        return None if picture is None else picture.equity

    def figures(self, now: Instant) -> dict[str, Any]:
        """Equity, losses and state for logs and files. Unknown is None, never 0."""
        with localcontext(EXACT):
            return figures_of(self.books, self.state, now.mono)

    @property
    def state(self) -> CircuitBreakerState:
        return self._machine.state

    @property
    def trip(self) -> Trip | None:
        return self._control.trip

    @property
    def portfolio(self) -> PortfolioManager:
        return self.books.portfolio

    @property
    def baselines(self) -> Baselines:
        return self.books.baselines

    @property
    def is_started(self) -> bool:
        """Whether everything expected was read in this run."""
        return self.books.is_started

    @property
    def is_confirming(self) -> bool:
        """Whether a breach is in question."""
        return self._control.is_confirming

    @property
    def seq(self) -> int:
        """The number of the last turn."""
        return self._seq

    # --- taking events in --------------------------------------------------------------------------

    def _take(self, event: Input, turn: Turn) -> None:
        match event:
            case PricesSeen() | BalancesSeen() | PositionsSeen() | StreamConfirmed():
                self.books.take_frame(event, turn)
            case Tick():
                self.books.let_time_pass(turn.now.mono)
                self._requests.let_time_pass(turn)
            case FlowsListed():
                self.books.take_listing(event, turn)
            case VenueConnected():
                self._take_connected(event.venue, turn)
            case VenueLost():
                self._take_lost(event, turn)
            case VenueProven() | VenueUnproven() | OrderReplaced() | SweepFinished():
                self._control.take_sweep(event, turn)
            case HaltRequested() | ResetRequested() | DisableRequested() | EnableRequested():
                self._requests.take(event, turn)
            case StoreChecked():
                self._store_error = event.error
            case Started():
                self._control.resume(turn)
            case OrdersSeen():
                pass

    def _take_connected(self, venue: str, turn: Turn) -> None:
        self._lost = {(lost, kind) for lost, kind in self._lost if lost != venue}
        if not self.connected.get(venue):
            self.connected[venue] = True
            turn.record(EventName.VENUE_CONNECTED, venue=venue)

    def _take_lost(self, event: VenueLost, turn: Turn) -> None:
        if event.is_stream:
            self.portfolio.stream_lost(event.venue, event.kind)
        if event.kind is None:
            self.connected[event.venue] = False
        if (event.venue, event.kind) not in self._lost:
            self._lost.add((event.venue, event.kind))
            turn.record(EventName.VENUE_LOST, venue=event.venue, kind=event.kind, reason=event.reason)

    # --- deciding ----------------------------------------------------------------------------------

    def _evaluate(self, turn: Turn) -> tuple[Verdict, ...]:
        picture = self.books.picture(turn.now.mono)
        self.books.observe(picture, turn)
        verdicts = self.manager.evaluate(self.books.context(picture), turn.now)
        by_name = {verdict.breaker: verdict for verdict in verdicts}
        loss, blind = by_name[self._capital_loss.name], by_name[self._blind.name]
        self._warnings.look(loss, turn)
        self._blindness.look(blind, turn)
        self._control.weigh(loss, turn)
        if blind.breached and blind.action is Action.TRIP:
            self._control.breach(blind, turn)
        return verdicts

    def _move_gate(self, turn: Turn) -> None:
        """Last of all, so that it moves once a turn; first of the actions, so that nothing comes before it."""
        cause = self._gate_cause()
        trip_id = None if self.trip is None else self.trip.trip_id
        gate = GateState(cause is not None, cause, trip_id, turn.now.wall)
        if not gate.same_as(self.gate):
            self.gate = gate
            turn.actions.insert(0, SetGate(gate))

    def _gate_cause(self) -> str | None:
        if self.trip is not None:
            return cause_of(self.trip.breaker)
        if self._blind.is_tripped and self.state is not CircuitBreakerState.DISABLED:
            return Cause.BLIND
        if self.is_confirming:
            return Cause.CONFIRMING
        if self._store_error is not None:
            return Cause.LOCKED
        if not self.is_started or self.baselines.capital is None:
            return Cause.STARTING
        return None

    def _next_wake(self, now_mono: float) -> float | None:
        moments = [self.books.flows.next_due(now_mono), *self._control.next_due()]
        return min((moment for moment in moments if moment is not None and moment > now_mono), default=None)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Documents to persist, by name. The latch is saved by itself, at once."""
        return {**self.books.snapshot(), "breakers": self.manager.snapshot()}

    def restore(self, documents: Mapping[str, Any], now: Instant) -> None:
        """Take back what was persisted. A latch without a breaker state still locks."""
        with localcontext(EXACT):
            self.books.restore(documents, now)
        if "breakers" in documents:
            self.manager.restore(documents["breakers"])
        latch = documents.get("latch")
        if latch:
            self._control.restore(latch, now)
        if self.trip is not None:
            self.gate = GateState(True, cause_of(self.trip.breaker), self.trip.trip_id, self.trip.since_wall)
