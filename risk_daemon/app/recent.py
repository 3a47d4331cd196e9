"""The last orders, errors and vetoes, for people who look at the daemon."""

from __future__ import annotations

from collections import deque
from typing import Any

from risk_daemon.model.events import ErrorReported, Input, Order, OrderReported, OrdersSeen

KEEP = 200


class Recent:
    """Newest last. wall: Unix seconds, when we were told."""

    def __init__(self) -> None:
        self._orders: deque[dict[str, Any]] = deque(maxlen=KEEP)
        self._errors: deque[dict[str, Any]] = deque(maxlen=KEEP)
        self._ids: deque[tuple[str, str]] = deque(maxlen=KEEP)

    def note(self, event: Input, wall: float) -> None:
        """Take in what was told; most events are of no interest here."""
        match event:
            case OrdersSeen():
                for order in (*event.orders, *event.ended):
                    self._note_order(order, wall)
            case OrderReported():
                facts = {"venue": event.venue, "symbol": event.symbol, "side": event.side, "bot": event.bot}
                ids = {"order_id": event.order_id, "client_order_id": event.client_order_id}
                self._orders.append({"time_wall": wall, "told_by": "bot", **facts, **ids})
            case ErrorReported():
                facts = {"kind": event.kind.value, "bot": event.bot, "venue": event.venue, "detail": event.detail}
                self._errors.append({"time_wall": wall, **facts})
            case _:
                return

    def _note_order(self, order: Order, wall: float) -> None:
        """A stream tells of an order again with every amendment: once is enough."""
        key = (order.venue, order.order_id)
        if key in self._ids:
            return
        self._ids.append(key)
        facts = {"venue": order.venue, "symbol": order.symbol, "side": order.side, "bot": None}
        ids = {"order_id": order.order_id, "client_order_id": order.client_order_id}
        self._orders.append({"time_wall": wall, "told_by": "venue", **facts, **ids})

    def document(self) -> dict[str, Any]:
        """JSON-able. fills: not read from the venues yet, so not known."""
        return {"orders": list(self._orders), "fills": None, "errors": list(self._errors)}
