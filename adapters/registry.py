"""Builds the adapter of a configured venue. ccxt is imported only when that happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.base import VenueAdapter
from risk_daemon.model.clock import Clock

if TYPE_CHECKING:
    from adapters.ccxt_venue import VenueSettings


def build_adapter(settings: VenueSettings, clock: Clock) -> VenueAdapter:
    """The adapter of one account. Raises ConfigError if the exchange is unknown or lacks what is required."""
    from adapters.ccxt_venue import CcxtVenue

    return CcxtVenue(settings, clock)
