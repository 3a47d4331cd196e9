"""Venues and positions as the rules see them, worked out only when one asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from risk_daemon.baselines.venue_days import VenueDays
from risk_daemon.breakers.base import PositionView, VenueView
from risk_daemon.model.events import Position
from risk_daemon.model.units import fixed
from risk_daemon.portfolio.flows import FlowTracker
from risk_daemon.portfolio.manager import Equity, PortfolioManager


class Views:
    """The accounts of the evaluation context. seen: the venues as they were at the last `look`."""

    def __init__(self, portfolio: PortfolioManager, flows: FlowTracker, days: VenueDays) -> None:
        self._portfolio = portfolio
        self._flows = flows
        self._days = days
        self.seen: Mapping[str, VenueView] | None = None
        self._now_mono = float("-inf")

    def venue_equity(self, venue: str) -> Equity | None:
        """A venue's worth; what only one witness has told of widens it. None before it was seen whole."""
        known = self._portfolio.venue_interval(venue)
        if known is None:
            return None
        more, less = self._flows.doubts(self._now_mono, self._portfolio.rate, venue)
        return Equity(known.value, known.low - less, known.high + more)

    def venue_views(self) -> Mapping[str, VenueView]:
        """Every venue that must be seen before the start, as they were at the last `look`, if there was one."""
        return self._all() if self.seen is None else self.seen

    def look(self, now_mono: float) -> None:
        """Work the venues out anew: a pass over all holdings, too much for every tick."""
        self._now_mono = now_mono
        self.seen = self._all()

    def _all(self) -> dict[str, VenueView]:
        return {venue: self.venue_view(venue) for venue in self._portfolio.settings.expected}

    def position_views(self) -> Sequence[PositionView]:
        """Every open position."""
        return [
            self._position_view(venue, position)
            for venue in self._portfolio.venues()
            for position in self._portfolio.positions(venue)
        ]

    def venue_view(self, venue: str) -> VenueView:
        """One venue as it is now. Costs a pass over its holdings."""
        start = self._days.start_of(venue)
        value = None if self._days.is_emptied(venue) else start.value
        return VenueView(self.venue_equity(venue), value, start.money)

    def _position_view(self, venue: str, position: Position) -> PositionView:
        rate = self._portfolio.rate(position.settle)
        size = abs(position.quantity * position.contract_size)
        in_settle = size / position.entry if position.inverse else size * position.entry
        entry_value = None if rate is None else fixed(in_settle * rate)
        return PositionView(venue, position, entry_value, self._portfolio.position_pnl(venue, position.symbol))
