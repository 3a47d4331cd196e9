"""Carrying a decision out. The gate moves first, in the same turn; then everything starts at once, the sweep first.

Sweep, latch, log and locks wait for nobody: a hanging disk does not delay a cancel, and a hanging venue
does not delay the latch. What can't be written down is shouted, and acted on all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from oms import OrderManager
from risk_daemon.engine.decision import (
    Action,
    Decision,
    Finish,
    KeepSample,
    ReadNow,
    RefreshDeadMan,
    SaveHalts,
    SaveLatch,
    SetGate,
    StartSweep,
)
from risk_daemon.model.clock import Instant
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.runtime.dead_men import DeadMen
from risk_daemon.runtime.event_writer import EventWriter
from risk_daemon.runtime.locks import Locks
from risk_daemon.runtime.persistence import Persistence
from risk_daemon.runtime.ports import Feed
from risk_daemon.runtime.tasks import Tasks

_NEVER = float("-inf")


def _is_no_sweep(action: Action) -> bool:
    """Sorts what cancels to the front: nothing that writes something down is prepared before it."""
    return not isinstance(action, StartSweep)


def _gate_moves(decision: Decision) -> Iterator[RiskEvent]:
    """The gate stands in the log too: whoever reads it sees from when to when orders were refused, and why."""
    for action in decision.actions:
        if isinstance(action, SetGate):
            gate = action.gate
            name = EventName.GATE_SHUT if gate.locked else EventName.GATE_OPENED
            why = {"cause": gate.cause, "trip_id": gate.trip_id} if gate.locked else {}
            yield RiskEvent(name, why)


class Effects:
    """The engine's hands. `finish` is told when the process should end.

    latch_deadline_mono: until when the latch of the trip that is swept may become durable.
    """

    def __init__(
        self,
        *,
        locks: Locks,
        persistence: Persistence,
        events: EventWriter,
        orders: OrderManager,
        feeds: Mapping[str, Feed],
        dead_men: DeadMen,
        tasks: Tasks,
        finish: Callable[[Finish], None],
    ) -> None:
        self._locks = locks
        self._persistence = persistence
        self._events = events
        self._orders = orders
        self._feeds = feeds
        self._dead_men = dead_men
        self._tasks = tasks
        self._finish = finish
        self.latch_deadline_mono = _NEVER

    def carry_out(self, decision: Decision) -> Sequence[RiskEvent]:
        """Start everything the decision asks for. Returns at once, what is written down of it."""
        for action in decision.actions:
            if isinstance(action, SetGate):
                self._locks.put_map(action.gate, decision.now)
        for action in sorted(decision.actions, key=_is_no_sweep):
            self._act(action, decision.now)
        records = (*decision.records, *_gate_moves(decision))
        if records:
            self._events.write(records, decision.now, durable=decision.before is not decision.after)
        return records

    def _act(self, action: Action, now: Instant) -> None:
        match action:
            case StartSweep():
                self.latch_deadline_mono = action.deadline_mono
                self._tasks.spawn(self._sweep(action), f"sweep {action.trip_id}")
            case SaveLatch():
                self._persistence.save_latch(action)
            case SaveHalts():
                self._persistence.save_halts(action)
            case ReadNow():
                self._read_now(action)
            case RefreshDeadMan():
                self._dead_men.refresh(action)
            case KeepSample():
                self._persistence.keep_sample(action)
            case Finish():
                self._finish(action)
            case SetGate():
                self._locks.put_others(action.gate, now)

    async def _sweep(self, action: StartSweep) -> None:
        work = self._orders.close_all_positions if action.closes else self._orders.cancel_all_orders
        await work(trip_id=action.trip_id, locked_mono=action.locked_mono)

    def _read_now(self, action: ReadNow) -> None:
        for name, feed in self._feeds.items():
            if action.venues is None or name in action.venues:
                self._tasks.spawn(feed.read_now(action.kinds, urgent=True), f"read {name}")
