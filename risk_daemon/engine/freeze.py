"""While frozen: every venue is emptied again and again, and the end comes by itself when all speaks for it.

So it is under a trip that is proven and whose process stays until its fund is told: what is proven must stay true.
"""

from __future__ import annotations

from collections.abc import Iterable

from risk_daemon.breakers.base import Action, Verdict
from risk_daemon.engine.books import Books
from risk_daemon.engine.decision import Turn
from risk_daemon.engine.states import Trigger
from risk_daemon.engine.trip import Trip
from risk_daemon.engine.trip_control import TripControl
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName

NEVER = float("-inf")


class Freeze:
    """Looks after a freeze, turn by turn. every_s: how often everything is emptied again."""

    def __init__(self, books: Books, control: TripControl, every_s: float) -> None:
        self._books = books
        self._control = control
        self.every_s = every_s
        self._swept: tuple[str, float] = ("", NEVER)
        self._began_over = False
        self._was_sweeping = False
        self._looks_again = False

    def look(self, verdicts: Iterable[Verdict], turn: Turn, *, orders_seen: bool) -> None:
        """End the freeze if it may end; else empty the venues if that is due.

        An order that shows up takes the proof away at once, and is looked for again even if a sweep is under way.
        """
        trip = self._control.trip
        if trip is None or not (trip.is_freeze or self._control.debt.delays_end):
            return
        if not trip.is_freeze and self._swept[0] != trip.trip_id:
            self._swept = (trip.trip_id, turn.now.mono)  # its own sweep, just now
        if orders_seen:
            self._looks_again = True
            self._control.note_proof(trip, turn, proven=False)
        self._note_end_of_sweep(trip, turn.now.mono)
        if self._control.is_sweeping:
            return
        if self._is_due(trip, turn.now):
            self._sweep(trip, turn)
        elif trip.is_freeze and trip.is_over(turn.now) and self._may_end(trip, verdicts, turn):
            self._end(turn)

    def _is_due(self, trip: Trip, now: Instant) -> bool:
        """At once after a restart: what was proven by another process may be so no more. And once when it is over."""
        swept_id, swept_mono = self._swept
        is_old = swept_id != trip.trip_id or now.mono - swept_mono >= self.every_s
        is_last_missing = trip.is_over(now) and not self._began_over
        is_unproven = not trip.proven and not self._control.waits_for_peers
        return is_old or is_last_missing or self._looks_again or is_unproven

    def _sweep(self, trip: Trip, turn: Turn) -> None:
        self._looks_again = False
        self._was_sweeping = True
        self._began_over = trip.is_over(turn.now)
        if not trip.is_freeze:
            self._control.note_proof(trip, turn, proven=False)  # one that can't be proven again must not end as proven
        self._control.start_sweep(trip, turn, resumed=False)

    def _note_end_of_sweep(self, trip: Trip, now_mono: float) -> None:
        if self._was_sweeping and not self._control.is_sweeping:
            self._swept = (trip.trip_id, now_mono)
        self._was_sweeping = self._control.is_sweeping

    def _may_end(self, trip: Trip, verdicts: Iterable[Verdict], turn: Turn) -> bool:
        """Only with a new start of day that is sure, and with nothing that would freeze or trip again."""
        baselines, picture = self._books.baselines, self._books.picture(turn.now.mono)
        if picture is None or not self._books.is_started or not picture.equity.is_trusted:
            return False
        day = baselines.day
        if not baselines.is_day_settled or day is None or (trip.day is not None and day <= trip.day):
            return False
        return not self._control.is_confirming and not any(
            verdict.action >= Action.FREEZE and (verdict.breached or verdict.suspected or verdict.undecided)
            for verdict in verdicts
        )

    def _end(self, turn: Turn) -> None:
        trip = self._control.end(Trigger.EXPIRE, turn, "the freeze is over")
        turn.record(EventName.FREEZE_EXPIRED, trip_id=trip.trip_id, breaker=trip.breaker, until_wall=trip.until_wall)
