"""Unrealised loss of one position."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Unpack

from risk_daemon.breakers.base import CircuitBreakerType, Common, EvaluationContext, Number, PositionView
from risk_daemon.breakers.loss import one_limit
from risk_daemon.breakers.parts import PartLoss, PartsCircuitBreaker, UnknownPart
from risk_daemon.units import fixed


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
        return [self._loss(view) for view in context.accounts.position_views()]

    def _loss(self, view: PositionView) -> PartLoss | UnknownPart:
        name = (view.venue, view.position.symbol)
        loss = None if view.unrealized is None else self._measure(-view.unrealized, view.entry_value)
        return UnknownPart(name, is_seen=True) if loss is None else PartLoss(name, loss, loss, loss)

    def _measure(self, loss: Decimal, entry_value: Decimal | None) -> Decimal | None:
        """In the limit's unit; None where the value at entry can't be known."""
        if not self.limit.is_ratio:
            return loss
        return fixed(loss / entry_value) if entry_value is not None and entry_value > 0 else None
