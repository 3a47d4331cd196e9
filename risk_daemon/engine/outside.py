"""What lies outside this engine and holds against new orders: its memory, and who else must agree to open.

A state that can't be saved locks. So does a right to open that somebody else has, or that was granted and is over:
it is granted for seconds, and counted from before it was asked for (see `runtime/twin.py`).

Where guards share accounts, what resumes or loosens is done by the one that opens, or where nobody does: no guard may
undo by an old view what another one stands for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from risk_daemon.engine.decision import Turn
from risk_daemon.gate.restraints import Cause, Restraint
from risk_daemon.model.commands import TWIN
from risk_daemon.model.events import BoardSeen, EventName, LeaseSeen, PeerSeen, StoreChecked

BOARD = "board"
"""The document of what is known of the place where peers meet."""

_NOT_ASKED = "it was not heard of yet"


class Outside:
    """leases: by whom this guard must be let, each of them, for its gate to open."""

    def __init__(self, leases: Collection[str]) -> None:
        self._has_peers = TWIN in leases
        self._leases = {by: LeaseSeen(by=by, until_mono=None, reason=_NOT_ASKED) for by in sorted(leases)}
        self._told: dict[str, bool] = {}
        self._store_error: str | None = None
        self._epoch = self._words = 0
        self.board: BoardSeen | None = None
        self.holder_since_wall: float | None = None

    def take(self, event: StoreChecked | LeaseSeen | BoardSeen, turn: Turn) -> None:
        """How saving went, or what somebody else allows. Told when it begins and ends, not with every other reason."""
        if isinstance(event, LeaseSeen):
            self._leases[event.by] = event
            return
        if isinstance(event, BoardSeen):
            self._take_board(event, turn)
            return
        before, self._store_error = self._store_error, event.error
        if event.error is not None and before is None:
            turn.record(EventName.STORE_UNWRITABLE, error=event.error)
        elif event.error is None and before is not None:
            turn.record(EventName.STORE_WRITABLE)

    def _take_board(self, event: BoardSeen, turn: Turn) -> None:
        """A new epoch is to be known after a restart too: by that a board is found to be older than it was."""
        if self.board is None or (self.board.holder, self.board.epoch) != (event.holder, event.epoch):
            self.holder_since_wall = turn.now.wall
        self.board = event
        turn.persist = turn.persist or event.epoch > self._epoch
        self._epoch, self._words = max(self._epoch, event.epoch), max(self._words, event.words)

    # --- peers -------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int | None:
        """The highest that is known of the right to open; None where this guard has no peers."""
        return self._epoch if self._has_peers else None

    def why_not_here(self, now_mono: float, *, keeps_all_shut: bool = False) -> str | None:
        """Why nothing may be resumed or loosened at this guard now; None: it may be.

        keeps_all_shut: what is to end does, so whoever has the right to open does not use it, once that was told.
        """
        if not self._has_peers:
            return None
        board, unknown = self.board, self.why_unknown(now_mono)
        if board is None or unknown is not None:
            return f"what the other guards do is not known: {unknown}"
        if board.holder in ("", board.name) or (keeps_all_shut and board.is_told_locked):
            return None
        return f"guard {board.holder} has the right to open, epoch {board.epoch}: ask there, or when this guard has it"

    def why_unknown(self, now_mono: float) -> str | None:
        """Why it is not known what the peers do now; None: it is."""
        board = self.board
        if board is None:
            return "the board was not heard of yet"
        if now_mono >= board.until_mono and board.why_not is None:
            return f"the board has not answered for {now_mono - board.asked_mono:.0f} s"
        return board.why_not

    def peers_holding(self) -> tuple[PeerSeen, ...]:
        """Who keeps this guard's gate shut, by what the board said last."""
        return () if self.board is None else tuple(one for one in self.board.peers if one.locked)

    def snapshot(self) -> dict[str, Any]:
        """What is known of the board."""
        return {"epoch": self._epoch, "words": self._words}

    def restore(self, document: Any) -> None:
        """Take back what `snapshot` gave."""
        known = document if isinstance(document, Mapping) else {}
        self._epoch, self._words = (_count(known.get(name)) for name in ("epoch", "words"))

    # --- what holds ----------------------------------------------------------------------------------

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


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _why_not(lease: LeaseSeen, now_mono: float) -> str | None:
    if lease.until_mono is None:
        return lease.reason
    return None if now_mono < lease.until_mono else "the right to open ran out and was not granted again"
