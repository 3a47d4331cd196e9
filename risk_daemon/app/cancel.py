"""Cancel everything by an operator's wish, and look at what is open: with or without a running daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from adapters.base import VenueAdapter
from adapters.lane import PushedAside
from oms import SweepResult
from risk_daemon.app.composition import Site, is_simulated, order_manager, own_state
from risk_daemon.app.deeds import on_record
from risk_daemon.config.load import Settings
from risk_daemon.errors import StateError, StateOwned, UsageError, VenueError
from risk_daemon.model.event_names import EventName
from risk_daemon.model.events import Order
from risk_daemon.state.directory import StateDir

_LOG = structlog.get_logger(__name__)
_FIRST_LOOK_S = 3.0
_CONNECT_EVERY_S = 1.0

CONNECT_WITHIN_S = 60.0

Progress = Callable[[Mapping[str, Any]], None]


async def cancel_all(
    settings: Settings, *, venue: str | None, market: str | None, operator: str, progress: Progress | None
) -> SweepResult:
    """Cancel everything and prove it, with no daemon running. Takes the state lock if there is a state.

    What is asked for and what came of it have a line each in the event log, with the operator.
    """
    async with AsyncExitStack() as stack:
        state = own_if_possible(settings, stack)
        venues = [name for name in settings.venues if venue in (None, name)]
        facts = {"operator": operator, "venues": venues, "market": market}
        names = EventName.CANCEL_ALL_ASKED, EventName.CANCEL_ALL_FINISHED
        deed = await stack.enter_async_context(on_record(state, *names, facts))
        site = await stack.enter_async_context(Site(settings))
        seen = await first_look(site.adapters)
        async with connecting(site.adapters):
            result = await sweep(settings, site, venue, market, progress, seen)
        deed.ended({"outcome": result.document()})
        return result


async def sweep(
    settings: Settings,
    site: Site,
    venue: str | None,
    market: str | None,
    progress: Progress | None,
    seen: Mapping[str, tuple[Order, ...]],
) -> SweepResult:
    adapters = {name: adapter for name, adapter in site.adapters.items() if venue in (None, name)}
    if not adapters:
        raise UsageError(f"there is no venue named {venue!r}: the configured ones are {', '.join(site.adapters)}")
    manager = order_manager(settings, adapters, site.clock, open_orders=lambda name: seen.get(name, ()))
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


def own_if_possible(settings: Settings, stack: AsyncExitStack) -> StateDir | None:
    """Keep a daemon from starting meanwhile. A state that is damaged or foreign must not keep us from cancelling.

    None where it could not be taken, or is not there.
    """
    if not settings.state.dir.is_dir():
        return None
    try:
        return stack.enter_context(own_state(settings, create=is_simulated(settings)))
    except StateOwned:
        raise
    except StateError as error:
        _LOG.warning("state_not_taken", error=str(error))
        return None


async def first_look(adapters: Mapping[str, VenueAdapter]) -> dict[str, tuple[Order, ...]]:
    """What is open, where that can be had at once: so that it is counted when the first cancel removes it."""

    async def look(adapter: VenueAdapter) -> tuple[Order, ...]:
        try:
            async with asyncio.timeout(_FIRST_LOOK_S):
                await adapter.connect()
                listings = [await adapter.list_orders(scope) for scope in adapter.scopes]
        except (VenueError, TimeoutError):
            return ()
        return tuple(order for listing in listings for order in listing.orders)

    return dict(zip(adapters, await asyncio.gather(*map(look, adapters.values())), strict=True))


@asynccontextmanager
async def connecting(adapters: Mapping[str, VenueAdapter]) -> AsyncIterator[None]:
    """While this lasts, each venue is connected to again and again until it is; what needs it goes on beside that."""
    tasks = [asyncio.ensure_future(_keep_connecting(adapter)) for adapter in adapters.values()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _keep_connecting(adapter: VenueAdapter) -> None:
    """Until it is connected; the sweep beside it keeps trying, each venue by itself."""
    while True:
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await adapter.connect()
            return
        except (VenueError, TimeoutError) as error:
            if not isinstance(error, PushedAside):  # by the sweep beside it
                _LOG.warning("venue_unreachable", venue=adapter.name, error=str(error) or "no answer in time")
            await asyncio.sleep(_CONNECT_EVERY_S)


async def look_at(settings: Settings, adapter: VenueAdapter) -> int | str:
    """How many orders are open, or why that can't be said."""
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            await adapter.connect()
            return await count_orders(settings, adapter)
    except (VenueError, TimeoutError) as error:
        return f"unknown: {str(error) or 'no answer in time'}"


async def count_orders(settings: Settings, adapter: VenueAdapter) -> int:
    async with asyncio.timeout(settings.data.call_timeout):
        return sum([len((await adapter.list_orders(scope)).orders) for scope in adapter.scopes])
