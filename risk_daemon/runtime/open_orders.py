"""The orders that are known to be open: so that a sweep can name and count what its first cancel removes."""

from __future__ import annotations

from itertools import islice

from risk_daemon.model.events import Order, OrdersListed, OrdersSeen

KEPT = 5_000
STREAM = "stream"


class OpenOrders:
    """By venue: what was listed last, scope by scope, and what streams told of since. Counts prove nothing."""

    def __init__(self) -> None:
        self._listed: dict[str, dict[str, dict[str, Order]]] = {}
        self._streamed: dict[str, dict[str, Order]] = {}

    def of(self, venue: str) -> tuple[Order, ...]:
        """What is open there, as far as anybody told."""
        known: dict[str, Order] = {}
        for orders in self._listed.get(venue, {}).values():
            known |= orders
        return tuple((known | self._streamed.get(venue, {})).values())

    def count(self, venue: str) -> int | None:
        """How many are open there; None before a listing."""
        return len(self.of(venue)) if venue in self._listed else None

    def counts(self) -> dict[str, dict[str, int]]:
        """How many by venue and scope, as they were listed last; `STREAM`: those that only a stream told of since."""
        counted = {venue: {scope: len(orders) for scope, orders in of.items()} for venue, of in self._listed.items()}
        for venue, streamed in self._streamed.items():
            listed = self._listed.get(venue, {}).values()
            counted.setdefault(venue, {})[STREAM] = sum(not any(one in of for of in listed) for one in streamed)
        return counted

    def seen(self, event: OrdersSeen) -> None:
        """A stream told of orders: the newest `KEPT` of a venue are kept until they end, or until a listing."""
        streamed = self._streamed.setdefault(event.venue, {})
        streamed.update((order.order_id, order) for order in event.orders)
        for order in event.ended:
            streamed.pop(order.order_id, None)
            for orders in self._listed.get(event.venue, {}).values():
                orders.pop(order.order_id, None)
        for order_id in list(islice(streamed, max(0, len(streamed) - KEPT))):
            del streamed[order_id]

    def listed(self, event: OrdersListed) -> None:
        """All orders of one scope. What streams told before is in a listing, or over."""
        orders = {order.order_id: order for order in event.orders}
        self._listed.setdefault(event.venue, {})[event.scope] = orders
        self._streamed.pop(event.venue, None)

    def swept(self, venue: str) -> None:
        """It was proven empty: what was counted then is not counted again."""
        self._listed[venue] = {}
        self._streamed.pop(venue, None)
