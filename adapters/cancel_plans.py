"""How a venue's open orders are listed and cancelled, as data; each venue's own is in its file.

A scope is a slice that one listing shows whole. A venue that splits its orders (plain and trigger,
linear and inverse, one settle coin and another) has one scope for each, because an order that no
listing shows is an order that no proof covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market, OrderScope
from risk_daemon.errors import ConfigError

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class CancelBy(Enum):
    """The widest cancel that reaches a whole scope."""

    ALL = "one call for the scope"
    SYMBOL = "one call for each symbol in the listing"
    BATCH = "the ids of the listing, many to a call"
    ORDER = "the ids of the listing, one to a call"


@dataclass(frozen=True, slots=True)
class ScopePlan:
    """One scope: the params of its listing and of its cancels.

    page_rows: the most rows a listing can show; None if it is never cut off.
    cancels: the params of each cancel that must be sent; more than one where order kinds differ.
    """

    scope: OrderScope
    cancel_by: CancelBy
    listing: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    cancels: tuple[Mapping[str, Any], ...] = (NO_PARAMS,)
    page_rows: int | None = None
    batch_rows: int = 20


def scope(
    name: str, markets: frozenset[Market], cancel_by: CancelBy, *cancels: Mapping[str, Any], **rest: Any
) -> ScopePlan:
    """A scope as a venue's file writes it; rest: further fields of `ScopePlan`."""
    return ScopePlan(OrderScope(name, markets), cancel_by, cancels=cancels or (NO_PARAMS,), **rest)


_CALLS = {
    CancelBy.ALL: "cancelAllOrders",
    CancelBy.SYMBOL: "cancelAllOrders",
    CancelBy.BATCH: "cancelOrders",
    CancelBy.ORDER: "cancelOrder",
}


def plan_for(
    exchange: str, scopes: tuple[ScopePlan, ...] | None, markets: frozenset[Market], has: Mapping[str, Any]
) -> tuple[ScopePlan, ...]:
    """Every scope of the configured markets: of the venue's own, else as ccxt says that it `has` them.

    Raises ConfigError, naming what is missing, if some can't be covered.
    """
    scopes = _generic_scopes(exchange, markets, has) if scopes is None else scopes
    lacking = {"fetchOpenOrders", *(_CALLS[plan.cancel_by] for plan in scopes)} - _can(has)
    if lacking:
        raise ConfigError(f"{exchange} lacks {', '.join(sorted(lacking))}: its orders could not be proven gone")
    wanted = tuple(plan for plan in scopes if plan.scope.markets & markets)
    covered = frozenset[Market]().union(*(plan.scope.markets for plan in wanted))
    if not markets <= covered:
        missing = ", ".join(sorted(markets - covered))
        raise ConfigError(
            f"{exchange} has no cancel plan for the {missing} market: its orders could not be proven gone"
        )
    return wanted


def _generic_scopes(exchange: str, markets: frozenset[Market], has: Mapping[str, Any]) -> tuple[ScopePlan, ...]:
    """One scope a market type, from what ccxt says the exchange can do. Trigger orders elsewhere are not covered."""
    cancel_by = _widest_cancel(exchange, has)
    kinds = (("spot", SPOT_MARKETS, "spot"), ("perp", PERP_MARKETS, "swap"))
    return tuple(
        scope(name, covers, cancel_by, {"type": kind}, listing={"type": kind})
        for name, covers, kind in kinds
        if covers & markets
    )


def _widest_cancel(exchange: str, has: Mapping[str, Any]) -> CancelBy:
    """By symbol rather than all at once: several venues refuse the cancel of everything without one."""
    for cancel_by in (CancelBy.SYMBOL, CancelBy.BATCH, CancelBy.ORDER):
        if _CALLS[cancel_by] in _can(has):
            return cancel_by
    raise ConfigError(f"{exchange} lacks cancelAllOrders, cancelOrders and cancelOrder: nothing could be cancelled")


def _can(has: Mapping[str, Any]) -> set[str]:
    """What ccxt says that it can do there; "emulated" is not enough."""
    return {name for name, answer in has.items() if answer is True}
