"""bybit's disconnection protection: a dead man's switch that private sockets hold open.

It works for products that the account manager has switched on, and only while a socket is subscribed to the
`dcp` topic of one: when the last such socket is dead for the window, the product's active orders are cancelled.
Setting a window says success either way. What is conditional is taken to stay: the documentation does not say.
"""

from __future__ import annotations

from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import OpenOrder
from adapters.simulated.wire import bybit_markets as markets
from adapters.simulated.wire.base import Request, Route
from adapters.simulated.wire.bybit_orders import filter_of
from adapters.simulated.wire.bybit_words import Outcome, refused

TOPICS = {"dcp.future": "DERIVATIVES", "dcp.spot": "SPOT", "dcp.option": "OPTIONS"}
_CATEGORIES = {"SPOT": ("spot",), "DERIVATIVES": ("linear", "inverse"), "OPTIONS": ("option",)}


class Dcp:
    """The switch of each product. windows: of those that are switched on, in seconds."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.windows: dict[str, int] = {}

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("POST", "/v5/order/disconnected-cancel-all"): Route(Call.DEAD_MAN, self._set),
            ("GET", "/v5/account/query-dcp-info"): Route(Call.OTHER, self._query),
        }

    def hold(self, topic: str, now: float) -> None:
        """A socket that is subscribed to `topic` lives."""
        product = TOPICS[topic]
        if (window := self.windows.get(product)) is not None:

            def reaches(order: OpenOrder) -> bool:
                instrument = self.exchange.instruments[order.draft.symbol]
                return markets.category(instrument) in _CATEGORIES[product] and filter_of(order) == "Order"

            self.exchange.arm_dead_man(window, now, name=topic, reaches=reaches)

    def _set(self, _: Request, form: dict[str, Any]) -> Any:
        product, window = str(form.get("product") or "OPTIONS"), int(form.get("timeWindow") or 0)
        if product not in _CATEGORIES or not 3 <= window <= 300:
            raise refused(10001, "params error: product or timeWindow is invalid")
        if product in self.windows:
            self.windows[product] = window
        return Outcome({}, "success")

    def _query(self, _: Request, __: dict[str, Any]) -> Any:
        rows = [
            {"product": product, "dcpStatus": "ON", "timeWindow": str(window)}
            for product, window in self.windows.items()
        ]
        return Outcome({"dcpInfos": rows}, "success")
