"""While frozen: every venue is emptied again and again, and the end comes by itself when all speaks for it."""

from __future__ import annotations

from collections.abc import Iterable

from risk_daemon.books import Books
from risk_daemon.breakers.base import Action, BreakerState, Verdict
from risk_daemon.breakers.manager import CircuitBreakerManager
from risk_daemon.circuit_breaker import StateMachine, Trigger
from risk_daemon.events import EventName
from risk_daemon.trip import Trip
from risk_daemon.trip_control import TripControl
from risk_daemon.turn import Turn


class Freeze:
    """Looks after a freeze, turn by turn. every_s: how often everything is emptied again."""

    def __init__(
        self,
        books: Books,
        control: TripControl,
        machine: StateMachine,
        manager: CircuitBreakerManager,
        every_s: float,
    ) -> None:
        self._books = books
        self._control = control
        self._machine = machine
        self._manager = manager
        self._every_s = every_s
        self._swept_mono = float("-inf")
        self._was_sweeping = False

    def look(self, verdicts: Iterable[Verdict], turn: Turn, *, orders_seen: bool) -> None:
        """End the freeze if it may end; else empty the venues if that is due."""
        trip = self._control.trip
        if trip is None or not trip.is_freeze:
            return
        self._note_end_of_sweep(turn.now.mono)
        if self._control.is_sweeping:
            return
        if trip.proven and trip.is_over(turn.now):
            if self._may_end(trip, verdicts, turn):
                self._end(turn)
        elif orders_seen or not trip.proven or turn.now.mono - self._swept_mono >= self._every_s:
            self._control.start_sweep(trip, turn, resumed=False)
            self._was_sweeping = True

    def _note_end_of_sweep(self, now_mono: float) -> None:
        if self._was_sweeping and not self._control.is_sweeping:
            self._swept_mono = now_mono
        self._was_sweeping = self._control.is_sweeping

    def _may_end(self, trip: Trip, verdicts: Iterable[Verdict], turn: Turn) -> bool:
        """Only with a new start of day that is sure, and with nothing that would freeze or trip again."""
        baselines, picture = self._books.baselines, self._books.picture(turn.now.mono)
        if picture is None or not self._books.is_started or not picture.equity.is_trusted:
            return False
        end_day = baselines.calendar.key(trip.until_wall or turn.now.wall)
        if not baselines.is_day_settled or baselines.day is None or baselines.day < end_day:
            return False
        return not self._control.is_confirming and not any(
            verdict.action >= Action.FREEZE and (verdict.breached or verdict.suspected or verdict.undecided)
            for verdict in verdicts
        )

    def _end(self, turn: Turn) -> None:
        self._machine.fire(Trigger.EXPIRE)
        trip = self._control.close(turn)
        for breaker in self._manager.get_all_breakers():
            if breaker.action >= Action.FREEZE and breaker.state is BreakerState.TRIPPED:
                breaker.reset("the freeze is over")
                turn.record(EventName.BREAKER_RESET, **breaker.facts())
        turn.persist = True
        turn.record(EventName.FREEZE_EXPIRED, trip_id=trip.trip_id, breaker=trip.breaker, until_wall=trip.until_wall)
