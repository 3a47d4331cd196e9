"""bybit's tickers: over REST all that a category has, over sockets one topic for each symbol."""

from __future__ import annotations

from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import Instrument
from adapters.simulated.wire import bybit_markets as markets
from adapters.simulated.wire.base import Request, Route, text


class Prices:
    """What instruments are quoted at."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def routes(self) -> dict[tuple[str, str], Route]:
        return {("GET", "/v5/market/tickers"): Route(Call.PRICES, self._tickers, private=False)}

    def _tickers(self, _: Request, form: dict[str, Any]) -> Any:
        of = markets.wanted_category(form)
        if form.get("symbol"):
            found = [markets.named(self.exchange, of, form["symbol"])]
        else:
            found = [made for made in self.exchange.listed() if markets.category(made) == of]
        return {"category": of, "list": [self.ticker(made) | self._touch(made) for made in found]}

    def ticker(self, made: Instrument) -> dict[str, Any]:
        """What both REST and sockets have. Spot has no mark."""
        last = text(self.exchange.quotes[made.symbol].mark)
        row = {
            "symbol": made.wire_id,
            "lastPrice": last,
            "prevPrice24h": last,
            "price24hPcnt": "0",
            "highPrice24h": last,
            "lowPrice24h": last,
            "turnover24h": "1000000",
            "volume24h": "1000",
        }
        if made.settle is None:
            return row | {"usdIndexPrice": last}
        return row | {
            "tickDirection": "ZeroPlusTick",
            "prevPrice1h": last,
            "indexPrice": last,
            "markPrice": last,
            "openInterest": "1000",
            "openInterestValue": "1000000",
            "fundingRate": "0.0001",
            "nextFundingTime": "1924992000000",
        }

    def _touch(self, made: Instrument) -> dict[str, str]:
        quote = self.exchange.quotes[made.symbol]
        return {"bid1Price": text(quote.bid), "bid1Size": "10", "ask1Price": text(quote.ask), "ask1Size": "10"}

    def pushed(self, made: Instrument) -> dict[str, Any]:
        """What a ticker's topic tells: on spot neither bid nor ask."""
        return self.ticker(made) | ({} if made.settle is None else self._touch(made))

    def book(self, made: Instrument, number: int) -> dict[str, Any]:
        """The first level of its book."""
        touch = self._touch(made)
        return {
            "s": made.wire_id,
            "b": [[touch["bid1Price"], touch["bid1Size"]]],
            "a": [[touch["ask1Price"], touch["ask1Size"]]],
            "u": number,
            "seq": number,
        }
