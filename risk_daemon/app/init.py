"""Set up the state of live accounts: read everything until the readings agree, show it, make the directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from adapters.base import VenueAdapter
from risk_daemon.app.alerting_stopped import telling
from risk_daemon.app.cancel import CONNECT_WITHIN_S
from risk_daemon.app.composition import Site, engine_settings, open_log, own_state
from risk_daemon.app.in_force import in_force
from risk_daemon.app.inventory import Inventory, OpenOrders, count_by_scope, take_inventory
from risk_daemon.app.override_stopped import Told, are_wardens_enrolled, followed, page_of, writes_to
from risk_daemon.app.store import on_server
from risk_daemon.auth.operators import operator_name
from risk_daemon.auth.override import Purpose
from risk_daemon.baselines.agreement import READINGS
from risk_daemon.config.load import Settings
from risk_daemon.engine.decision import ReadNow
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import RecordError, StartUnavailable, StateError, UsageError, VenueError, check
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import Kind, Started, Tick
from risk_daemon.model.units import ZERO, plain
from risk_daemon.state.directory import Paths, check_no_trip
from risk_daemon.state.journals import LogJournal
from risk_daemon.state.lock.memory_map import shut as shut_gate
from risk_daemon.state.store.sqlite import SqliteStore

_FLOWS_OVERLAP_S = 3_600.0
_TICK_S = 0.2
# So many readings of everything, and a venue that gives up to so many refusals among them, may go by.
_MOST_READINGS = 12
_PATIENCE_S = 60.0

_EVERYTHING = frozenset(Kind) - {Kind.ORDERS}

# What an engine found while it only read: the first run judges for itself.
_JUDGED = frozenset({"breakers", "halts"})

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class InitReport:
    """What `init` found. Amounts in the reference currency; capital None: `auto`. venues: each with its equity."""

    equity: Decimal
    capital: Decimal | None
    difference_ratio: Decimal | None
    venues: tuple[tuple[str, Decimal], ...]
    warnings: tuple[str, ...]
    state_dir: str
    documents: Mapping[str, Any] = field(default_factory=dict, repr=False)
    reference: str = field(kw_only=True)
    inventories: tuple[Inventory, ...] = field(kw_only=True)


async def prepare_init(settings: Settings, say: Say = lambda _sentence: None) -> InitReport:
    """Read every venue until its readings agree over `peak_hold`: one wild reply must not become a baseline.

    say: is told how it goes. Raises StartUnavailable or ConfigError where no baseline can be had; StateError, before
    anything is asked, where a lock file or the event log tells of a trip without its state.
    """
    paths = Paths(settings.state.dir)
    if not paths.database.exists():
        check_no_trip(paths)
        await _check_unknown_elsewhere(settings, say)
    async with Site(settings) as site:
        began = site.clock.now()
        engine = _unjudging_engine(settings, site)
        await read_everything(settings, site, engine, {})
        await _until_readings_agree(settings, site, engine, say)
        capital, equity = settings.portfolio.initial_capital, engine.baselines.capital
        check(equity is not None, "baselines that wait for nothing have a capital")
        timeout_s = settings.data.call_timeout
        orders = {name: await count_by_scope(adapter, timeout_s) for name, adapter in site.adapters.items()}
        report = _report(settings, site, engine, equity or ZERO, orders)
        engine.baselines.capital = equity if capital is None else capital
        documents = {**engine.snapshot(), "feeds": feeds_now(site, began)}
        return replace(report, documents={name: documents[name] for name in documents if name not in _JUDGED})


async def _check_unknown_elsewhere(settings: Settings, say: Say) -> None:
    """Raises StateError where the server has a state of this guard: two of them would be two truths."""
    url, name = settings.state.server, settings.guard.name
    if url is None:
        return
    remote = on_server(settings, url)
    try:
        head = await remote.head()
    except RecordError as error:
        say(f"whether the server knows of a guard {name!r} already can't be told: {error}")
        return
    finally:
        await remote.close()
    if head is not None:
        raise StateError(
            f"{remote.where} has the state of a guard {name!r}, nothing was changed: go on from it with"
            " `init --from-store`, or give this guard another [guard] name"
        )


async def look_once(settings: Settings) -> InitReport:
    """What one reading of every venue shows: for a drill, not to be taken as a baseline. Raises like `prepare_init`."""
    async with Site(settings) as site:
        engine = _unjudging_engine(settings, site)
        await read_everything(settings, site, engine, {})
        return _report(settings, site, engine, engine.portfolio.equity, {})


def _unjudging_engine(settings: Settings, site: Site) -> Engine:
    """It measures nothing from the configured capital and has no rules: it only finds out what there is."""
    engine = Engine(engine_settings(settings, site.adapters))
    engine.baselines.capital = None
    return engine


def _report(
    settings: Settings, site: Site, engine: Engine, equity: Decimal, orders: Mapping[str, tuple[OpenOrders, ...]]
) -> InitReport:
    capital = settings.portfolio.initial_capital
    notes = [note for adapter in site.adapters.values() for note in adapter.capabilities.notes]
    if settings.portfolio.ignore_assets:
        notes.append(f"ignored, so not counted and not shown: {', '.join(settings.portfolio.ignore_assets)}")
    return InitReport(
        equity,
        capital,
        None if capital is None else (equity - capital) / capital,
        tuple((name, engine.portfolio.venue_equity(name)) for name in site.adapters),
        tuple(notes),
        str(settings.state.dir),
        reference=settings.portfolio.reference_currency,
        inventories=tuple(
            take_inventory(engine.portfolio, adapter, orders.get(name, ())) for name, adapter in site.adapters.items()
        ),
    )


def feeds_now(site: Site, now: Instant) -> dict[str, Any]:
    """What is remembered of ledgers that were all listed since `now`."""
    return {name: {"flows_since_wall": now.wall} for name in site.adapters}


async def init(settings: Settings, report: InitReport, told: Told | None = None) -> None:
    """Create the state directory for these accounts, with what was read as its first baseline.

    told: hears where wardens are asked: where any are enrolled there was a state here before, and they agree to a new
    one, or it is refused. Raises StateError if there is a state already, or if a lock file or the event log speaks of
    a trip whose state is gone; UsageError where wardens did not agree.
    """
    if not are_wardens_enrolled(settings):
        await _set_up(settings, report)
        return
    if told is None or Paths(settings.state.dir).database.exists():
        raise StateError(f"{settings.state.dir}: wardens are enrolled for the state that is set up there")
    check_no_trip(Paths(settings.state.dir))
    await _set_up_by_wardens(settings, report, told)


async def _set_up_by_wardens(settings: Settings, report: InitReport, told: Told) -> None:
    operator = operator_name(os.getuid())
    async with AsyncExitStack() as stack:
        journal = LogJournal(open_log(Paths(settings.state.dir)))
        stack.push_async_callback(journal.close)

        async def carry_out(_by: str) -> tuple[bool, str]:
            await _set_up(settings, report)
            return True, "a new state is set up"

        log = await stack.enter_async_context(telling(settings, journal))
        desk = await stack.enter_async_context(page_of(settings, writes_to(log)))
        opened = await desk.open(
            Purpose.INIT,
            asked_by=operator,
            reason="the old state is gone",
            carry_out=carry_out,
            facts=(("State directory", report.state_dir), ("Equity", f"{plain(report.equity)} {report.reference}")),
            changes=("Losses are measured from what the accounts are worth now: what was lost is forgotten.",),
        )
        end = (await followed(desk, opened, told))["end"]
    if not end["done"]:
        raise UsageError(f"nothing was set up: {end['told']}")


async def _set_up(settings: Settings, report: InitReport) -> None:
    where = settings.state.dir
    with own_state(settings, create=True) as state_dir:
        if not state_dir.fresh:
            raise StateError(f"{where}: it is set up for these accounts already, nothing was changed: go on with `run`")
        store = SqliteStore.open(state_dir.paths.database)
        await store.save({**report.documents, **in_force(settings)})
        await store.close()
        shut_gate(state_dir.paths.gate)


async def read_everything(settings: Settings, site: Site, engine: Engine, since: Mapping[str, float]) -> None:
    """Have the engine read every venue once over REST. Raises StartUnavailable naming everything that is missing.

    A venue that can't be read keeps no other from being read: of each that failed it is said why, a line each.
    since: when each ledger was last listed whole, Unix seconds.
    """
    engine.process(Started(), site.clock.now())
    failures: list[StartUnavailable] = []
    for adapter in site.adapters.values():
        try:
            await _connect(adapter)
            await _read_venue(settings, site, engine, adapter, _EVERYTHING, since.get(adapter.name))
        except StartUnavailable as failure:
            failures.append(failure)
    if failures:
        raise StartUnavailable("\n".join(map(str, failures))) from failures[0]
    engine.process(Tick(), site.clock.now())
    if not engine.is_started:
        gaps = ", ".join(engine.portfolio.missing())
        raise StartUnavailable(f"the equity is not complete: missing {gaps}: name an asset in ignore_assets to skip it")


async def _connect(adapter: VenueAdapter) -> None:
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            await adapter.connect()
    except (VenueError, TimeoutError) as error:
        raise _unreadable(adapter, error) from error


async def _until_readings_agree(settings: Settings, site: Site, engine: Engine, say: Say) -> None:
    """The engine asks for the next readings itself. Raises StartUnavailable when they do not agree after a few."""
    hold_s, agreement, told, refusals = settings.baselines.peak_hold, engine.books.agreement, 0, 0
    until_mono = site.clock.now().mono + _MOST_READINGS * hold_s + _PATIENCE_S
    say(f"everything was read once; reading it again for {hold_s:g} s: one wild reply must not become a baseline")
    while engine.baselines.is_waiting:
        await asyncio.sleep(min(_TICK_S, hold_s / 20))
        decision = engine.process(Tick(), site.clock.now())
        wanted = [action for action in decision.actions if isinstance(action, ReadNow)]
        refusals += sum([await _answer(settings, site, engine, action, say) for action in wanted])
        if agreement.taken > told:
            told = agreement.taken
            say(f"reading {told}: {agreement.text()}")
        if agreement.taken + refusals > _MOST_READINGS or site.clock.now().mono > until_mono:
            raise StartUnavailable(
                f"the readings of the accounts do not agree: {told} were taken, and no {READINGS} in a row say the"
                " same: is money moving, or does a venue answer in part? Look there, and try again"
            )


async def _answer(settings: Settings, site: Site, engine: Engine, wanted: ReadNow, say: Say) -> int:
    """Read what the engine asks for. Returns how many venues did not answer: the next reading may go better."""
    refusals = 0
    for name, adapter in site.adapters.items():
        if wanted.venues is not None and name not in wanted.venues:
            continue
        try:
            await _read_venue(settings, site, engine, adapter, wanted.kinds, None)
        except StartUnavailable as error:
            refusals += 1
            say(str(error))
    return refusals


async def _read_venue(
    settings: Settings,
    site: Site,
    engine: Engine,
    adapter: VenueAdapter,
    kinds: frozenset[Kind],
    since_wall: float | None,
) -> None:
    """The ledger first: a balance read requested later shows the flows that it lists. Raises StartUnavailable.

    since_wall: when the ledger was last listed whole. It is listed from an hour before that, or before now, just as
    a run lists it: what was booked before `init` is in the balances already, and must not be new to the first run.
    """
    clock, can = site.clock, adapter.capabilities

    async def read(kind: Kind) -> None:
        async with asyncio.timeout(settings.data.call_timeout):
            if kind is Kind.FLOWS:
                since = (clock.now().wall if since_wall is None else since_wall) - _FLOWS_OVERLAP_S
                engine.process(await adapter.read_flows(since, urgent=True), clock.now())
            elif kind is Kind.BALANCES:
                engine.process(await adapter.read_balances(urgent=True), clock.now())
            elif kind is Kind.POSITIONS:
                engine.process(await adapter.read_positions(urgent=True), clock.now())
            else:
                assets = engine.portfolio.held_assets()
                engine.process(await adapter.read_prices(assets, urgent=True), clock.now())

    there = {Kind.FLOWS: can.has_flows, Kind.BALANCES: True, Kind.POSITIONS: can.has_positions, Kind.PRICES: True}
    try:
        for kind in (kind for kind, is_there in there.items() if is_there and kind in kinds):
            await read(kind)
    except (VenueError, TimeoutError) as error:
        raise _unreadable(adapter, error) from error


def _unreadable(adapter: VenueAdapter, error: Exception) -> StartUnavailable:
    return StartUnavailable(f"{adapter.name}: it can't be read: {str(error) or 'no answer in time'}")
