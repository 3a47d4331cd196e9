"""The last orders, fills and errors, for people who look at the daemon. Nothing is decided by them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.model.account import Fill, Order, OrderStatus
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    ErrorReported,
    FillsSeen,
    Input,
    OrderReported,
    OrdersListed,
    OrdersSeen,
    VenueLost,
)
from risk_daemon.model.units import plain

KEEP = 200
RECENT = "recent"
SENT = "sent"
_AHEAD_S = 86_400.0
_OPEN = OrderStatus.OPEN.value
_Key = tuple[str, str, str]


@dataclass(slots=True, eq=False)
class _Row:
    """What is shown of an order. seen_mono: when it was last told of, in this run."""

    shown: dict[str, Any]
    number: int = 0
    seen_mono: float = float("-inf")

    @property
    def keys(self) -> tuple[_Key, ...]:
        return _keys(self.shown["venue"], self.shown["order_id"], self.shown["client_order_id"])


class Recent:
    """The last `KEEP` of each, oldest first, over restarts. time_wall: Unix seconds, when it was first told of.

    One row an order, however often it is told of: a venue knows its state, a bot that it is its own.
    """

    def __init__(self) -> None:
        self._orders: OrderedDict[int, _Row] = OrderedDict()
        self._known: dict[_Key, int] = {}
        self._number = 0
        self._fills: dict[tuple[str, str], dict[str, Any]] | None = None
        self._errors: deque[dict[str, Any]] = deque(maxlen=KEEP)

    # --- what is told ------------------------------------------------------------------------------

    def note(self, event: Input, now: Instant) -> None:
        """Take in what was told; most events are of no interest here."""
        match event:
            case OrdersSeen():
                for order in event.orders:
                    self._note_order(order, order.status, event.requested_mono, now.wall)
                for order in event.ended:
                    self._note_order(order, _end_of(order), event.requested_mono, now.wall)
            case OrdersListed():
                self._note_listing(event, now)
            case FillsSeen():
                self._note_fills(event, now.wall)
            case OrderReported():
                self._note_sent(event, now)
            case ErrorReported():
                self._note_error(now, event.kind.value, event.venue, event.detail, event.bot)
            case VenueLost():
                self._note_error(now, "venue_lost", event.venue, event.reason)

    def _note_error(self, now: Instant, kind: str, venue: str | None, detail: str, bot: str | None = None) -> None:
        self._errors.append({"time_wall": now.wall, "kind": kind, "bot": bot, "venue": venue, "detail": detail})

    def _note_sent(self, event: OrderReported, now: Instant) -> None:
        row = self._find(event.venue or "", event.order_id, event.client_order_id)
        if row is not None:
            row.shown["bot"] = event.bot
            return
        facts = {"venue": event.venue, "symbol": event.symbol, "side": event.side, "bot": event.bot}
        ids = {"order_id": event.order_id, "client_order_id": event.client_order_id}
        self._add(_Row({**_UNTOLD, "time_wall": now.wall, "told_by": "bot", "status": SENT, **facts, **ids}))

    def _note_order(self, order: Order, status: OrderStatus, mono: float, wall: float) -> None:
        """What was so at `mono`."""
        row = self._find(order.venue, order.order_id, order.client_order_id)
        told = _told(order, status)
        if row is None:
            shown = {**_UNTOLD, "time_wall": wall, "told_by": "venue", "bot": None, **told}
            self._add(_Row(shown, seen_mono=mono))
        elif mono >= row.seen_mono:
            row.seen_mono = mono
            row.shown.update({name: value for name, value in told.items() if value is not None}, told_by="venue")
            self._known.update(dict.fromkeys(row.keys, row.number))

    def _note_listing(self, event: OrdersListed, now: Instant) -> None:
        """What is open there; and what was, before it was asked for, is no more."""
        mono = event.requested_mono
        for order in event.orders:
            self._note_order(order, order.status, mono, now.wall)
        listed = {order.order_id for order in event.orders}
        for row in self._orders.values():
            shown = row.shown
            is_there = (shown["venue"], shown["scope"], shown["status"]) == (event.venue, event.scope, _OPEN)
            if is_there and shown["order_id"] not in listed and row.seen_mono < mono:
                shown["status"] = OrderStatus.ENDED.value

    def _note_fills(self, event: FillsSeen, wall: float) -> None:
        """The newest by the venue's clock; what lies far ahead of ours would stand before all that comes."""
        fills = {} if self._fills is None else self._fills
        new = {(fill.venue, fill.fill_id): self._filled(fill) for fill in event.fills if fill.wall < wall + _AHEAD_S}
        fills = {**new, **fills}
        self._fills = dict(sorted(fills.items(), key=lambda item: item[1]["time_wall"])[-KEEP:])

    def _filled(self, fill: Fill) -> dict[str, Any]:
        order = self._find(fill.venue, fill.order_id, fill.client_order_id)
        return {
            "time_wall": fill.wall,
            "venue": fill.venue,
            "symbol": fill.symbol,
            "side": str(fill.side) or None,
            "quantity": plain(fill.quantity),
            "price": plain(fill.price),
            "fee": _text(fill.fee),
            "fee_asset": fill.fee_asset,
            "bot": None if order is None else order.shown["bot"],
            "fill_id": fill.fill_id,
            "order_id": fill.order_id,
            "client_order_id": fill.client_order_id,
        }

    # --- rows of orders ----------------------------------------------------------------------------

    def _find(self, venue: str, order_id: str | None, client_order_id: str | None) -> _Row | None:
        number = next((self._known[key] for key in _keys(venue, order_id, client_order_id) if key in self._known), None)
        return None if number is None else self._orders.get(number)

    def _add(self, row: _Row) -> None:
        self._number += 1
        row.number = self._number
        self._orders[row.number] = row
        self._known.update(dict.fromkeys(row.keys, row.number))
        if len(self._orders) > KEEP:
            number, old = self._orders.popitem(last=False)
            for key in [key for key in old.keys if self._known.get(key) == number]:
                del self._known[key]

    # --- what is asked -----------------------------------------------------------------------------

    def bot_of(self, order: Order) -> str | None:
        """Whose order it is, where a bot has told of it."""
        row = self._find(order.venue, order.order_id, order.client_order_id)
        return None if row is None else row.shown["bot"]

    def document(self) -> dict[str, Any]:
        """JSON-able. fills None: no venue has told of any yet, nor that there were none."""
        fills = None if self._fills is None else [dict(row) for row in self._fills.values()]
        orders = [dict(row.shown) for row in self._orders.values()]
        return {"orders": orders, "fills": fills, "errors": list(self._errors)}

    def open_orders(self, orders: Iterable[Order]) -> list[dict[str, Any]]:
        """These orders, as they are shown."""
        return [{"venue": order.venue, "bot": self.bot_of(order), **_told(order, order.status)} for order in orders]

    def snapshot(self) -> dict[str, Any]:
        return self.document()

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take back what was shown before the restart. What was open then is told of again, or has ended.

        It is only shown: what can't be read is left out.
        """
        with suppress(KeyError, TypeError, AttributeError):
            for shown in saved["orders"]:
                self._add(_Row({**_UNTOLD, **shown}))
            self._errors.extend(saved["errors"])
            if saved["fills"] is not None:
                rows = [dict(row) for row in saved["fills"] if isinstance(row["time_wall"], int | float)]
                self._fills = {(row["venue"], row["fill_id"]): row for row in rows}


_UNTOLD = dict.fromkeys(("type", "quantity", "remaining", "price", "trigger_price", "reduce_only", "scope"))


def _told(order: Order, status: OrderStatus) -> dict[str, Any]:
    """What a venue tells of an order, JSON-able."""
    return {
        "venue": order.venue,
        "scope": order.scope,
        "symbol": order.symbol,
        "side": str(order.side) or None,
        "type": order.order_type,
        "quantity": _text(order.quantity),
        "remaining": _text(order.remaining),
        "price": _text(order.price),
        "trigger_price": _text(order.trigger_price),
        "reduce_only": order.reduce_only,
        "status": status.value,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
    }


def _end_of(order: Order) -> OrderStatus:
    """It is open no more; how it ended, where the venue's row says so."""
    return OrderStatus.ENDED if order.status is OrderStatus.OPEN else order.status


def _keys(venue: str | None, order_id: str | None, client_order_id: str | None) -> tuple[_Key, ...]:
    named = (("id", order_id), ("client", client_order_id))
    return tuple((venue or "", kind, name) for kind, name in named if name)


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)
