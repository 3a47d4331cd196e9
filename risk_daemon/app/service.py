"""The running service: parts put together, signals and the control socket attached.

The other things commands do with venues and state live beside it and are named here too.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog
from sdnotify import SystemdNotifier

from adapters.streams import VenueFeed
from risk_daemon.api.app import ControlServer
from risk_daemon.api.tls import server_context
from risk_daemon.app import finish as finishing
from risk_daemon.app.cancel import cancel_all, look_at
from risk_daemon.app.composition import (
    RiskJournal,
    Site,
    flows_since,
    is_simulated,
    open_journal,
    order_manager,
    own_state,
    restored_engine,
)
from risk_daemon.app.control import DaemonControl
from risk_daemon.app.finish import Unfinished, name_the_trip
from risk_daemon.app.init import InitReport, init, look_once, prepare_init
from risk_daemon.app.reset import reset_stopped
from risk_daemon.app.telling import say_events, terminal
from risk_daemon.auth.tokens import FILE_NAME, TokenStore
from risk_daemon.config.load import Settings, effective
from risk_daemon.engine.decision import Decision
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ExitCode, RecordError, StateError, StateOwned
from risk_daemon.model.events import EventName, Kind, Order, Position, RiskEvent
from risk_daemon.runtime.daemon import Daemon, DaemonSettings, Parts
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.runtime.token_watch import TokenWatch
from risk_daemon.state.directory import LOST, Paths, StateDir
from risk_daemon.state.latch import latch_of, trip_left
from risk_daemon.state.lock.file import FileLock
from risk_daemon.state.lock.memory_map import SharedLock
from risk_daemon.state.lock.memory_map import shut as shut_gate
from risk_daemon.state.risk_file import RiskFile
from risk_daemon.state.store.sqlite import SqliteStore
from risk_daemon.state.veto_log import VetoLog

__all__ = [
    "InitReport",
    "cancel_all",
    "finish_unproven",
    "init",
    "look_once",
    "name_the_trip",
    "prepare_init",
    "reset_stopped",
    "run",
]

# A deposit that comes with a loss hides it until the ledger is read: read it often.
FLOWS_EVERY_S = 60.0

_LOG = structlog.get_logger(__name__)


async def run(
    settings: Settings,
    *,
    on_decision: Callable[[Decision], None] | None = None,
    on_site: Callable[[Site], None] | None = None,
) -> ExitCode:
    """Guard until something ends it. A trip that is not proven is finished first, whatever refuses the start.

    Raises RiskDaemonError where the start is refused.
    """
    async with AsyncExitStack() as stack:
        try:
            started = await _start(settings, stack, on_decision, on_site)
        except StateOwned:
            raise
        except Exception as error:  # whatever it is: orders may be open, and that comes first
            refusal = error
        else:
            return await _guard(started, on_decision)
    return await finish_unproven(settings, refusal, on_decision=on_decision)


async def finish_unproven(
    settings: Settings,
    refusal: Exception,
    *,
    left_out: Mapping[str, str] | None = None,
    on_decision: Callable[[Decision], None] | None = None,
) -> ExitCode:
    """Finish the trip that is not proven, without guarding. Raises `refusal` where there is none.

    left_out: venues in the configuration that can't be used, and why. See `finishing`.
    """
    async with AsyncExitStack() as stack:
        left = await finishing.take_up(settings, refusal, left_out or {}, stack)
        if left is not None:
            parts = _assemble(settings, left, stack, [_told(on_decision)], {})
            return await _guard(Daemon(parts, _daemon_settings(settings)), on_decision)
    raise refusal


async def _guard(daemon: Daemon, on_decision: Callable[[Decision], None] | None) -> ExitCode:
    with _stop_on_signals(daemon):
        code = await daemon.run()
    if on_decision is None:
        level = logging.INFO if code is ExitCode.STOPPED else logging.CRITICAL
        _LOG.log(level, "system_shutdown", exit_code=int(code), log=daemon.parts.journal.anchor())
    return code


async def _start(
    settings: Settings,
    stack: AsyncExitStack,
    on_decision: Callable[[Decision], None] | None,
    on_site: Callable[[Site], None] | None,
) -> Daemon:
    """Everything that may refuse the start. Raises RiskDaemonError."""
    site = await stack.enter_async_context(Site(settings))
    state_dir = stack.enter_context(own_state(settings, create=is_simulated(settings)))
    shut_gate(state_dir.paths.gate)
    if on_site is not None:
        on_site(site)
    listeners = [_told(on_decision)]
    parts = await _parts(settings, site, state_dir, stack, listeners)
    daemon = Daemon(parts, _daemon_settings(settings), is_first_start=parts.engine.baselines.day is None)
    vetoes = VetoLog.open(state_dir.paths.vetoes)
    stack.push_async_callback(vetoes.close)
    control = DaemonControl(daemon, settings, site, vetoes)
    listeners.append(control.heard)
    tokens = TokenStore.open(settings.state.dir / FILE_NAME)
    listeners.append(TokenWatch(tokens, parts.inbox.put).heard)
    server = _server(settings, control, tokens)
    await server.start()
    stack.push_async_callback(server.stop)
    await _note_opening(settings, parts, server.addresses)
    people = terminal() if on_decision is None else None
    if people is not None:
        people.began(settings.venues, server.addresses)
        listeners.append(people.heard)
    trip = parts.engine.trip
    if on_decision is None and trip is not None and trip.proven and not trip.is_freeze:
        await _say_still_triggered(settings, site, trip)
    return daemon


def _server(settings: Settings, control: DaemonControl, tokens: TokenStore) -> ControlServer:
    """Raises ConfigError for a certificate that can't be used."""
    tls = server_context(settings)
    return ControlServer(control, settings.socket_path, listen=settings.api.listen, tokens=tokens, tls=tls)


