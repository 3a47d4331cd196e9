"""What became of a guarded exchange's orders, told to the daemon. No order waits for a report or fails by one."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from risk_daemon.bot.orders import ProposedOrder
from risk_daemon.bot.port import OrderGate
from risk_daemon.bot.threads import ForkSafeThreads

_MAX_WAITING: Final = 256
_QUERY: Final = re.compile(r"\?\S*")  # it may be signed
_LOG = logging.getLogger(__name__)

# What an error of ccxt means, by the name of its class or the nearest base: "rejected", or a kind of error.
_MEANINGS: Final = {
    "InsufficientFunds": "expected",
    "InvalidOrder": "rejected",
    "OperationRejected": "rejected",
    "OrderRejected": "rejected",
    "ArgumentsRequired": "strategy",
    "NotSupported": "strategy",
    "NetworkError": "connection",
    "ExchangeError": "broker",
}


class Teller:
    """Reports in a thread of its own, as many as wait at one time; beyond that they are dropped and logged."""

    def __init__(self, gate: OrderGate, venue: str) -> None:
        self._gate, self._venue = gate, venue
        self._threads = ForkSafeThreads(1)
        self._room = threading.BoundedSemaphore(_MAX_WAITING)

    def tell_result(self, orders: Sequence[ProposedOrder], result: Any) -> None:
        rows = result if isinstance(result, list) else [result]
        for index, order in enumerate(orders):
            row = rows[index] if index < len(rows) and isinstance(rows[index], Mapping) else {}
            if row.get("status") == "rejected":
                self._tell(partial(self._gate.report_rejected, venue=self._venue, detail="the venue's status"))
            else:
                self._tell(partial(self._gate.report_sent, **_traits(order, row)))

    def tell_error(self, error: Exception) -> None:
        names = (base.__name__ for base in type(error).__mro__)
        meaning = next((_MEANINGS[name] for name in names if name in _MEANINGS), "broker")
        detail = _QUERY.sub("?...", f"{type(error).__name__}: {error}")
        if meaning == "rejected":
            self._tell(partial(self._gate.report_rejected, venue=self._venue, detail=detail))
        else:
            self._tell(partial(self._gate.report_error, meaning, venue=self._venue, detail=detail))

    def _tell(self, report: Callable[[], bool]) -> None:
        if not self._room.acquire(blocking=False):
            _LOG.warning("%s: too many reports wait for the daemon, one is dropped", self._venue)
            return
        try:
            self._threads.submit(self._deliver, report)
        except RuntimeError:  # the program is ending
            self._room.release()

    def _deliver(self, report: Callable[[], bool]) -> None:
        try:
            if not report():
                _LOG.warning("%s: the daemon did not hear a report", self._venue)
        except Exception:
            _LOG.exception("%s: a report failed", self._venue)
        finally:
            self._room.release()


def _traits(order: ProposedOrder, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a report of a sent order says; ids as texts, whatever the venue makes them."""
    ids = {"order_id": row.get("id"), "client_order_id": row.get("clientOrderId") or order.client_order_id}
    told = {name: None if value is None else str(value) for name, value in ids.items()}
    return {"venue": order.venue, "symbol": order.symbol, "side": order.side, **told}
