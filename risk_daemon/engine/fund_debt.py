"""The word that this guard owes its fund: that a trip of all has begun. Code 1 waits for it.

The accounts of members are disjoint, so nothing is swept again for it: everything here is proven, and only the
others may not know yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.engine.decision import Finish, Turn
from risk_daemon.errors import ExitCode
from risk_daemon.fund.membership import FUND
from risk_daemon.gate.restraints import Cause
from risk_daemon.model.events import EventName, FundTold

_UNREADABLE = "unknown"
# After a restart the ledger has it mostly, and has only to be read: so long nobody is told that it is not.
_READ_WITHIN_S = 2.0


class FundDebt:
    """trip_id: of the fund's trip that its ledger does not have yet, as far as is known; None: there is none.

    error: why nobody can tell it in this run; None: somebody tries.
    """

    def __init__(self) -> None:
        self.trip_id: str | None = None
        self.error: str | None = None
        self._reason: str | None = None
        self._tells_mono: float | None = None
        self._said: str | None = None

    def owe(self, trip_id: str) -> None:
        """A trip of the fund began, here or elsewhere."""
        self.trip_id = trip_id

    @property
    def delays_end(self) -> bool:
        """Whether everything here was proven, and the process stays only until the fund is told."""
        return self._reason is not None

    def end(self, reason: str, turn: Turn) -> bool:
        """Everything here is proven: the process ends by `reason`, now or once the fund is told. True: now."""
        if self.trip_id is None:
            turn.act(Finish(ExitCode.TRIGGERED_AND_PROVEN, reason))
        elif self.error is not None:
            why = f"{reason}; but nobody can tell the fund of its trip: {self.error}"
            turn.act(Finish(ExitCode.TRIGGERED_UNPROVEN, why))
        else:
            self._reason = reason
            self._tells_mono = None if self._said == self.trip_id else turn.now.mono + _READ_WITHIN_S
            return False
        return True

    def forget_end(self) -> None:
        """There is something to be proven again, or no trip any more: nothing ends by what was to end."""
        self._reason = self._tells_mono = None

    def take(self, event: FundTold, turn: Turn) -> bool:
        """The ledger has it, or nobody can tell it. True: an end that waited for that comes now."""
        self.error = event.error or self.error
        if event.error is None and event.trip_id == self.trip_id:
            self.trip_id = None
            turn.record(EventName.FUND_TOLD, trip_id=event.trip_id)
        reason = self._reason
        if reason is not None and (self.trip_id is None or self.error is not None):
            self.forget_end()
            return self.end(reason, turn)
        return False

    def look(self, turn: Turn) -> None:
        """Say once that the end waits for the fund's ledger."""
        if self._tells_mono is not None and turn.now.mono >= self._tells_mono:
            self._tells_mono, self._said = None, self.trip_id
            turn.record(EventName.FUND_UNTOLD, trip_id=self.trip_id)

    def restore(self, documents: Mapping[str, Any]) -> None:
        """By the member's document, or a latch for the fund: neither knows what the ledger has, so it is told again.
        A document that can't be read may have a trip in it."""
        document, latch = documents.get(FUND), documents.get("latch")
        if isinstance(latch, Mapping) and latch.get("cause") == Cause.FUND:
            self.trip_id = str(latch.get("trip_id"))
        if document in (None, {}):  # none, or one that was taken back
            return
        row = document.get("row") if isinstance(document, Mapping) else None
        trip = row.get("trip", _UNREADABLE) if isinstance(row, Mapping) else _UNREADABLE
        if trip is not None:
            self.trip_id = trip if isinstance(trip, str) else _UNREADABLE
