"""The exchanges of which more is known than ccxt says, and the adapter of a configured account.

ccxt is imported only when an adapter is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from adapters.base import VenueAdapter
from adapters.venue import Venue, VenueSettings
from adapters.venues import binance, binancecoinm, binanceusdm, bybit, kraken, krakenfutures, mexc, okx
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock


def by_exchange(*venues: Venue) -> Mapping[str, Venue]:
    """{ccxt id: venue}. Raises ConfigError if two say that they are the same exchange."""
    found: dict[str, Venue] = {}
    for venue in venues:
        if venue.exchange in found:
            raise ConfigError(f"the exchange {venue.exchange!r} is registered twice: which of the two holds?")
        found[venue.exchange] = venue
    return MappingProxyType(found)


VENUES = by_exchange(
    binance.VENUE,
    binancecoinm.VENUE,
    binanceusdm.VENUE,
    bybit.VENUE,
    kraken.VENUE,
    krakenfutures.VENUE,
    mexc.VENUE,
    okx.VENUE,
)


def venue_of(exchange: str) -> Venue:
    """What is known of an exchange; of one without a file that is its name."""
    return VENUES.get(exchange) or Venue(exchange=exchange)


def build_adapter(settings: VenueSettings, clock: Clock) -> VenueAdapter:
    """The adapter of one account. Raises ConfigError if the exchange is unknown or lacks what is required."""
    from adapters.ccxt_venue import CcxtVenue

    return CcxtVenue(venue_of(settings.exchange), settings, clock)
