"""Bybit's unified account, read from its raw fields.

What is guarded is the unified wallet: the one that trades, and whose every change its transaction log tells. Deposits
land in the funding wallet, unless the account says otherwise; what is moved from there is a flow.
https://bybit-exchange.github.io/docs/v5/account/wallet-balance
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS
from adapters.conversion import mid
from adapters.dialect import (
    Book,
    OrdersTold,
    legs,
    market_symbol,
    number,
    optional_text,
    orders_seen,
    text,
    told_number,
    told_of_legs,
    told_size,
)
from adapters.fills import FillFields, Fills
from adapters.own_dialect import Market, OwnDialect
from adapters.venue import VenueSettings
from adapters.venues.bybit_book import LogReader
from adapters.venues.bybit_wire import EXECUTIONS, BybitPrivateWire, BybitPublicWire
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderStatus, side_of
from risk_daemon.model.events import Input, Kind, Order, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ONE, ZERO, finite

LINEAR_COINS = "settle coins of linear contracts"
STRATEGY_PARTS = "strategies that live"

_COINS = frozenset({"USDT", "USDC"})
_LIVING = ("2", "5", "6")
"""Strategies that run, are paused, or wait for their price. What has ended places nothing more."""

_PERP_STRATEGIES = ("UTA_USDT", "UTA_USDC", "UTA_INVERSE", "UTA_USDT_FUTURE", "UTA_USDC_FUTURE", "UTA_INVERSE_FUTURE")
_OPEN = frozenset({"New", "PartiallyFilled", "Untriggered"})
_ENDED = {
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
}
_TRADES = frozenset({"", "Trade", "AdlTrade", "BustTrade", "BlockTrade"})
_SCOPES = {"option": "options"}
_SIDES = {"Buy": 1, "Sell": -1}
_LINES = {"private": "v5/private", **{name: f"v5/public/{name}" for name in ("spot", "linear", "inverse")}}
# Calls that ccxt does not have: https://bybit-exchange.github.io/docs/v5/strategy and .../v5/spread.
_MORE_CALLS = {
    "privateGetV5StrategyList": ("v5/strategy/list", "GET", 1),
    "privatePostV5StrategyStop": ("v5/strategy/stop", "POST", 1),
    "privateGetV5SpreadOrderRealtime": ("v5/spread/order/realtime", "GET", 1),
    "privatePostV5SpreadOrderCancel": ("v5/spread/order/cancel", "POST", 10),
    "privatePostV5SpreadOrderCancelAll": ("v5/spread/order/cancel-all", "POST", 10),
}


def add_calls(client: Any) -> None:
    """Lets a ccxt client make them as it makes its own: it only signs and sends."""
    for name, (path, method, cost) in _MORE_CALLS.items():

        def call(params: Any = None, path: str = path, method: str = method, cost: int = cost) -> Any:
            return client.request(path, ["private"], method, params or {}, {"cost": cost})

        setattr(client, name, call)


def add_position_mode(client: Any) -> None:
    """Lets a ccxt client tell whether a contract's account is hedged, which closing a leg of it needs to know."""

    async def fetch_position_mode(symbol: str, _: Any = None) -> dict[str, Any]:
        market = client.market(symbol)
        category = "inverse" if market["inverse"] is True else "linear"
        reply = await client.privateGetV5PositionList({"category": category, "symbol": market["id"]})
        return {"hedged": any(row.get("positionIdx") in (1, 2) for row in reply["result"]["list"])}

    client.has = {**client.has, "fetchPositionMode": True}
    client.fetch_position_mode = fetch_position_mode


