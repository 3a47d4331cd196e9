"""Unrealised loss of one position."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Unpack

from risk_daemon.breakers.base import Common, EvaluationContext, Number, PositionView
from risk_daemon.breakers.loss import one_limit
from risk_daemon.breakers.parts import PartLoss, PartsCircuitBreaker, UnknownPart
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.units import fixed


class PositionLossCircuitBreaker(PartsCircuitBreaker):
    """Breaches if a position lost the limit or more: `max_position_loss` in money, or `max_position_loss_pct`.

    The ratio is of the position's value at entry. Raises ValueError unless exactly one limit is given, and for
    limits that are not above zero.
    """

    part, since = "position", "since its entry"
    fields = ("venue", "symbol")

    def __init__(
        self,
        max_position_loss: Number | None = None,
        *,
        max_position_loss_pct: Number | None = None,
        **common: Unpack[Common],
    ) -> None:
        limit = one_limit("position_loss", max_position_loss, max_position_loss_pct, common.get("warnings", ()))
        super().__init__(CircuitBreakerType.POSITION_LOSS, limit, **common)

    def _parts(self, context: EvaluationContext) -> Iterable[PartLoss | UnknownPart]:
        views = context.accounts.position_views()
        # What cost nothing has no loss in percent.
        return [self._loss(view) for view in views if not (self.limit.is_ratio and view.entry_value == 0)]

    def _loss(self, view: PositionView) -> PartLoss | UnknownPart:
        name, profit, entry_value = (view.venue, view.position.symbol), view.unrealized, view.entry_value
        if profit is None or (self.limit.is_ratio and entry_value is None):
            return UnknownPart(name, is_seen=True)
        least, likely, most = (self._measure(-worth, entry_value) for worth in (profit.high, profit.value, profit.low))
        return PartLoss(name, least, likely, most)

    def _measure(self, loss: Decimal, entry_value: Decimal | None) -> Decimal:
        """In the limit's unit."""
        return loss if entry_value is None or not self.limit.is_ratio else fixed(loss / entry_value)
