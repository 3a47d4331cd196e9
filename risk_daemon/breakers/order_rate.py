"""Too many orders: a bot that runs away."""

from __future__ import annotations

from typing import Unpack

from risk_daemon.activity import Activity
from risk_daemon.breakers.base import CircuitBreakerType, Common, Verdict
from risk_daemon.breakers.loss import check_one
from risk_daemon.breakers.rate import RateCircuitBreaker
from risk_daemon.clock import Instant
from risk_daemon.gate import Veto

MAX_ORDERS = 100
WINDOW_S = 60.0


class OrderRateCircuitBreaker(RateCircuitBreaker):
    """Breaches with more than `max_orders_per_minute` orders of all bots in the last `window_seconds`.

    The limit holds for the whole window, however long it is. Without them, 100 in 60 s. max_orders, window: other
    names of them. Raises ValueError for a limit that is no whole number
    above zero, and for a window over an hour.
    """

    noun = "orders"

    def __init__(
        self,
        max_orders_per_minute: int | None = None,
        window_seconds: float | None = None,
        *,
        max_orders: int | None = None,
        window: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_one(max_orders_per_minute=max_orders_per_minute, max_orders=max_orders)
        check_one(window_seconds=window_seconds, window=window)
        limit = next((given for given in (max_orders_per_minute, max_orders) if given is not None), MAX_ORDERS)
        within_s = next((given_s for given_s in (window_seconds, window) if given_s is not None), WINDOW_S)
        super().__init__(CircuitBreakerType.ORDER_RATE, limit, within_s, **common)
        self._last_count = 0
        self._last_verdict = self._count_verdict(0)

    def can_trade(self) -> bool:
        """Whether one more order stays within the limit: it is used up by what `record_order` counted."""
        return not self.is_tripped

    def record_order(self) -> None:
        """A program sent an order now."""
        self._program().record_order(self._clock.now().mono)

    def get_order_count(self) -> int:
        """How many orders `record_order` counted in the window."""
        return 0 if self._own is None else self._own.order_count(self._clock.now().mono, self.window_s)

    def veto(self, activity: Activity, now: Instant) -> Veto | None:
        """Why one more order may not be sent now; None if it stays within the limit."""
        if not self._is_used_up(activity, now):
            return None
        verdict = self._judge(activity, now)
        return Veto(self.cause, verdict.reason, verdict.observed, verdict.limits)

    def _judge(self, activity: Activity, now: Instant) -> Verdict:
        count = activity.order_count(now.mono, self.window_s)
        if count != self._last_count:
            self._last_count, self._last_verdict = count, self._count_verdict(count)
        return self._last_verdict

    def _is_used_up(self, activity: Activity, now: Instant) -> bool:
        return activity.order_count(now.mono, self.window_s) >= self.limit

    def _count_verdict(self, count: int) -> Verdict:
        return self._verdict(count, f"{count} orders in {self.window_s:g} s", {"orders": count})
