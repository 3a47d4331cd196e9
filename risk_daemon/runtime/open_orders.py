"""The orders that are known to be open: so that a sweep can name and count what its first cancel removes."""

from __future__ import annotations

from itertools import islice

from risk_daemon.model.events import Order, OrdersListed, OrdersSeen

KEPT = 5_000


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
        self._listed.pop(venue, None)
        self._streamed.pop(venue, None)
