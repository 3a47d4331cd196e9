"""When a venue's list of markets is loaded again: an asset that has no price today may be listed tomorrow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from adapters.lane import Urgency, travelling
from risk_daemon.errors import MalformedReply
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import Price

AGAIN_AFTER_S = 300.0
LONGEST_S = 3_600.0
"""The pause doubles while the same assets stay without a price: a list of thousands takes its time to read."""


class MarketList:
    """Looks again for assets without a price, in the background. load: loads the list anew, or raises."""

    def __init__(self, load: Callable[[], Awaitable[object]], clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._loaded_mono = clock.now().mono
        self._pause_s = AGAIN_AFTER_S
        self._missing: frozenset[str] = frozenset()
        self._loading: asyncio.Task[str | None] | None = None

    def was_loaded(self) -> None:
        """Just now, by somebody else."""
        self._loaded_mono = self._clock.now().mono

    def look_again(self, missing: frozenset[str]) -> None:
        """Load the list anew if these assets have no price and it is time to. Returns at once."""
        if missing != self._missing:
            self._missing, self._pause_s = missing, AGAIN_AFTER_S
        is_due = self._clock.now().mono - self._loaded_mono >= self._pause_s
        if missing and is_due and (self._loading is None or self._loading.done()):
            self._loaded_mono = self._clock.now().mono
            self._pause_s = min(2 * self._pause_s, LONGEST_S)
            self._loading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> str | None:
        """None, or why the old list stays in force: prices are read as before, and it is tried again."""
        try:
            with travelling(Urgency.ORDINARY):
                await self._load()
        except Exception as error:
            return str(error)
        return None

    async def close(self) -> None:
        """End what is under way."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)


async def load_anew(client: Any) -> None:
    """Put a new list of markets in the place of a ccxt client's, at once and whole.

    ccxt's own reload makes every call wait for it that asks for markets, those of a trip too. Raises
    MalformedReply, and nothing has changed, if the new list lacks more than half of the old one.
    """
    currencies = await client.fetch_currencies() if client.has.get("fetchCurrencies") is True else None
    client.options["cachedCurrencies"] = currencies
    try:
        markets = await client.fetch_markets()
    finally:
        client.options.pop("cachedCurrencies", None)
    if 2 * len(markets) < len(client.markets):
        raise MalformedReply(f"the new market list has {len(markets)} rows, the old one {len(client.markets)}")
    client.set_markets(markets, currencies)


def unpriced(assets: Iterable[str], prices: Iterable[Price], reference: str) -> frozenset[str]:
    """Those of the assets that none of the prices values."""
    priced = {name for price in prices if price.converts for name in (price.base, price.quote)}
    return frozenset(assets) - priced - {reference}
