"""An asset without a price is looked up again, in the background, over real sockets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest_asyncio
from connected import connected, without_pauses

from adapters.base import Market, VenueAdapter
from adapters.market_list import load_anew
from adapters.registry import build_adapter
from adapters.venue import VenueSettings
from risk_daemon.model.clock import Clock, Instant, SystemClock
from risk_daemon.model.events import Kind
from tests.e2e.harness import ROOT, Venue

KEY, SECRET = "docs-key", "binance-as-its-documentation-has-it"
LIST = "api.binance.com/api/v3/exchangeInfo"
HELD = frozenset({"BTC", "DOGE", "USDT"})
DEADLINE_S = 20.0


class LaterClock:
    """The system's clock, and what is added to it."""

    def __init__(self) -> None:
        self.later_s = 0.0

    def now(self) -> Instant:
        now = SystemClock().now()
        return Instant(now.mono + self.later_s, now.wall + self.later_s)


class Listed:
    """A spot account that holds an asset without a pair."""

    def __init__(self, venue: Venue, adapter: VenueAdapter, clock: LaterClock) -> None:
        self.venue, self.adapter, self.clock = venue, adapter, clock

    def loads(self) -> int:
        return int(self.venue.get()["calls"][LIST])

    async def priced(self, *, urgent: bool = False) -> set[str]:
        return {price.base for price in (await self.adapter.read_prices(HELD, urgent=urgent)).prices}


@pytest_asyncio.fixture
async def listed() -> AsyncIterator[Listed]:
    venue = Venue([sys.executable, str(ROOT / "tests/e2e/venues/binance_from_docs.py"), "--port", "0"], "/control")
    clock = LaterClock()
    spot = frozenset({Market.SPOT})
    settings = VenueSettings("binance", "binance", spot, venue.endpoint, api_key=KEY, secret=SECRET)
    typed: Clock = clock
    adapter = build_adapter(settings, typed)
    without_pauses(adapter)
    await adapter.connect()
    yield Listed(venue, adapter, clock)
    await adapter.close()
    venue.kill()


async def test_a_listing_that_appears_later_prices_it(listed: Listed) -> None:
    assert await listed.priced() == {"BTC"}
    listed.venue.post(listed=["BTCUSDT", "DOGEUSDT"])
    assert await listed.priced() == {"BTC"}
    assert listed.loads() == 1, "not more often than every five minutes"
    listed.clock.later_s = 301.0
    assert await listed.priced(urgent=True) == {"BTC"}
    assert listed.loads() == 1, "nothing is loaded on the path of a trip"
    async with asyncio.timeout(DEADLINE_S):
        while await listed.priced() != {"BTC", "DOGE"}:
            pass
    assert listed.loads() == 2


async def test_while_it_stays_without_a_price_the_pauses_grow(listed: Listed) -> None:
    for later_s, loads in ((301.0, 2), (602.0, 2), (902.0, 3), (1_500.0, 3), (2_103.0, 4)):
        listed.clock.later_s = later_s
        assert await listed.priced() == {"BTC"}
        async with asyncio.timeout(DEADLINE_S):
            while listed.loads() < loads:
                await listed.priced()  # the last list may not have been read to its end yet
        assert listed.loads() == loads


async def test_a_list_that_lost_its_markets_leaves_the_old_one(listed: Listed) -> None:
    listed.clock.later_s = 301.0
    listed.venue.post(listed=[])
    assert await listed.priced() == {"BTC"}
    async with asyncio.timeout(DEADLINE_S):
        while listed.loads() < 2:  # noqa: ASYNC110 - the other side is a server, which sets no event of ours
            await asyncio.sleep(0)
    for _ in range(5):
        assert await listed.priced() == {"BTC"}


async def test_both_dialects_of_kraken_take_a_new_list() -> None:
    for kind, symbol in (("kraken", "BTC/USDT"), ("krakenfutures", "BTC/USD:USD")):
        async with connected(kind) as venue:
            client = venue.adapter._client  # type: ignore[attr-defined]
            before = client.markets
            await load_anew(client)
            assert client.markets is not before
            assert client.markets.keys() == before.keys()
            assert (await venue.adapter.read_prices(frozenset({"BTC"}))).prices
            venue.admin("position", symbol=symbol, quantity="1", entry="60000")
            assert (await venue.adapter.read_positions()).positions
            async with asyncio.timeout(DEADLINE_S):
                assert await venue.adapter.next_frame(Kind.PRICES)
