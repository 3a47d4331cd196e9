"""What the books of a venue are told: what to expect, and how old it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from risk_daemon.model.events import Kind
from risk_daemon.model.units import ONE


@dataclass(frozen=True, slots=True)
class PortfolioSettings:
    """What counts as fresh, in seconds; `expected` names the kinds each venue must give before start."""

    expected: Mapping[str, frozenset[Kind]] = field(default_factory=dict)
    stale_s: Mapping[Kind, float] = field(
        default_factory=lambda: {Kind.BALANCES: 45.0, Kind.POSITIONS: 45.0, Kind.PRICES: 30.0}
    )
    stale_s_by_venue: Mapping[str, Mapping[Kind, float]] = field(default_factory=dict)
    stale_band: Decimal = Decimal("0.2")
    ignore_assets: frozenset[str] = frozenset()
    dust_below: Decimal = ONE
    pegs: Mapping[str, Decimal] = field(default_factory=dict)
    settle_legs_s: float = 0.25

    @property
    def price_stale_s_by_venue(self) -> dict[str, float]:
        """Where prices of a venue have an age of their own."""
        by_venue = self.stale_s_by_venue.items()
        return {venue: times[Kind.PRICES] for venue, times in by_venue if Kind.PRICES in times}

    def stale_after_s(self, venue: str, kind: Kind) -> float:
        """Age in seconds after which `kind` of `venue` is stale."""
        return self.stale_s_by_venue.get(venue, {}).get(kind, self.stale_s[kind])
