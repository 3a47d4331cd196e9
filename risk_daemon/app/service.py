"""The running service: its parts put together, signals and the API attached, from the start to the exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import Any

import structlog

from adapters.streams import VenueFeed
from oms import OrderManager
from risk_daemon.alerts.manager import AlertManager
from risk_daemon.app import finish as finishing
from risk_daemon.app.alerts import TellingJournal, changed_settings, channels_of, failure, open_alerts
from risk_daemon.app.broadcast import Broadcaster
from risk_daemon.app.cancel import look_at
from risk_daemon.app.composition import (
    Opened,
    Site,
    flows_since,
    is_simulated,
    open_journal,
    order_manager,
    own_state,
    restored_engine,
)
from risk_daemon.app.day_snapshots import keep_snapshots
from risk_daemon.app.dead_men import refuse_wrong_dead_men
from risk_daemon.app.fund import meet_fund, meet_fund_that_can_be_met
from risk_daemon.app.hearers import Hearers, Open
from risk_daemon.app.in_force import (
    finishing_settings,
    keep,
    looser_than_before,
    refuse_looser,
    wardens_enrolled,
)
from risk_daemon.app.locks import remote_locks, remote_locks_that_can_be_had
from risk_daemon.app.log_keeping import keep_log, last_written
from risk_daemon.app.owner import in_turn
from risk_daemon.app.reload import SIGNAL, Reloader
from risk_daemon.app.serving import serve
from risk_daemon.app.store import open_store, tell_of
from risk_daemon.app.telling import has_terminal, say_events, say_records, terminal
from risk_daemon.app.twins import meet_peers, meet_peers_that_can_be_met
from risk_daemon.config.load import Settings, effective
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ExitCode, RecordError, RiskDaemonError, StateError, StateOwned
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import EventName, Input, Kind, Position, RiskEvent
from risk_daemon.runtime.daemon import Daemon, DaemonSettings, Listener, Parts
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.runtime.open_orders import OpenOrders
from risk_daemon.runtime.recent import RECENT, Recent
from risk_daemon.runtime.status import LAST_SWEEP, restored_sweep
from risk_daemon.runtime.systemd import ServiceManager
from risk_daemon.state.directory import LOST, Paths, StateDir
from risk_daemon.state.journals import RiskJournal
from risk_daemon.state.latch import latch_of, trip_left
from risk_daemon.state.lock.file import FileLock
from risk_daemon.state.lock.memory_map import MemoryMap
from risk_daemon.state.lock.memory_map import shut as shut_gate
from risk_daemon.state.lock.redis import RedisLock
from risk_daemon.state.risk_file import RiskFile
from risk_daemon.state.worker import Worker

# A deposit that comes with a loss hides it until the ledger is read: read it often.
FLOWS_EVERY_S = 60.0
# How long the end waits for channels to be tried once. After a bad one the guard must start again soon.
_LAST_ALERTS_S = 5.0
_LAST_ALERTS_OF_BAD_END_S = 1.0
_LAST_WORD_S = 1.0
_GOOD_ENDS = (ExitCode.STOPPED, ExitCode.TRIGGERED_AND_PROVEN)

_LOG = structlog.get_logger(__name__)


async def run(
    settings: Settings,
    *,
    on_decision: Listener | None = None,
    on_site: Callable[[Site], None] | None = None,
) -> ExitCode:
    """Guard until something ends it. A trip that is not proven is finished first, whatever refuses the start.

    on_decision: hears of every decision; None: they are logged. Raises RiskDaemonError where the start is refused.
    """
    _outlive_hang_ups()
    return await in_turn(settings.state.dir, lambda: _run(settings, on_decision, on_site))


async def _run(settings: Settings, on_decision: Listener | None, on_site: Callable[[Site], None] | None) -> ExitCode:
    async with AsyncExitStack() as stack:
        try:
            guard = await _start(settings, stack, on_decision, on_site)
        except StateOwned:
            raise
        except Exception as error:  # whatever it is: orders may be open, and that comes first
            refusal = error
        else:
            daemon, hearers, reloader = guard
            return await _guard(daemon, hearers, on_decision, reloader)
    return await _finish_unproven(settings, refusal, on_decision=on_decision)


async def finish_unproven(
    settings: Settings,
    refusal: Exception,
    *,
    left_out: Mapping[str, str] | None = None,
    channels_left_out: Mapping[str, str] | None = None,
) -> ExitCode:
    """Finish the trip that is not proven, without guarding. Raises `refusal` where there is none.

    left_out: venues in the configuration that can't be used, and why; channels_left_out: those of alerts. See
    `finishing`.
    """
    return await in_turn(
        settings.state.dir,
        lambda: _finish_unproven(settings, refusal, left_out, channels_left_out),
    )


async def _finish_unproven(
    settings: Settings,
    refusal: Exception,
    left_out: Mapping[str, str] | None = None,
    channels_left_out: Mapping[str, str] | None = None,
    on_decision: Listener | None = None,
) -> ExitCode:
    for name, why in (channels_left_out or {}).items():
        _LOG.critical("alert_channel_left_out", channel=name, error=why)
    settings = finishing_settings(settings, Paths(settings.state.dir))
    async with AsyncExitStack() as stack:
        opened = await finishing.take_up(settings, refusal, left_out or {}, stack)
        if opened is not None:
            hearers = await stack.enter_async_context(Hearers(Broadcaster(settings, opened)))
            locks = remote_locks_that_can_be_had(settings, opened.site.clock)
            daemon = _daemon(settings, opened, stack, hearers, on_decision, locks)
            await _open_alerts(settings, opened, hearers, daemon)
            meet_peers_that_can_be_met(settings, daemon, stack)
            meet_fund_that_can_be_met(settings, opened, daemon, stack)
            return await _guard(daemon, hearers, on_decision)
    raise refusal


async def _guard(
    daemon: Daemon, hearers: Hearers, on_decision: Listener | None, reloader: Reloader | None = None
) -> ExitCode:
    """reloader None: a trip is finished, and no file is read for that."""
    hearers.begin()
    try:
        with _heeding_signals(daemon, reloader):
            code = await daemon.run()
    except Exception as error:
        telling = _tell_failure(hearers, error, daemon.parts.clock.now().wall)
        await asyncio.gather(_note_failure(daemon.parts, error), telling, return_exceptions=True)
        raise
    await hearers.flushed(_LAST_ALERTS_S if code in _GOOD_ENDS else _LAST_ALERTS_OF_BAD_END_S)
    if on_decision is None:
        level = logging.INFO if code is ExitCode.STOPPED else logging.CRITICAL
        _LOG.log(level, "system_shutdown", exit_code=int(code), log=daemon.parts.journal.anchor())
    return code


async def _note_failure(parts: Parts, error: Exception) -> None:
    """A last word in the log, for whoever watches it from outside. No error means "triggered and proven"."""
    code = error.exit_code if isinstance(error, RiskDaemonError) else ExitCode.BUG
    code = ExitCode.BUG if code == ExitCode.TRIGGERED_AND_PROVEN else code
    trip = parts.engine.trip
    facts = {"exit_code": int(code), "reason": repr(error), "trip_id": None if trip is None else trip.trip_id}
    event, wall = RiskEvent(EventName.SYSTEM_SHUTDOWN, facts), parts.clock.now().wall
    try:
        async with asyncio.timeout(_LAST_WORD_S):
            await parts.journal.append([event], wall, durable=True)
    except (RiskDaemonError, TimeoutError) as failure_of_log:
        _LOG.error("event_log_failed", error=str(failure_of_log), events=[str(event.name)])


async def _tell_failure(hearers: Hearers, error: Exception, wall: float) -> None:
    """The guard is about to end by a fault: whatever started it again, people know."""
    hearers.send(failure("guard_failed", f"The guard failed and is ending: {error!r}", wall))
    await hearers.flushed(_LAST_ALERTS_OF_BAD_END_S)


@contextmanager
def _heeding_signals(daemon: Daemon, reloader: Reloader | None) -> Iterator[None]:
    """While this lasts: SIGTERM and SIGINT tell the daemon to stop, and SIGHUP to read its file again."""
    loop, had_terminal = asyncio.get_running_loop(), has_terminal()

    def hang_up() -> None:
        if had_terminal and not has_terminal():  # whoever started it by hand closed the window
            daemon.stop()
        elif reloader is None:
            _LOG.warning("reload_refused", by=SIGNAL, reason="a trip is being finished: the next start reads the file")
        else:
            reloader.by_signal()

    handlers = {signal.SIGTERM: daemon.stop, signal.SIGINT: daemon.stop, signal.SIGHUP: hang_up}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
        _outlive_hang_ups()


def _outlive_hang_ups() -> None:
    """Before and after it is heeded: a service manager takes an end by SIGHUP for a wish, and starts nothing again."""
    if not has_terminal():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


# --- the start ---------------------------------------------------------------------------------------


async def _start(
    settings: Settings,
    stack: AsyncExitStack,
    on_decision: Listener | None,
    on_site: Callable[[Site], None] | None,
) -> tuple[Daemon, Hearers, Reloader]:
    """Everything that may refuse the start. Raises RiskDaemonError."""
    refuse_wrong_dead_men(settings)
    locks = remote_locks(settings, SystemClock())
    site = await stack.enter_async_context(Site(settings))
    # A state that is gone is not set up anew behind the wardens' back: `init` asks them.
    may_create = is_simulated(settings) and not wardens_enrolled(Paths(settings.state.dir))
    state_dir = stack.enter_context(own_state(settings, create=may_create))
    shut_gate(state_dir.paths.gate)
    if on_site is not None:
        on_site(site)
    opened = await _open(settings, site, state_dir, stack)
    is_first_start = opened.engine.baselines.day is None
    hearers = await stack.enter_async_context(Hearers(Broadcaster(settings, opened)))
    daemon = _daemon(settings, opened, stack, hearers, on_decision, locks, is_first_start=is_first_start)
    await _open_alerts(settings, opened, hearers, daemon)
    meet_peers(settings, daemon, stack)
    meet_fund(settings, opened, daemon, stack)
    reloader = Reloader(daemon, settings, opened, hearers)
    stack.push_async_callback(reloader.aclose)
    addresses = await serve(settings, daemon, opened, hearers, reloader, stack)
    await _note_opening(settings, daemon.parts, hearers, opened.documents, addresses)
    await keep(settings, opened.store, opened.documents)
    keep_log(settings, opened, daemon.parts, hearers, stack)
    keep_snapshots(settings, daemon, stack)
    if on_decision is None:
        await _tell_people(settings, daemon, site, addresses)
    return daemon, hearers, reloader


async def _open(settings: Settings, site: Site, state_dir: StateDir, stack: AsyncExitStack) -> Opened:
    """What was persisted, and an engine that knows it. Raises StateError."""
    paths, now = state_dir.paths, site.clock.now()
    store = await open_store(settings, paths, now, stack)
    documents = dict(await store.load())
    latch = latch_of(documents, now, trip_left(paths))
    _refuse_lost(paths, documents)
    refuse_looser(settings, paths, documents)
    engine = restored_engine(settings, site.adapters, documents, latch)
    engine.restore_history(await store.load_samples())
    is_unproven = engine.trip is not None and not engine.trip.proven
    log_wall = last_written(paths.events)
    journal = await open_journal(paths, store, documents, must_open=is_unproven)
    stack.push_async_callback(journal.close)
    gate_map = MemoryMap(paths.gate)
    stack.callback(gate_map.close)
    return Opened(
        site=site,
        adapters=site.adapters,
        paths=paths,
        engine=engine,
        store=store,
        journal=journal,
        gate_map=gate_map,
        flows_since=flows_since(documents),
        documents=documents,
        log_wall=log_wall,
    )


def _refuse_lost(paths: Paths, documents: Mapping[str, Any]) -> None:
    """A state that was set up for the end of a trip alone guards nothing. Raises StateError."""
    lost = documents.get(LOST)
    if lost:
        raise StateError(
            f"{paths.root}: {lost['reason']}: bring a copy back, or look at the accounts, and then"
            ' `risk-daemon reset --reason "..." --rebaseline current`'
        )


async def _open_alerts(settings: Settings, opened: Opened, hearers: Hearers, daemon: Daemon) -> None:
    """Before the guard begins; where a trip is to be finished beside it. Raises ConfigError, but not then.

    What is broadcast is only made ready here: it never waits for a broker.
    """
    alive, may_refuse = daemon.is_guarding, opened.engine.trip is None or opened.engine.trip.proven
    hearers.broadcast(daemon.write_down, takes_what_it_gets=not may_refuse)
    if may_refuse:
        await hearers.open(lambda stack: open_alerts(settings, opened, stack, takes_what_it_gets=False, alive=alive))
    else:
        hearers.open_later(_beside_the_sweep(settings, opened, alive))


def _beside_the_sweep(settings: Settings, opened: Opened, alive: Callable[[], bool]) -> Open:
    async def open_them(stack: AsyncExitStack) -> AlertManager | None:
        worker = Worker("alerts open")
        stack.callback(worker.stop)
        await worker.run(channels_of, settings)  # what they import takes a second, which the sweep's thread has not
        return await open_alerts(settings, opened, stack, takes_what_it_gets=True, alive=alive)

    return open_them


async def _note_opening(
    settings: Settings,
    parts: Parts,
    hearers: Hearers,
    documents: Mapping[str, Any],
    addresses: Sequence[str],
) -> None:
    """A log that can't be written is shouted, and keeps nobody from guarding or from finishing a trip."""
    changed = () if hearers.alerts is None else changed_settings(hearers.alerts, settings)
    looser = looser_than_before(settings, documents) or ()
    events, wall = _opening_events(settings, changed, looser, addresses), parts.clock.now().wall
    hearers.tell(events, wall)
    try:
        await parts.journal.append(events, wall, durable=False)
    except RecordError as error:
        _LOG.critical("event_log_failed", error=str(error))


