"""Leaving a fund: proven empty and flat first, since what a leaver may still lose is nobody's any more.

No guard runs, so the gate is shut: what a bot had sent before has arrived when the venues are looked at a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

from adapters.base import VenueAdapter
from risk_daemon.app.cancel import CONNECT_WITHIN_S
from risk_daemon.app.composition import Site, flows_since, longest_lease_s, restored_engine
from risk_daemon.app.fund_desk import Desk, Order, desk_of
from risk_daemon.app.init import read_everything
from risk_daemon.app.inventory import count_by_scope
from risk_daemon.config.settings import Settings
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import StartUnavailable, UsageError, VenueError
from risk_daemon.fund import membership
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.messages import Leave
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.units import EXACT, ZERO, plain
from risk_daemon.state.latch import latch_of, trip_left


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found. odd: why the accounts are not proven empty and flat, in sentences; lost: at most, in money."""

    odd: tuple[str, ...]
    lost: Decimal


async def leave(settings: Settings, order: Order, *, to: str | None) -> Escrow:
    """This member out of its fund, what is left of its budget to `to`. Raises UsageError, StateError, ConfigError,
    StartUnavailable; then it is a member as before."""
    async with desk_of(settings) as desk:
        document = desk.document
        if document is None:
            raise UsageError("this guard is of no fund: there is nothing to leave")
        begun, _ = membership.restore(document, desk.place)
        if begun.wanted.has_left:
            raise UsageError(f"{begun.name} has left {begun.charter.fund} already")
        desk.books(await desk.read())  # before anything takes long
        order.say("every venue is listed, and listed and read again: an order that was on its way must have arrived")
        found = await _looked(settings, desk, begun)
        if found.odd:
            odd = "; ".join(found.odd)
            raise UsageError(f"{begun.name} is not proven empty and flat, so it keeps its budget: {odd}")
        return await desk.left(order, Leave(to=to, loss=found.lost, is_proven=True))


async def _looked(settings: Settings, desk: Desk, state: Escrow) -> Looked:
    async with _site(settings) as site:
        engine = restored_engine(
            settings, site.adapters, desk.documents, latch_of(desk.documents, site.clock.now(), trip_left(desk.paths))
        )
        odd = [*_unprovable(site.adapters), *await _orders(settings, site.adapters)]
        await asyncio.sleep(settings.circuit_breaker.order_flight + longest_lease_s(settings))
        # Nothing is on its way any more. What is listed now may fill before positions are read, not after.
        odd += await _orders(settings, site.adapters)
        await read_everything(settings, site, engine, flows_since(desk.documents))
        odd += [*_holdings(settings, site.adapters, engine), *await _orders(settings, site.adapters)]
        return Looked(odd=tuple(dict.fromkeys(odd)), lost=_lost(state, engine))


@asynccontextmanager
async def _site(settings: Settings) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site(settings))
        for adapter in site.adapters.values():
            await _connected(adapter)
        yield site


async def _connected(adapter: VenueAdapter) -> None:
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            await adapter.connect()
    except (VenueError, TimeoutError) as error:
        raise StartUnavailable(f"{adapter.name}: it can't be read: {str(error) or 'no answer in time'}") from error


# --- what is there -----------------------------------------------------------------------------------


def _unprovable(adapters: Mapping[str, VenueAdapter]) -> Iterator[str]:
    for name, adapter in adapters.items():
        yield from (f"{name}: {sentence}" for sentence in adapter.capabilities.unprovable)
        if not adapter.capabilities.is_provable:
            yield f"{name}: its lists of orders prove nothing"


async def _orders(settings: Settings, adapters: Mapping[str, VenueAdapter]) -> list[str]:
    """A list that fails is not empty."""
    odd: list[str] = []
    for name, adapter in adapters.items():
        for scope in await count_by_scope(adapter, settings.data.call_timeout):
            if scope.count is None:
                odd.append(f"{name}: open orders of {scope.scope} can't be listed: {scope.reason}")
            elif scope.count:
                odd.append(f"{name}: {scope.count} open orders of {scope.scope}")
    return odd


def _holdings(settings: Settings, adapters: Mapping[str, VenueAdapter], engine: Engine) -> Iterator[str]:
    """Whatever prices move, but for what is worth less than dust."""
    portfolio = engine.portfolio
    still = {portfolio.reference, *settings.prices.pegs, *settings.portfolio.ignore_assets}
    for name in adapters:
        for position in portfolio.positions(name):
            yield f"{name}: a position of {plain(position.quantity)} {position.symbol}"
        for asset, amount in portfolio.amounts(name).items():
            rate = portfolio.rate(asset)
            is_dust = rate is not None and abs(EXACT.multiply(amount, rate)) < settings.portfolio.dust_below
            if asset not in still and amount and not is_dust:
                yield f"{name}: {plain(amount)} {asset}, whose worth moves"


def _lost(state: Escrow, engine: Engine) -> Decimal:
    """The most that it can be, by what was measured since the first budget. Raises UsageError where that is unknown."""
    if not state.is_guarding:
        return ZERO
    start, equity = (
        engine.baselines.fund.of(state.charter.founding, state.seat),
        engine.judged(SystemClock().now().mono),
    )
    if start is None or equity is None:
        raise UsageError(
            f"what {state.name} has lost since it got its budget is not known: start the guard, and stop it once it is"
        )
    return EXACT.subtract(start, equity.low)
