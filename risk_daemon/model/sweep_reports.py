"""What a sweep found, and what became of positions that were closed after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.model.account import Order


@dataclass(frozen=True, slots=True)
class VenueProven:
    """Every order scope of the venue was listed empty twice, `settle` apart.

    changes: how often it changed between proven and not since that was last told; above 1 it flaps. unprovable: what
    may hold or place orders on it all the same, because no call lists it.
    """

    venue: str
    trip_id: str
    cancelled: int
    elapsed_s: float
    kept: tuple[Order, ...] = ()
    changes: int = 1
    unprovable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VenueUnproven:
    """The venue is not proven (yet, or any more), and why. changes: see VenueProven; a new reason is one, too."""

    venue: str
    trip_id: str
    reason: str
    changes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSwept:
    """Every order scope of a venue that is not proven was looked at once more, and what was found was cancelled.

    rounds: how many times that was, of this sweep. cancelled: orders that were seen open and are gone, in all.
    left: those that the newest listings showed; None: a scope could not be listed, so it is not known. reason: why it
    is not proven.
    """

    venue: str
    trip_id: str
    rounds: int
    cancelled: int
    left: int | None
    elapsed_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class OrderReplaced:
    """An order appeared after the lock; it is being cancelled."""

    trip_id: str
    order: Order


@dataclass(frozen=True, slots=True)
class SweepFinished:
    """The sweep ended. proven: the joint round listed every scope of every venue empty.

    unprovable: what no listing of a venue shows, one sentence each that begins with the venue's name.
    """

    trip_id: str
    proven: bool
    cancelled: int
    elapsed_s: float
    unprovable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionClosed:
    """A position is closed, by the venue's own listings. side: long or short.

    quantity: how much of it, in contracts; residual: what is left because it is too small to be ordered.
    """

    trip_id: str
    venue: str
    symbol: str
    side: str
    quantity: Decimal
    residual: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingFinished:
    """The closing of positions ended. flat: none is left but residuals, and no order either; else the reason.

    remaining: what is held of their underlyings over all venues, because spot is not sold; None: not known.
    """

    trip_id: str
    flat: bool
    elapsed_s: float
    reason: str | None
    remaining: Mapping[str, Decimal] | None


SweepReport = (
    VenueProven | VenueUnproven | VenueSwept | OrderReplaced | SweepFinished | PositionClosed | ClosingFinished
)