def _opening_events(
    settings: Settings, changed: Sequence[str], looser: Sequence[str], addresses: Sequence[str]
) -> list[RiskEvent]:
    """changed, looser: of what was in force before."""
    facts = {"file": str(settings.file), "venues": sorted(settings.venues), "settings": effective(settings)}
    facts |= {"changed": list(changed)} if changed else {}
    facts |= {"looser": list(looser)} if looser else {}
    listening = [RiskEvent(EventName.API_LISTENING, {"address": address}) for address in addresses]
    return [RiskEvent(EventName.CONFIGURATION_LOADED, facts), *listening]


async def _tell_people(settings: Settings, daemon: Daemon, site: Site, addresses: Sequence[str]) -> None:
    people, trip = terminal(), daemon.parts.engine.trip
    if people is not None:
        if trip is None or trip.is_freeze:
            people.began(settings.venues, addresses, is_tls=settings.api.tls_certificate is not None)
        else:
            people.found_trip(trip.trip_id, is_proven=trip.proven)
        daemon.subscribe(people.heard)
    if trip is not None and trip.proven and not trip.is_freeze:
        await _say_still_triggered(settings, site, trip)


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


# --- the parts ---------------------------------------------------------------------------------------


def _daemon(
    settings: Settings,
    opened: Opened,
    stack: AsyncExitStack,
    hearers: Hearers,
    on_decision: Listener | None,
    locks: Sequence[RedisLock],
    *,
    is_first_start: bool = False,
) -> Daemon:
    """A daemon that somebody hears: whoever asked to, else the journal, one line an event; and people, by alerts."""
    times = DaemonSettings(call_timeout_s=settings.data.call_timeout)
    opened = replace(opened, journal=TellingJournal(opened.journal, hearers.send))
    parts = replace(_parts(settings, opened, stack, locks), beside=hearers.documents)
    daemon = Daemon(parts, times, is_first_start=is_first_start)
    daemon.read_along(hearers.tell)
    tell_of(opened.store, daemon.parts.inbox.put)
    daemon.subscribe(on_decision or (say_events if terminal() is None else say_records))
    return daemon


