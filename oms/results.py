"""What a sweep found, for the caller and for live display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from oms.flat import ClosedLeg
from risk_daemon.model.events import Order
from risk_daemon.model.units import plain


@dataclass(frozen=True, slots=True)
class VenueVerdict:
    """One venue's part of a sweep. Times are seconds since the sweep began.

    proven: every scope listed empty twice, `settle` apart. cancelled: orders that were seen open and are
    gone; those that the very first cancel removed before the first listing are counted only if the order
    manager was told of them. replaced: orders that appeared after the first look. kept: protective
    orders left alone. first_cancel_s: None while no cancel was sent. proven_s: the latest proof.
    unprovable: what no listing of this venue shows. listed_mono: when the newest listing of the scope that was listed
    longest ago was asked for, in seconds of `Instant.mono`; None: one was not listed yet. open: how many orders the
    newest listings showed, with those kept; None where one failed since. failing: whether that it is not proven is more
    than work in progress.
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
    listed_mono: float | None = None
    open: int | None = None
    failing: bool = True

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


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueClosed:
    """One venue's part of a closing. flat: its positions were listed gone twice, `settle` apart, dust apart.

    legs: every position that was seen, with what is left of it. reason: why it is not flat.
    """

    venue: str
    flat: bool
    legs: tuple[ClosedLeg, ...]
    reason: str | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        positions = [
            {
                "symbol": leg.position.symbol,
                "side": leg.side,
                "quantity": plain(leg.size - leg.residual),
                "residual": plain(leg.residual),
            }
            for leg in self.legs
        ]
        return {"flat": self.flat is True, "positions": positions, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseResult:
    """How a closing ended. flat: every venue is, and after that every order scope was proven empty once more.

    sweep: the last one. remaining: what is held, over all venues, of the underlyings of what was closed: it was
    hedged, or was not, and is not sold; None: a venue did not tell.
    """

    trip_id: str
    flat: bool
    elapsed_s: float
    venues: Mapping[str, VenueClosed]
    sweep: SweepResult
    remaining: Mapping[str, Decimal] | None

    @property
    def reason(self) -> str | None:
        """Why it is not flat, in one line; None if it is."""
        if self.flat is True:
            return None
        if self.sweep.proven is not True:
            return f"orders may be open: {self.sweep.unproven_reason}"
        told = (f"{v.venue}: {v.reason}" for v in self.venues.values() if v.flat is not True)
        return "; ".join(told) or "orders went on appearing"

    def document(self) -> dict[str, Any]:
        """As JSON: flat, elapsed_s, reason, trip_id, venues, remaining, sweep."""
        remaining = self.remaining
        return {
            "flat": self.flat is True,
            "elapsed_s": round(self.elapsed_s, 3),
            "reason": self.reason,
            "trip_id": self.trip_id,
            "venues": {name: venue.document() for name, venue in self.venues.items()},
            "remaining": None if remaining is None else {asset: plain(held) for asset, held in remaining.items()},
            "sweep": self.sweep.document(),
        }
