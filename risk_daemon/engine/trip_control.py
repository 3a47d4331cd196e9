"""From a verdict to a trip, and from a trip to its end.

A suspected breach shuts the gate at once and is confirmed or disproved; a confirmed one opens a trip:
latch, sweep, proof, end; where it is wanted, positions are closed between proof and end. After a restart the same
trip goes on under the same id. A freeze is a trip that does not end the process: every venue is emptied again and
again until its time is over (see `freeze.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from risk_daemon.breakers.base import Action, BaseCircuitBreaker, BreakerState, Verdict
from risk_daemon.breakers.manager import CircuitBreakerManager
from risk_daemon.engine.books import Books
from risk_daemon.engine.confirmation import Confirmation, Evidence, Judgement, judge
from risk_daemon.engine.decision import Finish, ReadNow, SaveLatch, StartSweep, Turn
from risk_daemon.engine.figures import figures_of
from risk_daemon.engine.fund_debt import FundDebt
from risk_daemon.engine.peers_told import PeersTold
from risk_daemon.engine.settings import EngineSettings
from risk_daemon.engine.states import CircuitBreakerState, StateMachine, Trigger
from risk_daemon.engine.trip import Trip, new_trip_id
from risk_daemon.engine.warnings import WarningWatch
from risk_daemon.errors import ExitCode, check
from risk_daemon.gate.restraints import Cause, Restraint
from risk_daemon.model.clock import Instant
from risk_daemon.model.commands import TWIN
from risk_daemon.model.events import (
    ClosingFinished,
    EventName,
    FundTold,
    Kind,
    Order,
    OrderReplaced,
    PositionClosed,
    StandingTold,
    SweepFinished,
    TrippedElsewhere,
    VenueProven,
    VenueSwept,
    VenueUnproven,
)
from risk_daemon.model.sweep_reports import SweepReport
from risk_daemon.model.units import plain

PRICE_KINDS = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES})
EVERY_KIND = PRICE_KINDS | {Kind.FLOWS}
# How many trips that are over are remembered, so that none of another guard begins anew.
_ENDED_KEPT = 100


class TripControl:
    """At most one breach of a rule in question, and one trip at a time."""

    def __init__(
        self,
        settings: EngineSettings,
        books: Books,
        manager: CircuitBreakerManager,
        machine: StateMachine,
        warnings: WarningWatch,
    ) -> None:
        self.trip: Trip | None = None
        self._settings = settings
        self._books = books
        self._manager = manager
        self._machine = machine
        self._warnings = warnings
        self._confirmations: dict[str, Confirmation] = {}
        self._would_have: set[str] = set()
        self._is_finishing = False
        self._is_closing = False
        self.is_sweeping = False
        self._ended: deque[str] = deque(maxlen=_ENDED_KEPT)
        self._locked_mono = 0.0
        self.debt = FundDebt()
        self._peers = PeersTold()

    def reconfigure(self, settings: EngineSettings) -> None:
        """Other settings. While there is a trip or a breach in question, the caller has none."""
        self._settings = settings

    @property
    def is_confirming(self) -> bool:
        return bool(self._confirmations)

    def next_due(self) -> list[float]:
        """Deadlines, in seconds of `mono`."""
        within_s = self._settings.confirmation.within_s
        due = [confirmation.since_mono + within_s for confirmation in self._confirmations.values()]
        if self.trip is not None and not self.trip.proven:
            due.append(self.trip.unproven_since_mono + self._settings.cancel_deadline_s)
        return due

    # --- breach ------------------------------------------------------------------------------------

    def weigh(self, verdict: Verdict, turn: Turn) -> None:
        """Take a verdict of a rule that freezes or trips."""
        if self._is_settled_for(verdict):
            self._confirmations.pop(verdict.breaker, None)
        elif self._machine.state is CircuitBreakerState.DISABLED:
            self._confirmations.pop(verdict.breaker, None)
            self._note_would_have(verdict, turn)
        elif verdict.breached and not self._wants_confirmation(verdict):
            self.breach(verdict, turn)
        elif verdict.breaker in self._confirmations:
            self._go_on(self._confirmations[verdict.breaker], verdict, turn)
        elif verdict.breached or verdict.suspected:
            self._confirmations[verdict.breaker] = Confirmation(turn.now.mono, verdict.breached)
            by_holdings = not verdict.breached
            facts = {"breaker": verdict.breaker, "by_holdings": by_holdings, **verdict.observed}
            turn.record(EventName.BREACH_CONFIRMING, **facts)
            turn.act(ReadNow(EVERY_KIND if by_holdings else PRICE_KINDS))

    def breach(self, verdict: Verdict, turn: Turn) -> None:
        """Freeze or trip by a rule. A trip takes the place of a freeze, under a new id."""
        if self._is_settled_for(verdict):
            return
        if not self._machine.fire(Trigger.BREACH).moved and self._machine.state is not CircuitBreakerState.TRIGGERED:
            return
        breaker = self._manager.get_breaker(verdict.breaker)
        breaker.settle(verdict)
        turn.record(EventName.BREAKER_TRIPPED, **breaker.facts(verdict))
        self.open(
            verdict.breaker,
            verdict.reason,
            turn,
            cause=breaker.cause,
            is_freeze=verdict.action is not Action.TRIP,
            observed=verdict.observed,
            limits=verdict.limits,
        )

    def _is_settled_for(self, verdict: Verdict) -> bool:
        """Whether nothing this rule could do would add to what is done already."""
        trip = self.trip
        return trip is not None and not (trip.is_freeze and verdict.action is Action.TRIP)

    def _wants_confirmation(self, verdict: Verdict) -> bool:
        if not self._manager.get_breaker(verdict.breaker).needs_confirmation:
            return False
        return self._settings.confirmation.enabled or self._books.portfolio.is_skewed(self._settings.price_skew_s)

    def _go_on(self, confirmation: Confirmation, verdict: Verdict, turn: Turn) -> None:
        evidence = Evidence(
            breached=verdict.breached,
            suspected=verdict.suspected,
            clear=not (verdict.breached or verdict.suspected or verdict.undecided),
            by_prices=turn.by_prices,
            all_read=self._books.are_read_since(confirmation.since_mono),
        )
        finding, open_question = judge(confirmation, evidence, turn.now.mono, self._settings.confirmation)
        self._confirmations[verdict.breaker] = open_question
        if finding is Judgement.CONFIRMED:
            self.breach(verdict, turn)
        elif finding is Judgement.READ_AGAIN:
            turn.act(ReadNow(PRICE_KINDS if verdict.breached else EVERY_KIND))
        elif finding is Judgement.DISPROVED:
            waited_s = turn.now.mono - confirmation.since_mono
            del self._confirmations[verdict.breaker]
            turn.record(EventName.PHANTOM_BREACH, breaker=verdict.breaker, waited_s=waited_s, **verdict.observed)

    def _note_would_have(self, verdict: Verdict, turn: Turn) -> None:
        if verdict.breached and verdict.breaker not in self._would_have:
            self._would_have.add(verdict.breaker)
            turn.record(EventName.WOULD_HAVE_TRIGGERED, breaker=verdict.breaker, **verdict.observed)
        elif not verdict.breached:
            self._would_have.discard(verdict.breaker)

    def forget_would_have(self) -> None:
        """Tell anew what would have triggered."""
        self._would_have.clear()

    # --- the trip ----------------------------------------------------------------------------------

    def open(
        self,
        breaker: str,
        reason: str,
        turn: Turn,
        *,
        cause: str,
        is_freeze: bool = False,
        trip_id: str | None = None,
        observed: Mapping[str, Any],
        limits: Mapping[str, Any],
    ) -> None:
        """Lock under a new trip id, or that of another guard's trip, and sweep. The state is TRIGGERED already."""
        now = turn.now
        self._confirmations.clear()
        self.trip = Trip(
            trip_id or new_trip_id(now, turn.seq), breaker, reason, now.wall, now.mono, cause=cause, is_freeze=is_freeze
        )
        if is_freeze:
            self.trip.until_wall = self._books.baselines.calendar.end_wall(now.wall)
            self.trip.until_mono = now.mono + (self.trip.until_wall - now.wall)
            self.trip.day = self._books.baselines.day
        facts = {"trip_id": self.trip.trip_id, "breaker": breaker, "reason": reason}
        evidence = {"observed": dict(observed), "limits": dict(limits)}
        lasting = {"action": "freeze" if is_freeze else "trip", "until_wall": self.trip.until_wall}
        figures = figures_of(self._books, self._machine.state, now.mono)
        turn.record(EventName.CIRCUIT_BREAKER_TRIGGERED, **facts, **lasting, **evidence, **figures)
        turn.act(SaveLatch(self.trip.latch()))
        self.start_sweep(self.trip, turn, resumed=False)

    def join(self, event: TrippedElsewhere, turn: Turn) -> None:
        """Another guard's trip is this one's: at once, under its id, whether this one is disabled or frozen.

        One that is over here, or that a trip of this guard's own has answered already, begins nothing anew.
        """
        trip = self.trip
        if event.cause == Cause.FUND:
            self.debt.owe(event.trip_id)
        if event.trip_id in self._ended or (trip is not None and trip.trip_id == event.trip_id):
            return
        if trip is not None and not trip.is_freeze:
            self._ended.append(event.trip_id)
            turn.persist = True
            return
        self._machine.fire(Trigger.HALT)
        reason = f"{event.by} tripped: {event.reason}"
        self.open(
            event.by, reason, turn, cause=event.cause, trip_id=event.trip_id, observed={"by": event.by}, limits={}
        )

    def restraints(self) -> tuple[Restraint, ...]:
        """A trip locks for everybody. Under a freeze, orders that only make a position smaller may pass."""
        trip = self.trip
        if trip is None:
            return ()
        breaker = self._manager.find(trip.breaker)
        lock = Restraint(
            trip.cause,
            trip.reason,
            observed={} if breaker is None else breaker.get_trip_details(),
            limits={} if breaker is None else breaker.get_trip_limits(),
            allows_reducing=trip.is_freeze and self._settings.allow_reduce_only,
            trip_id=trip.trip_id,
            until_wall=trip.until_wall,
            since_wall=trip.since_wall,
        )
        return (lock,)

    def snapshot(self) -> dict[str, Any]:
        """The trips that are over, oldest first; the one that is not is in the latch."""
        return {"ended": list(self._ended)}

    def restore_ended(self, documents: Mapping[str, Any]) -> None:
        """Take back what `snapshot` gave. What is odd is not known: then another guard's trip is one here again."""
        self.debt.restore(documents)
        document = documents.get("trips")
        ended = document.get("ended") if isinstance(document, Mapping) else None
        known = [trip_id for trip_id in ended if isinstance(trip_id, str)] if isinstance(ended, list) else []
        self._ended = deque(known, maxlen=_ENDED_KEPT)

    def end(self, trigger: Trigger, turn: Turn, by: str) -> Trip:
        """The trip that is over: by RESET, or by EXPIRE for a freeze. by: what the rules are told of who ended it.

        A person's reset resets every rule; a freeze that is over leaves vetoes to end by themselves.
        """
        check(self.trip is not None, "there is no trip to end")
        self._machine.fire(trigger)
        trip, self.trip = self.trip, None
        self._ended.append(trip.trip_id)  # type: ignore[union-attr]
        self._is_finishing = False
        self.debt.forget_end()
        turn.act(SaveLatch(None))
        for breaker in self._manager.get_tripped():
            if trigger is Trigger.RESET or _is_of_freeze(breaker):
                self._manager.reset(breaker.name, by)
                turn.record(EventName.BREAKER_RESET, **breaker.facts())
        self._warnings.forget()
        turn.persist = True
        return trip  # type: ignore[return-value]

    def restore(self, latch: Mapping[str, Any], now: Instant) -> None:
        """A latch was found: whatever else was found or not, trading is locked."""
        self.trip = Trip.from_latch(latch, now)
        self._machine.resume_triggered()

    def resume(self, turn: Turn) -> None:
        """After a restart: an unproven trip goes on, a proven one ends at once and cancels nothing."""
        if self.trip is None:
            self._trip_by_orphan(turn)
            return
        self.trip.since_mono = self.trip.unproven_since_mono = turn.now.mono
        if not self.trip.proven:
            self.start_sweep(self.trip, turn, resumed=True)
        elif not self.trip.is_freeze:
            self._end_proven("still triggered; reset to trade again", turn)

    def _trip_by_orphan(self, turn: Turn) -> None:
        """A rule that is tripped for good and has no latch behind it: something of the state was lost or spoilt."""
        orphan = next((rule for rule in self._manager.get_tripped() if not rule.ends_by_itself), None)
        if orphan is not None and self._machine.fire(Trigger.BREACH).moved:
            reason = f"{orphan.name} is tripped, and no latch says what became of it: {orphan.get_trip_reason()}"
            self.open(orphan.name, reason, turn, cause=orphan.cause, observed={}, limits={})

    def keep_deadline(self, turn: Turn) -> None:
        """A sweep that reports nothing ends the process all the same."""
        trip = self.trip
        self.debt.look(turn)
        if trip is None or trip.proven:
            return
        if self._peers.waits and self._peers.since(trip) is not None:
            self.start_sweep(trip, turn, resumed=False)
        if turn.now.mono - trip.unproven_since_mono >= self._settings.cancel_deadline_s:
            late = "not every position closed" if self._is_closing else "not proven"
            late = "the peers not told of it" if self._peers.waits else late
            self._finish(ExitCode.TRIGGERED_UNPROVEN, f"{late} by the deadline", turn)

    def start_sweep(self, trip: Trip, turn: Turn, *, resumed: bool) -> None:
        """Empty every venue, under the trip's id."""
        self.is_sweeping, self._is_closing, self._peers.waits = True, False, False
        self.debt.forget_end()
        self._locked_mono = max(trip.since_mono, self._peers.since(trip) or trip.since_mono)
        deadline_mono = trip.since_mono + self._settings.cancel_deadline_s
        turn.act(StartSweep(trip.trip_id, self._locked_mono, deadline_mono, closes=self._closes(trip)))
        venues = sorted(self._settings.portfolio.expected)
        turn.record(EventName.SWEEP_STARTED, trip_id=trip.trip_id, venues=venues, resumed=resumed)

    def _closes(self, trip: Trip) -> bool:
        """Whether this trip ends only with every position closed."""
        return self._settings.close_positions and trip.may_close and not trip.is_freeze

    def _end_proven(self, reason: str, turn: Turn) -> None:
        if not self._is_finishing:
            self._is_finishing = True
            self.debt.end(reason, turn)

    def _finish(self, code: ExitCode, reason: str, turn: Turn) -> None:
        if not self._is_finishing:
            self._is_finishing = True
            turn.act(Finish(code, reason))

    # --- the sweep's reports -----------------------------------------------------------------------

    def take_report(self, event: SweepReport, turn: Turn) -> None:
        """What was found and done for a trip. Reports of another one are not believed."""
        if isinstance(event, PositionClosed | ClosingFinished):
            self._take_closing(event, turn)
        else:
            self._take_sweep(event, turn)

    def _take_sweep(
        self, event: VenueProven | VenueUnproven | VenueSwept | OrderReplaced | SweepFinished, turn: Turn
    ) -> None:
        trip = self.trip
        if trip is None or trip.trip_id != event.trip_id:
            return
        match event:
            case VenueProven():
                kept = [order.order_id for order in event.kept]
                facts = {"cancelled": event.cancelled, "elapsed_s": event.elapsed_s, "kept": kept}
                facts |= {"unprovable": list(event.unprovable)} if event.unprovable else {}
                lines = {"trip_id": trip.trip_id, "venue": event.venue, "changes": event.changes}
                turn.record(EventName.VENUE_PROVEN, **lines, **facts)
            case VenueUnproven():
                facts = {"venue": event.venue, "reason": event.reason, "changes": event.changes}
                turn.record(EventName.VENUE_UNPROVEN, trip_id=trip.trip_id, **facts)
            case VenueSwept():
                facts = {"rounds": event.rounds, "cancelled": event.cancelled, "left": event.left}
                facts |= {"elapsed_s": event.elapsed_s, "reason": event.reason}
                turn.record(EventName.VENUE_SWEPT, trip_id=trip.trip_id, venue=event.venue, **facts)
            case OrderReplaced():
                turn.record(EventName.ORDER_REPLACED, trip_id=trip.trip_id, **_order_facts(event.order))
            case SweepFinished():
                self._end_sweep(event, trip, turn)

    def _end_sweep(self, event: SweepFinished, trip: Trip, turn: Turn) -> None:
        facts: dict[str, Any] = {"proven": event.proven, "cancelled": event.cancelled, "elapsed_s": event.elapsed_s}
        facts |= {"unprovable": list(event.unprovable)} if event.unprovable else {}
        turn.record(EventName.SWEEP_FINISHED, trip_id=trip.trip_id, **facts)
        if event.proven and self._closes(trip):
            self._note_closing(trip, turn)  # it goes on: positions first, and then the orders once more
            return
        self.is_sweeping = False
        if event.proven and not self._is_known_to_all(trip):
            self._wait_for_peers(trip, turn)
        elif trip.is_freeze:
            self.note_proof(trip, turn, proven=event.proven)
        elif event.proven:
            self.note_proof(trip, turn, proven=True)
            self._end_proven("triggered, every cancel proven", turn)
        else:
            self._finish(ExitCode.TRIGGERED_UNPROVEN, "triggered, not every cancel proven", turn)

    # --- who else must know ------------------------------------------------------------------------

    @property
    def waits_for_peers(self) -> bool:
        """Whether a sweep proved everything, and counts only when the peers are told: it is made once more then."""
        return self._peers.waits

    def take_word(self, event: TrippedElsewhere | StandingTold | FundTold, turn: Turn) -> None:
        """Others have tripped; or peers, or the fund, know what holds here."""
        match event:
            case TrippedElsewhere():
                self.join(event, turn)
            case StandingTold():
                self._peers.take(event)
            case FundTold():
                self.debt.take(event, turn)

    def _is_known_to_all(self, trip: Trip) -> bool:
        """Whether nobody who guards the same accounts could open any more while the sweep looked."""
        return TWIN not in self._settings.leases or self._peers.were_shut(trip, self._locked_mono)

    def _wait_for_peers(self, trip: Trip, turn: Turn) -> None:
        """Every venue is empty, and a peer's bot may order again: it is swept once more when they were told."""
        if trip.proven:
            self.note_proof(trip, turn, proven=False)
        self._peers.wait(trip, turn)

    # --- positions ---------------------------------------------------------------------------------

    def _take_closing(self, event: PositionClosed | ClosingFinished, turn: Turn) -> None:
        """What became of positions: written down, whoever closed them; only the trip's own closing ends it."""
        if isinstance(event, PositionClosed):
            turn.record(EventName.POSITION_CLOSED, **_closed_facts(event))
            return
        turn.record(EventName.CLOSING_FINISHED, **_closing_facts(event))
        trip = self.trip
        if trip is not None and trip.trip_id == event.trip_id and self._closes(trip):
            self._end_closing(event, trip, turn)

    def _note_closing(self, trip: Trip, turn: Turn) -> None:
        if not self._is_closing:
            self._is_closing = True
            venues = sorted(self._settings.portfolio.expected)
            turn.record(EventName.CLOSING_STARTED, trip_id=trip.trip_id, venues=venues)

    def _end_closing(self, event: ClosingFinished, trip: Trip, turn: Turn) -> None:
        self.is_sweeping = self._is_closing = False
        if event.flat:
            self.note_proof(trip, turn, proven=True)
            self._end_proven("triggered, every cancel proven, every position closed", turn)
        else:
            self._finish(ExitCode.TRIGGERED_UNPROVEN, "triggered, not every position closed", turn)

    # --- the proof ---------------------------------------------------------------------------------

    def note_proof(self, trip: Trip, turn: Turn, *, proven: bool) -> None:
        """Whether everything is known to be gone, from now on."""
        if trip.proven and not proven:
            trip.unproven_since_mono = turn.now.mono
        if trip.proven is not proven:
            trip.proven, trip.proven_wall = proven, turn.now.wall if proven else None
            turn.act(SaveLatch(trip.latch()))


def _is_of_freeze(breaker: BaseCircuitBreaker) -> bool:
    return breaker.state is BreakerState.TRIPPED and not breaker.is_veto


def _order_facts(order: Order) -> dict[str, Any]:
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


def _closed_facts(event: PositionClosed) -> dict[str, Any]:
    return {
        "trip_id": event.trip_id,
        "venue": event.venue,
        "symbol": event.symbol,
        "side": event.side,
        "quantity": plain(event.quantity),
        "residual": plain(event.residual),
    }


def _closing_facts(event: ClosingFinished) -> dict[str, Any]:
    remaining = event.remaining
    return {
        "trip_id": event.trip_id,
        "flat": event.flat,
        "elapsed_s": event.elapsed_s,
        "reason": event.reason,
        "remaining": None if remaining is None else {asset: plain(held) for asset, held in remaining.items()},
    }
