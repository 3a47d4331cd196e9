"""The exchanges of which more is known than ccxt says, and the adapter of a configured account.

ccxt is imported only when an adapter is built.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType

from adapters import venues
from adapters.base import VenueAdapter
from adapters.venue import Venue, VenueSettings, unprovable
from adapters.venues import (
    binance,
    binancecoinm,
    binanceusdm,
    bitget,
    bybit,
    deribit,
    gate,
    kraken,
    krakenfutures,
    kucoin,
    mexc,
    okx,
)
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock


def by_exchange(*modules: ModuleType) -> Mapping[str, Venue]:
    """{ccxt id: venue}, of modules with a `VENUE` each.

    Raises ConfigError for a module without one or of another name, and if two are the same exchange.
    """
    found: dict[str, Venue] = {}
    for module in modules:
        venue, name = getattr(module, "VENUE", None), module.__name__.rpartition(".")[2]
        if not isinstance(venue, Venue):
            raise ConfigError(f"adapters/venues/{name}.py is registered and has no VENUE")
        if venue.exchange in found:
            raise ConfigError(f"the exchange {venue.exchange!r} is registered twice: which of the two holds?")
        if venue.exchange != name:
            raise ConfigError(f"adapters/venues/{name}.py is of {venue.exchange!r}: rename one of them")
        found[venue.exchange] = venue
    return MappingProxyType(found)


def check_files(files: Iterable[str], registered: Iterable[str]) -> None:
    """Raises ConfigError for a file that is no venue's: what it knows would be left out without a word.

    kraken_book.py belongs to kraken.py.
    """
    names = tuple(registered)
    lost = [file for file in files if not any(file == name or file.startswith(f"{name}_") for name in names)]
    if lost:
        raise ConfigError(f"adapters/venues/{lost[0]}.py is of no registered venue: name it in adapters/registry.py")


VENUES = by_exchange(
    binance, binancecoinm, binanceusdm, bitget, bybit, deribit, gate, kraken, krakenfutures, kucoin, mexc, okx
)
check_files((found.name for found in pkgutil.iter_modules(venues.__path__)), VENUES)


def venue_of(exchange: str) -> Venue:
    """What is known of an exchange; of one without a file that is its name."""
    return VENUES.get(exchange) or Venue(exchange=exchange)


def build_adapter(settings: VenueSettings, clock: Clock) -> VenueAdapter:
    """The adapter of one account.

    Raises ConfigError if the exchange is unknown or lacks what is required, or can't prove and is not to be armed so.
    """
    from adapters.ccxt_venue import CcxtVenue

    venue = venue_of(settings.exchange)
    adapter = CcxtVenue(venue, settings, clock)
    if venue.scopes is None and not settings.allow_unproven:
        raise ConfigError(
            f"{settings.exchange} is not provable: {unprovable(venue)[0]}. `allow_unproven = true` in"
            f" [venues.{settings.name}] guards it all the same; a trip there never ends as proven"
        )
    return adapter
