"""Lists of executions: one call where a venue takes it so, else one for each market that was seen of late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market
from adapters.fill_history import MOST_SYMBOLS, FillHistory, source_of
from adapters.fills import FillCall, FillSource
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.clock import SystemClock

BOTH = frozenset({Market.SPOT, Market.PERP})
MARKETS = {
    "BTC/USD": {"symbol": "BTC/USD", "id": "BTCUSD", "spot": True},
    "BTC/USD:USD": {"symbol": "BTC/USD:USD", "id": "BTCUSD", "spot": False},
    "ETH/USD": {"symbol": "ETH/USD", "id": "ETHUSD", "spot": True},
}


def trade(symbol: str, number: int, wall: float) -> dict[str, Any]:
    ms = int(wall * 1000)
    return {"id": f"{number}", "order": "o", "symbol": symbol, "side": "buy", "amount": 1, "price": 2, "timestamp": ms}


class Client:
    """Answers `fetch_my_trades` by what lies ready for a market."""

    def __init__(self) -> None:
        self.markets: Mapping[str, Any] = MARKETS
        self.markets_by_id = {
            name: [market for market in MARKETS.values() if market["id"] == name] for name in ("BTCUSD", "ETHUSD")
        }
        self.trades: dict[str | None, Any] = {}
        self.asked: list[tuple[str | None, float, Mapping[str, Any]]] = []

    async def fetch_my_trades(self, symbol: str | None, since_ms: int, limit: int, params: Mapping[str, Any]) -> Any:
        self.asked.append((symbol, since_ms / 1000, params))
        found = self.trades.get(symbol, [])
        if isinstance(found, Exception):
            raise found
        return found


async def ask(call: Callable[[], Awaitable[Sequence[Any]]]) -> Sequence[Any]:
    return await call()


def history(client: Client, *calls: FillCall, markets: frozenset[Market] = BOTH) -> FillHistory:
    return FillHistory("v", FillSource(calls=calls), markets, client, SystemClock())


async def test_one_call_where_no_market_is_needed_and_only_of_what_is_guarded() -> None:
    client = Client()
    client.trades[None] = [trade("BTC/USD", 1, 50.0)]
    spot = FillCall(markets=SPOT_MARKETS, params={"type": "spot"})
    swap = FillCall(markets=PERP_MARKETS, params={"type": "swap"})
    fills = await history(client, spot, swap, markets=frozenset({Market.SPOT})).read(10.0, ask)
    assert [(fill.fill_id, fill.symbol, fill.wall) for fill in fills] == [("1", "BTC/USD", 50.0)]
    assert client.asked == [(None, 10.0, {"type": "spot"})]


async def test_each_market_of_late_is_asked_for_where_one_is_needed_the_last_seen_first() -> None:
    client = Client()
    listed = history(client, FillCall(markets=BOTH, by_symbol=True))
    assert await listed.read(1.0, ask) == ()
    listed.note(["ETH/USD", "BTC/USD:USD short", "GONE/USD", "BTC/USD"])
    listed.note(["ETH/USD"])
    await listed.read(1.0, ask)
    assert [symbol for symbol, *_ in client.asked] == ["ETH/USD", "BTC/USD", "BTC/USD:USD"]


@pytest.mark.parametrize(
    ("guarded", "asked"), [({Market.SPOT}, ["BTC/USD"]), ({Market.PERP}, ["BTC/USD:USD"]), (BOTH, sorted(MARKETS)[:2])]
)
async def test_only_markets_of_its_house_are_asked_for(guarded: set[Market], asked: list[str]) -> None:
    client = Client()
    listed = history(client, FillCall(markets=BOTH, by_symbol=True), markets=frozenset(guarded))
    listed.note(["BTC/USD:USD", "BTC/USD"])
    await listed.read(1.0, ask)
    assert [symbol for symbol, *_ in client.asked] == asked


async def test_no_more_than_so_many_markets_are_asked_for() -> None:
    client = Client()
    names = [f"S{number}/USD" for number in range(MOST_SYMBOLS + 5)]
    client.markets = {name: {"symbol": name, "id": name, "spot": True} for name in names}
    listed = history(client, FillCall(markets=BOTH, by_symbol=True))
    listed.note(names)
    await listed.read(1.0, ask)
    assert [symbol for symbol, *_ in client.asked] == names[::-1][:MOST_SYMBOLS]


async def test_each_listing_goes_on_where_the_last_one_of_its_market_ended() -> None:
    client = Client()
    client.trades["BTC/USD"] = [trade("BTC/USD", 1, 50.0), trade("BTC/USD", 2, 70.0)]
    listed = history(client, FillCall(markets=BOTH, by_symbol=True))
    listed.note(["ETH/USD", "BTC/USD"])
    await listed.read(10.0, ask)
    await listed.read(10.0, ask)
    assert [(symbol, since) for symbol, since, _ in client.asked[2:]] == [("BTC/USD", 70.0), ("ETH/USD", 10.0)]


async def test_one_market_that_fails_leaves_the_others_and_all_of_them_are_a_failure() -> None:
    client = Client()
    client.trades = {"BTC/USD": VenueUnavailable("no"), "ETH/USD": [trade("ETH/USD", 1, 5.0)]}
    listed = history(client, FillCall(markets=BOTH, by_symbol=True))
    listed.note(["ETH/USD", "BTC/USD"])
    assert [fill.symbol for fill in await listed.read(1.0, ask)] == ["ETH/USD"]
    client.trades["ETH/USD"] = VenueUnavailable("nor this")
    with pytest.raises(VenueUnavailable, match=r"^no$"):
        await listed.read(1.0, ask)


async def test_of_two_markets_with_one_name_it_is_the_one_of_the_house_that_was_asked() -> None:
    client = Client()
    client.trades[None] = [trade("BTC/USD", 1, 5.0), trade("UNKNOWN", 2, 6.0)]
    fills = await history(client, FillCall(markets=PERP_MARKETS)).read(1.0, ask)
    assert [fill.symbol for fill in fills] == ["BTC/USD:USD", "UNKNOWN"]


async def test_garbage_for_a_list_is_no_fill() -> None:
    client = Client()
    for garbage in (None, 7, "text", [None, {}], {}):
        client.trades[None] = garbage
        assert await history(client, FillCall(markets=BOTH)).read(1.0, ask) == ()


def test_a_venue_without_a_row_is_asked_market_by_market_if_ccxt_can() -> None:
    known = FillSource(is_streamed=True)
    assert source_of(known, {}) is known
    assert source_of(None, {"fetchMyTrades": False}).calls == ()
    (call,) = source_of(None, {"fetchMyTrades": True}).calls
    assert (call.markets, call.by_symbol) == (frozenset(Market), True)


async def test_a_time_that_the_clock_has_not_reached_hides_nothing_that_comes() -> None:
    client = Client()
    client.trades[None] = [trade("BTC/USD", 1, 50.0), trade("BTC/USD", 2, 1e14)]
    known = history(client, FillCall(markets=BOTH))
    await known.read(10.0, ask)
    await known.read(10.0, ask)
    assert [since for _, since, _ in client.asked] == [10.0, 50.0]
