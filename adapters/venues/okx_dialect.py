"""OKX, read from its raw fields.

One trading account holds the money of all markets, and one call each gives its balance and its positions. What is
guarded is that account: the funding account beside it is not read, and a transfer to it is a withdrawal.
https://www.okx.com/docs-v5/en/#trading-account-rest-api
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from adapters.base import Market as MarketKind
from adapters.cancel_plans import CancelBy, OrderCalls, ScopePlan
from adapters.conversion import mid
from adapters.dialect import (
    Book,
    OrdersTold,
    check_once,
    legs,
    market_symbol,
    number,
    optional_text,
    orders_seen,
    text,
    told_of_legs,
    told_size,
)
from adapters.failures import OrderGone
from adapters.fills import FillFields, Fills
from adapters.own_dialect import Market, OwnDialect
from adapters.venue import VenueSettings
from adapters.venues.okx_book import BillReader
from adapters.venues.okx_orders import ORDER
from adapters.venues.okx_wire import PRIVATE, PUBLIC, OkxWire
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderStatus, side_of
from risk_daemon.model.events import Input, Kind, Order, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ZERO, finite

_SIDES = {"long": 1, "short": -1}
_OPEN = frozenset({"live", "partially_filled"})
_ENDED = {
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "mmp_canceled": OrderStatus.CANCELLED,
}
_DERIVATIVES = frozenset({"SWAP", "FUTURES"})

MarketOf = Any
"""(the venue's name of a market, whether it is a spot pair) -> the market, or None."""


def parse_balances(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """account/balance: {coin: amount} without unrealised profit.

    The cash, which a debt makes negative; the margin of isolated positions and what trading bots have, which lie
    outside it. `liab` says of a debt what the cash says already.
    """
    rows = reply["data"]
    if len(rows) != 1:
        raise MalformedReply(f"the balance has {len(rows)} accounts")
    details = rows[0]["details"]
    if not details and number(rows[0], "totalEq") != 0:
        raise MalformedReply("the balance has an equity and no coin")
    amounts = {text(row, "ccy"): _owned(row) for row in details}
    if len(amounts) < len(details):
        raise MalformedReply("the balance has a coin twice")
    return amounts


def _owned(row: Mapping[str, Any]) -> Decimal:
    return number(row, "cashBal") + _told(row, "stgyEq") + _told(row, "isoEq") - _told(row, "isoUpl")


def _told(row: Mapping[str, Any], key: str) -> Decimal:
    """A field that is empty where an account has nothing of the kind."""
    return ZERO if row.get(key) == "" else number(row, key)


def parse_positions(reply: Mapping[str, Any], market_of: MarketOf) -> tuple[Position, ...]:
    """account/positions: swaps, futures and margin; raises MalformedReply for what has no known value."""
    check_once(reply["data"], "posId")
    found = (_position(row, market_of) for row in reply["data"])
    return legs([position for position in found if position is not None])


def _position(row: Mapping[str, Any], market_of: MarketOf) -> Position | None:
    kind, name = text(row, "instType"), text(row, "instId")
    quantity = number(row, "pos")
    if quantity == 0:
        return None
    market = market_of(name, kind == "MARGIN")
    if market is None or kind not in _DERIVATIVES | {"MARGIN"}:
        raise MalformedReply(f"a position in {name}, of type {kind}, which can't be valued here")
    quantity = _margin_size(row, market) if kind == "MARGIN" else quantity * _sign(row, quantity)
    entry = number(row, "avgPx")
    if entry <= 0:
        raise MalformedReply(f"a position in {name} without an entry price")
    return Position(
        symbol=market["symbol"],
        quantity=quantity,
        entry=entry,
        settle=market["quote"] if kind == "MARGIN" else market["settle"],
        underlying=market["base"],
        contract_size=Decimal(1) if kind == "MARGIN" else finite(market["contractSize"]),
        inverse=market.get("inverse") is True,
    )


def _sign(row: Mapping[str, Any], quantity: Decimal) -> int:
    """Of a net position the sign is in its size; a leg's size is above zero."""
    side = text(row, "posSide")
    if side != "net" and (side not in _SIDES or quantity < 0):
        raise MalformedReply(f"a position of {quantity} on the side {side!r}")
    return _SIDES.get(side, 1)


def _margin_size(row: Mapping[str, Any], market: Market) -> Decimal:
    """Of a margin position `pos` is never below zero, and in the coin that it holds: of a short one that is the quote,
    and what it owes is its size."""
    coin, size = text(row, "posCcy"), number(row, "pos")
    if size < 0 or coin not in (market["baseId"], market["quoteId"]):
        raise MalformedReply(f"a margin position of {size} {coin} in {market['id']}")
    return size if coin == market["baseId"] else -abs(number(row, "liab"))


def parse_tickers(rows: Iterable[Mapping[str, Any]], symbols: frozenset[str], market_of: MarketOf) -> dict[str, Price]:
    """tickers: spot pairs among `symbols`. One without a bid, or crossed, is left out."""
    prices = {}
    for row in rows:
        market = market_of(text(row, "instId"), True)
        if market is None or market["symbol"] not in symbols:
            continue
        value = mid(row.get("bidPx") or None, row.get("askPx") or None)
        if value is not None:
            prices[market["symbol"]] = Price(market["symbol"], market["base"], market["quote"], value)
    return prices


def parse_marks(rows: Iterable[Mapping[str, Any]], symbols: frozenset[str], market_of: MarketOf) -> dict[str, Price]:
    """mark-price: instruments among `symbols`. A mark that is not above zero is left out."""
    marks = {}
    for row in rows:
        market = market_of(text(row, "instId"), False)
        if market is None or market["symbol"] not in symbols:
            continue
        value = number(row, "markPx")
        if value > 0:
            marks[market["symbol"]] = Price(market["symbol"], market["base"], market["quote"], value, converts=False)
    return marks


def parse_order_frames(venue: str, frames: Sequence[Any], market_of: MarketOf) -> OrdersTold:
    """Channel `orders`: the orders that are open, and those that were."""
    told = OrdersTold()
    for row in (row for frame in frames for row in frame["data"]):
        order = _streamed_order(venue, row, market_of)
        if row.get("state") in _OPEN:
            told.is_open(order)
        else:
            told.has_ended(order.order_id, order, _ENDED.get(str(row.get("state")), OrderStatus.ENDED))
    return told


FILL = FillFields(
    fill_id="tradeId",
    order_id="ordId",
    quantity="fillSz",
    price="fillPx",
    time="fillTime",
    client_order_id=("clOrdId",),
    fee="fillFee",
    fee_asset="fillFeeCcy",
    is_fee_signed=True,
    by_market=True,
)


def executions(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Channel `orders`: rows that name a trade; an order repeats its last one when it is cancelled, say."""
    return [row for row in frame["data"] if row.get("tradeId") and told_size(row, "fillSz") is not None]


def _streamed_order(venue: str, row: Mapping[str, Any], market_of: MarketOf) -> Order:
    name = text(row, "instId")
    market = market_of(name, True) or market_of(name, False)
    size = optional_text(row, "sz")
    return Order(
        venue=venue,
        scope="plain",
        order_id=text(row, "ordId"),
        symbol=name if market is None else market["symbol"],
        side=side_of(row.get("side")),
        order_type=str(row.get("ordType", "")),
        client_order_id=optional_text(row, "clOrdId"),
        reduce_only=ORDER.reduces(row),
        remaining=None if size is None else number(row, "sz") - _told(row, "accFillSz"),
        quantity=told_size(row, "sz"),
        price=told_size(row, "px"),
    )


def fingerprint(kind: Kind, frame: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What a frame of an account tells that is not a price's doing: the amounts of coins, the sizes of positions."""
    if kind is Kind.BALANCES:
        coins = (row for account in frame["data"] for row in account["details"])
        return {text(row, "ccy"): (str(row.get("cashBal")), str(row.get("stgyEq"))) for row in coins}
    return {text(row, "posId"): (str(row.get("pos")), str(row.get("avgPx"))) for row in frame["data"]}


def _by_id(plan: ScopePlan) -> list[OrderCalls]:
    """The calls of a scope, once for each of its cancels that may stand for the cancel of one order."""
    if plan.calls is None:
        return []
    singles = [cancel for cancel in plan.calls.cancels if cancel.by is CancelBy.BATCH] or [plan.calls.single]
    return [replace(plan.calls, single=single) for single in singles]


class OkxDialect(OwnDialect):
    """OKX's calls."""

    stream_kinds = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES, Kind.ORDERS})

    def __init__(self, account: VenueSettings, client: Any) -> None:
        super().__init__(account, client)
        self.has_positions = bool(account.markets & {MarketKind.PERP, MarketKind.MARGIN})
        self.notes = (
            "okx: the trading account is guarded, the funding account is not: a transfer to it is a withdrawal",
            "okx: what a trading bot holds counts as the venue values it, its unrealised profit included",
            "okx: algo orders and trading bots are listed over REST, their streams are not heard",
            "okx: an option or event contract has no known value: while one is held, positions can't be read",
        )
        self._held: frozenset[str] = frozenset()
        self._pairs: frozenset[str] = frozenset()
        self._types: frozenset[str] = frozenset()
        self._streamed: dict[Kind, dict[str, tuple[str, ...]]] = {}
        self._bills = BillReader(account.name, self._ask_bills)
        self._fills = Fills(account.name, FILL, self._symbol_of_fill, executions)

    # --- what is read ----------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Decimal]:
        return parse_balances(await self._client.privateGetAccountBalance())

    async def positions(self) -> tuple[Position, ...]:
        reply = await self._client.privateGetAccountPositions()
        positions = parse_positions(reply, self._market)
        self._held = frozenset(position.symbol for position in positions)
        self._types = frozenset(row["instType"] for row in reply["data"]) & _DERIVATIVES
        self._position_symbols = frozenset(map(market_symbol, self._held))
        self._price_symbols = self._pairs | self._position_symbols
        return positions

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        """Pairs at the middle of bid and ask; swaps and futures by their marks, one call for each of the two."""
        self._pairs = self.pairs_for(assets)
        self._price_symbols = self._pairs | self._position_symbols
        pairs = await self._client.publicGetMarketTickers({"instType": "SPOT"})
        prices = parse_tickers(pairs["data"], self._price_symbols, self._market)
        for kind in sorted(self._types):
            marks = await self._client.publicGetPublicMarkPrice({"instType": kind})
            prices |= parse_marks(marks["data"], self._position_symbols, self._market)
        return told_of_legs(prices.values(), self._held)

    async def book(self, since_wall: float, now_wall: float) -> Book:
        return await self._bills.read(since_wall, now_wall)

    async def _ask_bills(self, call: str, params: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        rows: Sequence[Mapping[str, Any]] = (await getattr(self._client, call)(params))["data"]
        return rows

    def _market(self, name: str, spot: bool) -> Market | None:
        return self.market_of(name, spot=spot)

    # --- orders ----------------------------------------------------------------------------------

    async def cancel_one(self, plan: ScopePlan, order: Order) -> None:
        """By each cancel of its scope until one knows it: which of two reaches an algo order is not documented."""
        gone: OrderGone | None = None
        for cancel in _by_id(plan):
            try:
                await super().cancel_one(replace(plan, calls=cancel), order)
            except OrderGone as error:
                gone = error
            else:
                return
        if gone is not None:
            raise gone

    # --- streams ---------------------------------------------------------------------------------

    def line_of(self, kind: Kind) -> str:
        return PUBLIC if kind is Kind.PRICES else PRIVATE

    async def open_wire(self, line: str) -> OkxWire:
        client = self._client
        suffix = "?brokerId=9999" if self._settings.sandbox else ""
        return OkxWire(
            f"{client.urls['api']['ws']}/{line}{suffix}",
            self._settings,
            lambda: int(client.nonce()) // 1000,
            self._channel,
        )

    def _channel(self, symbol: str) -> dict[str, str]:
        market = self._client.market(symbol)
        return {"channel": "tickers" if market["spot"] else "mark-price", "instId": market["id"]}

    def stream_began(self, kind: Kind) -> None:
        super().stream_began(kind)
        self._streamed.pop(kind, None)

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if kind is Kind.PRICES:
            return self._read_prices(frames, arrived_mono)
        if kind is Kind.ORDERS:
            told = orders_seen(
                self._venue,
                arrived_mono,
                frames,
                lambda part: parse_order_frames(self._venue, part, self._market),
                lambda _: False,
            )
            return (*told, *self._fills.told(frames, arrived_mono)) or None
        return self._read_changes(kind, frames)

    def _symbol_of_fill(self, row: Mapping[str, Any]) -> str:
        name = text(row, "instId")
        market = self._market(name, True) or self._market(name, False)
        return name if market is None else str(market["symbol"])

    def _read_prices(self, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        quotes = [row for frame in frames if frame["arg"]["channel"] == "tickers" for row in frame["data"]]
        marks = [row for frame in frames if frame["arg"]["channel"] == "mark-price" for row in frame["data"]]
        found = parse_tickers(quotes, self._price_symbols, self._market)
        found |= parse_marks(marks, self._position_symbols, self._market)
        self._seen.setdefault(Kind.PRICES, set()).update(found)
        prices = told_of_legs(found.values(), self._held)
        return (PricesSeen(self._venue, arrived_mono, Source.STREAM, prices),) if prices else None

    def _read_changes(self, kind: Kind, frames: Sequence[Any]) -> Sequence[Input] | None:
        """The venue repeats the whole every few seconds: REST is asked when it differs, or an event says so."""
        before = self._streamed.get(kind, {})
        after = dict(before)
        for frame in frames:
            after |= fingerprint(kind, frame)
        self._streamed[kind] = after
        is_repeated = all(frame.get("eventType") == "snapshot" for frame in frames)
        return None if is_repeated and after == before else ()
