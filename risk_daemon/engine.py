"""The engine: one event in, one decision out. No await, no clock, no I/O, no randomness.

Books, flows, baselines, rules and the table are put together here and nowhere else. The same
sequence of events and instants gives the same sequence of decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Any

from risk_daemon.baselines import Baselines, BaselineSettings
from risk_daemon.breakers.base import Action as BreakerAction
from risk_daemon.breakers.base import EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker, BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker, CapitalLossSettings
from risk_daemon.breakers.manager import CircuitBreakerManager
from risk_daemon.breakers.manual import ManualCircuitBreaker
from risk_daemon.circuit_breaker import CircuitBreakerState, Outcome, Trigger, transition
from risk_daemon.clock import Instant
from risk_daemon.confirmation import Confirmation, ConfirmationSettings, Evidence, Finding, judge
from risk_daemon.decision import Action, Answer, Decision, Finish, ReadNow, SaveLatch, SetGate, StartSweep
from risk_daemon.errors import ExitCode
from risk_daemon.events import (
    BalancesSeen,
    DisableRequested,
    EnableRequested,
    EventName,
    Flow,
    FlowsListed,
    HaltRequested,
    Input,
    Kind,
    OrderReplaced,
    OrdersSeen,
    PositionsSeen,
    PricesSeen,
    ResetRequested,
    RiskEvent,
    Source,
    Started,
    StreamConfirmed,
    SweepFinished,
    Tick,
    VenueConnected,
    VenueLost,
    VenueProven,
    VenueUnproven,
)
from risk_daemon.flows import FlowSettings, FlowTracker
from risk_daemon.gate import Cause, GateState, cause_of
from risk_daemon.portfolio import Equity, PortfolioManager, PortfolioSettings
from risk_daemon.trip import Trip, new_trip_id
from risk_daemon.units import percent, plain

_ARITHMETIC = Context(prec=50, traps=[InvalidOperation, DivisionByZero, Overflow])
_REST_KINDS = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES})
_CONFIRM_KINDS = _REST_KINDS | {Kind.FLOWS}
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything the engine may be told. Seconds and ratios."""

    reference: str = "USDT"
    portfolio: PortfolioSettings = field(default_factory=PortfolioSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    flows: FlowSettings = field(default_factory=FlowSettings)
    capital_loss: CapitalLossSettings = field(default_factory=CapitalLossSettings)
    blind: BlindSettings = field(default_factory=BlindSettings)
    confirmation: ConfirmationSettings = field(default_factory=ConfirmationSettings)
    price_skew_s: float = 1.0
    cancel_deadline_s: float = 300.0
    warning_hold_s: float = 1.0
    update_every_s: float = 1.0


class _Turn:
    """What one call of `process` collects."""

    __slots__ = ("actions", "answer", "now", "persist", "records")

    def __init__(self, now: Instant) -> None:
        self.now = now
        self.actions: list[Action] = []
        self.records: list[RiskEvent] = []
        self.persist = False
        self.answer: Answer | None = None

    def act(self, action: Action) -> None:
        self.actions.append(action)

    def record(self, name: EventName, **fields: Any) -> None:
        self.records.append(RiskEvent(name, fields))


class Engine:
    """The guard's mind. `process` is its only verb."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.portfolio = PortfolioManager(settings.baselines.initial_capital, settings.reference, settings.portfolio)
        self.baselines = Baselines(settings.baselines)
        self.flows = FlowTracker(settings.flows)
        self.manager = CircuitBreakerManager()
        self._capital_loss = CapitalLossCircuitBreaker(settings.capital_loss)
        self._manual = ManualCircuitBreaker()
        self._blind = BlindCircuitBreaker(settings.blind)
        for breaker in (self._capital_loss, self._manual, self._blind):
            self.manager.add_breaker(breaker)
        self.state = CircuitBreakerState.ACTIVE
        self.gate = GateState(locked=True, cause=Cause.STARTING)
        self.trip: Trip | None = None
        self.is_started = False
        self.connected: dict[str, bool] = dict.fromkeys(settings.portfolio.expected, False)
        self._seq = 0
        self._is_known = False
        self._confirmation: Confirmation | None = None
        self._prices_rest_mono: dict[str, float] = {}
        self._lost: set[tuple[str, Kind | None]] = set()
        self._warning: Decimal | None = None
        self._clear_since: float | None = None
        self._disabled_until: float | None = None
        self._would_have = False
        self._blind_warned = False
        self._rebase_pending = False
        self._is_finishing = False
        self._told: tuple[Any, ...] = ()
        self._told_mono = _NEVER

    # --- the one verb ------------------------------------------------------------------------------

    def process(self, event: Input, now: Instant) -> Decision:
        """Take one event in at `now` and decide. Raises InvariantError only for bugs of ours."""
        self._seq += 1
        before, turn = self.state, _Turn(now)
        with localcontext(_ARITHMETIC):
            self._take(event, turn)
            self._settle_flows(turn)
            verdicts = self._evaluate(turn)
            self._act_on(verdicts, turn)
            self._keep_deadline(turn)
            self._move_gate(turn)
            self._tell_update(before, turn)
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
        if not self._is_known:
            return None
        interval, rate = self.portfolio.interval(), self.portfolio.rate
        high = interval.high + self.flows.unverified_fall() + self.flows.pending_out(rate)
        low = interval.low - self.flows.unverified_rise() - self.flows.pending_in(rate)
        return Equity(interval.value, low, high)

    @property
    def is_confirming(self) -> bool:
        return self._confirmation is not None

    @property
    def seq(self) -> int:
        return self._seq

    # --- taking events in --------------------------------------------------------------------------

    def _take(self, event: Input, turn: _Turn) -> None:
        match event:
            case PricesSeen() | BalancesSeen() | PositionsSeen() | StreamConfirmed():
                self._take_frame(event, turn)
            case Tick():
                self._take_tick(turn)
            case FlowsListed():
                self._take_listing(event, turn)
            case VenueConnected() | VenueLost():
                self._take_connection(event, turn)
            case VenueProven() | VenueUnproven() | OrderReplaced() | SweepFinished():
                self._take_sweep(event, turn)
            case OrdersSeen():
                pass
            case Started():
                self._resume(turn)
            case HaltRequested():
                self._halt(event, turn)
            case ResetRequested():
                self._reset(event, turn)
            case DisableRequested():
                self._disable(event, turn)
            case EnableRequested():
                self._enable(event, turn)

    def _take_frame(self, event: BalancesSeen | PositionsSeen | PricesSeen | StreamConfirmed, turn: _Turn) -> None:
        change = self.portfolio.apply(event)
        if change.venue is not None and change.moved:
            self.flows.moved(change.venue, change.moved, turn.now.mono)
        if isinstance(event, PricesSeen) and event.source is Source.REST:
            last = self._prices_rest_mono.get(event.venue, _NEVER)
            self._prices_rest_mono[event.venue] = max(last, event.requested_mono)
        if change.holdings:
            turn.persist = True
        if not self.is_started:
            self._look_for_start()

    def _take_tick(self, turn: _Turn) -> None:
        self.portfolio.refresh(turn.now.mono)
        if not self.is_started:
            self._look_for_start()
        if self._disabled_until is not None and turn.now.mono >= self._disabled_until:
            self._enable(EnableRequested("the stated time is over"), turn)

    def _look_for_start(self) -> None:
        """Known: nothing expected is missing, restored parts count. Started: all of it read in this run."""
        self._is_known = not self.portfolio.missing()
        self.is_started = self._is_known and not self.portfolio.unconfirmed()

    def _take_listing(self, event: FlowsListed, turn: _Turn) -> None:
        new = self.flows.listed(event, turn.now.wall, counts=self._has_history())
        turn.persist = turn.persist or bool(new)

    def _has_history(self) -> bool:
        """Whether there is a baseline that a flow could move: before the first picture, flows lie behind us."""
        return self.is_started or self.baselines.day is not None

    def _take_connection(self, event: VenueConnected | VenueLost, turn: _Turn) -> None:
        if isinstance(event, VenueConnected):
            self._lost = {(venue, kind) for venue, kind in self._lost if venue != event.venue}
            if not self.connected.get(event.venue):
                self.connected[event.venue] = True
                turn.record(EventName.VENUE_CONNECTED, venue=event.venue)
            return
        self.portfolio.stream_lost(event.venue, event.kind)
        if event.kind is None:
            self.connected[event.venue] = False
        if (event.venue, event.kind) not in self._lost:
            self._lost.add((event.venue, event.kind))
            turn.record(EventName.VENUE_LOST, venue=event.venue, kind=event.kind, reason=event.reason)

    # --- flows -------------------------------------------------------------------------------------

    def _settle_flows(self, turn: _Turn) -> None:
        now_mono = turn.now.mono
        balances = lambda venue: self.portfolio.rest_mono(venue, Kind.BALANCES)  # noqa: E731
        for flow in self.flows.settle(now_mono, balances, self.portfolio.rate):
            self._apply_flow(flow, turn)
        venues = self.flows.wants_listing(now_mono, self.portfolio.equity) if self.is_started else ()
        if venues:
            self.flows.probed(venues, now_mono)
            turn.act(ReadNow(frozenset({Kind.FLOWS, Kind.BALANCES}), frozenset(venues)))

    def _apply_flow(self, flow: Flow, turn: _Turn) -> None:
        value = flow.amount * self.portfolio.rate(flow.asset)
        after = self.portfolio.equity
        self.baselines.rescale(after - value, after)
        self.portfolio.net_flows += value
        turn.persist = True
        turn.record(
            EventName.FLOW_DETECTED,
            venue=flow.venue,
            flow_id=flow.flow_id,
            kind=flow.kind,
            asset=flow.asset,
            amount=plain(flow.amount),
            value=plain(value),
        )

    # --- evaluation --------------------------------------------------------------------------------

    def _evaluate(self, turn: _Turn) -> tuple[Verdict, ...]:
        now = turn.now
        judged = self.judged(now.mono)
        if judged is not None and self.is_started:
            self._observe(judged, turn)
        suspected = None
        if judged is not None:
            suspected = self.portfolio.interval().high + self.flows.unsettled_fall(now.mono)
            suspected += self.flows.pending_out(self.portfolio.rate)
        context = EvaluationContext(judged, suspected, self.baselines, self.is_started)
        return self.manager.evaluate(context, now)

    def _observe(self, judged: Equity, turn: _Turn) -> None:
        if self._rebase_pending and judged.is_trusted:
            self.baselines.rebase(judged.value, turn.now)
            self._rebase_pending, turn.persist = False, True
        oldest_read = min((self.portfolio.rest_mono(v, Kind.BALANCES) for v in self.connected), default=_NEVER)
        if self.baselines.observe(judged.low, turn.now, trusted=judged.is_trusted, rest_mono=oldest_read):
            turn.persist = True

    def _act_on(self, verdicts: tuple[Verdict, ...], turn: _Turn) -> None:
        by_name = {verdict.breaker: verdict for verdict in verdicts}
        self._warn(by_name[self._capital_loss.name], turn)
        self._watch_blindness(by_name[self._blind.name], turn)
        self._confirm(by_name[self._capital_loss.name], turn)
        blind = by_name[self._blind.name]
        if blind.breached and blind.action is BreakerAction.TRIP:
            self._breach(blind, turn)

    def _warn(self, verdict: Verdict, turn: _Turn) -> None:
        """A higher level is told at once; the all-clear only after it held for a moment."""
        if verdict.warning is not None and (self._warning is None or verdict.warning > self._warning):
            self._warning = verdict.warning
            self.state = transition(self.state, Trigger.WARN).after
            facts = {**verdict.observed, "warning_threshold": float(verdict.warning)}
            turn.record(EventName.WARNING_TRIGGERED, breaker=verdict.breaker, **facts)
        if self._warning is None or not verdict.cleared:
            self._clear_since = None
            return
        self._clear_since = turn.now.mono if self._clear_since is None else self._clear_since
        if turn.now.mono - self._clear_since >= self.settings.warning_hold_s:
            self._warning = self._clear_since = None
            self.state = transition(self.state, Trigger.CLEAR).after
            turn.record(EventName.WARNING_CLEARED, breaker=verdict.breaker, **verdict.observed)

    def _watch_blindness(self, verdict: Verdict, turn: _Turn) -> None:
        warned = verdict.warning is not None
        if warned is not self._blind_warned:
            self._blind_warned = warned
            name = EventName.BLIND_STARTED if warned else EventName.BLIND_ENDED
            turn.record(name, **verdict.observed)
        if self._blind.settle(verdict):
            name = EventName.BREAKER_TRIPPED if self._blind.is_tripped else EventName.BREAKER_RESET
            self._record_breaker(name, self._blind.name, turn, verdict)

    # --- breach and trip ---------------------------------------------------------------------------

    def _confirm(self, verdict: Verdict, turn: _Turn) -> None:
        if self.state is CircuitBreakerState.TRIGGERED:
            self._confirmation = None
            return
        if self.state is CircuitBreakerState.DISABLED:
            self._confirmation = None
            self._note_would_have(verdict, turn)
            return
        if self._confirmation is None and (verdict.breached or verdict.suspected):
            if verdict.breached and not self._wants_confirmation():
                self._breach(verdict, turn)
                return
            self._start_confirming(verdict, turn)
        if self._confirmation is not None:
            self._weigh(self._confirmation, verdict, turn)

    def _wants_confirmation(self) -> bool:
        return self.settings.confirmation.enabled or self.portfolio.is_skewed(self.settings.price_skew_s)

    def _start_confirming(self, verdict: Verdict, turn: _Turn) -> None:
        by_holdings = not verdict.breached
        self._confirmation = Confirmation(verdict.breaker, turn.now.mono, by_holdings)
        turn.record(EventName.BREACH_CONFIRMING, breaker=verdict.breaker, by_holdings=by_holdings, **verdict.observed)
        turn.act(ReadNow(_CONFIRM_KINDS if by_holdings else _REST_KINDS))

    def _weigh(self, confirmation: Confirmation, verdict: Verdict, turn: _Turn) -> None:
        evidence = Evidence(
            breached=verdict.breached,
            clear=not (verdict.breached or verdict.suspected or verdict.undecided),
            all_read=self._read_since(confirmation.since_mono, _REST_KINDS),
            holdings_read=self._read_since(confirmation.since_mono, frozenset({Kind.BALANCES})),
        )
        finding = judge(confirmation, evidence, turn.now.mono, self.settings.confirmation)
        if finding is Finding.CONFIRMED:
            self._breach(verdict, turn)
        elif finding is Finding.DISPROVED:
            self._confirmation = None
            waited = turn.now.mono - confirmation.since_mono
            turn.record(EventName.PHANTOM_BREACH, breaker=verdict.breaker, waited_s=waited, **verdict.observed)

    def _read_since(self, since_mono: float, kinds: frozenset[Kind]) -> bool:
        """Whether every expected part of `kinds` was read over REST, requested at `since_mono` or later."""
        for venue, expected in self.settings.portfolio.expected.items():
            for kind in expected & kinds:
                last = (
                    self._prices_rest_mono.get(venue, _NEVER)
                    if kind is Kind.PRICES
                    else self.portfolio.rest_mono(venue, kind)
                )
                if last < since_mono:
                    return False
        return True

    def _note_would_have(self, verdict: Verdict, turn: _Turn) -> None:
        breached, self._would_have = verdict.breached and not self._would_have, verdict.breached
        if breached:
            turn.record(EventName.WOULD_HAVE_TRIGGERED, breaker=verdict.breaker, **verdict.observed)

    def _breach(self, verdict: Verdict, turn: _Turn) -> None:
        step = transition(self.state, Trigger.BREACH)
        if not step.moved:
            return
        self._confirmation = None
        breaker = self.manager.get_breaker(verdict.breaker)
        breaker.settle(verdict)
        self._record_breaker(EventName.BREAKER_TRIPPED, verdict.breaker, turn, verdict)
        self.state = step.after
        self._open_trip(verdict.breaker, verdict.reason, turn, verdict.observed, verdict.limits)

    def _open_trip(
        self, breaker: str, reason: str, turn: _Turn, observed: Mapping[str, Any], limits: Mapping[str, Any]
    ) -> None:
        now = turn.now
        self.trip = Trip(new_trip_id(now, self._seq), breaker, reason, now.wall, now.mono)
        turn.record(
            EventName.CIRCUIT_BREAKER_TRIGGERED,
            trip_id=self.trip.trip_id,
            breaker=breaker,
            reason=reason,
            observed=dict(observed),
            limits=dict(limits),
            **self._figures(now.mono),
        )
        self._move_gate(turn)
        turn.act(SaveLatch(self.trip.latch()))
        self._start_sweep(turn, resumed=False)

    def _start_sweep(self, turn: _Turn, *, resumed: bool) -> None:
        trip = self._the_trip()
        turn.act(StartSweep(trip.trip_id))
        venues = sorted(self.settings.portfolio.expected)
        turn.record(EventName.SWEEP_STARTED, trip_id=trip.trip_id, venues=venues, resumed=resumed)

    def _the_trip(self) -> Trip:
        if self.trip is None:
            raise RuntimeError("no trip")
        return self.trip

    def _record_breaker(self, name: EventName, breaker: str, turn: _Turn, verdict: Verdict | None = None) -> None:
        it = self.manager.get_breaker(breaker)
        turn.record(
            name,
            breaker=it.name,
            breaker_type=it.breaker_type.value,
            state=it.state.value,
            reason=it.get_trip_reason() if verdict is None else verdict.reason,
            observed={} if verdict is None else dict(verdict.observed),
            limits={} if verdict is None else dict(verdict.limits),
        )

    def _resume(self, turn: _Turn) -> None:
        """After a restart: an unproven trip goes on, a proven one ends at once and cancels nothing."""
        if self.trip is None:
            return
        self.trip.since_mono = turn.now.mono
        if self.trip.proven:
            self._finish(ExitCode.TRIGGERED_AND_PROVEN, "still triggered; reset to trade again", turn)
        else:
            self._start_sweep(turn, resumed=True)

    def _keep_deadline(self, turn: _Turn) -> None:
        trip = self.trip
        if trip is None or trip.proven:
            return
        if turn.now.mono - trip.since_mono >= self.settings.cancel_deadline_s:
            self._finish(ExitCode.TRIGGERED_UNPROVEN, "not proven by the deadline", turn)

    def _finish(self, code: ExitCode, reason: str, turn: _Turn) -> None:
        if not self._is_finishing:
            self._is_finishing = True
            turn.act(Finish(code, reason))

    # --- the sweep's reports -----------------------------------------------------------------------

    def _take_sweep(self, event: VenueProven | VenueUnproven | OrderReplaced | SweepFinished, turn: _Turn) -> None:
        trip = self.trip
        if trip is None or trip.trip_id != event.trip_id:
            return
        match event:
            case VenueProven():
                trip.venues_proven.add(event.venue)
                kept = [order.order_id for order in event.kept]
                facts = {"cancelled": event.cancelled, "elapsed_s": event.elapsed_s, "kept": kept}
                turn.record(EventName.VENUE_PROVEN, trip_id=trip.trip_id, venue=event.venue, **facts)
            case VenueUnproven():
                trip.venues_proven.discard(event.venue)
                facts = {"venue": event.venue, "reason": event.reason}
                turn.record(EventName.VENUE_UNPROVEN, trip_id=trip.trip_id, **facts)
            case OrderReplaced():
                turn.record(EventName.ORDER_REPLACED, trip_id=trip.trip_id, **_order_facts(event))
            case SweepFinished():
                self._end_sweep(event, trip, turn)

    def _end_sweep(self, event: SweepFinished, trip: Trip, turn: _Turn) -> None:
        facts = {"proven": event.proven, "cancelled": event.cancelled, "elapsed_s": event.elapsed_s}
        turn.record(EventName.SWEEP_FINISHED, trip_id=trip.trip_id, **facts)
        if event.proven:
            trip.proven = True
            turn.act(SaveLatch(trip.latch()))
            self._finish(ExitCode.TRIGGERED_AND_PROVEN, "triggered, every cancel proven", turn)
        else:
            self._finish(ExitCode.TRIGGERED_UNPROVEN, "triggered, not every cancel proven", turn)

    # --- people ------------------------------------------------------------------------------------

    def _halt(self, event: HaltRequested, turn: _Turn) -> None:
        turn.record(EventName.MANUAL_HALT, operator=event.operator, reason=event.reason)
        step = transition(self.state, Trigger.HALT)
        if not step.moved:
            turn.answer = Answer(True, f"already triggered: {self._the_trip().reason}")
            return
        self.state = step.after
        self._disabled_until = self._confirmation = None
        self._manual.trigger_halt(event.reason, event.operator)
        self._record_breaker(EventName.BREAKER_TRIPPED, self._manual.name, turn)
        reason = f"halted by {event.operator}: {event.reason}"
        self._open_trip(self._manual.name, reason, turn, {"operator": event.operator}, {})
        turn.answer = Answer(True, reason)

    def _reset(self, event: ResetRequested, turn: _Turn) -> None:
        refusal = self._why_no_reset(event, turn.now)
        if refusal is not None:
            turn.answer = Answer(False, refusal)
            return
        trip = self._the_trip()
        self.state = transition(self.state, Trigger.RESET).after
        self.trip = None
        self._rebase_pending = event.rebaseline == "current"
        self.manager.reset_all(event.operator)
        turn.persist = True
        turn.act(SaveLatch(None))
        facts = {"operator": event.operator, "reason": event.reason, "rebaseline": event.rebaseline}
        turn.record(EventName.CIRCUIT_BREAKER_RESET, trip_id=trip.trip_id, **facts)
        turn.answer = Answer(True, f"reset; baselines: {event.rebaseline}")

    def _why_no_reset(self, event: ResetRequested, now: Instant) -> str | None:
        if transition(self.state, Trigger.RESET).outcome is Outcome.REFUSED or self.trip is None:
            return f"nothing to reset: the state is {self.state.value}"
        if not self.trip.proven:
            return "not every cancel is proven yet: the daemon must finish that first"
        if event.rebaseline == "current":
            return None
        judged = self.judged(now.mono)
        loss = None if judged is None else self.baselines.loss_ratio(judged.low)
        if loss is None:
            return "the equity is not known, so it can't be said whether the limit would be breached at once"
        limit = self.settings.capital_loss.limit
        if loss >= limit:
            return f"with the kept baselines the loss of {percent(loss)} would trigger again at once"
        return None

    def _disable(self, event: DisableRequested, turn: _Turn) -> None:
        step = transition(self.state, Trigger.DISABLE)
        if step.outcome is Outcome.REFUSED:
            turn.answer = Answer(False, "a triggered circuit breaker can't be disabled: reset it")
            return
        self.state = step.after
        self._would_have = False
        self._disabled_until = turn.now.mono + event.duration_s
        facts = {"operator": event.operator, "reason": event.reason, "for_s": event.duration_s}
        turn.record(EventName.CIRCUIT_BREAKER_DISABLED, **facts)
        turn.answer = Answer(True, f"disabled for {event.duration_s:.0f} s")

    def _enable(self, event: EnableRequested, turn: _Turn) -> None:
        step = transition(self.state, Trigger.ENABLE)
        if not step.moved:
            turn.answer = Answer(step.outcome is not Outcome.REFUSED, f"the state is {self.state.value}")
            return
        self.state, self._disabled_until, self._warning = step.after, None, None
        turn.record(EventName.CIRCUIT_BREAKER_ENABLED, operator=event.operator)
        turn.answer = Answer(True, "enabled")

    # --- gate and figures --------------------------------------------------------------------------

    def _move_gate(self, turn: _Turn) -> None:
        cause, trip_id = self._gate_cause()
        gate = GateState(cause is not None, cause, trip_id, turn.now.wall)
        if not gate.same_as(self.gate):
            self.gate = gate
            turn.actions.insert(0, SetGate(gate))

    def _gate_cause(self) -> tuple[str | None, str | None]:
        if self.trip is not None:
            return cause_of(self.trip.breaker), self.trip.trip_id
        if self._blind.is_tripped and self.state is not CircuitBreakerState.DISABLED:
            return Cause.BLIND, None
        if self._confirmation is not None:
            return Cause.CONFIRMING, None
        if not self.is_started or self.baselines.capital is None or self._rebase_pending:
            return Cause.STARTING, None
        return None, None

    def _tell_update(self, before: CircuitBreakerState, turn: _Turn) -> None:
        if not self.is_started or self.baselines.capital is None:
            return
        figures = self._figures(turn.now.mono)
        told = (figures["equity"], figures["equity_low"], figures["equity_high"])
        is_due = turn.now.mono - self._told_mono >= self.settings.update_every_s and told != self._told
        if is_due or self.state is not before:
            self._told, self._told_mono = told, turn.now.mono
            unpriced = self.portfolio.unpriced() if is_due else ()
            turn.records.insert(0, RiskEvent(EventName.PORTFOLIO_UPDATE, {**figures, "unpriced": list(unpriced)}))

    def _figures(self, now_mono: float) -> dict[str, Any]:
        """Equity, losses and state for logs and files. Unknown is None, never 0."""
        judged = self.judged(now_mono)
        loss = None if judged is None else self.baselines.loss_ratio(judged.value)
        drawdown = None if judged is None else self.baselines.drawdown_ratio(judged.value)
        return {
            "equity": None if judged is None else plain(judged.value),
            "equity_low": None if judged is None else plain(judged.low),
            "equity_high": None if judged is None else plain(judged.high),
            "trusted": judged is not None and self.is_started and judged.is_trusted,
            "loss_ratio": None if loss is None else float(loss),
            "drawdown_ratio": None if drawdown is None else float(drawdown),
            "state": self.state.value,
        }

    def figures(self, now: Instant) -> dict[str, Any]:
        """The same figures, for whoever asks between events."""
        with localcontext(_ARITHMETIC):
            return self._figures(now.mono)

    def _next_wake(self, now_mono: float) -> float | None:
        moments = [self.flows.next_due(now_mono)]
        if self._confirmation is not None:
            moments.append(self._confirmation.since_mono + self.settings.confirmation.within_s)
        if self.trip is not None and not self.trip.proven:
            moments.append(self.trip.since_mono + self.settings.cancel_deadline_s)
        later = [moment for moment in moments if moment is not None and moment > now_mono]
        return min(later, default=None)

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Documents to persist, by name. The latch is saved by itself, at once."""
        return {
            "baselines": {**self.baselines.snapshot(), "rebase_pending": self._rebase_pending},
            "portfolio": self.portfolio.snapshot(),
            "flows": self.flows.snapshot(),
            "breakers": self.manager.snapshot(),
        }

    def restore(self, documents: Mapping[str, Any], now: Instant) -> None:
        """Take back what was persisted. A latch without a breaker state still locks."""
        with localcontext(_ARITHMETIC):
            if "baselines" in documents:
                self.baselines.restore(documents["baselines"])
                self._rebase_pending = documents["baselines"]["rebase_pending"]
            if "portfolio" in documents:
                self.portfolio.restore(documents["portfolio"])
            if "flows" in documents:
                self.flows.restore(documents["flows"])
            if "breakers" in documents:
                self.manager.restore(documents["breakers"])
            latch = documents.get("latch")
            if latch:
                self.trip = Trip.from_latch(latch, now)
                self.state = CircuitBreakerState.TRIGGERED
            self._look_for_start()


def _order_facts(event: OrderReplaced) -> dict[str, Any]:
    order = event.order
    return {
        "venue": order.venue,
        "scope": order.scope,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "remaining": None if order.remaining is None else plain(order.remaining),
    }
