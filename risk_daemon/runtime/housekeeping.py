"""What a daemon does besides guarding: say that it is ready and alive, save, keep files fresh."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from risk_daemon.engine.decision import Decision
from risk_daemon.errors import StartUnavailable
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Order, OrdersListed, OrdersSeen, Tick
from risk_daemon.runtime.effects import Effects
from risk_daemon.runtime.ports import DaemonSettings, Parts
from risk_daemon.runtime.status import report
from risk_daemon.runtime.tasks import Tasks

_LOG = structlog.get_logger(__name__)
_NEVER = float("-inf")
_ORDERS_KEPT = 5_000


class Housekeeping:
    """Called after every turn; does what is due."""

    def __init__(
        self, parts: Parts, settings: DaemonSettings, tasks: Tasks, effects: Effects, *, is_first_start: bool
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._tasks = tasks
        self._effects = effects
        self._is_first_start = is_first_start
        self._started_mono = parts.clock.now().mono
        self._last_watchdog_mono = _NEVER
        self._last_persist_mono = _NEVER
        self._wants_persist = False
        self._persisting: asyncio.Task[None] | None = None
        self._listed: dict[str, dict[str, tuple[Order, ...]]] = {}
        self.is_ready = False

    def after(self, decision: Decision) -> None:
        """Raises StartUnavailable when the first start ever found no baseline in its time."""
        self._wants_persist = self._wants_persist or decision.persist
        self._report_ready()
        if isinstance(decision.event, OrdersSeen):
            self._note_streamed(decision.event)
        if isinstance(decision.event, OrdersListed):
            self._note_listed(decision.event)
        if not isinstance(decision.event, Tick):
            return
        now = decision.now
        self._feed_watchdog(now)
        self._look_at_gate(now)
        self._persist(now)
        self._write_risk(now)
        if not self._parts.engine.gate.locked:
            self._effects.refresh_locks(now)
        if self._is_first_start and not self.is_ready:
            self._give_up_first_start(now)

    def document(self, gate: GateState | None = None) -> dict[str, Any]:
        """How things stand now, JSON-able. gate: what is in force, if it is not the engine's."""
        return report(self._parts.engine, self._parts.clock.now(), self._parts.orders.snapshot(), gate)

    # --- systemd -----------------------------------------------------------------------------------

    def _report_ready(self) -> None:
        engine = self._parts.engine
        if not self.is_ready and (engine.has_baselines or engine.trip is not None):
            self.is_ready = True
            self._parts.notify("READY=1")

    def _feed_watchdog(self, now: Instant) -> None:
        if now.mono - self._last_watchdog_mono >= self._settings.watchdog_every_s:
            self._last_watchdog_mono = now.mono
            self._parts.notify(f"WATCHDOG=1\nSTATUS={self._status(now)}")

    def _status(self, now: Instant) -> str:
        gate, figures = self._parts.engine.gate, self._parts.engine.figures(now)
        loss = figures["loss_ratio"]
        text = figures["state"] if loss is None else f"{figures['state']}, loss {loss * 100:.2f} %"
        return f"{text}, gate shut: {gate.cause}" if gate.locked else f"{text}, gate open"

    def _give_up_first_start(self, now: Instant) -> None:
        """A long `peak_hold` has its time, three times over, so that one wild reading ends nothing."""
        engine = self._parts.engine
        hold_s = engine.settings.baselines.peak_hold_s
        if now.mono - self._started_mono >= self._settings.first_start_within_s + 3 * hold_s:
            gaps = ", ".join(engine.missing())
            raise StartUnavailable(f"no baseline at the first start: still missing {gaps or 'a first baseline'}")

    # --- files -------------------------------------------------------------------------------------

    def _persist(self, now: Instant) -> None:
        wait_s = self._settings.persist_every_s if self._wants_persist else self._settings.check_store_every_s
        is_due = now.mono - self._last_persist_mono >= wait_s
        is_busy = self._persisting is not None and not self._persisting.done()
        if is_due and not is_busy and self._parts.engine.is_started:
            self._wants_persist, self._last_persist_mono = False, now.mono
            self._persisting = self._tasks.spawn(self._save(), "persist")

    async def _save(self) -> None:
        if not await self._effects.save_documents():
            self._wants_persist = True

    def _look_at_gate(self, now: Instant) -> None:
        """Nobody else writes there: what is not ours was done by mistake, or to open it."""
        found = self._parts.gate_map.look(now)
        if found is not None:
            _LOG.critical("gate_changed", found=found)

    def _write_risk(self, now: Instant) -> None:
        if self._parts.risk is not None and self._parts.risk.due(now):
            self._tasks.spawn(self._effects.put_risk(self.document(), now), "risk.json")

    # --- open orders -------------------------------------------------------------------------------

    def _note_streamed(self, seen: OrdersSeen) -> None:
        known = {order.order_id: order for order in self._parts.open_orders.get(seen.venue, ())}
        known.update((order.order_id, order) for order in seen.orders)
        self._parts.open_orders[seen.venue] = tuple(known.values())[-_ORDERS_KEPT:]

    def _note_listed(self, listed: OrdersListed) -> None:
        """Keep a picture of what is open, so that a sweep can name and count what its first cancel removes."""
        scopes = self._listed.setdefault(listed.venue, {})
        scopes[listed.scope] = listed.orders
        self._parts.open_orders[listed.venue] = tuple(order for orders in scopes.values() for order in orders)
