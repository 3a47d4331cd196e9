"""What the commands do with venues and state: run, init, cancel all, reset."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog
from sdnotify import SystemdNotifier

from adapters.base import VenueAdapter
from adapters.streams import VenueFeed
from oms import SweepResult
from risk_daemon.api.app import ControlServer
from risk_daemon.clock import SystemClock
from risk_daemon.composition import (
    LogJournal,
    RiskJournal,
    Site,
    accounts,
    capital_text,
    engine_settings,
    is_simulated,
    order_manager,
)
from risk_daemon.config import Settings, effective
from risk_daemon.control import sweep_document
from risk_daemon.daemon import Daemon, DaemonSettings, Parts
from risk_daemon.decision import Decision
from risk_daemon.engine import Engine
from risk_daemon.errors import ExitCode, StartUnavailable, StateError, UsageError, VenueError
from risk_daemon.event_log import EventLog
from risk_daemon.events import EventName, FlowsListed, Order, ResetRequested, RiskEvent, Started, Tick
from risk_daemon.inbox import Inbox
from risk_daemon.latch import LATCH, latch_document, latch_of
from risk_daemon.lock.base import LockRecord
from risk_daemon.lock.file import FileLock
from risk_daemon.lock.shared import SharedLock
from risk_daemon.lock.shared import shut as shut_gate
from risk_daemon.risk_file import RiskFile
from risk_daemon.state_dir import StateDir
from risk_daemon.store.sqlite import SqliteStore
from risk_daemon.trip import Trip

_LOG = structlog.get_logger(__name__)
_CONNECT_WITHIN_S = 60.0

Progress = Callable[[Mapping[str, Any]], None]


# --- run -------------------------------------------------------------------------------------------


async def run(
    settings: Settings,
    *,
    on_decision: Callable[[Decision], None] | None = None,
    on_site: Callable[[Site], None] | None = None,
) -> ExitCode:
    """Guard until something ends it. Raises RiskDaemonError where the start is refused."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site(settings))
        state_dir = stack.enter_context(_owned(settings, create=is_simulated(settings)))
        shut_gate(state_dir.paths.gate)
        if on_site is not None:
            on_site(site)
        parts = await _parts(settings, site, state_dir, stack, on_decision)
        is_first_start = parts.engine.baselines.day is None
        daemon = Daemon(parts, _daemon_settings(settings), is_first_start=is_first_start)
        server = ControlServer(_DaemonControl(daemon, settings, site), settings.socket_path)
        await server.start()
        stack.push_async_callback(server.stop)
        await parts.journal.append(_opening_events(settings), site.clock.now().wall, durable=False)
        if parts.engine.trip is not None and parts.engine.trip.proven:
            await _say_still_triggered(settings, site, parts.engine.trip)
        with _stop_on_signals(daemon):
            return await daemon.run()


async def _say_still_triggered(settings: Settings, site: Site, trip: Trip) -> None:
    """A start after a proven trip only looks: what is open now was placed by a person, or by a bot that should not."""
    open_orders = await asyncio.gather(*(_look(settings, adapter) for adapter in site.adapters.values()))
    _LOG.critical(
        "still_triggered",
        trip_id=trip.trip_id,
        reason=trip.reason,
        open_orders=dict(zip(site.adapters, open_orders, strict=True)),
        hint='look at it, then: risk-daemon reset --reason "..." --rebaseline keep|current',
    )


async def _look(settings: Settings, adapter: VenueAdapter) -> int | str:
    """How many orders are open, or why that can't be said."""
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            await adapter.connect()
            return await _count_orders(settings, adapter)
    except (VenueError, TimeoutError) as error:
        return f"unknown: {error or 'no answer in time'}"


