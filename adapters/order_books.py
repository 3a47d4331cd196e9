"""What `cancel_plans.py` says, done: a venue's own listings walked to their end, its own cancels sent.

A listing is whole or it is an error. A page that repeats, a row of another category, a page that is full and leads
nowhere, a walk that does not end: each is no listing. Orders of a market that is not in the market list any more keep
the venue's own name for it, by which they are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from adapters.cancel_plans import EACH, Cancel, CancelBy, Listing, Named, OrderCalls, OrderFields, Row, ScopePlan
from adapters.dialect import number, optional_text, told_size
from adapters.failures import is_gone
from adapters.lane import Urgency, current_urgency, travelling
from risk_daemon.errors import InvariantError, MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.account import OrderSide, side_of
from risk_daemon.model.events import Order

MOST_PAGES = 500
"""A listing that goes on for longer does not come to an end, or grows as fast as it is read."""

AHEAD_S = 3_600.0
"""The newest window ends so far in the future: our clock may be behind, and would hide what was placed just now."""

Parts = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]
"""What the venue must be asked for first: {the name of a plan's `each`: the params of one call a part}."""

Counts = Callable[[str], Awaitable[int | None]]
"""How many orders the venue counts, by the name of a plan's `counted`; None: it would not tell."""


async def _no_parts(each: str) -> Sequence[Mapping[str, Any]]:
    raise MalformedReply(f"this dialect does not know its {each}")


async def _no_counts(counted: str) -> int | None:
    raise MalformedReply(f"this dialect does not count its {counted}")


class OrderBooks:
    """The books of one account. venue: its name in the configuration. client: a guarded ccxt client."""

    def __init__(self, venue: str, client: Any, parts: Parts = _no_parts, counts: Counts = _no_counts) -> None:
        self._venue = venue
        self._client = client
        self._parts = parts
        self._counts = counts
        self._cancelled: dict[str, frozenset[str]] = {}

    # --- listing ---------------------------------------------------------------------------------

    async def listed(self, plan: ScopePlan) -> tuple[Order, ...]:
        """Every open order of the scope. Raises a VenueError unless the venue has shown all of them."""
        listing = _calls(plan).listing
        counted = None if listing.counted is None else await self._counts(listing.counted)
        if listing.each is None:
            rows = await self._windows(plan.scope.name, listing, listing.params, counted)
        else:
            parts = await self._parts(listing.each)
            calls = [self._windows(plan.scope.name, listing, {**listing.params, **part}) for part in parts]
            rows = [row for page in await asyncio.gather(*calls) for row in page]
        _check_count(plan.scope.name, listing, rows, counted)
        return tuple(self._order(plan.scope.name, listing, row) for row in rows)

    async def _windows(
        self, scope: str, listing: Listing, params: Mapping[str, Any], counted: int | None = None
    ) -> list[Row]:
        """counted: when so many are found there is no need to look further back. Older windows are many, and paced."""
        windows = listing.windows
        if windows is None:
            return await self._pages(scope, listing, params)
        # By the venue's clock, as calls are signed: ours may be off by more than the newest window reaches ahead.
        apart_ms = int(self._client.options.get("timeDifference") or 0)
        now_ms, span_ms = self._client.milliseconds() - apart_ms, int(windows.span_s * 1000)
        end_ms, oldest_ms = now_ms + int(AHEAD_S * 1000), now_ms - int(windows.back_s * 1000)
        found: dict[str, Row] = {}
        while end_ms > oldest_ms:
            start_ms = max(oldest_ms, end_ms - span_ms)
            window = {**params, windows.start: start_ms, windows.end: end_ms}
            with travelling(current_urgency() if end_ms > now_ms else _paced()):
                rows = await self._pages(scope, listing, window)
            found.update({_name(listing, row): row for row in rows})  # the edges belong to two windows
            end_ms = oldest_ms if counted is not None and len(found) >= counted else start_ms
        return list(found.values())

    async def _pages(self, scope: str, listing: Listing, params: Mapping[str, Any]) -> list[Row]:
        found: dict[str, Row] = {}
        more: Mapping[str, Any] | None = {}
        for page in range(1, MOST_PAGES + 1):
            reply = await getattr(self._client, listing.call)({**params, **(more or {})})
            rows = rows_at(reply, listing.at)
            for row in filter(listing.shows, rows):
                _check_row(scope, listing, row)
                name = _name(listing, row)
                if name in found:
                    raise MalformedReply(f"{scope}: page {page} shows the order {name} for the second time")
                found[name] = row
            more = None if listing.next_page is None else listing.next_page(reply, rows, page)
            if more is None:
                _check_last(scope, listing, rows, found)
                return list(found.values())
        raise MalformedReply(f"{scope}: the listing does not come to an end")

    def _order(self, scope: str, listing: Listing, row: Row) -> Order:
        fields = listing.fields
        return Order(
            venue=self._venue,
            scope=scope,
            order_id=_text_of(row, fields.order_id),
            symbol=self._symbol(_text_of(row, fields.symbol), listing.spot),
            side=_side(fields, row),
            order_type=_type_of(fields, row),
            client_order_id=optional_text(row, *fields.client_order_id),
            reduce_only=fields.reduces(row),
            remaining=_remaining(fields, row),
            quantity=told_size(row, *filter(None, (fields.whole, fields.quantity))),
            price=told_size(row, *fields.price),
            trigger_price=told_size(row, *fields.trigger_price),
        )

    def _symbol(self, market_id: str, spot: bool | None) -> str:
        """ccxt's name of a market; the venue's own where it is not in the list (any more)."""
        known = (self._client.markets_by_id or {}).get(market_id, ())
        fitting = (market for market in known if spot is None or (market.get("spot") is True) is spot)
        return str(next((market["symbol"] for market in fitting), market_id))

    # --- cancelling ------------------------------------------------------------------------------

    async def cancel(self, plan: ScopePlan, orders: Sequence[Order]) -> None:
        """Every cancel of the plan is sent, whatever becomes of the others; then the first failure is raised.

        All at once: how many of them are under way is the lane's business.
        """
        before = self._cancelled.get(plan.scope.name, frozenset())
        self._cancelled[plan.scope.name] = frozenset(order.order_id for order in orders)
        calls = [
            call
            for cancel in _calls(plan).cancels
            for call in await self._cancels(cancel, [order for order in orders if _is_for(cancel, order, before)])
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not (isinstance(outcome, VenueError) and is_gone(outcome)):
                raise outcome

    async def cancel_one(self, plan: ScopePlan, order: Order) -> None:
        """This order and no other."""
        await self._send(_calls(plan).single, [self._named(order)])

    async def _cancels(self, cancel: Cancel, orders: Sequence[Order]) -> list[Awaitable[None]]:
        if cancel.by is CancelBy.ALL:
            parts = [{}] if cancel.each is None else await self._parts(cancel.each)
            return [self._send(cancel, [], part) for part in parts]
        named = [self._named(order) for order in orders]
        if cancel.by is CancelBy.SYMBOL:
            markets = sorted({each.market_id for each in named})
            return [self._send(cancel, [Named(market_id=market)]) for market in markets]
        return [self._send(cancel, batch) for batch in _batches(cancel, named)]

    async def _send(self, cancel: Cancel, named: Sequence[Named], part: Mapping[str, Any] | None = None) -> None:
        """Single cancels are many: they keep the venue's pace, or it locks the key out in the middle of a sweep."""
        names = cancel.names(named) if named else {}
        body = names if isinstance(names, list) else {**cancel.params, **(part or {}), **names}
        with travelling(_paced() if cancel.by is CancelBy.ORDER else current_urgency()):
            reply = await getattr(self._client, cancel.call)(body)
        wrong = cancel.refused(reply)
        if wrong is not None:
            raise VenueRejected(f"{cancel.call}: {wrong}")

    def _named(self, order: Order) -> Named:
        market = (self._client.markets or {}).get(order.symbol)
        market_id = order.symbol if market is None else str(market["id"])
        return Named(market_id=market_id, order_id=order.order_id, order_type=order.order_type)


def _paced() -> Urgency:
    """As this call travels, but at the venue's pace."""
    return Urgency.PACED if current_urgency().goes_first else Urgency.ORDINARY


def rows_at(reply: Any, at: Sequence[str]) -> Sequence[Row]:
    """The rows of a reply. Raises MalformedReply unless there is a list of objects where they belong."""
    if EACH in at:
        outer, inner = at[: at.index(EACH)], at[at.index(EACH) + 1 :]
        return [row for group in rows_at(reply, outer) for row in rows_at(group, inner)]
    rows = reply
    for name in at:
        rows = rows.get(name) if isinstance(rows, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise MalformedReply(f"the reply has no list of rows at {'.'.join(at) or 'its top'}")
    return rows


def _calls(plan: ScopePlan) -> OrderCalls:
    if plan.calls is None:
        raise InvariantError(f"the scope {plan.scope.name} has no calls of its own")
    return plan.calls


def _name(listing: Listing, row: Row) -> str:
    """What tells an order from all others: on some venues each market counts its own ids."""
    return f"{_text_of(row, listing.fields.order_id)} of {_text_of(row, listing.fields.symbol)}"


def _check_row(scope: str, listing: Listing, row: Row) -> None:
    for name, allowed in listing.agrees.items():
        if str(row.get(name)) not in allowed:
            raise MalformedReply(f"{scope}: a row whose {name} is {row.get(name)!r}: that is another listing")


def _check_last(scope: str, listing: Listing, rows: Sequence[Row], found: Mapping[str, Row]) -> None:
    """A full page that leads nowhere is a listing while its orders are cancelled; not if they are to be left."""
    is_cut_off = listing.page_rows is not None and listing.next_page is None and len(rows) >= listing.page_rows
    if is_cut_off and all(map(listing.fields.reduces, found.values())):
        raise VenueUnavailable(f"{scope}: a full page of protective orders may hide others behind it")


def _text_of(row: Row, name: str) -> str:
    """An id or symbol, which some venues write as a number. Raises MalformedReply."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value in ("", 0):
        raise MalformedReply(f"a row lacks {name}")
    return str(value)


def _type_of(fields: OrderFields, row: Row) -> str:
    if isinstance(fields.order_type, tuple):
        return optional_text(row, *fields.order_type) or ""
    return str(row.get(fields.order_type, ""))


def _check_count(scope: str, listing: Listing, rows: Sequence[Row], counted: int | None) -> None:
    """Orders that are counted and not shown could be anywhere, so nothing is proven while there are any."""
    if counted is not None and len(rows) < counted and all(map(listing.fields.reduces, rows)):
        raise VenueUnavailable(f"{scope}: the venue counts {counted} orders and shows {len(rows)}")


def _is_for(cancel: Cancel, order: Order, before: frozenset[str]) -> bool:
    return cancel.spares is None or order.order_id in before or not cancel.spares(order)


def _side(fields: OrderFields, row: Row) -> OrderSide:
    said = row.get(fields.side)
    if fields.sides is not None:
        return fields.sides.get(str(said), OrderSide.UNTOLD)
    return side_of(said.lower() if isinstance(said, str) else said)


def _remaining(fields: OrderFields, row: Row) -> Any:
    if fields.quantity is None or row.get(fields.quantity) in (None, ""):
        return None
    filled = fields.filled is not None and row.get(fields.filled) not in (None, "")
    return number(row, fields.quantity) - (number(row, fields.filled) if filled and fields.filled else 0)


def _batches(cancel: Cancel, named: Sequence[Named]) -> list[list[Named]]:
    groups: dict[str, list[Named]] = {}
    for each in named:
        groups.setdefault("" if cancel.mixes else each.market_id, []).append(each)
    size = cancel.rows if cancel.by is CancelBy.BATCH else 1
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]
