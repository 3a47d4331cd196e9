"""What a sweep found, for the caller and for live display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from risk_daemon.model.events import Order


@dataclass(frozen=True, slots=True)
class VenueVerdict:
    """One venue's part of a sweep. Times are seconds since the sweep began.

    proven: every scope listed empty twice, `settle` apart. cancelled: orders that were seen open and are
    gone; those that the very first cancel removed before the first listing are counted only if the order
    manager was told of them. replaced: orders that appeared after the first look. kept: protective
    orders left alone. first_cancel_s: None while no cancel was sent. proven_s: the latest proof.
    unprovable: what no listing of this venue shows.
    """

    venue: str
    proven: bool
    cancelled: int
    replaced: tuple[Order, ...]
    kept: tuple[Order, ...]
    unproven_reason: str | None
    first_cancel_s: float | None
    proven_s: float | None
    scopes: tuple[str, ...]
    unprovable: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "proven": self.proven is True,
            "cancelled": self.cancelled,
            "replaced": len(self.replaced),
            "kept": [order.order_id for order in self.kept],
            "unproven_reason": self.unproven_reason,
            "unprovable": list(self.unprovable),
        }


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How a sweep ended. proven: the joint round listed every scope of every venue empty."""

    trip_id: str
    proven: bool
    elapsed_s: float
    venues: Mapping[str, VenueVerdict]

    @property
    def cancelled(self) -> int:
        """Orders of all venues that were seen open and are gone."""
        return sum(verdict.cancelled for verdict in self.venues.values())

    @property
    def unproven_reason(self) -> str | None:
        """Why the sweep is not proven, in one line; None if it is."""
        if self.proven is True:
            return None
        told = (f"{v.venue}: {v.unproven_reason}" for v in self.venues.values() if v.proven is not True)
        return "; ".join(told) or "the joint round did not end in time"

    def document(self) -> dict[str, Any]:
        """As JSON: proven, cancelled, elapsed_s, unproven_reason, trip_id, venues."""
        return {
            "proven": self.proven is True,
            "cancelled": self.cancelled,
            "elapsed_s": round(self.elapsed_s, 3),
            "unproven_reason": self.unproven_reason,
            "trip_id": self.trip_id,
            "venues": {name: verdict.document() for name, verdict in self.venues.items()},
        }
