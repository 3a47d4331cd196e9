"""What the accounts hold, part by part, for a person to look at before it becomes a baseline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from adapters.base import OrderScope, VenueAdapter
from risk_daemon.errors import VenueError
from risk_daemon.model.events import Position
from risk_daemon.model.units import EXACT, ZERO, fixed
from risk_daemon.portfolio.manager import PortfolioManager


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An amount of an asset. worth: in the reference currency; None without a price."""

    asset: str
    amount: Decimal
    worth: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position at its mark. pnl: unrealised, in the reference currency. None: not known."""

    position: Position
    mark: Decimal | None
    pnl: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrders:
    """How many orders of a scope are open. count None: they could not be listed, for `reason`."""

    scope: str
    count: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One venue. positions None: they are not read there. orders: one a scope; empty where they were not asked for."""

    venue: str
    holdings: tuple[Holding, ...]
    positions: tuple[OpenPosition, ...] | None
    orders: tuple[OpenOrders, ...] = ()


def take_inventory(
    portfolio: PortfolioManager, adapter: VenueAdapter, orders: tuple[OpenOrders, ...] = ()
) -> Inventory:
    """What the books have of a venue: what has no price first, then what is worth most."""
    venue = adapter.name
    found = (_holding(portfolio, asset, amount) for asset, amount in portfolio.amounts(venue).items())
    positions = tuple(_position(portfolio, venue, position) for position in portfolio.positions(venue))
    return Inventory(
        venue=venue,
        holdings=tuple(sorted(found, key=lambda one: (one.worth is not None, -abs(one.worth or ZERO), one.asset))),
        positions=positions if adapter.capabilities.has_positions else None,
        orders=orders,
    )


def _holding(portfolio: PortfolioManager, asset: str, amount: Decimal) -> Holding:
    rate = portfolio.rate(asset)
    return Holding(asset=asset, amount=amount, worth=None if rate is None else fixed(EXACT.multiply(amount, rate)))


def _position(portfolio: PortfolioManager, venue: str, position: Position) -> OpenPosition:
    mark, pnl = portfolio.prices.mark(venue, position.symbol), portfolio.position_pnl(venue, position.symbol)
    if position.settle in portfolio.settings.ignore_assets:  # it counts nothing, which is not a profit of 0
        pnl = None
    return OpenPosition(
        position=position,
        mark=None if mark is None else mark.value,
        pnl=None if pnl is None else pnl.value,
    )


async def count_by_scope(adapter: VenueAdapter, timeout_s: float) -> tuple[OpenOrders, ...]:
    """The open orders of a venue, each scope listed by itself: one that fails is not empty, and hides no other."""
    return tuple([await _count(adapter, scope, timeout_s) for scope in adapter.scopes])


async def _count(adapter: VenueAdapter, scope: OrderScope, timeout_s: float) -> OpenOrders:
    try:
        async with asyncio.timeout(timeout_s):
            listing = await adapter.list_orders(scope)
    except (VenueError, TimeoutError) as error:
        return OpenOrders(scope=scope.name, count=None, reason=str(error) or f"no answer within {timeout_s:g} s")
    return OpenOrders(scope=scope.name, count=len(listing.orders))
