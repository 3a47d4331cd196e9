"""The running service: parts put together, signals and the control socket attached.

The other things commands do with venues and state live beside it and are named here too.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import structlog
from sdnotify import SystemdNotifier

from adapters.streams import VenueFeed
from risk_daemon.api.app import ControlServer
from risk_daemon.cancelling import cancel_all, first_look, look_at, sweep
from risk_daemon.composition import (
    LogJournal,
    RiskJournal,
    Site,
    flows_since,
    is_simulated,
    open_log,
    order_manager,
    own_state,
    restored_engine,
)
from risk_daemon.config import Settings, effective
from risk_daemon.control import sweep_document
from risk_daemon.daemon import Daemon, DaemonSettings, Parts
from risk_daemon.decision import Decision, SetGate
from risk_daemon.engine import Engine
from risk_daemon.errors import ExitCode, RecordError
from risk_daemon.events import EventName, Kind, Order, Position, RiskEvent
from risk_daemon.inbox import Inbox
from risk_daemon.initialising import InitReport, init, prepare_init
from risk_daemon.latch import latch_of, trip_left
from risk_daemon.lock.file import FileLock
from risk_daemon.lock.shared import SharedLock
from risk_daemon.lock.shared import shut as shut_gate
from risk_daemon.resetting import reset_stopped
from risk_daemon.risk_file import RiskFile
from risk_daemon.state_dir import StateDir
from risk_daemon.store.sqlite import SqliteStore
from risk_daemon.trip import Trip

__all__ = ["InitReport", "cancel_all", "init", "prepare_init", "reset_stopped", "run"]

# A deposit that comes with a loss hides it until the ledger is read: read it often.
FLOWS_EVERY_S = 60.0

_LOG = structlog.get_logger(__name__)


async def run(
    settings: Settings,
    *,
    on_decision: Callable[[Decision], None] | None = None,
    on_site: Callable[[Site], None] | None = None,
) -> ExitCode:
    """Guard until something ends it. Raises RiskDaemonError where the start is refused."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site(settings))
        state_dir = stack.enter_context(own_state(settings, create=is_simulated(settings)))
        shut_gate(state_dir.paths.gate)
        if on_site is not None:
            on_site(site)
        parts = await _parts(settings, site, state_dir, stack, on_decision)
        is_first_start = parts.engine.baselines.day is None
        daemon = Daemon(parts, _daemon_settings(settings), is_first_start=is_first_start)
        server = ControlServer(_DaemonControl(daemon, settings, site), settings.socket_path)
        await server.start()
        stack.push_async_callback(server.stop)
        await _note_opening(settings, parts)
        if parts.engine.trip is not None and parts.engine.trip.proven:
            await _say_still_triggered(settings, site, parts.engine.trip)
        with _stop_on_signals(daemon):
            code = await daemon.run()
        if on_decision is None:
            _LOG.info("system_shutdown", exit_code=int(code))
        return code


def _told(on_decision: Callable[[Decision], None] | None) -> Callable[[Decision], None]:
    """Who hears of every decision: whoever asked to, else the journal, one line an event."""
    return _tell_journal if on_decision is None else on_decision


def _tell_journal(decision: Decision) -> None:
    for record in decision.records:
        if record.name is not EventName.PORTFOLIO_UPDATE:
            _LOG.info(record.name.value, **record.fields)
    for action in decision.actions:
        if isinstance(action, SetGate):
            _LOG.info("gate", locked=action.gate.locked, cause=action.gate.cause)


async def _say_still_triggered(settings: Settings, site: Site, trip: Trip) -> None:
    """A start after a proven trip only looks: what is open now was placed by a person, or by a bot that should not."""
    open_orders = await asyncio.gather(*(look_at(settings, adapter) for adapter in site.adapters.values()))
    _LOG.critical(
        "still_triggered",
        trip_id=trip.trip_id,
        reason=trip.reason,
        open_orders=dict(zip(site.adapters, open_orders, strict=True)),
        hint='look at it, then: risk-daemon reset --reason "..." --rebaseline keep|current',
    )


def _daemon_settings(settings: Settings) -> DaemonSettings:
    return DaemonSettings(call_timeout_s=settings.data.call_timeout, orders_every_s=settings.data.reconcile_every)


