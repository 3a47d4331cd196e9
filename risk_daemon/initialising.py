"""Set up the state of live accounts: read everything once, show it, make the directory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from adapters.base import VenueAdapter
from risk_daemon.cancelling import CONNECT_WITHIN_S
from risk_daemon.clock import Instant
from risk_daemon.composition import Site, flows_since, own_state, restored_engine
from risk_daemon.config import Settings
from risk_daemon.engine import Engine
from risk_daemon.errors import StartUnavailable, StateError, VenueError
from risk_daemon.events import Started, Tick
from risk_daemon.lock.shared import shut as shut_gate
from risk_daemon.state_dir import Paths, check_no_trip
from risk_daemon.store.sqlite import SqliteStore

_FLOWS_OVERLAP_S = 3_600.0


@dataclass(frozen=True, slots=True)
class InitReport:
    """What `init` found. Amounts in the reference currency; capital None: `auto`."""

    equity: Decimal
    capital: Decimal | None
    difference_ratio: Decimal | None
    venues: tuple[tuple[str, Decimal], ...]
    warnings: tuple[str, ...]
    state_dir: str
    documents: Mapping[str, Any] = field(default_factory=dict, repr=False)


async def prepare_init(settings: Settings) -> InitReport:
    """Read every venue once. Raises StartUnavailable or ConfigError where no baseline can be had.

    Raises StateError, before anything is asked, where a lock file or the event log tells of a trip without its state.
    """
    paths = Paths(settings.state.dir)
    if not paths.database.exists():
        check_no_trip(paths)
    async with Site(settings) as site:
        began = site.clock.now()
        engine = await read_everything(settings, site, {}, None)
        capital = settings.portfolio.initial_capital
        equity = engine.portfolio.equity
        notes = tuple(note for adapter in site.adapters.values() for note in adapter.capabilities.notes)
        venues = tuple((name, engine.portfolio.venue_equity(name)) for name in site.adapters)
        difference = None if capital is None else (equity - capital) / capital
        if capital is None:
            engine.baselines.capital = equity
        documents = {**engine.snapshot(), "feeds": feeds_now(site, began)}
        return InitReport(equity, capital, difference, venues, notes, str(settings.state.dir), documents)


def feeds_now(site: Site, now: Instant) -> dict[str, Any]:
    """What is remembered of ledgers that were all listed since `now`."""
    return {name: {"flows_since_wall": now.wall} for name in site.adapters}


async def init(settings: Settings, report: InitReport) -> None:
    """Create the state directory for these accounts, with what was read as its first baseline.

    Raises StateError if there is a state already, or if a lock file or the event log speaks of a trip whose state
    is gone.
    """
    where = settings.state.dir
    with own_state(settings, create=True) as state_dir:
        if not state_dir.fresh:
            raise StateError(f"{where}: it is set up for these accounts already, nothing was changed: go on with `run`")
        store = SqliteStore.open(state_dir.paths.database)
        await store.save(report.documents)
        await store.close()
        shut_gate(state_dir.paths.gate)


async def read_everything(
    settings: Settings, site: Site, documents: Mapping[str, Any], latch: Mapping[str, Any] | None
) -> Engine:
    """An engine that has read every venue once over REST. Raises StartUnavailable naming what is missing."""
    engine = restored_engine(settings, site.adapters, documents, latch)
    since = flows_since(documents)
    engine.process(Started(), site.clock.now())
    for adapter in site.adapters.values():
        try:
            await _read_venue(settings, site, engine, adapter, since.get(adapter.name))
        except (VenueError, TimeoutError) as error:
            raise StartUnavailable(f"{adapter.name}: it can't be read: {error or 'no answer in time'}") from error
    engine.process(Tick(), site.clock.now())
    if not engine.is_started:
        gaps = ", ".join(engine.portfolio.missing())
        raise StartUnavailable(f"the equity is not complete: missing {gaps}: name an asset in ignore_assets to skip it")
    return engine


async def _read_venue(
    settings: Settings, site: Site, engine: Engine, adapter: VenueAdapter, since_wall: float | None
) -> None:
    """The ledger first: a balance read requested later shows the flows that it lists."""
    clock, limit_s = site.clock, settings.data.call_timeout
    async with asyncio.timeout(CONNECT_WITHIN_S):
        await adapter.connect()
    if adapter.capabilities.has_flows:
        async with asyncio.timeout(limit_s):
            since = clock.now().wall if since_wall is None else since_wall - _FLOWS_OVERLAP_S
            engine.process(await adapter.read_flows(since, urgent=True), clock.now())
    async with asyncio.timeout(limit_s):
        engine.process(await adapter.read_balances(urgent=True), clock.now())
    if adapter.capabilities.has_positions:
        async with asyncio.timeout(limit_s):
            engine.process(await adapter.read_positions(urgent=True), clock.now())
    async with asyncio.timeout(limit_s):
        engine.process(await adapter.read_prices(engine.portfolio.held_assets(), urgent=True), clock.now())
