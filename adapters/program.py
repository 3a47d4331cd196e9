"""Adapters for a program of one's own: one exchange account, made with its keys.

    kraken = venue_adapter("kraken", API_KEY, SECRET)
    await kraken.connect()
    for seen in await kraken.next_frame(Kind.BALANCES): ...

The daemon makes its own from the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from risk_daemon.model.clock import Clock, SystemClock

if TYPE_CHECKING:
    from adapters.base import VenueAdapter


def venue_adapter(
    exchange: str,
    api_key: str,
    api_secret: str,
    *,
    password: str = "",
    markets: Iterable[str] = ("spot",),
    name: str | None = None,
    reference_currency: str = "USDT",
    sandbox: bool = False,
    endpoint: str | None = None,
    clock: Clock | None = None,
) -> VenueAdapter:
    """The adapter of one account of `exchange`, a ccxt id. `connect` it before use, `close` it after.

    password: where the exchange wants a third secret. markets: of "spot", "margin", "perp". name: what its readings
    and orders are labelled with; else `exchange`. sandbox: the exchange's own testnet. endpoint: a loopback server that
    stands for it, such as a simulated venue. Raises ConfigError where the exchange is unknown or lacks what is
    required, ValueError for another market.
    """
    from adapters.base import Market
    from adapters.registry import build_adapter
    from adapters.venue import VenueSettings

    settings = VenueSettings(
        name=name or exchange,
        exchange=exchange,
        markets=frozenset(Market(market) for market in markets),
        endpoint=endpoint,
        sandbox=sandbox,
        api_key=api_key,
        secret=api_secret,
        password=password,
        reference_currency=reference_currency,
    )
    return build_adapter(settings, clock or SystemClock())


def KrakenSpotAdapter(api_key: str, api_secret: str, *, endpoint: str | None = None) -> VenueAdapter:  # noqa: N802 - its name in the summary
    """Kraken's spot account; as `venue_adapter`."""
    return venue_adapter("kraken", api_key, api_secret, endpoint=endpoint)


def KrakenPerpAdapter(api_key: str, api_secret: str, *, endpoint: str | None = None) -> VenueAdapter:  # noqa: N802
    """Kraken's futures account; as `venue_adapter`."""
    return venue_adapter("krakenfutures", api_key, api_secret, markets=("perp",), endpoint=endpoint)


def MexcSpotAdapter(api_key: str, api_secret: str, *, endpoint: str | None = None) -> VenueAdapter:  # noqa: N802
    """MEXC's spot account; as `venue_adapter`."""
    return venue_adapter("mexc", api_key, api_secret, endpoint=endpoint)