def _parts(settings: Settings, opened: Opened, stack: AsyncExitStack, locks: Sequence[RedisLock]) -> Parts:
    """What was opened, with what runs between it and the engine."""
    for lock in locks:
        stack.push_async_callback(lock.aclose)
    inbox, open_orders, recent = Inbox(), OpenOrders(), Recent()
    recent.restore(opened.documents.get(RECENT, {}))
    swept_before = restored_sweep(opened.documents.get(LAST_SWEEP), opened.engine.trip)
    risk = RiskJournal(RiskFile(opened.paths.risk))
    stack.callback(risk.close)
    return Parts(
        engine=opened.engine,
        inbox=inbox,
        adapters=opened.adapters,
        feeds=_feeds(settings, opened, inbox.put),
        orders=_orders(settings, opened, inbox.put, open_orders),
        store=opened.store,
        gate_map=opened.gate_map,
        locks=[FileLock(opened.paths.lock), *locks],
        journal=opened.journal,
        clock=opened.site.clock,
        risk=risk,
        notify=ServiceManager(),
        open_orders=open_orders,
        recent=recent,
        swept_before=swept_before,
    )


def _feeds(settings: Settings, opened: Opened, emit: Callable[[Input], None]) -> dict[str, VenueFeed]:
    """One a venue that can be spoken to."""
    engine = opened.engine
    return {
        name: VenueFeed(
            adapter,
            emit,
            opened.site.clock,
            assets=engine.portfolio.held_assets,
            reconcile_every_s=settings.data_for(name).reconcile_every,
            call_timeout_s=settings.data.call_timeout,
            flows_every_s=FLOWS_EVERY_S,
            flows_since_wall=opened.flows_since.get(name),
            may_list=lambda: engine.wants_listings,
        )
        for name, adapter in opened.site.adapters.items()
    }


def _orders(settings: Settings, opened: Opened, emit: Callable[[Input], None], open_orders: OpenOrders) -> OrderManager:
    clock, engine = opened.site.clock, opened.engine
    return order_manager(
        settings,
        opened.adapters,
        clock,
        emit=emit,
        positions=lambda venue: _fresh_positions(engine, venue, clock.now().mono),
        open_orders=open_orders.of,
    )


def _fresh_positions(engine: Engine, venue: str, now_mono: float) -> tuple[Position, ...] | None:
    """A venue's positions, or None where they are not known well enough to keep an order for them."""
    age_s = engine.portfolio.age_s(venue, Kind.POSITIONS, now_mono)
    is_fresh = age_s is not None and age_s <= engine.portfolio.settings.stale_after_s(venue, Kind.POSITIONS)
    return engine.portfolio.positions(venue) if is_fresh else None