def _told(on_decision: Callable[[Decision], None] | None) -> Callable[[Decision], None]:
    """Who hears of every decision: whoever asked to, else the journal, one line an event."""
    return say_events if on_decision is None else on_decision


def _tell_all(listeners: Sequence[Callable[[Decision], None]], decision: Decision) -> None:
    for listener in listeners:
        listener(decision)


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
    return DaemonSettings(call_timeout_s=settings.data.call_timeout)


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
    paths, now = state_dir.paths, site.clock.now()
    store = SqliteStore.open(paths.database)
    stack.push_async_callback(store.close)
    documents = dict(await store.load())
    latch = latch_of(documents, now, trip_left(paths))
    _refuse_lost(paths, documents)
    engine = restored_engine(settings, site.adapters, documents, latch)
    engine.restore_history(await store.load_samples())
    is_unproven = engine.trip is not None and not engine.trip.proven
    journal = await open_journal(paths, store, documents, must_open=is_unproven)
    stack.push_async_callback(journal.close)
    gate_map = SharedLock(paths.gate)
    stack.callback(gate_map.close)
    left = Unfinished(site, site.adapters, paths, engine, store, journal, gate_map)
    return _assemble(settings, left, stack, listeners, flows_since(documents))


def _refuse_lost(paths: Paths, documents: Mapping[str, Any]) -> None:
    """A state that was set up for the end of a trip alone guards nothing. Raises StateError."""
    lost = documents.get(LOST)
    if lost:
        raise StateError(
            f"{paths.root}: {lost['reason']}: bring a copy back, or look at the accounts, and then"
            ' `risk-daemon reset --reason "..." --rebaseline current`'
        )


def _assemble(
    settings: Settings,
    left: Unfinished,
    stack: AsyncExitStack,
    listeners: Sequence[Callable[[Decision], None]],
    since: Mapping[str, float],
) -> Parts:
    """since: when each venue's ledger was last listed whole."""
    site, engine, clock, inbox = left.site, left.engine, left.site.clock, Inbox()
    risk = RiskJournal(RiskFile(left.paths.risk))
    stack.callback(risk.close)
    open_orders: dict[str, tuple[Order, ...]] = {}
    orders = order_manager(
        settings,
        left.adapters,
        clock,
        emit=inbox.put,
        positions=lambda venue: _fresh_positions(settings, engine, venue, clock.now().mono),
        open_orders=lambda venue: open_orders.get(venue, ()),
    )
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
            may_list=lambda: engine.wants_listings,
        )
        for name, adapter in site.adapters.items()
    }
    return Parts(
        engine=engine,
        inbox=inbox,
        adapters=left.adapters,
        feeds=feeds,
        orders=orders,
        store=left.store,
        gate_map=left.gate_map,
        locks=[FileLock(left.paths.lock)],
        journal=left.journal,
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
