"""MEXC, read from its raw fields: a spot wallet and a contract wallet, both sides of a contract, fair prices.

ccxt is not enough here: its contract balance forgets the margin of positions, it knows no mark, its deposits have no
id, and its sockets wait for ever where the venue refuses in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

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
    told_number,
    told_of_legs,
    told_size,
)
from adapters.fills import FillFields, Fills
from adapters.lane import Urgency, current_urgency
from adapters.own_dialect import OwnDialect
from adapters.venue import VenueSettings
from adapters.venues.mexc_book import FlowReader
from adapters.venues.mexc_wire import CONTRACT_DEALS, ContractWire, SpotWire
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected
from risk_daemon.model.account import OrderSide, OrderStatus
from risk_daemon.model.events import Input, Kind, Order, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ZERO, finite

BOOKS = ("limit", "plan", "stop", "track")
"""The contract books, as the venue counts them."""

SPOT_LINE, TICKER_LINE, CONTRACT_LINE = "spot", "tickers", "contract"
_COUNT = "order/open_order_total_count"
_PLACES = Decimal(1).scaleb(-12)
_SIGNS = {"1": 1, "2": -1}
_CALL_MS = 84.0
_KEY_EVERY_MS, _KEY_LIVES_MS = 20 * 60_000, 55 * 60_000
"""How often a listen key is renewed, and for how long it is believed without: it lives for an hour."""


@dataclass(slots=True)
class _Listening:
    """The socket of the account. kept_ms: when the key that it listens by was renewed."""

    wire: SpotWire
    kept_ms: int


def parse_spot(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """account: {asset: free + locked}."""
    check_once(reply["balances"], "asset")
    return {text(row, "asset"): number(row, "free") + number(row, "locked") for row in reply["balances"]}


def parse_contract_wallet(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """account/assets: {coin: equity less unrealised profit}: what is available, in positions and held by orders."""
    check_once(reply["data"], "currency")
    # The venue writes numbers as floats, whose difference has digits that nobody wrote.
    return {
        text(row, "currency"): (number(row, "equity") - number(row, "unrealized")).quantize(_PLACES)
        for row in reply["data"]
    }


def parse_prices(rows: Sequence[Mapping[str, Any]], markets: Mapping[str, Mapping[str, Any]]) -> tuple[Price, ...]:
    """ticker/bookTicker: mids of these pairs, by the venue's names. One without a sound bid and ask is left out."""
    prices = []
    for row in rows:
        market = markets.get(text(row, "symbol"))
        if market is not None and (price := _mid_price(market, row.get("bidPrice"), row.get("askPrice"))) is not None:
            prices.append(price)
    return tuple(prices)


def _mid_price(market: Mapping[str, Any], bid: object, ask: object) -> Price | None:
    value = mid(bid or None, ask or None)
    return None if value is None else Price(market["symbol"], market["base"], market["quote"], value)


def parse_marks(rows: Sequence[Mapping[str, Any]], markets: Mapping[str, Mapping[str, Any]]) -> tuple[Price, ...]:
    """contract/ticker: fair prices of these contracts, by the venue's names. One that is not above zero is left out."""
    marks = []
    for row in rows:
        market = markets.get(text(row, "symbol"))
        value = number(row, "fairPrice") if market is not None else ZERO
        if market is not None and value > 0:
            marks.append(Price(market["symbol"], market["base"], market["quote"], value, converts=False))
    return tuple(marks)


def parse_count(reply: Mapping[str, Any], book: str) -> int:
    """open_order_total_count: how many orders a book has, however old they are."""
    counts = reply["data"]
    counted = number(counts, f"{book}OrderCount")
    if not 0 <= counted <= number(counts, "sumCount"):
        raise MalformedReply("the venue counts more orders in one book than in all")
    return int(counted)