def parse_wallet(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """wallet-balance: {coin: amount}, held less owed; unrealised profit stands beside it.

    A coin of which there is nothing has no row. `spotBorrow` is what lies in `walletBalance` and is owed; derivatives'
    liabilities are not in it: by them the balance itself is below zero.
    """
    accounts = reply["result"]["list"]
    if len(accounts) != 1:
        raise MalformedReply(f"{len(accounts)} unified wallets")
    amounts: dict[str, Decimal] = {}
    if not accounts[0]["coin"] and _is_worth(accounts[0].get("totalWalletBalance")):
        raise MalformedReply("a wallet that is worth something, and holds nothing")
    for row in accounts[0]["coin"]:
        coin = text(row, "coin")
        if coin in amounts:
            raise MalformedReply(f"the wallet has {coin} twice")
        amounts[coin] = number(row, "walletBalance") - _owed(row)
    return amounts


def _owed(row: Mapping[str, Any]) -> Decimal:
    """`spotBorrow`, which replies until 2025 had not: then a coin can be read only if nothing at all is owed of it."""
    if "spotBorrow" not in row and number(row, "borrowAmount") == ZERO:
        return ZERO
    return number(row, "spotBorrow")


def _is_worth(total: Any) -> bool:
    return total not in (None, "") and finite(total) != 0


def parse_position(row: Mapping[str, Any], market: Market) -> Position | None:
    """position/list: a row as a position; None for an empty one.

    Profit of contracts in USDC is settled into the wallet every 8 hours: what is left of it counts from
    `sessionAvgPrice` on, while `avgPrice` stays.
    """
    size, side = number(row, "size"), row.get("side")
    if size == 0:
        return None
    sign = _SIDES.get(str(side))
    settled = row.get("sessionAvgPrice") if market["settle"] == "USDC" else None
    entry = number(row, "avgPrice") if settled in (None, "", "0") else finite(settled)
    if sign is None or size < 0 or entry <= 0:
        raise MalformedReply(f"a position of {row.get('symbol')!r} on the side {side!r}, of {size} at {entry}")
    return Position(
        symbol=market["symbol"],
        quantity=size * sign,
        entry=entry,
        settle=market["settle"],
        underlying=market["base"],
        contract_size=ONE,  # of the base asset, or of US dollars
        inverse=market["inverse"] is True,
    )


def parse_mark(row: Mapping[str, Any], market: Market) -> Price | None:
    """tickers: a contract's mark; None if it is not above zero."""
    value = number(row, "markPrice")
    return Price(market["symbol"], market["base"], market["quote"], value, converts=False) if value > 0 else None


FILL = FillFields(
    fill_id="execId",
    order_id="orderId",
    quantity="execQty",
    price="execPrice",
    time="execTime",
    client_order_id=("orderLinkId",),
    fee="execFee",
    fee_asset="feeCurrency",
)


def executions(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Topic `execution`: trades; funding and settlements are told there as well."""
    return [row for row in frame["data"] if str(row.get("execType", "")) in _TRADES]


class BybitDialect(OwnDialect):
    """Bybit's calls."""

    def __init__(self, account: VenueSettings, client: Any) -> None:
        super().__init__(account, client)
        self.stream_kinds = frozenset({Kind.BALANCES, Kind.PRICES, Kind.ORDERS})
        if self.has_positions:
            self.stream_kinds |= {Kind.POSITIONS}
        self.notes = (
            "only the unified trading wallet is guarded: money in the funding wallet, in earn and in bots is not in it",
            "disconnection protection is not armed: Bybit gives it to institutions, on request",
            *(
                ("an option has no known value: while one is held, positions can't be read",)
                if self.has_positions
                else ()
            ),
        )
        client.has = {**client.has, "fetchCurrencies": False}  # needs a permission that nothing else here needs
        add_calls(client)
        add_position_mode(client)
        self._log = LogReader(account.name, self._ask_log, client.safe_currency_code)
        self._wire: BybitPrivateWire | None = None
        self._fills = Fills(account.name, FILL, self._symbol_of, executions)
        self._held: frozenset[str] = frozenset()
        self._pairs: frozenset[str] = frozenset()
        self._tickers: dict[str, dict[str, Any]] = {}
        self._positions_told: dict[str, Any] = {}

    # --- account ---------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Decimal]:
        amounts = parse_wallet(await self._client.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"}))
        return {self._client.safe_currency_code(coin): amount for coin, amount in amounts.items()}

    async def positions(self) -> tuple[Position, ...]:
        queries: list[dict[str, Any]] = [{"category": "inverse"}, {"category": "option"}]
        queries += [{"category": "linear", **part} for part in await self.parts(LINEAR_COINS)]
        pages = await asyncio.gather(*map(self._positions_of, queries))
        positions = legs([position for page in pages for position in page])
        self._held = frozenset(position.symbol for position in positions)
        self._position_symbols = frozenset(map(market_symbol, self._held))
        self._price_symbols = self._position_symbols | self._pairs
        return positions

    async def _positions_of(self, query: Mapping[str, Any]) -> list[Position]:
        found: list[Position] = []
        seen: set[tuple[str, str]] = set()
        cursor: Any = None
        for _ in itertools.count():
            asked = {**query, "limit": 200} | ({"cursor": cursor} if cursor else {})
            result = (await self._client.privateGetV5PositionList(asked))["result"]
            if result.get("category") != query["category"]:
                raise MalformedReply(f"positions of {result.get('category')!r}, not of {query['category']}")
            for row in result["list"]:
                key = (text(row, "symbol"), str(row.get("positionIdx")))
                if key in seen:
                    raise MalformedReply(f"the position {key} is listed twice")
                seen.add(key)
                position = None if number(row, "size") == ZERO else parse_position(row, self._contract(key[0]))
                found += [] if position is None else [position]
            cursor = result.get("nextPageCursor")
            if not cursor:
                break
            if not result["list"]:
                raise MalformedReply("a page without positions that says that there are more")
        return found

    def _contract(self, market_id: str) -> Market:
        market = self.market_of(market_id, spot=False)
        if market is None:
            raise MalformedReply(f"a position of the unknown market {market_id!r}")
        return market

    # --- prices ----------------------------------------------------------------------------------

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        """Assets by the middle of their spot pairs; open positions by their marks. One call a category."""
        self._pairs = self.pairs_for(assets)
        self._price_symbols = self._position_symbols | self._pairs
        markets = self._client.markets
        categories = {"inverse" if markets[name]["inverse"] else "linear" for name in self._position_symbols}
        wanted = sorted(categories | ({"spot"} if self._pairs else set()))
        pages = await asyncio.gather(*map(self._tickers_of, wanted))
        found = itertools.chain.from_iterable(pages)
        return told_of_legs(found, self._held)

    async def _tickers_of(self, category: str) -> list[Price]:
        result = (await self._client.publicGetV5MarketTickers({"category": category}))["result"]
        if result["category"] != category:
            raise MalformedReply(f"tickers of {result['category']!r}, not of {category}")
        found = (self._price(row, is_spot=category == "spot") for row in result["list"])
        return [price for price in found if price is not None]

    def _price(self, row: Mapping[str, Any], *, is_spot: bool) -> Price | None:
        market = self.market_of(str(row.get("symbol")), spot=is_spot)
        if market is None or market["symbol"] not in (self._pairs if is_spot else self._position_symbols):
            return None
        return self._rate(market, row.get("bid1Price"), row.get("ask1Price")) if is_spot else parse_mark(row, market)

    def _rate(self, market: Market, bid: Any, ask: Any) -> Price | None:
        value = mid(bid or None, ask or None)
        return None if value is None else Price(market["symbol"], market["base"], market["quote"], value)

    # --- book and orders -------------------------------------------------------------------------

    async def book(self, since_wall: float, now_wall: float) -> Book:
        return await self._log.read(since_wall, now_wall)

    async def _ask_log(self, query: dict[str, Any]) -> Mapping[str, Any]:
        reply = await self._client.privateGetV5AccountTransactionLog({"accountType": "UNIFIED", **query})
        return MappingProxyType(reply["result"])

    async def parts(self, each: str) -> Sequence[Mapping[str, Any]]:
        if each == LINEAR_COINS:
            listed = {market["settle"] for market in self._client.markets.values() if market.get("linear")}
            return [{"settleCoin": coin} for coin in sorted(_COINS | listed)]
        if each != STRATEGY_PARTS:
            return await super().parts(each)
        guarded = self._settings.markets
        if guarded & SPOT_MARKETS and guarded & PERP_MARKETS:
            return [{"status": status} for status in _LIVING]
        categories = ("UTA_SPOT",) if guarded & SPOT_MARKETS else _PERP_STRATEGIES
        return [{"status": status, "category": name} for name in categories for status in _LIVING]

    # --- streams ---------------------------------------------------------------------------------

    def line_of(self, kind: Kind) -> str | tuple[str, ...]:
        """Prices come over a socket of each category."""
        if kind is not Kind.PRICES:
            return "private"
        return ("spot", "linear", "inverse") if self.has_positions else "spot"

    async def open_wire(self, line: str) -> BybitPrivateWire | BybitPublicWire:
        client, path = self._client, _LINES[line]
        host = client.implode_hostname(client.urls["api"]["ws"]["public"]["spot"]).removesuffix("/v5/public/spot")
        url = f"{host}/{path}"
        if line == "private":
            asks_fills = self._wire is None or not self._wire.waits_for_fills
            self._wire = BybitPrivateWire(url, client.apiKey, client.secret, self._venue_ms, asks_fills=asks_fills)
            return self._wire
        return BybitPublicWire(url, lambda symbol: self._topic(line, symbol))

    def _topic(self, line: str, symbol: str) -> str | None:
        """What a symbol's prices are told on; None if not on this line. Tickers of spot have neither bid nor ask."""
        market = self._client.markets.get(symbol)
        if market is None or market.get(line) is not True:
            return None
        return f"{'orderbook.1' if line == 'spot' else 'tickers'}.{market['id']}"

    def _venue_ms(self) -> int:
        return int(self._client.milliseconds() - int(self._client.options.get("timeDifference") or 0))

    def stream_began(self, kind: Kind) -> None:
        super().stream_began(kind)
        if kind is Kind.PRICES:
            self._tickers = {}
        if kind is Kind.POSITIONS:
            self._positions_told = {}

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if kind is Kind.PRICES:
            return self._read_prices(frames, arrived_mono)
        if kind is Kind.ORDERS:
            executed = [frame for frame in frames if frame.get("topic") == EXECUTIONS]
            orders = [frame for frame in frames if frame.get("topic") != EXECUTIONS]
            told = orders_seen(self._venue, arrived_mono, orders, self._told, lambda _: False)
            return (*told, *self._fills.told(executed, arrived_mono)) or None
        return self._read_positions(frames) if kind is Kind.POSITIONS else ()

    def _read_prices(self, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        found = {price.symbol: price for frame in frames for price in self._streamed(frame)}
        self._seen.setdefault(Kind.PRICES, set()).update(found)
        prices = told_of_legs(found.values(), self._held)
        return (PricesSeen(self._venue, arrived_mono, Source.STREAM, prices),) if prices else None

    def _streamed(self, frame: Mapping[str, Any]) -> Iterable[Price]:
        """A level of the book of spot; a ticker of a contract, of which later frames tell only what changed."""
        topic, data = text(frame, "topic"), frame["data"]
        if topic.startswith("orderbook"):
            market = self.market_of(text(data, "s"), spot=True)
            bids, asks = data["b"], data["a"]
            rate = None if market is None or not bids or not asks else self._rate(market, bids[0][0], asks[0][0])
            return [] if rate is None else [rate]
        market = self.market_of(topic.rpartition(".")[2], spot=False)
        if market is None:
            return []
        known = {} if frame.get("type") == "snapshot" else self._tickers.get(topic, {})
        self._tickers[topic] = row = known | data
        is_held = market["symbol"] in self._position_symbols and "markPrice" in row
        mark = parse_mark(row, market) if is_held else None
        return [] if mark is None else [mark]

    def _read_positions(self, frames: Sequence[Any]) -> Sequence[Input] | None:
        """Every order that is placed or cancelled tells of a position: it is read only when that has changed."""
        rows = [row for frame in frames for row in frame["data"]]
        told = {f"{text(row, 'symbol')} {row.get('positionIdx')}": _shape(row) for row in rows}
        before, self._positions_told = self._positions_told, self._positions_told | told
        return None if before and self._positions_told == before else ()

    def _told(self, frames: Sequence[Any]) -> OrdersTold:
        told = OrdersTold()
        for row in (row for frame in frames for row in frame["data"]):
            order, status = self._streamed_order(row), str(row.get("orderStatus"))
            if status in _ENDED:
                told.has_ended(order.order_id, order, _ENDED[status])
            elif status in _OPEN:
                told.is_open(order)
        return told

    def _symbol_of(self, row: Mapping[str, Any]) -> str:
        market_id = text(row, "symbol")
        market = self.market_of(market_id, spot=row.get("category") == "spot")
        return market_id if market is None else str(market["symbol"])

    def _streamed_order(self, row: Mapping[str, Any]) -> Order:
        category = text(row, "category")
        return Order(
            venue=self._venue,
            scope=_SCOPES.get(category, category),
            order_id=text(row, "orderId"),
            symbol=self._symbol_of(row),
            side=side_of(text(row, "side").lower()),
            order_type=optional_text(row, "stopOrderType", "orderType") or "",
            client_order_id=optional_text(row, "orderLinkId"),
            reduce_only=row.get("reduceOnly") is True,
            remaining=told_number(row, "leavesQty"),
            quantity=told_size(row, "qty"),
            price=told_size(row, "price"),
            trigger_price=told_size(row, "triggerPrice"),
        )


def _shape(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a position matters: flat, it has neither side nor entry."""
    size = number(row, "size")
    return (size, row.get("side"), row.get("entryPrice")) if size != ZERO else (ZERO,)
