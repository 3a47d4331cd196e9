"""What lies outside this engine and holds against new orders: its memory, and who else must agree to open.

A state that can't be saved locks. So does a right to open that somebody else has, or that was granted and is over:
it is granted for seconds, and counted from before it was asked for (see `runtime/twin.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from risk_daemon.engine.decision import Turn
from risk_daemon.gate.restraints import Cause, Restraint
from risk_daemon.model.events import EventName, LeaseSeen, StoreChecked

TWIN = "twin"
_NOT_ASKED = "it was not heard of yet"


class Outside:
    """leases: by whom this guard must be let, each of them, for its gate to open."""

    def __init__(self, leases: Iterable[str]) -> None:
        self._leases = {by: LeaseSeen(by=by, until_mono=None, reason=_NOT_ASKED) for by in sorted(leases)}
        self._told: dict[str, bool] = {}
        self._store_error: str | None = None

    def take(self, event: StoreChecked | LeaseSeen, turn: Turn) -> None:
        """How saving went, or what somebody else allows. Told when it begins and ends, not with every other reason."""
        if isinstance(event, LeaseSeen):
            self._leases[event.by] = event
            return
        before, self._store_error = self._store_error, event.error
        if event.error is not None and before is None:
            turn.record(EventName.STORE_UNWRITABLE, error=event.error)
        elif event.error is None and before is not None:
            turn.record(EventName.STORE_WRITABLE)

    def look(self, turn: Turn) -> None:
        """Tell of what is allowed, or is no longer."""
        for by, lease in self._leases.items():
            reason = _why_not(lease, turn.now.mono)
            if self._told.get(by) == (reason is None):
                continue
            self._told[by] = reason is None
            if reason is None:
                turn.record(EventName.OPENING_ALLOWED, by=by, epoch=lease.epoch)
            else:
                turn.record(EventName.OPENING_REFUSED, by=by, reason=reason)

    def restraints(self, now_mono: float) -> list[Restraint]:
        """What holds against everybody's orders now."""
        found = []
        if self._store_error is not None:
            found.append(Restraint(Cause.LOCKED, f"the state can't be saved: {self._store_error}"))
        for by, lease in self._leases.items():
            reason = _why_not(lease, now_mono)
            if reason is not None:
                found.append(Restraint(Cause.ELSEWHERE, f"{by}: {reason}"))
        return found

    def next_due(self) -> list[float]:
        """When what is allowed ends, in seconds of `mono`."""
        return [lease.until_mono for lease in self._leases.values() if lease.until_mono is not None]


def _why_not(lease: LeaseSeen, now_mono: float) -> str | None:
    if lease.until_mono is None:
        return lease.reason
    return None if now_mono < lease.until_mono else "the right to open ran out and was not granted again"
