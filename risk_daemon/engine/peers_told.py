"""What the peers know of a trip here: nothing is proven while one of them may still open.

A peer's bot may order until that peer has heard of the trip, so only a sweep counts that looked after they were told.
"""

from __future__ import annotations

from risk_daemon.engine.decision import Turn
from risk_daemon.engine.trip import Trip
from risk_daemon.model.events import EventName, StandingTold

# A sweep counts though the peers were told so much after it began: what is proven waits for that as well.
TOLD_WITHIN_S = 1.0


class PeersTold:
    """waits: a sweep proved everything, and counts only when the peers are told: it is made once more then."""

    def __init__(self) -> None:
        self.waits = False
        self._told: StandingTold | None = None
        self._untold: str | None = None

    def take(self, event: StandingTold) -> None:
        """What holds here is known to the peers: since it was told first, for as long as it is the same."""
        told = self._told
        if told is None or (told.locked, told.trip_id) != (event.locked, event.trip_id):
            self._told = event

    def since(self, trip: Trip) -> float | None:
        """Since when they know of it, in seconds of `mono`; None: they don't. A freeze is known as any lock is."""
        told = self._told
        is_of_it = told is not None and told.locked and (trip.began_as_freeze or told.trip_id == trip.trip_id)
        return told.mono if told is not None and is_of_it else None

    def were_shut(self, trip: Trip, locked_mono: float) -> bool:
        """Whether none of them could open any more while the sweep that counts from `locked_mono` looked last."""
        since_mono = self.since(trip)
        return since_mono is not None and since_mono <= locked_mono + TOLD_WITHIN_S

    def wait(self, trip: Trip, turn: Turn) -> None:
        """Every venue is empty, and a peer's bot may order again. Said once a trip where they can't be told."""
        self.waits = True
        if self.since(trip) is None and self._untold != trip.trip_id:
            self._untold = trip.trip_id
            turn.record(EventName.PEERS_UNTOLD, trip_id=trip.trip_id)
