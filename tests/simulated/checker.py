"""What must never happen, and what must happen in the end. Knows the venues' truth, not the guard's view."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from risk_daemon.engine.decision import Decision, StartSweep
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.errors import ExitCode
from risk_daemon.model.events import HaltRequested, Kind, ResetRequested
from risk_daemon.model.units import ZERO
from risk_daemon.state.event_log import verify_log
from risk_daemon.state.lock.base import LockRecord
from tests.simulated.life import STALE_S, STOP_WITHIN_S, VETO_AFTER_S, End, Life
from tests.simulated.scenario import Call
from tests.simulated.sweep_rules import SweepRules
from tests.simulated.truth import MARGIN

if TYPE_CHECKING:
    from tests.simulated.world import World

# The first cancel of every venue must be on its way so soon after the trip.
FIRST_CANCEL_S = 1.0
# After the deadline: the last writes, tasks and sockets may take their time, and a bit.
ENDING_S = 4 * STOP_WITHIN_S + 3.0
# A store that was healed has written what waited for it.
STORE_RECOVERS_S = 10.0
# A call to a venue is given up after its timeout.
GIVE_UP_S = 1.5
# What is certain, whatever a venue that does not answer may hold, is locked within this time.
CERTAIN_S = 25.0
# A true breach may stay unseen until its data is stale, then blind, then vetoed.
UNSEEN_S = max(STALE_S[Kind.BALANCES], STALE_S[Kind.POSITIONS]) + VETO_AFTER_S + 5.0
# Healed: from a lasting breach to the lock, with reads, streams, restarts and retries on their schedules.
TRIP_WITHIN_S = 45.0
OPEN_FOR_S = 4.0
# After the last good listing: until the next one is due, is vetoed, and was given up; and a bit.
UNLISTED_S = 2.0 + VETO_AFTER_S
# How old the data of a justified trip may be.
LOOKS_BACK_S = 40.0

# What a dead venue's last known worth may be above the truth: its prices then, and the stale band.
UNSEEN_SHARE = Decimal("0.4")
_LONGER_CALLS = frozenset({Call.CONNECT, Call.STREAM})


class Checker:
    """Collects violations as sentences."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sweeps = SweepRules(world, self.fail)
        self.violations: list[str] = []
        self.is_satisfied = False
        self.healed_true: float | None = None
        self.open_since: float | None = None
        self.trips = 0
        self._certain_since: float | None = None

    def fail(self, sentence: str) -> None:
        life = self.world.life
        where = f"at {self.world.elapsed_s:.3f} s" + (f", life {life.number}" if life else "")
        self.violations.append(f"{where}: {sentence}")
        if life is not None:
            life.enough()

    # --- while a guard lives -------------------------------------------------------------------------

    def decided(self, decision: Decision, life: Life) -> None:
        engine = life.engine
        is_triggered = decision.after is CircuitBreakerState.TRIGGERED
        if is_triggered and not self.world.gate.record.locked:
            self.fail("the gate says open while triggered")
        if not self.world.truth.capitals:
            self._take_capital(life)
        if is_triggered and decision.before is not CircuitBreakerState.TRIGGERED:
            self._tripped(decision, life)
        released = decision.before is CircuitBreakerState.TRIGGERED and not is_triggered
        if released and not isinstance(decision.event, ResetRequested):
            self.fail(f"the trip un-latched by {type(decision.event).__name__}")
        if (life.tripped_mono is not None or life.was_latched) and (engine is None or engine.trip is None):
            self.fail("there is no trip any more")
        self.sweeps.decided(decision, life)
        for action in decision.actions:
            if isinstance(action, StartSweep):
                life.tripped_mono = decision.now.mono
                self.world.after(FIRST_CANCEL_S, lambda: self._first_cancels(life, decision.now.mono))

    def _take_capital(self, life: Life) -> None:
        capital = None if life.engine is None else life.engine.baselines.capital
        truth = self.world.truth
        if capital is not None and not truth.adopt_capital(capital, self.world.timeline.true):
            self.fail(f"the auto capital is {capital:.0f}; the equity was {truth.lowest:.0f} to {truth.highest:.0f}")

    def _tripped(self, decision: Decision, life: Life) -> None:
        self.trips += 1
        if isinstance(decision.event, HaltRequested):
            return
        now = self.world.timeline.true
        truth = self.world.truth
        if truth.could_have_breached(now - LOOKS_BACK_S) or self._is_excused(now):
            return
        worst = truth.worst_since(now - LOOKS_BACK_S)
        reason = life.engine.trip.reason if life.engine and life.engine.trip else "?"
        self.fail(f"a false trip: the true loss was {worst:.4f} at most, but: {reason}")

    def _is_excused(self, now: float) -> bool:
        """A lie that nothing refuted, or a flow whose ledger could not be read in time, counts as loss by design."""
        if any(venue.lies_open for venue in self.world.venues.values()):
            return True
        patience_s = self.world.scenario.rules.flow_wait_s - 3.0
        return any(
            now - landed >= patience_s and self.world.venues[name].ledger_told_true < listed
            for name, landed, listed in self.world.flows
        )

    def _first_cancels(self, life: Life, since_mono: float) -> None:
        if self.world.life is not life:
            return
        for venue in self.world.venues.values():
            if not any(mono >= since_mono for mono in venue.cancel_asked_mono):
                self.fail(f"no cancel left for {venue.name} within {FIRST_CANCEL_S} s of the trip")

    def gate_written(self, record: LockRecord) -> None:
        life, latch = self.world.life, self.world.store.latch
        if record.locked:
            return
        if latch is not None and latch.get("locked") is not False:
            self.fail("the gate was opened over a durable latch")
        if life is not None and life.tripped_mono is not None:
            self.fail("the gate was opened after a trip")
        unseen = [venue.name for venue in self.world.venues.values() if not venue.balances_told]
        if unseen:
            self.fail(f"the gate was opened though {', '.join(unseen)} never answered")

    def second(self) -> None:
        """Once a second."""
        world, life = self.world, self.world.life
        self._note_open()
        breached_since = world.truth.breached_since
        if world.gate.is_open() and breached_since is not None and self._seconds(breached_since) > UNSEEN_S:
            self.fail(f"the gate is open {self._seconds(breached_since):.0f} s into a breach")
        if life is not None and life.tripped_mono is not None:
            late_s = world.timeline.mono - life.tripped_mono - world.scenario.rules.cancel_deadline_s
            if late_s > ENDING_S:
                self.fail(f"still running {late_s:.0f} s after the cancel deadline")
        if world.gate.is_open():
            self._look_for_listings()
        if life is not None:
            self._look_for_hanging_calls(life)
            self._look_for_certain_breach(life)
        self.sweeps.second(life)
        if world.is_healed:
            self._look_for_the_end()

    def _look_for_hanging_calls(self, life: Life) -> None:
        limit_s = self.world.scenario.rules.call_timeout_s + GIVE_UP_S
        for adapter in life.adapters.values():
            for call, since_mono in adapter.waiting.values():
                hangs_s = self.world.timeline.mono - since_mono
                if call not in _LONGER_CALLS and hangs_s > limit_s:
                    self.fail(f"{adapter.name}: a call ({call}) hangs for {hangs_s:.0f} s, and nobody gives it up")

    def _look_for_listings(self) -> None:
        """Who could not cancel what is open may not let anything be opened."""
        limit_s = UNLISTED_S + self.world.scenario.rules.reconcile_every_s + self.world.scenario.rules.call_timeout_s
        for venue in self.world.venues.values():
            for scope in venue.scopes:
                unlisted_s = self._seconds(venue.last_look.get(scope.name, float("-inf")))
                if unlisted_s > limit_s:
                    self.fail(f"open, though {venue.name} {scope.name} was not listed for {unlisted_s:.0f} s")

    def _look_for_certain_breach(self, life: Life) -> None:
        """A breach that even the best of what the dead venues may hold does not undo, with all others well."""
        world, now = self.world, self.world.timeline.true
        if not self._is_certain():
            self._certain_since = None
            return
        self._certain_since = self._certain_since or now
        since_s = self._seconds(max(self._certain_since, life.started_true))
        if since_s > CERTAIN_S and life.tripped_mono is None and world.store.has_baseline:
            self.fail(f"a breach that is certain though venues are dead is not locked after {since_s:.0f} s")

    def _is_certain(self) -> bool:
        world, truth = self.world, self.world.truth
        if truth.breached_since is None or world.flows or world.scenario.noise:
            return False
        dead = [venue for venue in world.venues.values() if venue.is_dead()]
        if any(not venue.is_well() for venue in world.venues.values() if venue not in dead):
            return False
        best = truth.equity() + sum((venue.gross() for venue in dead), ZERO) * UNSEEN_SHARE
        return truth.losses(best)[0] >= world.scenario.rules.limit + MARGIN

    def _seconds(self, since_true: float) -> float:
        return self.world.timeline.true - since_true

    def _note_open(self) -> None:
        if not self.world.gate.is_open():
            self.open_since = None
        elif self.open_since is None:
            self.open_since = self.world.timeline.true

    # --- liveness ------------------------------------------------------------------------------------

    def _look_for_the_end(self) -> None:
        """Everything is healed: a lasting breach, a halt or a latch ends in exit 1, all else in an open gate."""
        world = self.world
        self.healed_true = self.healed_true or world.timeline.true
        if self.wants_exit():
            self._look_for_a_late_trip()
        elif self.open_since is not None and self._seconds(self.open_since) >= OPEN_FOR_S:
            self.is_satisfied = True
            if world.life is not None:
                world.life.enough()
        if self._seconds(self.healed_true) > world.scenario.liveness_s and not self.is_satisfied:
            wanted = "exit 1" if self.wants_exit() else "an open gate"
            self.fail(f"{self._seconds(self.healed_true):.0f} s after everything was healed there is no {wanted}")

    def _look_for_a_late_trip(self) -> None:
        breached_since, life = self.world.truth.breached_since, self.world.life
        if breached_since is None or self.healed_true is None or self._is_latched():
            return
        waited_s = self._seconds(max(breached_since, self.healed_true))
        if waited_s > TRIP_WITHIN_S and (life is None or life.tripped_mono is None):
            self.fail(f"a lasting breach is not locked {waited_s:.0f} s after everything was healed")

    def wants_exit(self) -> bool:
        """Whether exit 1 is what must come."""
        life = self.world.life
        is_tripped = life is not None and life.tripped_mono is not None
        return is_tripped or self._is_latched() or self.world.truth.breached_since is not None

    def _is_latched(self) -> bool:
        latch = self.world.store.latch
        return latch is not None and latch.get("locked") is not False

    # --- when a life ends ----------------------------------------------------------------------------

    def ended(self, life: Life, end: End, log_path: Path) -> None:
        found = verify_log(log_path)
        if not found.ok:
            self.fail(f"the event log is broken: {found.problem}")
        asked = sum(len(venue.cancel_asked_mono) for venue in self.world.venues.values())
        if asked and life.tripped_mono is None:
            self.fail(f"{asked} cancels without a trip")
        if end.code is not None:
            self._ended_with(ExitCode(end.code), life, end)

    def _ended_with(self, code: ExitCode, life: Life, end: End) -> None:
        self.sweeps.ended(code)
        latch = self.world.store.latch or {}
        is_locked, is_proven = latch.get("locked") is not False, latch.get("proven") is True
        if code is ExitCode.BUG:
            self.fail(f"a bug: {end.bug}")
        elif code is ExitCode.STOPPED and (is_locked or life.tripped_mono is not None):
            self.fail("exit 0 while triggered")
        elif code is ExitCode.TRIGGERED_AND_PROVEN:
            if not (is_locked and is_proven):
                self.fail(f"exit 1, but the durable latch is {dict(latch)}")
            self._check_books(life)
        elif code is ExitCode.TRIGGERED_UNPROVEN and life.tripped_mono is None:
            self.fail("exit 4 without a trip")
        elif code is ExitCode.TRIGGERED_UNPROVEN and not is_locked and self._was_store_well():
            self.fail("exit 4, and the next start will know nothing of the trip")
        elif code is ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START and life.number > 1:
            self.fail("exit 75, though it is not the first start")

    def _was_store_well(self) -> bool:
        """Whether there was nothing that could have kept a latch from the disk in the last seconds."""
        scenario = self.world.scenario
        had_trouble = scenario.disk_noise > 0 or any(happening.what == "disk" for happening in scenario.happenings)
        healed_s = 0.0 if self.healed_true is None else self._seconds(self.healed_true)
        return self.world.store_illness.is_well() and (healed_s > STORE_RECOVERS_S or not had_trouble)

    def _check_books(self, life: Life) -> None:
        """Nothing may rest but what a reckless bot placed after a sweep looked last, or anybody after a proof."""
        if life.was_proven:
            return
        for venue in self.world.venues.values():
            for scope in venue.scopes:
                last_look = venue.last_urgent_look.get(scope.name, float("-inf"))
                for order in venue.orders_in(scope.name):
                    name = order.draft.client_order_id or ""
                    if not (name.startswith("reckless") and order.placed_wall >= last_look):
                        self.fail(f"exit 1 with an open order on {venue.name}: {order.order_id} ({name})")
