"""Too many orders: a bot that runs away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from risk_daemon.breakers.base import Common, Verdict
from risk_daemon.breakers.loss import check_one
from risk_daemon.breakers.rate import EVERYBODY, RateCircuitBreaker, Scope, whose
from risk_daemon.gate.activity import Activity, Pair
from risk_daemon.gate.restraints import OrderRequest, Veto
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant

MAX_ORDERS = 100
WINDOW_S = 60.0


class OrderRateCircuitBreaker(RateCircuitBreaker):
    """Breaches with more than `max_orders_per_minute` orders in the last `window_seconds`: of all, a bot, or a venue.

    The limit holds for the whole window, however long it is. Without them, 100 in 60 s. scope: `all` counts all
    orders together, `bot` and `venue` each by itself; max_orders_total: then a limit over everything, of which one
    bot or venue fills at most half. Orders of no known bot count as everybody's. max_orders, window: other names of
    the first two. Raises ValueError for a limit that is no whole number above zero, and for a window over an hour.
    """

    noun = "orders"

    def __init__(
        self,
        max_orders_per_minute: int | None = None,
        window_seconds: float | None = None,
        scope: Scope | str = Scope.ALL,
        max_orders_total: int | None = None,
        *,
        max_orders: int | None = None,
        window: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_one(max_orders_per_minute=max_orders_per_minute, max_orders=max_orders)
        check_one(window_seconds=window_seconds, window=window)
        limit = next((given for given in (max_orders_per_minute, max_orders) if given is not None), MAX_ORDERS)
        within_s = next((given_s for given_s in (window_seconds, window) if given_s is not None), WINDOW_S)
        kind = CircuitBreakerType.ORDER_RATE
        super().__init__(kind, limit, within_s, scope, max_orders_total, **common)
        self._few = {0: self._verdict(0, f"0 orders in {self.window_s:g} s", {"orders": 0})}

    def can_trade(self) -> bool:
        """Whether one more order stays within the limit: it is used up by what `record_order` counted."""
        return not self.is_tripped

    def record_order(self) -> None:
        """A program sent an order now."""
        self._program().record_order(self._clock.now().mono)

    def get_order_count(self) -> int:
        """How many orders `record_order` counted in the window."""
        return 0 if self._own is None else self._own.order_count(self._clock.now().mono, self.window_s)

    def veto(self, activity: Activity, now: Instant, order: OrderRequest | None = None) -> Veto | None:
        """Why one more order, or this one, may not be sent now; None if it stays within the limits."""
        if activity.order_count(now.mono, self.window_s) < min(self.limit, self.total or self.limit):
            return None
        party = EVERYBODY if order is None else self.party((order.bot, order.venue))
        own, others = self._counts(activity, now)
        in_all = self._in_all(others)
        if in_all is not None and self.total is not None and in_all >= self.total:
            told = f"{in_all} orders in all in {self.window_s:g} s, limit {self.total}"
            return Veto(self.cause, told, {"orders_in_all": in_all}, self._limits)
        count = own.get(party, 0)
        if count < self.limit:
            return None
        told = f"{count} orders{whose(party)} in {self.window_s:g} s, limit {self.limit}"
        observed = {"orders": count} | ({} if party == EVERYBODY else {"bot": party[0], "venue": party[1]})
        return Veto(self.cause, told, observed, self._limits)

    def _judge(self, activity: Activity, now: Instant) -> Verdict:
        count = activity.order_count(now.mono, self.window_s)
        if count <= min(self.limit, self.total or self.limit) and not self.warnings:
            return self._of_few(count)
        own, others = self._counts(activity, now)
        return self._judged(own, others, {"orders": max(own.values(), default=0)})

    def _of_few(self, count: int) -> Verdict:
        """Nobody can have gone too far where all together have not. The last answer is kept: it is asked each turn."""
        if count not in self._few:
            self._few = {count: self._verdict(count, f"{count} orders in {self.window_s:g} s", {"orders": count})}
        return self._few[count]

    def _is_used_up(self, activity: Activity, now: Instant) -> bool:
        return activity.order_count(now.mono, self.window_s) >= self.limit

    def _counts(self, activity: Activity, now: Instant) -> tuple[Mapping[Pair, int], Mapping[Pair, int]]:
        """By party: what counts against the party itself, and what against everybody."""
        others = self._by_party(activity.order_counts(now.mono, self.window_s, for_others=True))
        if self.scope is not Scope.BOT:
            return others, others
        return self._by_party(activity.order_counts(now.mono, self.window_s)), others

    def _by_party(self, counts: Mapping[Pair, int]) -> Mapping[Pair, int]:
        found: dict[Pair, int] = {}
        for pair, count in counts.items():
            party = self.party(pair)
            found[party] = found.get(party, 0) + count
        return found
