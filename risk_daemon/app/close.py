"""Close every position by an operator's wish: with or without a running daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import structlog

from adapters.base import VenueAdapter
from oms import CloseResult, OrderManager
from risk_daemon.app.cancel import connecting, first_look, own_if_possible
from risk_daemon.app.composition import Site, order_manager
from risk_daemon.app.deeds import forget_closed, on_record
from risk_daemon.app.twins import Claim, claimed
from risk_daemon.config.load import Settings
from risk_daemon.errors import UsageError
from risk_daemon.model.event_names import EventName
from risk_daemon.model.events import Input, Order

_PROGRESS_EVERY_S = 0.25
_LOG = structlog.get_logger(__name__)

Progress = Callable[[Mapping[str, Any]], None]


async def close_positions(
    settings: Settings, *, venue: str | None, operator: str, progress: Progress | None
) -> CloseResult:
    """Cancel everything, prove it and close every position, with no daemon running. Takes the state lock.

    What is asked for and what came of it have a line each in the event log, with the operator. Raises
    CircuitBreakerError while another guard of these accounts has the right to open; none has it while they are closed,
    and what is lost of that ends the closing.
    """
    async with AsyncExitStack() as stack:
        state = own_if_possible(settings, stack)
        claim = await stack.enter_async_context(claimed(settings, state))
        facts = {"operator": operator, "venues": [name for name in settings.venues if venue in (None, name)]}
        names = EventName.CLOSE_POSITIONS_ASKED, EventName.CLOSE_POSITIONS_FINISHED
        deed = await stack.enter_async_context(on_record(state, *names, facts))
        site = await stack.enter_async_context(Site(settings))
        chosen = chosen_of(site.adapters, venue)
        seen = await first_look(chosen)
        async with connecting(chosen):
            manager = manager_for(settings, site, chosen, seen)
            task = asyncio.ensure_future(manager.close_all_positions())
            while not task.done():
                await asyncio.wait({task}, timeout=_PROGRESS_EVERY_S)
                _stop_where_others_open(claim, manager)
                if progress is not None:
                    progress(manager.closing_snapshot())
            result = task.result()
        deed.ended({"outcome": result.document()}, partial(forget_closed, result))
        return result


def _stop_where_others_open(claim: Claim | None, manager: OrderManager) -> None:
    why = None if claim is None else claim.why_lost
    if why is not None:
        _LOG.critical("closing_stopped", reason=why)
        manager.stop_soon()


def manager_for(
    settings: Settings,
    site: Site,
    adapters: Mapping[str, VenueAdapter],
    seen: Mapping[str, tuple[Order, ...]],
    *,
    emit: Callable[[Input], None] | None = None,
) -> OrderManager:
    """What closes the positions of these venues."""
    return order_manager(settings, adapters, site.clock, emit=emit, open_orders=lambda name: seen.get(name, ()))


def chosen_of(adapters: Mapping[str, VenueAdapter], venue: str | None) -> dict[str, VenueAdapter]:
    """The adapters meant. Raises UsageError for a venue that is not there."""
    chosen = {name: adapter for name, adapter in adapters.items() if venue in (None, name)}
    if not chosen:
        raise UsageError(f"there is no venue named {venue!r}: the configured ones are {', '.join(adapters)}")
    return chosen
