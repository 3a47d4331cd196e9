"""How a venue's open orders are listed and cancelled, as data; each venue's own is in its file.

What the data says is done by `order_books.py`. A scope is a slice that one listing shows whole. A venue that splits
its orders (plain and trigger, linear and inverse, one settle coin and another) has one scope for each, because an order
that no listing shows is an order that no proof covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market, OrderScope, ScopeKind
from risk_daemon.errors import ConfigError
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import Order

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class CancelBy(Enum):
    """The widest cancel that reaches a whole scope."""

    ALL = "one call for the scope"
    SYMBOL = "one call for each symbol in the listing"
    BATCH = "the ids of the listing, many to a call"
    ORDER = "the ids of the listing, one to a call"


EACH = "*"
"""In `Listing.at`: here stands a list of groups, and what follows leads to the rows of each of them."""

Row = Mapping[str, Any]
"""A raw row of a listing."""

NextPage = Callable[[Any, Sequence[Row], int], Mapping[str, Any] | None]
"""(reply, rows of this page, its number from 1): what else asks for the next page; None: this was the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFields:
    """Where a raw row says what of an order. What is None is not told by this venue.

    order_type: one field, or the first of several that says something. sides: what stands for a side where it is no
    word of its own. reduces: whether the venue marks it as one that can only reduce a position. quantity, filled: their
    difference is what remains. whole: the quantity, where `quantity` is what is left of it. price, trigger_price: the
    first of these fields that is above zero.
    """

    order_id: str = "orderId"
    symbol: str = "symbol"
    side: str = "side"
    order_type: str | tuple[str, ...] = "type"
    client_order_id: tuple[str, ...] = ()
    quantity: str | None = None
    filled: str | None = None
    whole: str | None = None
    price: tuple[str, ...] = ("price",)
    trigger_price: tuple[str, ...] = ()
    sides: Mapping[str, OrderSide] | None = None
    reduces: Callable[[Row], bool] = field(default=lambda _: False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """A listing that shows only what was placed between two times: asked for window by window, newest first.

    start, end: the params, in milliseconds. span_s: the longest window. back_s: how far back it can be asked at all.
    """

    start: str
    end: str
    span_s: float
    back_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A call that tells the parts of a listing, on a venue without a dialect to ask it.

    reads: its reply -> the params of one call a part. Raises a VenueError for a reply that does not tell them all.
    """

    call: str
    reads: Callable[[Any], Sequence[Mapping[str, Any]]]
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One of the venue's own calls that lists a scope, all pages and windows of it.

    call: the method of ccxt's client (`privateGetV5OrderRealtime`). at: the names that lead to the rows in the reply,
    and `EACH`. page_rows: the most rows of one reply; None if it is never cut off. next_page: how to go on after a full
    page; None: nothing leads to the others. agrees: what each row must say, by field: a reply for another category is
    no answer.
    each: what the dialect must be asked for first, where one call shows one part only (`isolated pairs`); without a
    dialect, what the `parts` of the venue say.
    spot: whether its symbols are of spot pairs, where a venue uses a name for two markets; None: it does not.
    counted: what the dialect is asked for how many orders the venue counts in this scope: a listing of none, or of none
    but protective ones, is not whole while it counts more. None: nobody counts. shows: whether a row is of an order
    that is open, where a listing shows others as well.
    """

    call: str
    fields: OrderFields
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    at: tuple[str, ...] = ()
    page_rows: int | None = None
    next_page: NextPage | None = None
    windows: Windows | None = None
    agrees: Mapping[str, frozenset[str]] = field(default_factory=lambda: NO_PARAMS)
    each: str | None = None
    spot: bool | None = None
    counted: str | None = None
    shows: Callable[[Row], bool] = field(default=lambda _: True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An order as a cancel names it: the venue's own name of its market, and its id ("" for a whole symbol).

    order_type: as the listing has it, where a cancel must say which kind of order it means.
    """

    market_id: str
    order_id: str = ""
    order_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """One of the venue's own calls that cancels.

    names: what names the orders in it, from as many as it takes at once: one for SYMBOL and ORDER, up to `rows` of one
    market for BATCH (`mixes`: of any). each: as in `Listing`, of a call for ALL that reaches one part only. refused:
    what a reply that calls itself a success says was not done all the same; None: nothing. spares: an order that the
    wider cancels before this one should take: this one is sent for it only once it has survived them; None: for none.
    """

    call: str
    by: CancelBy
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    names: Callable[[Sequence[Named]], Any] = field(default=lambda _: {})
    rows: int = 20
    mixes: bool = False
    each: str | None = None
    refused: Callable[[Any], str | None] = field(default=lambda _: None)
    spares: Callable[[Order], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCalls:
    """The venue's own calls for a scope. cancels: each of them is sent. single: the cancel of one order alone."""

    listing: Listing
    cancels: tuple[Cancel, ...]
    single: Cancel


@dataclass(frozen=True, slots=True)
class ScopePlan:
    """One scope: the params of its listing and of its cancels.

    page_rows: the most rows a listing can show; None if it is never cut off.
    cancels: the params of each cancel that must be sent; more than one where order kinds differ.
    calls: the venue's own; None: ccxt's unified ones, with these params, or what a dialect does by itself.
    """

    scope: OrderScope
    cancel_by: CancelBy
    listing: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    cancels: tuple[Mapping[str, Any], ...] = (NO_PARAMS,)
    page_rows: int | None = None
    batch_rows: int = 20
    calls: OrderCalls | None = None


def own_scope(
    name: str,
    markets: frozenset[Market],
    kind: ScopeKind,
    *,
    listing: Listing,
    cancels: Sequence[Cancel],
    single: Cancel | None = None,
) -> ScopePlan:
    """A scope by the venue's own calls. single: needed unless one of the cancels goes by id.

    Raises ConfigError for a scope that could not be swept.
    """
    by_id = (cancel for cancel in cancels if cancel.by in (CancelBy.ORDER, CancelBy.BATCH))
    single = single or next(by_id, None)
    if not cancels or single is None:
        raise ConfigError(f"the scope {name!r} has no cancel, or none of one order alone")
    calls = OrderCalls(listing=listing, cancels=tuple(cancels), single=single)
    return ScopePlan(OrderScope(name, markets, kind), cancels[0].by, page_rows=listing.page_rows, calls=calls)


def by_cursor(param: str, *at: str) -> NextPage:
    """The next page is asked for by what stands here in the reply; nothing there: this was the last."""

    def next_page(reply: Any, _rows: Sequence[Row], _number: int) -> Mapping[str, Any] | None:
        value = reply
        for name in at:
            value = value.get(name) if isinstance(value, Mapping) else None
        return {param: value} if value else None

    return next_page


def after_last(param: str, name: str, page_rows: int) -> NextPage:
    """The next page begins after the last row of a full one."""

    def next_page(_reply: Any, rows: Sequence[Row], _number: int) -> Mapping[str, Any] | None:
        return {param: rows[-1][name]} if len(rows) >= page_rows else None

    return next_page


def by_number(param: str, page_rows: int) -> NextPage:
    """Pages are numbered from 1; a page that is not full is the last."""

    def next_page(_reply: Any, rows: Sequence[Row], number: int) -> Mapping[str, Any] | None:
        return {param: number + 1} if len(rows) >= page_rows else None

    return next_page


def by_market(param: str) -> Callable[[Sequence[Named]], Any]:
    """Names one market."""
    return lambda orders: {param: orders[0].market_id}


def by_id(order_id: str, market: str | None = None) -> Callable[[Sequence[Named]], Any]:
    """Names one order, and its market where the venue wants that too."""
    return lambda orders: {order_id: orders[0].order_id} | ({market: orders[0].market_id} if market else {})


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
    unified = [plan for plan in scopes if plan.calls is None]
    lacking = {name for plan in unified for name in ("fetchOpenOrders", _CALLS[plan.cancel_by])} - _can(has)
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
