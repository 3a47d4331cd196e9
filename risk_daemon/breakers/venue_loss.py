"""Loss of one venue since the start of the trading day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Unpack

from risk_daemon.breakers.base import Calm, Common, EvaluationContext, Number, VenueView
from risk_daemon.breakers.loss import one_limit
from risk_daemon.breakers.parts import PartLoss, PartsCircuitBreaker, UnknownPart
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.units import ONE, ZERO, fixed


class VenueLossCircuitBreaker(PartsCircuitBreaker):
    """Breaches if a venue lost the limit or more: `max_venue_loss` in money, or `max_venue_loss_pct` of its start.

    venue: the only one it looks at; None: each. Raises ValueError unless exactly one limit is given, and for
    limits that are not above zero.
    """

    watches_venues = True
    calm = Calm()  # venues are looked at now and then only
    part, since = "venue", "since the start of the day"
    fields = ("venue",)

    def __init__(
        self,
        max_venue_loss: Number | None = None,
        *,
        max_venue_loss_pct: Number | None = None,
        venue: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        limit = one_limit("venue_loss", max_venue_loss, max_venue_loss_pct, common.get("warnings", ()))
        super().__init__(CircuitBreakerType.VENUE_LOSS, limit, **common)
        self.venue = venue
        self._none = replace(self._none, cleared=False, calm=None, reason="nothing is known of any venue")

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "venue": self.venue}

    def _parts(self, context: EvaluationContext) -> Iterable[PartLoss | UnknownPart]:
        views = context.accounts.venue_views()
        empty_below = context.baselines.settings.empty_below
        if self.venue is None:
            return [self._loss(venue, view, empty_below) for venue, view in views.items()]
        return [self._loss(self.venue, views.get(self.venue, VenueView(None, None)), empty_below)]

    def _loss(self, venue: str, view: VenueView, empty_below: Decimal) -> PartLoss | UnknownPart:
        equity, start = view.equity, view.start_of_day if self.limit.is_ratio else view.paid_in
        if equity is None or start is None:
            return UnknownPart((venue,), is_seen=start is not None)
        likely = self._measure(start, equity.value, empty_below)
        least = likely if equity.high == equity.value else self._measure(start, equity.high, empty_below)
        most = likely if equity.low == equity.value else self._measure(start, equity.low, empty_below)
        return PartLoss((venue,), least, likely, most)

    def _measure(self, start: Decimal, equity: Decimal, empty_below: Decimal) -> Decimal:
        """The loss in the limit's unit."""
        return venue_loss_ratio(start, equity, empty_below) if self.limit.is_ratio else start - equity


def venue_loss_ratio(start: Decimal, equity: Decimal, empty_below: Decimal) -> Decimal:
    """(start - equity) / start. What began the day empty has nothing to lose but by falling below zero."""
    loss = start - equity
    if start > empty_below:
        return fixed(loss / start)
    return ONE if loss > empty_below else ZERO
