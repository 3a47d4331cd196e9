"""The past through the engine, at full speed: virtual time, no clock, nothing made up between two values.

One venue gives the readings, and they are those over REST: prices at every new value, prices and holdings every
`reconcile_every`, and whenever the engine asks, at that same moment. Each says what held then, so ages are what they
would have been. Where nothing is known, nothing answers: values grow old, the equity becomes an interval, and the
blind rule speaks.

The first value is taken to have stood for some seconds before, so that there is something to measure losses from.
After a trip the daemon would have ended. To say of every rule when it would have tripped, all goes on from there
without the rule that tripped, with everything that was known until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from risk_daemon.breakers.base import Action, BaseCircuitBreaker
from risk_daemon.breakers.blind import BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.engine.decision import Decision, ReadNow, StartSweep
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.errors import check
from risk_daemon.model.account import Kind, Price, Source
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    BalancesSeen,
    EventName,
    Input,
    PricesSeen,
    RiskEvent,
    Started,
    SweepFinished,
    Tick,
    VenueConnected,
)
from risk_daemon.replay.book import VENUE
from risk_daemon.replay.levels import Level
from risk_daemon.replay.outcome import Deed, Mark, Outcome, Point
from risk_daemon.replay.track import Frame, Track

FINE_S = 1.0  # how often time passes while something may change by time alone
FEWEST_S = 15.0
SETTLED_S = 120.0  # nothing new for so long: what comes next is looked at a little before it comes
MOST_ANSWERS = 10_000
NO_LIMIT = Decimal(10) ** 12
PRICES_ONLY = frozenset({Kind.PRICES})
_DEEDS = {Action.VETO: Deed.VETOED, Action.FREEZE: Deed.FROZE, Action.TRIP: Deed.TRIPPED}

Rules = Callable[[], Sequence[BaseCircuitBreaker]]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """settings: those of the engine, for one venue called VENUE. rules: makes those of [breakers], new ones each time.

    read_every_s: how often everything is read again. levels: what of their limits is to be shown.
    """

    settings: EngineSettings
    rules: Rules
    read_every_s: float
    levels: Mapping[str, Level] = field(default_factory=dict)
    looks_always: bool = False


class Drive:
    """One run over a track. What it finds goes into `outcome`."""

    def __init__(self, guard: Guard, track: Track, outcome: Outcome) -> None:
        self.outcome = outcome
        self._guard = guard
        self._track = track
        self._prices: dict[str, Price] = {}
        self._out: set[str] = set()  # rules that have tripped
        self._engine = self._new_engine()
        self._start = track.frames[0].wall
        self._wall = self._start
        self._next_read = self._start
        self._wake: float | None = None
        self._unknown: set[str] = set()
        self._is_unknown_since: float | None = None
        self._inputs: deque[Input] = deque()

    # --- time --------------------------------------------------------------------------------------

    def run(self, progress: Progress | None = None) -> None:
        """From the first frame to the end of the last value."""
        track, lead_s = self._track, self._lead_s
        self._prices = {name: price for name, price in track.frames[0].prices.items() if price is not None}
        self._wall = self._start - lead_s
        self._begin()
        self._pass(self._start, FINE_S)
        for number, frame in enumerate(track.frames):
            ends = track.frames[number + 1].wall if number + 1 < len(track.frames) else track.until_wall
            self._take(frame)
            self._hold(ends)
            if progress is not None and number % 500 == 0:
                progress(number / len(track.frames))

    @property
    def _lead_s(self) -> float:
        return 2 * self._guard.settings.baselines.peak_hold_s + FEWEST_S

    def _hold(self, until: float) -> None:
        """Nothing new until then."""
        settled = self._wall + max(SETTLED_S, self._doubts_last_s)
        self._pass(min(settled, until))
        resumes = self._wall if self._guard.looks_always else until - self._lead_s
        while self._wall < resumes:
            trip = self._engine.trip
            frozen_until = trip.until_wall if trip is not None else None
            stop = min(resumes, frozen_until) if frozen_until and frozen_until > self._wall else resumes
            self._wall = self._next_read = stop  # nothing to be seen on the way
            self._read_all()
            self._pass(min(stop + FEWEST_S, until))
        self._pass(until)

    @property
    def _doubts_last_s(self) -> float:
        """How long something may still change by time alone, once nothing is known."""
        if self._is_unknown_since is None:
            return 0.0
        blind = self._guard.settings.blind
        waits = (blind.warn_after_s, blind.veto_after_s or 0.0, blind.trip_after_s or 0.0)
        return max(self._guard.settings.portfolio.stale_s.values()) + max(waits) + FEWEST_S

    def _pass(self, until: float, step_s: float | None = None) -> None:
        """Let time pass, with readings as they are due."""
        while True:
            moment = min(until, self._next_read, self._wall + (step_s or self._step_s()))
            if self._wake is not None and self._wall < self._wake:
                moment = min(moment, self._wake)
            if moment >= until:
                break
            self._wall = moment
            if self._wall >= self._next_read:
                self._read_all()
            self._send(Tick())
        self._wall = until

    def _step_s(self) -> float:
        """Blindness and confirmations are a matter of seconds."""
        since = self._is_unknown_since
        is_near = since is not None and self._wall - since <= self._doubts_last_s
        return FINE_S if is_near or self._engine.is_confirming or not self._engine.has_baselines else FEWEST_S

    # --- what is told the engine -------------------------------------------------------------------

    def _begin(self) -> None:
        for event in (Started(), VenueConnected(VENUE)):
            self._send(event)
        self._read_all()
        self._send(Tick())

    def _take(self, frame: Frame) -> None:
        """New values, or the news that one is not known any more. After that, everything is read again."""
        is_due = self._wall >= self._next_read or bool(self._unknown)
        for name, price in frame.prices.items():
            if price is None:
                self._prices.pop(name, None)
            else:
                self._prices[name] = price
        self._unknown |= {name for name, price in frame.prices.items() if price is None}
        self._unknown -= self._prices.keys()
        if not self._unknown:
            self._is_unknown_since = None
        elif self._is_unknown_since is None:
            self._is_unknown_since = frame.wall
        decision = self._read_all() if is_due else self._tell(self._reading(PRICES_ONLY))
        if decision is None or self._is_unknown_since is not None:
            decision = self._send(Tick())
        is_told = any(price is not None for price in frame.prices.values())
        if decision.equity is not None and is_told:
            equity = decision.equity
            self.outcome.points.append(Point(frame.wall, equity.value, equity.low, equity.high))
            self._note_levels()

    def _read_all(self) -> Decision | None:
        """A whole reading: what is held, and every price that is known."""
        self._next_read = self._wall + self._guard.read_every_s
        return self._tell(self._reading())

    def _tell(self, events: Iterable[Input]) -> Decision | None:
        """One after another. Returns the last decision."""
        decision = None
        for event in events:
            decision = self._send(event)
        return decision

    def _reading(self, kinds: Iterable[Kind] = (Kind.PRICES, Kind.BALANCES)) -> list[Input]:
        """What a venue would answer now. It is out of reach where nothing is known."""
        found: list[Input] = []
        if not self._prices:
            return found
        if Kind.PRICES in kinds:
            found.append(PricesSeen(VENUE, self._now.mono, Source.REST, tuple(self._prices.values())))
        if Kind.BALANCES in kinds:
            held = dict(self._track.holdings)
            found.append(BalancesSeen(VENUE, self._now.mono, Source.REST, held, complete=True))
        return found

    @property
    def _now(self) -> Instant:
        return Instant(mono=self._wall - self._start + 10_000.0, wall=self._wall)

    def _send(self, event: Input) -> Decision:
        """One event, and what is asked because of it, answered in the same moment. Returns the last decision."""
        self._inputs.append(event)
        decision = None
        for _ in range(MOST_ANSWERS):
            if not self._inputs:
                break
            decision = self._engine.process(self._inputs.popleft(), self._now)
            self._wake = None if decision.wake_mono is None else decision.wake_mono - 10_000.0 + self._start
            self._answer(decision)
            self._note(decision)
        check(decision is not None and not self._inputs, "the engine asks without end")
        return decision  # type: ignore[return-value]

    def _answer(self, decision: Decision) -> None:
        for action in decision.actions:
            if isinstance(action, ReadNow):
                self._inputs.extend(self._reading(action.kinds))
            if isinstance(action, StartSweep):
                self._inputs.append(SweepFinished(action.trip_id, True, 0, 0.0))

    # --- what it says ------------------------------------------------------------------------------

    def _note(self, decision: Decision) -> None:
        for record in decision.records:
            mark = self._mark_of(record, decision)
            if mark is not None and mark.rule not in self._out:
                self.outcome.note(mark)
        if self.outcome.capital is None:
            self.outcome.capital = self._engine.baselines.capital
        trip = self._engine.trip
        if trip is not None and not trip.is_freeze:
            self._go_on_without(trip.breaker)

    def _note_levels(self) -> None:
        for name, level in self._guard.levels.items():
            value, told = level(self._engine.baselines, self._now), self.outcome.levels.setdefault(name, [])
            if value is not None and (not told or told[-1][1] != value):
                told.append((self._wall, value))

    def _mark_of(self, record: RiskEvent, decision: Decision) -> Mark | None:
        equity = None if decision.equity is None else decision.equity.value
        rule, wall = str(record.fields.get("breaker", CircuitBreakerType.BLIND)), max(self._wall, self._start)
        if record.name in (EventName.WARNING_TRIGGERED, EventName.BLIND_STARTED):
            return Mark(rule, Deed.WARNED, wall, equity)
        if record.name is not EventName.BREAKER_TRIPPED:
            return None
        action = next(verdict.action for verdict in decision.verdicts if verdict.breaker == rule)
        return Mark(rule, _DEEDS[action], wall, equity, str(record.fields["reason"]))

    # --- after a trip ------------------------------------------------------------------------------

    def _go_on_without(self, rule: str) -> None:
        """Another engine, which knows what this one knew, and has not that rule."""
        known = {name: part for name, part in self._engine.snapshot().items() if name not in ("breakers", "halts")}
        samples = [sample.document() for sample in self._engine.history()]
        self._out.add(rule)
        self._inputs.clear()
        self._engine = self._new_engine()
        self._engine.restore({**known, "latch": None}, self._now)
        self._engine.restore_history(samples)
        self._inputs.extend([Started(), VenueConnected(VENUE), *self._reading(), Tick()])

    def _new_engine(self) -> Engine:
        settings = self._guard.settings
        if CircuitBreakerType.CAPITAL_LOSS in self._out:
            settings = replace(settings, capital_loss=CapitalLossSettings(limit=NO_LIMIT, warnings=()))
        if CircuitBreakerType.BLIND in self._out:
            blind = BlindSettings(settings.blind.warn_after_s, settings.blind.veto_after_s, None)
            settings = replace(settings, blind=blind)
        return Engine(settings, [rule for rule in self._guard.rules() if rule.name not in self._out])