def _fresh_positions(settings: Settings, engine: Engine, venue: str, now_mono: float) -> tuple[Position, ...] | None:
    """A venue's positions, or None where they are not known well enough to keep an order for them."""
    age_s = engine.portfolio.age_s(venue, Kind.POSITIONS, now_mono)
    is_fresh = age_s is not None and age_s <= settings.data_for(venue).position_stale
    return engine.portfolio.positions(venue) if is_fresh else None


async def _note_opening(settings: Settings, parts: Parts) -> None:
    """A log that can't be written is shouted, and keeps nobody from guarding or from finishing a trip."""
    try:
        await parts.journal.append(_opening_events(settings), parts.clock.now().wall, durable=False)
    except RecordError as error:
        _LOG.critical("event_log_failed", error=str(error))


def _opening_events(settings: Settings) -> list[RiskEvent]:
    facts = {"file": str(settings.file), "venues": sorted(settings.venues), "settings": effective(settings)}
    return [
        RiskEvent(EventName.CONFIGURATION_LOADED, facts),
        RiskEvent(EventName.API_LISTENING, {"address": f"unix:{settings.socket_path}"}),
    ]


async def _parts(
    settings: Settings,
    site: Site,
    state_dir: StateDir,
    stack: AsyncExitStack,
    on_decision: Callable[[Decision], None] | None,
) -> Parts:
    paths, clock, inbox = state_dir.paths, site.clock, Inbox()
    store = SqliteStore.open(paths.database)
    stack.push_async_callback(store.close)
    documents = dict(await store.load())
    latch = latch_of(documents, clock.now(), trip_left(paths))
    engine = restored_engine(settings, site.adapters, documents, latch)
    journal = LogJournal(open_log(state_dir, must_open=engine.trip is not None and not engine.trip.proven))
    stack.push_async_callback(journal.close)
    risk = RiskJournal(RiskFile(paths.risk))
    stack.callback(risk.close)
    gate_map = SharedLock(paths.gate)
    stack.callback(gate_map.close)
    open_orders: dict[str, tuple[Order, ...]] = {}
    orders = order_manager(
        settings,
        site.adapters,
        clock,
        emit=inbox.put,
        positions=lambda venue: _fresh_positions(settings, engine, venue, clock.now().mono),
        open_orders=lambda venue: open_orders.get(venue, ()),
    )
    since = flows_since(documents)
    feeds = {
        name: VenueFeed(
            adapter,
            inbox.put,
            clock,
            assets=engine.portfolio.held_assets,
            reconcile_every_s=settings.data_for(name).reconcile_every,
            call_timeout_s=settings.data.call_timeout,
            flows_every_s=FLOWS_EVERY_S,
            flows_since_wall=since.get(name),
        )
        for name, adapter in site.adapters.items()
    }
    return Parts(
        engine=engine,
        inbox=inbox,
        adapters=site.adapters,
        feeds=feeds,
        orders=orders,
        store=store,
        gate_map=gate_map,
        locks=[FileLock(paths.lock)],
        journal=journal,
        clock=clock,
        risk=risk,
        notify=SystemdNotifier().notify,
        on_decision=_told(on_decision),
        open_orders=open_orders,
    )


class _stop_on_signals:  # noqa: N801 - reads as a statement
    """SIGTERM and SIGINT tell the daemon to stop, while this lasts."""

    _SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._SIGNALS:
            loop.add_signal_handler(number, self._daemon.stop)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in self._SIGNALS:
            loop.remove_signal_handler(number)


class _DaemonControl:
    """The daemon as the control socket sees it."""

    def __init__(self, daemon: Daemon, settings: Settings, site: Site) -> None:
        self._daemon = daemon
        self._settings = settings
        self._site = site
        self.state = daemon.state
        self.is_ready = daemon.is_ready
        self.is_alive = daemon.is_alive
        self.command = daemon.command

    async def cancel_all(self, venue: str | None, market: str | None) -> Mapping[str, Any]:
        """Sweep some venues by an operator's wish; the gate stays as it is."""
        seen = await first_look(self._site.adapters)
        result = await sweep(self._settings, self._site, venue, market, None, seen)
        for name, verdict in result.venues.items():
            if verdict.proven:
                self._daemon.parts.open_orders.pop(name, None)  # counted now, and not again by a later trip
        return sweep_document(result)
