"""The engine: one event in, one decision out. No await, no clock, no I/O, no randomness.

Books, rules and the table are put together here and nowhere else. The same sequence of events and
instants gives the same sequence of decisions.

    books.py              what is owned and what losses are measured from
    breakers/             the rules: verdicts from the books
    quiet.py              when nobody need be asked
    warnings.py           warnings, vetoes and blindness
    listing_watch.py      whether orders can be listed and cancelled
    dead_men.py           when the venues' own switches are refreshed
    outside.py            its memory, and who else must agree to open
    peers_told.py         what peers know of a trip
    fund_debt.py          the word that is owed to a fund before the end
    venue_news.py         what can't be reached, and what keys may do
    trip_control.py       breach, confirmation, trip, proof
    freeze.py             a trip that ends by itself
    requests.py           what people ask for
    reconfiguration.py    other settings while it runs
    order_desk.py         the answer to one order
    figures.py            what is told of it all
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import getcontext, localcontext, setcontext
from typing import Any

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.baselines.equity_history import Sample
from risk_daemon.breakers.base import Action, BaseCircuitBreaker, VenueView, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker
from risk_daemon.breakers.manager import CircuitBreakerManager, by_strength
from risk_daemon.breakers.manual import ManualCircuitBreaker
from risk_daemon.engine.books import Books
from risk_daemon.engine.dead_men import DeadMen
from risk_daemon.engine.decision import Answer, Decision, SetGate, Turn
from risk_daemon.engine.figures import Updates, figures_of
from risk_daemon.engine.freeze import Freeze
from risk_daemon.engine.listing_watch import ListingWatch, OrdersView
from risk_daemon.engine.order_desk import OrderDesk
from risk_daemon.engine.outside import BOARD, Outside
from risk_daemon.engine.quiet import Quiet
from risk_daemon.engine.reconfiguration import ALWAYS_ON, Reconfiguration, arranged, changed, passed, why_not
from risk_daemon.engine.requests import Requests
from risk_daemon.engine.settings import EngineSettings
from risk_daemon.engine.states import CircuitBreakerState, StateMachine
from risk_daemon.engine.trip import Trip
from risk_daemon.engine.trip_control import TripControl
from risk_daemon.engine.venue_news import VenueNews
from risk_daemon.engine.warnings import BlindWatch, WarningWatch, look_at_veto
from risk_daemon.gate.restraints import (
    Cause,
    GateState,
    OrderAnswer,
    OrderRequest,
    Restraint,
    Veto,
    gate_of,
    strongest_first,
    veto_of,
)
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    BalancesSeen,
    BoardSeen,
    CancelChecked,
    DeadManAnswered,
    DisableRequested,
    EnableRequested,
    ErrorReported,
    EventName,
    FlowsListed,
    FundBegan,
    FundTold,
    HaltRequested,
    Input,
    KeyAudited,
    LeaseSeen,
    ListingFailed,
    Noted,
    OrderReported,
    OrdersListed,
    OrdersSeen,
    PositionsSeen,
    PricesSeen,
    ReadingsWanted,
    ReleaseRequested,
    ResetRequested,
    RiskEvent,
    StandingTold,
    Started,
    StoreChecked,
    StreamConfirmed,
    Tick,
    TokenRevoked,
    TrippedElsewhere,
    VenueConnected,
    VenueLost,
)
from risk_daemon.model.sweep_reports import SweepReport
from risk_daemon.model.units import EXACT
from risk_daemon.portfolio.manager import Equity, PortfolioManager

__all__ = ["Engine", "EngineSettings"]

_STARTING = Restraint(Cause.STARTING, "the picture, or what losses are measured from, is not complete yet")
_CONFIRMING = Restraint(Cause.CONFIRMING, "a breach is being confirmed")

_FRAMES = (PricesSeen, BalancesSeen, StreamConfirmed)  # thousands a second, and they move prices and amounts alone


class Engine:
    """The guard's mind. `process` takes everything in; `check_order` answers a bot between two events.

    rules: besides the three that are always on; they belong to this engine from now on.
    """

    def __init__(self, settings: EngineSettings, rules: Sequence[BaseCircuitBreaker] = ()) -> None:
        self.settings = settings
        self.books = Books(settings)
        self.manager = CircuitBreakerManager()
        self.gate = GateState(locked=True, cause=Cause.STARTING)
        self._blind = BlindCircuitBreaker(settings.blind)
        manual = ManualCircuitBreaker()
        self.manager.replace_all((CapitalLossCircuitBreaker(settings.capital_loss), manual, *rules, self._blind))
        self._machine = StateMachine()
        self._warnings = WarningWatch(self._machine, settings.warning_hold_s)
        self._control = TripControl(settings, self.books, self.manager, self._machine, self._warnings)
        self.debt = self._control.debt
        self._blindness = BlindWatch(self._blind)
        self.outside = Outside(settings.leases)
        self._requests = Requests(
            self.books, self._control, self._machine, self.manager, manual, self._warnings, self.outside
        )
        self.why_not = self._requests.why_not
        self._freeze = Freeze(self.books, self._control, settings.resweep_every_s)
        self._desk = OrderDesk(self.books, self.manager, settings)
        self.restraints: tuple[Restraint, ...] = (_STARTING,)
        self._updates = Updates(self.books, settings.update_every_s)
        self._listing = ListingWatch(settings.listing)
        self._news = VenueNews(self.books, self._listing)
        self.connected = self._news.connected
        self.dead_men = DeadMen(settings.dead_men)
        self._quiet: Quiet | None = None
        self._seq = 0
        self._look_at_rules()

    # --- the two verbs -----------------------------------------------------------------------------

    def process(self, event: Input, now: Instant) -> Decision:
        """Take one event in at `now` and decide. Raises InvariantError only for bugs of ours."""
        outer = getcontext()
        setcontext(EXACT)
        try:
            return self._turn(event, now)
        finally:
            setcontext(outer)

    def _turn(self, event: Input, now: Instant) -> Decision:
        self._seq += 1
        before, turn = self._machine.state, Turn(now, self._seq)
        if not isinstance(event, _FRAMES):
            self._quiet = None
        self._take(event, turn)
        self.books.settle_flows(turn)
        self.books.read_again(turn)
        verdicts = self._evaluate(turn)
        if self._quiet is None:
            self._freeze.look(verdicts, turn, orders_seen=isinstance(event, OrdersSeen) and bool(event.orders))
            self._control.keep_deadline(turn)
            self._listing.look(turn, is_sweeping=not self.wants_listings)
            self._move_gate(turn)
            self._quiet = self._find_quiet(verdicts, now)
        after = self._machine.state
        self._updates.tell(before, after, turn)
        if isinstance(event, Tick):  # last of all: a turn that does not come to its end puts no switch off
            self.dead_men.look(self.connected, turn)
        wake = self._next_wake(now.mono)
        return Decision(
            seq=self._seq,
            now=now,
            event=event,
            verdicts=verdicts,
            before=before,
            after=after,
            gate=self.gate,
            actions=tuple(turn.actions),
            records=tuple(turn.records),
            equity=turn.equity,
            wake_mono=wake,
            persist=turn.persist,
            answer=turn.answer,
        )

    def check_order(self, order: OrderRequest, now: Instant) -> OrderAnswer:
        """Answer a bot that asks to send `order` now. An order that may be sent takes its slot in the rates."""
        is_acting = self.state is not CircuitBreakerState.DISABLED
        outer = getcontext()
        setcontext(EXACT)
        try:
            answer = self._desk.answer(order, self.restraints, now, is_acting=is_acting)
        finally:
            setcontext(outer)
        if answer.allowed:  # it counts
            self._quiet = None
        return answer

    def last_words(self) -> tuple[RiskEvent, ...]:
        """What must still be written down when the process ends."""
        vetoes = self._desk.vetoes_left()
        return () if vetoes is None else (vetoes,)

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

    def history(self) -> Sequence[Sample]:
        """The equity, a sample a minute, oldest first: as it is now, and so it stays."""
        return tuple(self.books.history.samples)

    def venue_view(self, venue: str) -> VenueView:
        """One venue as the rules see it. Costs a pass over its holdings."""
        return self.books.views.venue_view(venue)

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
    def has_baselines(self) -> bool:
        """Whether everything was read, and every rule that is on has what its loss is measured from."""
        baselines = self.baselines
        if not self.is_started or baselines.capital is None:
            return False
        return not self._measures_more or None not in (baselines.peak, baselines.start_of_day, baselines.start_of_week)

    def missing(self) -> tuple[str, ...]:
        """What the gate waits for, in words: what was not read yet, then what losses are measured from."""
        gaps = self.portfolio.missing() or self.portfolio.unconfirmed()
        return gaps or (() if self.has_baselines else self.books.waiting())

    @property
    def is_confirming(self) -> bool:
        """Whether a breach is in question."""
        return self._control.is_confirming

    @property
    def wants_listings(self) -> bool:
        """Whether open orders are to be listed in ordinary rounds: while a sweep does, nobody else shall."""
        return self.trip is None or self.trip.proven

    def orders_view(self, venue: str) -> OrdersView | None:
        """How the listings of a venue's open orders stand; None where none are looked for."""
        return self._listing.view(venue)

    @property
    def seq(self) -> int:
        """The number of the last turn."""
        return self._seq

    # --- taking events in --------------------------------------------------------------------------

    def _take(self, event: Input, turn: Turn) -> None:
        match event:
            case PricesSeen() | BalancesSeen() | PositionsSeen() | StreamConfirmed():
                self.books.take_frame(event, turn)
                if not isinstance(event, StreamConfirmed):
                    self._news.take_frame(event, turn)
            case Tick():
                self.books.let_time_pass(turn)
                self._requests.let_time_pass(turn)
                self._desk.tell_vetoes(turn)
            case FlowsListed():
                self.books.take_listing(event, turn)
            case VenueConnected() | VenueLost() | OrdersListed() | ListingFailed() | CancelChecked() | KeyAudited():
                self._news.take(event, turn)
            case DeadManAnswered():
                self.dead_men.take(event, turn)
            case _ if isinstance(event, SweepReport):
                self._control.take_report(event, turn)
            case OrdersSeen() | OrderReported() | ErrorReported():
                self._desk.take(event, turn)
            case HaltRequested() | ReleaseRequested() | ResetRequested() | DisableRequested() | EnableRequested():
                self._requests.take(event, turn)
            case TokenRevoked():
                self.books.activity.forget(event.bot)
            case StoreChecked() | LeaseSeen() | BoardSeen():
                self.outside.take(event, turn)
            case TrippedElsewhere() | StandingTold() | FundTold():
                self._control.take_word(event, turn)
            case FundBegan() | ReadingsWanted():
                self.books.take_wish(event, turn)
            case Noted():
                turn.record(event.event.name, **event.event.fields)
            case Reconfiguration():
                turn.answer = self._reconfigure(event, turn)
            case Started():
                self._control.resume(turn)

    # --- other settings ----------------------------------------------------------------------------

    def why_not_reload(self, event: Reconfiguration) -> str | None:
        """Why these settings would be refused now; None: they would not. Nothing is changed by asking."""
        return why_not(
            event,
            trip=self.trip,
            is_sweeping=self._control.is_sweeping,
            is_confirming=self.is_confirming,
            is_disabled=self.state is CircuitBreakerState.DISABLED,
            restraints=self.restraints,
            tripped=self.manager.get_tripped(),
        )

    def passed_already(self, event: Reconfiguration, now: Instant) -> tuple[Verdict, ...]:
        """See reconfiguration.py."""
        with localcontext(EXACT):
            return passed(event, self.manager.get_all_breakers(), self.books.context(self.books.picture(now.mono)), now)

    def _reconfigure(self, event: Reconfiguration, turn: Turn) -> Answer:
        before, refusal = self.manager.get_all_breakers(), self.why_not_reload(event)
        try:
            rules = arranged(event, before) if refusal is None else ()
        except Exception as error:  # a rule of the user's own may fail in any way, and then nothing is changed
            refusal = f"a rule does not take its state back: {type(error).__name__}: {error}"
        if refusal is not None:
            return Answer(False, refusal)
        self.settings = settings = event.settings
        self.manager.replace_all(rules)
        self._look_at_rules()
        self._blind.reconfigure(settings.blind)
        self.books.reconfigure(settings, turn.now.mono)
        self._control.reconfigure(settings)
        self._freeze.every_s = settings.resweep_every_s
        self._desk.reconfigure(settings)
        self._listing.reconfigure(settings.listing)
        self._warnings.forget_of(changed(event, before))
        turn.persist = True
        turn.record(EventName.CONFIGURATION_RELOADED, **event.facts)
        return Answer(True, "the new settings are in force")

    def _look_at_rules(self) -> None:
        """What follows from which rules there are."""
        rules = self.manager.get_all_breakers()
        self._by_strength = by_strength(rules)
        self._measures_more = any(rule.needs_confirmation for rule in rules if rule.breaker_type not in ALWAYS_ON)
        self.books.watch_venues(any(rule.watches_venues for rule in rules))

    # --- deciding ----------------------------------------------------------------------------------

    def _evaluate(self, turn: Turn) -> tuple[Verdict, ...]:
        picture = self.books.picture(turn.now.mono)
        turn.equity = None if picture is None else picture.equity
        self.books.observe(picture, turn)
        if self._control.trip is None or self._control.trip.proven:  # cancels go first
            self.books.ask_for_readings(turn)
        if self._quiet is not None and self._quiet.holds(picture, self.books.ground(turn.now), turn.now.mono):
            return self._quiet.verdicts
        self._quiet = None
        verdicts = self.manager.ask(self.books.context(picture), turn.now)
        for name in self._by_strength:
            self._judge(verdicts[name], turn)
        blind = verdicts[self._blind.name]
        self._blindness.look(blind, turn)
        if blind.breached and blind.action is Action.TRIP and self.state is not CircuitBreakerState.DISABLED:
            self._control.breach(blind, turn)
        return tuple(verdicts.values())

    def _find_quiet(self, verdicts: tuple[Verdict, ...], now: Instant) -> Quiet | None:
        """Whether nobody need be asked for the next frames: nothing is near, and nothing is under way."""
        books, manager = self.books, self.manager
        calm = [verdict.calm for verdict in verdicts if verdict.calm is not None]
        is_idle = self.state is CircuitBreakerState.ACTIVE and self._warnings.is_silent and not self.is_confirming
        is_whole = books.is_started and books.views.seen is not None
        if len(calm) < len(verdicts) or not (is_idle and is_whole) or manager.any_tripped():
            return None
        until_mono = min(self._listing.next_look_mono, *(one.until_mono for one in calm))
        return Quiet(verdicts, max(one.above for one in calm), until_mono, books.ground(now))

    def _judge(self, verdict: Verdict, turn: Turn) -> None:
        """A veto that was tripped by another verdict, or under another configuration, ends like any other."""
        self._warnings.look(verdict, turn)
        breaker = self.manager.get_breaker(verdict.breaker)
        if verdict.action < Action.FREEZE:
            look_at_veto(breaker, verdict, turn)
            return
        if breaker.is_tripped and breaker.ends_by_itself and not (verdict.breached or verdict.suspected):
            look_at_veto(breaker, verdict, turn)
        self._control.weigh(verdict, turn)

    def _move_gate(self, turn: Turn) -> None:
        """Last of all, so that it moves once a turn; first of the actions, so that nothing comes before it."""
        self.outside.look(turn)
        self.restraints = self._restraints(turn.now.mono)
        gate = gate_of(self.restraints, turn.now.wall)
        if not gate.same_as(self.gate):
            self.gate = gate
            turn.actions.insert(0, SetGate(gate))

    def _restraints(self, now_mono: float) -> tuple[Restraint, ...]:
        """Everything that holds against new orders now, a trip before all else: the lock must name it."""
        return (*self._control.restraints(), *strongest_first(self._passing_restraints(now_mono)))

    def _passing_restraints(self, now_mono: float) -> list[Restraint]:
        found = list(self._requests.halts.restraints())
        if self.state is not CircuitBreakerState.DISABLED:
            found += [
                restraint
                for breaker in self.manager.get_tripped()
                if breaker.ends_by_itself or self.trip is None
                for restraint in breaker.restraints(self.settings.allow_reduce_only)
            ]
            found += self._listing.restraints(self.settings.allow_reduce_only)
        if self.is_confirming:
            found.append(_CONFIRMING)
        found += self.outside.restraints(now_mono)
        if not self.has_baselines:
            found.append(_STARTING)
        return found

    def _next_wake(self, now_mono: float) -> float | None:
        flows_mono, reread_mono = self.books.flows.next_due(now_mono), self.books.rereads.next_due()
        moments = [flows_mono, reread_mono, *self.outside.next_due()]
        if self._quiet is None or flows_mono is not None or reread_mono is not None:
            moments += self._control.next_due()
        return min((moment for moment in moments if moment is not None and moment > now_mono), default=None)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Documents to persist, by name. The latch is saved by itself, at once."""
        halts = self._requests.halts.snapshot()
        return {
            **self.books.snapshot(),
            "breakers": self.manager.snapshot(),
            "halts": halts,
            "trips": self._control.snapshot(),
            **({} if self.outside.epoch is None else {BOARD: self.outside.snapshot()}),
        }

    def restore(self, documents: Mapping[str, Any], now: Instant) -> None:
        """Take back what was persisted. A latch without a breaker state still locks."""
        with localcontext(EXACT):
            self.books.restore(documents, now)
        self._quiet = None
        self.manager.restore(documents.get("breakers", {}))
        self._requests.restore(documents)
        self._control.restore_ended(documents)
        self.outside.restore(documents.get(BOARD))
        if latch := documents.get("latch"):
            self._control.restore(latch, now)
        self.restraints = self._restraints(now.mono)
        self.gate = gate_of(self.restraints, now.wall)

    def restore_history(self, samples: Iterable[Mapping[str, Any]]) -> None:
        """Take back what `KeepSample` had stored, oldest first."""
        self.books.history.restore(samples)

    def standing_veto(self, cause: str) -> Veto | None:
        """What holds against everybody's orders by `cause`; None if nothing does."""
        holding = (one for one in self.restraints if not one.is_scoped and one.cause == cause)
        return next(map(veto_of, holding), None)

    def note_veto(self, veto: Veto, bot: str | None) -> None:
        """Count a veto that was given without asking here."""
        self._desk.note_veto(veto, bot)

    @property
    def halts(self) -> list[dict[str, Any]]:
        """The halts of single venues and bots, JSON-able."""
        return self._requests.halts.documents()
