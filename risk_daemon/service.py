"""The running service: parts put together, signals and the control socket attached.

The other things commands do with venues and state live beside it and are named here too.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import structlog
from sdnotify import SystemdNotifier

from adapters.streams import VenueFeed
from risk_daemon.api.app import ControlServer
from risk_daemon.auth.tokens import FILE_NAME, TokenStore
from risk_daemon.cancelling import cancel_all, look_at
from risk_daemon.composition import (
    RiskJournal,
    Site,
    flows_since,
    is_simulated,
    open_journal,
    order_manager,
    own_state,
    restored_engine,
)
from risk_daemon.config import Settings, effective
from risk_daemon.daemon import Daemon, DaemonSettings, Parts
from risk_daemon.daemon_control import DaemonControl
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
from risk_daemon.tls import server_context
from risk_daemon.trip import Trip
from risk_daemon.veto_log import VetoLog

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
        listeners = [_told(on_decision)]
        parts = await _parts(settings, site, state_dir, stack, listeners)
        is_first_start = parts.engine.baselines.day is None
        daemon = Daemon(parts, _daemon_settings(settings), is_first_start=is_first_start)
        vetoes = VetoLog.open(state_dir.paths.vetoes)
        stack.push_async_callback(vetoes.close)
        control = DaemonControl(daemon, settings, site, vetoes)
        listeners.append(control.heard)
        server = _server(settings, control)
        await server.start()
        stack.push_async_callback(server.stop)
        await _note_opening(settings, parts, server.addresses)
        trip = parts.engine.trip
        if on_decision is None and trip is not None and trip.proven and not trip.is_freeze:
            await _say_still_triggered(settings, site, trip)
        with _stop_on_signals(daemon):
            code = await daemon.run()
        if on_decision is None:
            _LOG.info("system_shutdown", exit_code=int(code), log=parts.journal.anchor())
        return code


def _server(settings: Settings, control: DaemonControl) -> ControlServer:
    """Raises ConfigError for a certificate that can't be used."""
    tokens = TokenStore.open(settings.state.dir / FILE_NAME)
    tls = server_context(settings)
    return ControlServer(control, settings.socket_path, listen=settings.api.listen, tokens=tokens, tls=tls)


def _told(on_decision: Callable[[Decision], None] | None) -> Callable[[Decision], None]:
    """Who hears of every decision: whoever asked to, else the journal, one line an event."""
    return _tell_journal if on_decision is None else on_decision


def _tell_all(listeners: Sequence[Callable[[Decision], None]], decision: Decision) -> None:
    for listener in listeners:
        listener(decision)


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


async def _note_opening(settings: Settings, parts: Parts, addresses: Sequence[str]) -> None:
    """A log that can't be written is shouted, and keeps nobody from guarding or from finishing a trip."""
    try:
        await parts.journal.append(_opening_events(settings, addresses), parts.clock.now().wall, durable=False)
    except RecordError as error:
        _LOG.critical("event_log_failed", error=str(error))


def _opening_events(settings: Settings, addresses: Sequence[str]) -> list[RiskEvent]:
    facts = {"file": str(settings.file), "venues": sorted(settings.venues), "settings": effective(settings)}
    listening = [RiskEvent(EventName.API_LISTENING, {"address": address}) for address in addresses]
    return [RiskEvent(EventName.CONFIGURATION_LOADED, facts), *listening]


async def _parts(
    settings: Settings,
    site: Site,
    state_dir: StateDir,
    stack: AsyncExitStack,
    listeners: Sequence[Callable[[Decision], None]],
) -> Parts:
    paths, clock, inbox = state_dir.paths, site.clock, Inbox()
    store = SqliteStore.open(paths.database)
    stack.push_async_callback(store.close)
    documents = dict(await store.load())
    latch = latch_of(documents, clock.now(), trip_left(paths))
    engine = restored_engine(settings, site.adapters, documents, latch)
    engine.books.history.restore(await store.load_samples())
    is_unproven = engine.trip is not None and not engine.trip.proven
    journal = await open_journal(state_dir, store, documents, must_open=is_unproven)
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
        on_decision=lambda decision: _tell_all(listeners, decision),
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
