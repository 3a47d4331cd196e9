"""What was executed on an account, listed over REST by ccxt's `fetch_my_trades`: for people, who look at the daemon.

Where a venue wants a market, those are asked for in which orders or positions were seen of late.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from adapters.base import SPOT_MARKETS, Market
from adapters.dialect import market_symbol, text
from adapters.fills import FillCall, FillSource, unified_fills
from risk_daemon.errors import VenueError
from risk_daemon.model.account import Fill
from risk_daemon.model.clock import Clock

MOST_SYMBOLS = 10
"""So many markets are asked for one by one, those that were seen last."""

_ROWS = 100

Ask = Callable[[Callable[[], Awaitable[Sequence[Any]]]], Awaitable[Sequence[Any]]]
"""Makes a call, at leisure, and puts its failure in our words."""


def source_of(known: FillSource | None, has: Mapping[str, Any]) -> FillSource:
    """The venue's own, else what ccxt `has` there: nobody knows whether such a venue takes a call without a market."""
    if known is not None:
        return known
    if has.get("fetchMyTrades") is not True:
        return FillSource()
    return FillSource(calls=(FillCall(markets=frozenset(Market), by_symbol=True),), by_market=True)


class FillHistory:
    """Listings of one account. client: a guarded ccxt client. Each goes on where the last one of its market ended."""

    def __init__(self, venue: str, source: FillSource, markets: frozenset[Market], client: Any, clock: Clock) -> None:
        self._calls = [call for call in source.calls if call.markets & markets]
        self._markets = markets
        self._client = client
        self._clock = clock
        self._fills = {
            number: unified_fills(venue, source, self._symbol_of(call)) for number, call in enumerate(self._calls)
        }
        self._symbols: dict[str, None] = {}
        self._newest_wall: dict[tuple[int, str | None], float] = {}

    def note(self, symbols: Iterable[str]) -> None:
        """There are orders or positions in these."""
        for symbol in map(market_symbol, symbols):
            self._symbols.pop(symbol, None)
            self._symbols[symbol] = None
        for symbol in list(self._symbols)[:-MOST_SYMBOLS]:
            del self._symbols[symbol]

    async def read(self, since_wall: float, ask: Ask) -> tuple[Fill, ...]:
        """Executions since then. Raises the first VenueError, if nothing could be listed for it."""
        found: list[Fill] = []
        failures: list[VenueError] = []
        for number, call in enumerate(self._calls):
            for symbol in self._symbols_for(call) if call.by_symbol else [None]:
                try:
                    found += await self._page(number, call, symbol, since_wall, ask)
                except VenueError as error:
                    failures.append(error)
        if failures and not found:
            raise failures[0]
        return tuple(found)

    async def _page(
        self, number: int, call: FillCall, symbol: str | None, since_wall: float, ask: Ask
    ) -> tuple[Fill, ...]:
        newest_wall = self._newest_wall.get((number, symbol), since_wall)
        since_ms = int(max(since_wall, newest_wall) * 1000)
        trades = await ask(lambda: self._client.fetch_my_trades(symbol, since_ms, _ROWS, dict(call.params)))
        fills = self._fills[number].read(trades)
        # A time that the clock has not reached yet would hide all that comes until then.
        now_wall = self._clock.now().wall
        self._newest_wall[number, symbol] = max([newest_wall, *(fill.wall for fill in fills if fill.wall <= now_wall)])
        return fills

    def _symbol_of(self, call: FillCall) -> Callable[[Mapping[str, Any]], str]:
        """ccxt's name of a trade's market. Of two with one name at the venue: the one of the house that was asked."""
        houses = {kind in SPOT_MARKETS for kind in call.markets}

        def symbol_of(row: Mapping[str, Any]) -> str:
            symbol = text(row, "symbol")
            market = (self._client.markets or {}).get(symbol, {})
            namesakes = (self._client.markets_by_id or {}).get(market.get("id"), ())
            fitting = (each["symbol"] for each in (market, *namesakes) if (each.get("spot") is True) in houses)
            return str(next(fitting, symbol)) if market else symbol

        return symbol_of

    def _symbols_for(self, call: FillCall) -> list[str]:
        """Those of its own house, the last seen first."""
        listed = self._client.markets or {}
        known = [(symbol, listed[symbol]) for symbol in reversed(self._symbols) if symbol in listed]
        kinds = call.markets & self._markets
        return [
            symbol
            for symbol, market in known
            if (bool(kinds & SPOT_MARKETS) if market.get("spot") is True else Market.PERP in kinds)
        ]