class MexcDialect(OwnDialect):
    """MEXC's calls, of the houses that are guarded."""

    def __init__(self, account: VenueSettings, client: Any) -> None:
        super().__init__(account, client)
        # The list of coins needs a permission to withdraw, and nothing here needs the list.
        client.has["fetchCurrencies"] = False
        client.rateLimit = _CALL_MS  # twelve a second are shared by all cancels of spot orders
        kinds = {Kind.BALANCES, Kind.PRICES, Kind.ORDERS}
        self.stream_kinds = frozenset(kinds | {Kind.POSITIONS} if self.has_positions else kinds)
        self.notes = _notes(self.has_spot, self.has_positions)
        self._spot_fills = Fills(
            account.name, SPOT_FILL, lambda row: self._symbol(text(row, "symbol"), spot=True), spot_deals
        )
        self._contract_fills = Fills(
            account.name, CONTRACT_FILL, lambda row: self._symbol(text(row, "symbol"), spot=False), contract_deals
        )
        self._held: frozenset[str] = frozenset()
        self._listening: _Listening | None = None
        self._counting: dict[Urgency, asyncio.Task[Mapping[str, Any]]] = {}
        self._flows = FlowReader(account.name, client, has_spot=self.has_spot, has_contracts=self.has_positions)

    # --- account ---------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Decimal]:
        wallets = []
        if self.has_spot:
            wallets.append(self._spot_wallet())
        if self.has_positions:
            wallets.append(self._contract_wallet())
        amounts: dict[str, Decimal] = {}
        for wallet in await asyncio.gather(*wallets):
            for asset, amount in wallet.items():
                amounts[asset] = amounts.get(asset, ZERO) + amount
        return amounts

    async def _spot_wallet(self) -> dict[str, Decimal]:
        reply = await self._client.spotPrivateGetAccount()
        await self._keep_listening()
        return parse_spot(reply)

    async def _contract_wallet(self) -> dict[str, Decimal]:
        return parse_contract_wallet(await self._client.contractPrivateGetAccountAssets())

    async def positions(self) -> tuple[Position, ...]:
        rows = (await self._client.contractPrivateGetPositionOpenPositions())["data"]
        check_once(rows, "positionId")
        positions = legs([position for row in rows if (position := self._position(row)) is not None])
        self._held = frozenset(position.symbol for position in positions)
        self._position_symbols = frozenset(map(market_symbol, self._held))
        return positions

    def _position(self, row: Mapping[str, Any]) -> Position | None:
        size = number(row, "holdVol")
        if size == 0:
            return None
        market, sign = self.market_of(text(row, "symbol"), spot=False), _SIGNS.get(str(row.get("positionType")))
        entry = number(row, "holdAvgPrice")
        if market is None or sign is None or size < 0 or entry <= 0:
            raise MalformedReply(f"an odd position: {row.get('symbol')!r}, type {row.get('positionType')!r}")
        return Position(
            symbol=market["symbol"],
            quantity=size * sign,
            entry=entry,
            settle=market["settle"],
            underlying=market["base"],
            contract_size=finite(market["contractSize"]),
            inverse=market["inverse"] is True,
        )

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        """Mids of the pairs that value assets, and fair prices of what is held."""
        self._price_symbols = self.pairs_for(assets)
        pairs, marks = await asyncio.gather(self._pair_prices(), self._marks())
        return (*pairs, *told_of_legs(marks, self._held))

    async def _pair_prices(self) -> tuple[Price, ...]:
        if not self._price_symbols:
            return ()
        rows = await self._client.spotPublicGetTickerBookTicker()
        return parse_prices(rows, self._by_id(self._price_symbols))

    async def _marks(self) -> tuple[Price, ...]:
        if not self._position_symbols:
            return ()
        rows = (await self._client.contractPublicGetTicker())["data"]
        return parse_marks(rows, self._by_id(self._position_symbols))

    def _by_id(self, symbols: frozenset[str]) -> dict[str, Mapping[str, Any]]:
        markets = self._client.markets
        return {markets[symbol]["id"]: markets[symbol] for symbol in symbols if symbol in markets}

    async def book(self, since_wall: float, now_wall: float) -> Book:
        return Book(await self._flows.read(since_wall, now_wall))

    # --- orders ----------------------------------------------------------------------------------

    async def count(self, counted: str) -> int | None:
        """How many orders a contract book has. One question for all that are listed at one time."""
        urgency = current_urgency()
        asked = self._counting.get(urgency)
        if asked is None or asked.done():
            asked = self._counting[urgency] = asyncio.create_task(self._ask_count())
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            return parse_count(await asyncio.shield(asked), counted)
        except VenueRejected:
            return None  # without a count the lists are walked back for ten years

    async def _ask_count(self) -> Mapping[str, Any]:
        """The documentation calls it POST; on the venue it answered to GET alone when others tried."""
        try:
            reply: Mapping[str, Any] = await self._client.request(_COUNT, ["contract", "private"], "GET")
        except VenueRejected:
            reply = await self._client.request(_COUNT, ["contract", "private"], "POST")
        return reply

    # --- streams ---------------------------------------------------------------------------------

    def line_of(self, kind: Kind) -> tuple[str, ...]:
        """What a house tells of the account comes over its own socket; the contract one tells of marks as well."""
        contracts = (CONTRACT_LINE,) if self.has_positions else ()
        if kind is Kind.POSITIONS or (kind is not Kind.PRICES and not self.has_spot):
            return contracts
        return (SPOT_LINE if self.has_spot else TICKER_LINE, *contracts)

    async def open_wire(self, line: str) -> SpotWire | ContractWire:
        client = self._client
        urls = client.urls["api"]["ws"]
        if line == CONTRACT_LINE:
            return ContractWire(urls["swap"], client.apiKey, client.secret, str(client.nonce()))
        if line == TICKER_LINE:
            return SpotWire(urls["spot"], client.market_id)
        key = text(await client.spotPrivatePostUserDataStream(), "listenKey")
        asks_fills = self._listening is None or not self._listening.wire.waits_for_fills
        wire = SpotWire(urls["spot"], client.market_id, key, asks_fills=asks_fills)
        self._listening = _Listening(wire, client.milliseconds())
        return wire

    async def _keep_listening(self) -> None:
        """With the readings, which never stop: of a key that has ended the venue says nothing."""
        listening, now_ms = self._listening, self._client.milliseconds()
        if listening is None or now_ms - listening.kept_ms < _KEY_EVERY_MS:
            return
        try:
            await self._client.spotPrivatePutUserDataStream({"listenKey": listening.wire.key})
            listening.kept_ms = now_ms
        except VenueRejected:
            listening.wire.has_ended = True
        except VenueError:  # the next reading tries again
            listening.wire.has_ended = now_ms - listening.kept_ms > _KEY_LIVES_MS

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if kind is Kind.PRICES:
            return self._read_prices(frames, arrived_mono)
        if kind is Kind.ORDERS:
            orders = [frame for frame in frames if not _is_deal(frame)]
            told = orders_seen(self._venue, arrived_mono, orders, self._told, lambda _: False)
            deals = [frame for frame in frames if _is_deal(frame)]
            spot, contracts = (kind.told(deals, arrived_mono) for kind in (self._spot_fills, self._contract_fills))
            return (*told, *spot, *contracts) or None
        return ()

    def _read_prices(self, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        pairs, contracts = self._by_id(self._price_symbols), self._by_id(self._position_symbols)
        found: dict[str, Price] = {}
        for frame in frames:
            ticker = frame.get("publicAggreBookTicker")
            if ticker is None:
                marks = parse_marks(frame["data"], contracts)
                found.update({price.symbol: price for price in told_of_legs(marks, self._held)})
            elif (market := pairs.get(text(frame, "symbol"))) is not None:
                price = _mid_price(market, ticker.get("bidPrice"), ticker.get("askPrice"))
                found.update({} if price is None else {price.symbol: price})
        self._seen.setdefault(Kind.PRICES, set()).update(found)
        return (PricesSeen(self._venue, arrived_mono, Source.STREAM, tuple(found.values())),) if found else None

    def _told(self, frames: Sequence[Any]) -> OrdersTold:
        """What frames of either house say of orders."""
        told = OrdersTold()
        for frame in frames:
            order = self._contract_order(frame) if "data" in frame else self._spot_order(frame)
            if order.status is OrderStatus.OPEN:
                told.is_open(order)
            else:
                told.has_ended(order.order_id, order, order.status)
        return told

    def _spot_order(self, frame: Mapping[str, Any]) -> Order:
        row = frame["privateOrders"]
        side = {"1": OrderSide.BUY, "2": OrderSide.SELL}.get(str(row.get("tradeType")), OrderSide.UNTOLD)
        return Order(
            venue=self._venue,
            scope="spot",
            order_id=text(row, "id"),
            symbol=self._symbol(text(frame, "symbol"), spot=True),
            side=side,
            order_type=str(row.get("orderType", "")),
            client_order_id=optional_text(row, "clientId"),
            remaining=told_number(row, "remainQuantity"),
            quantity=told_size(row, "quantity"),
            price=told_size(row, "price"),
            status=_SPOT_STATUSES.get(str(row.get("status", "0")), OrderStatus.ENDED),
        )

    def _contract_order(self, frame: Mapping[str, Any]) -> Order:
        row, scope = frame["data"], _SCOPES[frame["channel"]]
        side = str(row.get("side", ""))
        quantity, filled = told_size(row, "vol"), told_number(row, "dealVol")
        return Order(
            venue=self._venue,
            scope=scope,
            order_id=str(row.get("orderId") if scope == "limit" else row.get("id")),
            symbol=self._symbol(text(row, "symbol"), spot=False),
            side=_SIDES.get(side, OrderSide.UNTOLD),
            order_type=str(row.get("orderType", "")),
            client_order_id=optional_text(row, "externalOid"),
            reduce_only=side in ("2", "4") or row.get("reduceOnly") is True,
            remaining=None if quantity is None or filled is None else quantity - filled,
            quantity=quantity,
            price=told_size(row, "price"),
            trigger_price=told_size(row, "triggerPrice", "stopLossPrice", "takeProfitPrice", "activePrice"),
            status=_CONTRACT_STATUSES[scope].get(str(row.get("state")), OrderStatus.ENDED),
        )

    def _symbol(self, market_id: str, *, spot: bool) -> str:
        market = self.market_of(market_id, spot=spot)
        return market_id if market is None else str(market["symbol"])

    def is_confirming(self, kind: Kind) -> bool:
        """Prices, once each pair and each mark came."""
        needed = self._price_symbols | self._held
        return kind is Kind.PRICES and bool(needed) and needed <= self._seen.get(kind, set())


def _is_deal(frame: Mapping[str, Any]) -> bool:
    return "privateDeals" in frame or frame.get("channel") == CONTRACT_DEALS


def spot_deals(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the spot house says was executed."""
    return [{**frame["privateDeals"], "symbol": frame.get("symbol")}] if "privateDeals" in frame else []


def contract_deals(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the contract house says was executed."""
    return [frame["data"]] if frame.get("channel") == CONTRACT_DEALS else []


_SPOT_STATUSES = {
    **dict.fromkeys(("0", "1", "3"), OrderStatus.OPEN),
    "2": OrderStatus.FILLED,
    **dict.fromkeys(("4", "5"), OrderStatus.CANCELLED),
}
_SIDES = {"1": OrderSide.BUY, "2": OrderSide.BUY, "3": OrderSide.SELL, "4": OrderSide.SELL}
SPOT_FILL = FillFields(
    fill_id="tradeId",
    order_id="orderId",
    quantity="quantity",
    price="price",
    time="time",
    side="tradeType",
    sides={"1": OrderSide.BUY, "2": OrderSide.SELL},
    client_order_id=("clientOrderId",),
    fee="feeAmount",
    fee_asset="feeCurrency",
)
CONTRACT_FILL = FillFields(
    fill_id="id",
    order_id="orderId",
    quantity="vol",
    price="price",
    time="timestamp",
    sides=_SIDES,
    client_order_id=("externalOid",),
    fee_asset="feeCurrency",
)
_SCOPES = {
    "push.personal.order": "limit",
    "push.personal.plan.order": "plan",
    "push.personal.stop.planorder": "stop",
    "push.personal.stop.order": "stop",
    "push.personal.track.order": "track",
}
_WAITS = {"1": OrderStatus.OPEN}
_CONTRACT_STATUSES = {
    "limit": {
        **dict.fromkeys(("1", "2"), OrderStatus.OPEN),
        "3": OrderStatus.FILLED,
        "4": OrderStatus.CANCELLED,
        "5": OrderStatus.REJECTED,
    },
    "plan": _WAITS,
    "stop": _WAITS,
    "track": {"0": OrderStatus.OPEN, **_WAITS},
}


def _notes(has_spot: bool, has_contracts: bool) -> tuple[str, ...]:
    """What is weaker here than one would expect."""
    notes = [
        "mexc: transfers to sub-accounts and others, rebates and dust are not read: they look like profit or loss",
        "mexc: flows of more than 90 days ago can't be read",
        "mexc: a withdrawal counts from its application; when the balance falls is not documented",
    ]
    if has_spot != has_contracts:
        other = "contract" if has_spot else "spot"
        notes.append(f"mexc: what is transferred to the {other} wallet, which is not guarded, counts as withdrawn")
    return tuple(notes)