def _daemon_settings(settings: Settings) -> DaemonSettings:
    return DaemonSettings(call_timeout_s=settings.data.call_timeout, orders_every_s=settings.data.reconcile_every)


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
    engine = _engine(settings, site.adapters, documents)
    journal = LogJournal(_open_log(state_dir))
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
        positions=engine.portfolio.positions,
        open_orders=lambda venue: open_orders.get(venue, ()),
    )
    since = {name: saved["flows_since_wall"] for name, saved in documents.get("feeds", {}).items()}
    feeds = {
        name: VenueFeed(
            adapter,
            inbox.put,
            clock,
            assets=engine.portfolio.held_assets,
            reconcile_every_s=settings.data_for(name).reconcile_every,
            call_timeout_s=settings.data.call_timeout,
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
        on_decision=on_decision or (lambda _decision: None),
        open_orders=open_orders,
    )


def _engine(settings: Settings, adapters: Mapping[str, VenueAdapter], documents: Mapping[str, Any]) -> Engine:
    now = SystemClock().now()
    engine = Engine(engine_settings(settings, adapters))
    engine.restore({**documents, "latch": latch_of(documents, now)}, now)
    return engine


def _open_log(state_dir: StateDir) -> EventLog:
    log = EventLog.open(state_dir.paths.events)
    if log.torn is not None:
        _LOG.warning("event_log_torn", message=log.torn)
    return log


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
        return sweep_document(await _sweep(self._settings, self._site, venue, market, None))


# --- cancel-all --------------------------------------------------------------------------------------


async def cancel_all(
    settings: Settings, *, venue: str | None, market: str | None, progress: Progress | None
) -> SweepResult:
    """Cancel everything and prove it, with no daemon running. Takes the state lock if there is a state."""
    async with AsyncExitStack() as stack:
        if settings.state.dir.is_dir():
            stack.enter_context(_owned(settings, create=is_simulated(settings)))
        site = await stack.enter_async_context(Site(settings))
        connecting = [asyncio.ensure_future(_keep_connecting(adapter)) for adapter in site.adapters.values()]
        try:
            return await _sweep(settings, site, venue, market, progress)
        finally:
            for task in connecting:
                task.cancel()
            await asyncio.wait(connecting)


async def _keep_connecting(adapter: VenueAdapter) -> None:
    """Until it is connected; the sweep beside it keeps trying, each venue by itself."""
    while True:
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                await adapter.connect()
            return
        except (VenueError, TimeoutError) as error:
            _LOG.warning("venue_unreachable", venue=adapter.name, error=str(error) or "no answer in time")
            await asyncio.sleep(1.0)


def _owned(settings: Settings, *, create: bool) -> StateDir:
    return StateDir.open(
        settings.state.dir,
        accounts=accounts(settings),
        initial_capital=capital_text(settings),
        create=create,
    )


async def _sweep(
    settings: Settings, site: Site, venue: str | None, market: str | None, progress: Progress | None
) -> SweepResult:
    adapters = {name: adapter for name, adapter in site.adapters.items() if venue in (None, name)}
    if not adapters:
        raise UsageError(f"there is no venue named {venue!r}: the configured ones are {', '.join(site.adapters)}")
    manager = order_manager(settings, adapters, site.clock)
    sweeps = {
        None: manager.cancel_all_orders,
        "spot": manager.cancel_all_spot_orders,
        "perp": manager.cancel_all_perp_orders,
    }
    task = asyncio.ensure_future(sweeps[market]())
    while not task.done():
        await asyncio.wait({task}, timeout=0.25)
        if progress is not None:
            progress(manager.snapshot())
    return task.result()


# --- init --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InitReport:
    """What `init` found. Amounts in the reference currency; capital None: `auto`."""

    equity: Decimal
    capital: Decimal | None
    difference_ratio: Decimal | None
    venues: tuple[tuple[str, Decimal], ...]
    warnings: tuple[str, ...]
    state_dir: str


async def prepare_init(settings: Settings) -> InitReport:
    """Read every venue once. Raises StartUnavailable or ConfigError where no baseline can be had."""
    async with Site(settings) as site:
        engine = await _read_everything(settings, site, {})
        capital = settings.portfolio.initial_capital
        equity = engine.portfolio.equity
        notes = tuple(note for adapter in site.adapters.values() for note in adapter.capabilities.notes)
        venues = tuple((name, engine.portfolio.venue_equity(name)) for name in site.adapters)
        difference = None if capital is None else (equity - capital) / capital
        return InitReport(equity, capital, difference, venues, notes, str(settings.state.dir))


async def init(settings: Settings, report: InitReport) -> None:
    """Create the state directory for these accounts. Raises StateError if there is a state already."""
    with _owned(settings, create=True) as state_dir:
        if not state_dir.fresh:
            where = settings.state.dir
            raise StateError(f"{where}: it is set up for these accounts already, nothing was changed: go on with `run`")
        shut_gate(state_dir.paths.gate)


async def _read_everything(settings: Settings, site: Site, documents: Mapping[str, Any]) -> Engine:
    """An engine that has read every venue once over REST. Raises StartUnavailable naming what is missing."""
    engine = _engine(settings, site.adapters, documents)
    engine.process(Started(), site.clock.now())
    for adapter in site.adapters.values():
        try:
            await _read_venue(settings, site, engine, adapter)
        except (VenueError, TimeoutError) as error:
            raise StartUnavailable(f"{adapter.name}: it can't be read: {error or 'no answer in time'}") from error
    engine.process(Tick(), site.clock.now())
    if not engine.is_started:
        gaps = ", ".join(engine.portfolio.missing())
        raise StartUnavailable(f"the equity is not complete: missing {gaps}: name an asset in ignore_assets to skip it")
    return engine


async def _read_venue(settings: Settings, site: Site, engine: Engine, adapter: VenueAdapter) -> None:
    limit_s = settings.data.call_timeout
    async with asyncio.timeout(_CONNECT_WITHIN_S):
        await adapter.connect()
    async with asyncio.timeout(limit_s):
        engine.process(await adapter.read_balances(urgent=True), site.clock.now())
    if adapter.capabilities.has_positions:
        async with asyncio.timeout(limit_s):
            engine.process(await adapter.read_positions(urgent=True), site.clock.now())
    if adapter.capabilities.has_flows:
        async with asyncio.timeout(limit_s):
            now = site.clock.now()
            listing: FlowsListed = await adapter.read_flows(now.wall, urgent=True)
            engine.process(listing, site.clock.now())
    async with asyncio.timeout(limit_s):
        prices = await adapter.read_prices(engine.portfolio.held_assets(), urgent=True)
        engine.process(prices, site.clock.now())


# --- reset with the daemon stopped ---------------------------------------------------------------------


async def reset_stopped(settings: Settings, *, reason: str, rebaseline: str, operator: str) -> Mapping[str, Any]:
    """End a proven trip. Lists what is open on the venues, cancels nothing, records the reset."""
    async with AsyncExitStack() as stack:
        state_dir = stack.enter_context(_owned(settings, create=is_simulated(settings)))
        store = SqliteStore.open(state_dir.paths.database)
        stack.push_async_callback(store.close)
        documents = dict(await store.load())
        site = await stack.enter_async_context(Site(settings))
        latch = latch_of(documents, site.clock.now())
        if latch is None or not latch["proven"]:
            why = "nothing to reset: trading is not locked" if latch is None else _unproven(latch)
            return {"accepted": False, "reason": why, "open_orders": {}}
        engine = await _read_everything(settings, site, documents)
        open_orders = {name: await _count_orders(settings, adapter) for name, adapter in site.adapters.items()}
        decision = engine.process(ResetRequested(reason, operator, rebaseline), site.clock.now())
        answer = decision.answer
        if answer is None or not answer.accepted:
            return {
                "accepted": False,
                "reason": "refused" if answer is None else answer.reason,
                "open_orders": open_orders,
            }
        now = site.clock.now()
        journal = LogJournal(_open_log(state_dir))
        stack.push_async_callback(journal.close)
        await store.save({LATCH: latch_document(None, now), **engine.snapshot()})
        await journal.append(decision.records, now.wall, durable=True)
        shut_gate(state_dir.paths.gate, LockRecord(True, "starting", None, now.wall))
        return {"accepted": True, "reason": answer.reason, "open_orders": open_orders, "pid": os.getpid()}


def _unproven(latch: Mapping[str, Any]) -> str:
    return f"trip {latch['trip_id']} is not proven yet: start the daemon (risk-daemon run) so that it finishes first"


async def _count_orders(settings: Settings, adapter: VenueAdapter) -> int:
    async with asyncio.timeout(settings.data.call_timeout):
        return sum([len((await adapter.list_orders(scope)).orders) for scope in adapter.scopes])
