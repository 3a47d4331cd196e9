"""The coordinator of a program's own breakers as a gate, for `guard(exchange, coordinator)`.

No while a rule is tripped, while one can't say, and where there is none. Reduce-only orders are refused like all
others: nobody here knows the positions. Orders count for the order rates when they are allowed, whether or not they are
sent then, and errors for the error rates when the next order is asked about: the program records neither itself.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Any, Final

from risk_daemon.bot.answers import GateAnswer, Lease, boot_ns
from risk_daemon.bot.orders import ProposedOrder, proposed
from risk_daemon.breakers import CircuitBreakerManager, ErrorRateCircuitBreaker, OrderRateCircuitBreaker
from risk_daemon.gate.restraints import severity
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.events import ErrorKind
from risk_daemon.state.lock.memory_map import MAX_VALID_MS

_BLIND: Final = CircuitBreakerType.BLIND.cause

# Orders of several threads and exchanges are counted one after the other, so that none passes beside a limit.
_COUNTING: Final = threading.Lock()
os.register_at_fork(before=_COUNTING.acquire, after_in_parent=_COUNTING.release, after_in_child=_COUNTING.release)


class CoordinatorGate:
    """An OrderGate by the rules of `coordinator`. Raises TypeError for what is no coordinator."""

    def __init__(self, coordinator: CircuitBreakerManager) -> None:
        if not isinstance(coordinator, CircuitBreakerManager):
            raise TypeError(f"{coordinator!r} is no gate: give a TradingGate, or a CircuitBreakerManager with breakers")
        self._coordinator = coordinator
        self._errors: deque[ErrorKind] = deque()

    def check(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        """The answer to an order; an allowed one is counted. Raises what a rule raises, and that is no yes."""
        proposed(order, fields)
        with _COUNTING:
            asked_ns = boot_ns()
            self._record_errors()
            refusal = self._refusal()
            if refusal is not None:
                return refusal
            for breaker in self._coordinator.get_all_breakers():
                if isinstance(breaker, OrderRateCircuitBreaker):
                    breaker.record_order()
            return GateAnswer(allowed=True, lease=Lease(MAX_VALID_MS, asked_ns))

    async def acheck(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        """As `check`: there is nothing to wait for."""
        return self.check(order, **fields)

    def report_sent(
        self, *, venue: str, symbol: str, side: str, order_id: str | None = None, client_order_id: str | None = None
    ) -> bool:
        """It was counted when it was allowed."""
        return True

    def report_rejected(self, *, venue: str | None = None, detail: str = "") -> bool:
        return self.report_error(ErrorKind.ORDER_REJECTED)

    def report_error(self, kind: str, *, venue: str | None = None, detail: str = "") -> bool:
        """Reports come from a thread of their own, and rules are not thread-safe: it is kept for the next question."""
        self._errors.append(ErrorKind(kind))
        return True

    def _record_errors(self) -> None:
        rules = [rule for rule in self._coordinator.get_all_breakers() if isinstance(rule, ErrorRateCircuitBreaker)]
        while self._errors:
            kind = self._errors.popleft()
            for rule in rules:
                rule.record_error(kind)

    def _refusal(self) -> GateAnswer | None:
        """Why no order may be sent now, by the most severe rule; None if one may."""
        if not self._coordinator.get_all_breakers():
            detail = "the coordinator has no breakers, so nobody looks"
            return GateAnswer(allowed=False, veto_reason=_BLIND, detail=detail)
        tripped = self._coordinator.get_tripped()
        if tripped:
            held = min(tripped, key=lambda breaker: severity(breaker.cause)).restraint(allows_reducing=False)
            return GateAnswer(
                allowed=False, veto_reason=held.cause, detail=held.reason, observed=held.observed, limits=held.limits
            )
        unsure = ", ".join(breaker.name for breaker in self._coordinator.get_unsure())
        return (
            GateAnswer(allowed=False, veto_reason=_BLIND, detail=f"what it judges by is not known: {unsure}")
            if unsure
            else None
        )
