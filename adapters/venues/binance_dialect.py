"""Binance spot, cross margin and isolated margin, read from raw fields.

ccxt is not enough here: it merges isolated pairs and loses their names, forgets what is owed there, counts what lies
in earn twice or not at all, and gives events of one account to another. Addresses:
https://developers.binance.com/docs/binance-spot-api-docs/rest-api, https://developers.binance.com/docs/margin_trading
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from adapters.base import Market
from adapters.conversion import mid
from adapters.dialect import Book, OrdersTold, check_once, number, orders_seen, text, told_size
from adapters.fills import FillFields, Fills
from adapters.order_books import rows_at
from adapters.own_dialect import OwnDialect
from adapters.venue import VenueSettings
from adapters.venues.binance_book import MARGIN_WORDS, SPOT_WORDS, FlowReader
from adapters.venues.binance_wire import ORDER_EVENTS, Account, AccountWire, MarketWire
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.account import OrderStatus, side_of
from risk_daemon.model.events import Input, Kind, Order, Price, PricesSeen, Source
from risk_daemon.model.units import ZERO, finite

SPOT, CROSS, ISOLATED = "spot", "cross margin", "isolated margin"
PAIRS = "isolated pairs"
_PUBLIC, _ACCOUNT = "public", "account"
_EARN_ROWS, _MOST_PAGES = 100, 50
_MOST_SYMBOLS = 100
"""So many may be asked for by name; of more, all are asked for."""

_LISTED = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW"})
_ENDED = {
    "CANCELED": OrderStatus.CANCELLED,
    "FILLED": OrderStatus.FILLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}

Amounts = dict[str, Decimal]


def parse_spot(reply: Mapping[str, Any], earning: Mapping[str, Decimal]) -> Amounts:
    """account: free and locked. What lies in flexible earn stands there once more, as LDUSDT of USDT."""
    shadows = {f"LD{asset}" for asset in earning}
    told = rows_at(reply, ("balances",))
    check_once(told, "asset")
    rows = ((text(row, "asset"), number(row, "free") + number(row, "locked")) for row in told)
    return _summed([(asset, amount) for asset, amount in rows if asset not in shadows])


def parse_margin(rows: Sequence[Mapping[str, Any]]) -> Amounts:
    """What is held less what is owed, with interest."""
    return _summed([(text(row, "asset"), _net(row)) for row in rows])


def _net(row: Mapping[str, Any]) -> Decimal:
    return number(row, "free") + number(row, "locked") - number(row, "borrowed") - number(row, "interest")


def isolated_legs(reply: Any) -> list[Mapping[str, Any]]:
    """Both assets of every isolated pair. None at all of an account that has or owes something is no answer."""
    pairs = rows_at(reply, ("assets",))
    check_once(pairs, "symbol")
    sums = [reply.get(name) for name in ("totalAssetOfBtc", "totalLiabilityOfBtc")]
    if not pairs and any(told is not None and finite(told) for told in sums):
        raise MalformedReply("an isolated account that is worth something, and has no pair")
    legs = [row.get(leg) for row in pairs for leg in ("baseAsset", "quoteAsset")]
    return rows_at(legs, ())  # type: ignore[return-value]


def parse_funding(rows: Sequence[Mapping[str, Any]]) -> Amounts:
    """get-funding-asset: all that is there, whatever holds it."""
    parts = ("free", "locked", "freeze", "withdrawing")
    check_once(rows, "asset")
    return _summed([(text(row, "asset"), sum((number(row, part) for part in parts), ZERO)) for row in rows])


def _summed(rows: Sequence[tuple[str, Decimal]]) -> Amounts:
    amounts: Amounts = {}
    for asset, amount in rows:
        amounts[asset] = amounts.get(asset, ZERO) + amount
    return amounts


def parse_order_events(venue: str, scopes: Mapping[int, str], frames: Sequence[Mapping[str, Any]]) -> OrdersTold:
    """executionReport. In the event of a cancel `c` is the cancel's own id, and `C` the order's."""
    told = OrdersTold()
    for frame in frames:
        event, scope = frame.get("event", frame), scopes.get(frame.get("subscriptionId", -1))
        if event.get("e") != "executionReport" or scope is None:
            continue
        order_id, status = str(event["i"]), event.get("X")
        order = Order(
            venue=venue,
            scope=scope,
            order_id=order_id,
            symbol=str(event["s"]),
            side=side_of(str(event.get("S")).lower()),
            order_type=str(event.get("o", "")),
            client_order_id=event.get("C") or event.get("c"),
            remaining=number(event, "q") - number(event, "z"),
            quantity=told_size(event, "q"),
            price=told_size(event, "p"),
            trigger_price=told_size(event, "P"),
        )
        if status in _ENDED:
            told.has_ended(order_id, order, _ENDED[status])
        elif status in _LISTED:
            told.is_open(order)
    return told


FILL = FillFields(
    fill_id="t",
    order_id="i",
    quantity="l",
    price="L",
    time="T",
    side="S",
    client_order_id=("c",),
    fee="n",
    fee_asset="N",
    by_market=True,
)
"""An executionReport of a trade, of spot, margin and, in its `o`, of the futures."""


def executions(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The trade that an event tells of, if it does."""
    event = frame.get("event", frame)
    row = event.get("o") if isinstance(event.get("o"), dict) else event
    return [row] if row.get("x") == "TRADE" else []


class BinanceDialect(OwnDialect):
    """Binance's calls. Spot comes with the funding wallet and flexible earn, margin with every isolated pair."""

    stream_kinds = frozenset({Kind.BALANCES, Kind.PRICES, Kind.ORDERS})

    def __init__(self, account: VenueSettings, client: Any) -> None:
        super().__init__(account, client)
        self._is_spot, self._is_margin = Market.SPOT in account.markets, Market.MARGIN in account.markets
        words = (SPOT_WORDS if self._is_spot else frozenset()) | (MARGIN_WORDS if self._is_margin else frozenset())
        self._flows = FlowReader(account.name, words, client)
        self._pairs: tuple[str, ...] = ()
        self._subscribed: dict[int, str] = {}
        self._refused: frozenset[str] | None = None
        self._fills = Fills(account.name, FILL, lambda row: str(row["s"]), executions)
        self._tell("there is no book of trades: a fall that no deposit or transfer explains counts as a loss")

    def _tell(self, *notes: str) -> None:
        """What is weaker here than one would expect, each once."""
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))

    # --- account ---------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Decimal]:
        """Every wallet at once. What moves between two meanwhile is missed or counted twice, in one reading."""
        asked: list[Awaitable[Amounts]] = []
        if self._is_spot:
            asked.append(self._spot())
        if self._is_margin:
            asked += [self._cross(), self._isolated()]
        amounts = [item for wallet in await asyncio.gather(*asked) for item in wallet.items()]
        return _summed(amounts)

    async def _spot(self) -> Amounts:
        client, refused = self._client, set[str]()
        flexible, locked, funding, reply = await asyncio.gather(
            self._beside("flexible earn", self._earn(client.sapiGetSimpleEarnFlexiblePosition, "totalAmount"), refused),
            self._beside("locked earn", self._earn(client.sapiGetSimpleEarnLockedPosition, "amount"), refused),
            self._beside("funding", self._funding(), refused),
            client.privateGetAccount({"omitZeroBalances": "true"}),
        )
        if self._refused is None:
            self._refused = frozenset(refused)
            self._tell(*(f"{name} is refused to this account and not counted" for name in sorted(refused)))
        wallets = (parse_spot(reply, flexible), flexible, locked, funding)
        return _summed([item for wallet in wallets for item in wallet.items()])

    async def _beside(self, name: str, asked: Awaitable[Amounts], refused: set[str]) -> Amounts:
        """A wallet that not every account has. Whether this one has it, the first reading tells."""
        try:
            return await asked
        except VenueRejected:
            if self._refused is not None and name not in self._refused:
                raise
            refused.add(name)
            return {}

    async def _earn(self, ask: Callable[[dict[str, Any]], Awaitable[Any]], amount: str) -> Amounts:
        """What earn holds, all pages."""
        found: list[tuple[str, Decimal]] = []
        for page in range(1, _MOST_PAGES + 1):
            reply = await ask({"size": _EARN_ROWS, "current": page})
            rows = rows_at(reply, ("rows",))
            found += [(text(row, "asset"), number(row, amount)) for row in rows]
            if len(found) >= int(number(reply, "total")):
                return _summed(found)
            if not rows:
                break
        raise MalformedReply("the pages of earn do not add up to their total")

    async def _funding(self) -> Amounts:
        return parse_funding(rows_at(await self._client.sapiPostAssetGetFundingAsset(), ()))

    async def _cross(self) -> Amounts:
        rows = rows_at(await self._client.sapiGetMarginAccount(), ("userAssets",))
        check_once(rows, "asset")
        return parse_margin(rows)

    async def _isolated(self) -> Amounts:
        return parse_margin(isolated_legs(await self._isolated_account()))

    async def _isolated_account(self) -> Any:
        reply = await self._client.sapiGetMarginIsolatedAccount()
        isolated_legs(reply)
        self._pairs = tuple(text(row, "symbol") for row in rows_at(reply, ("assets",)))
        return reply

    async def parts(self, each: str) -> Sequence[Mapping[str, Any]]:
        """Isolated orders are listed pair by pair, and only the account tells which pairs there are."""
        if each != PAIRS:
            return await super().parts(each)
        await self._isolated_account()
        return [{"symbol": pair} for pair in self._pairs]

    async def positions(self) -> tuple[()]:
        return ()

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        self._price_symbols = self.pairs_for(assets)
        if not self._price_symbols:
            return ()
        rows = rows_at(await self._tickers(sorted(map(self._client.market_id, self._price_symbols))), ())
        found = (self._price(text(row, "symbol"), row["bidPrice"], row["askPrice"]) for row in rows)
        return tuple(price for price in found if price is not None and price.symbol in self._price_symbols)

    async def _tickers(self, ids: Sequence[str]) -> Any:
        """One pair that is gone spoils the call for all of them: then every pair there is is asked for."""
        ask = self._client.publicGetTickerBookTicker
        if len(ids) > _MOST_SYMBOLS:
            return await ask()
        try:
            return await ask({"symbols": json.dumps(ids, separators=(",", ":"))})
        except VenueRejected:
            return await ask()

    def _price(self, market_id: str, bid: object, ask: object) -> Price | None:
        """The mid; None of a pair without a sound bid and ask: unknown, not zero."""
        market, value = self.market_of(market_id, spot=True), mid(bid, ask)
        if market is None or value is None:
            return None
        return Price(market["symbol"], market["base"], market["quote"], value)

    async def book(self, since_wall: float, now_wall: float) -> Book:
        if self._is_spot != self._is_margin:
            await self._isolated_pairs_once()
        flows = await self._flows.read(since_wall, self._pairs)
        self._tell(*self._flows.notes)
        return Book(flows)

    async def _isolated_pairs_once(self) -> None:
        """Money may go between a pair's wallet and one that is not guarded; who has no margin is refused."""
        try:
            await self._isolated_account()
        except VenueRejected:
            self._pairs = ()

    # --- streams ---------------------------------------------------------------------------------

    def line_of(self, kind: Kind) -> str:
        return _PUBLIC if kind is Kind.PRICES else _ACCOUNT

    async def open_wire(self, line: str) -> MarketWire | AccountWire:
        urls = self._client.urls["api"]["ws"]
        if line == _PUBLIC:
            return MarketWire(urls["spot"], self._client.market_id)
        self._subscribed = {}
        accounts = [Account(SPOT)] if self._is_spot else []
        if self._is_margin:
            accounts += await self._margin_accounts()
        return AccountWire(urls["ws-api"]["spot"], tuple(accounts), self._signed, self._subscribed)

    async def _margin_accounts(self) -> list[Account]:
        """Each needs a token of its own, which lasts for a day."""
        await self._isolated_account()
        asked = [(CROSS, {}), *((ISOLATED, {"symbol": pair, "isIsolated": "TRUE"}) for pair in self._pairs)]
        replies = await asyncio.gather(*(self._client.sapiPostUserListenToken(query) for _, query in asked))
        return [Account(scope, text(reply, "token")) for (scope, _), reply in zip(asked, replies, strict=True)]

    def _signed(self) -> Mapping[str, Any]:
        signed: Mapping[str, Any] = self._client.sign_params({})
        return signed

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if kind is Kind.PRICES:
            return self._read_tickers(frames, arrived_mono)
        if kind is Kind.ORDERS:
            parse = partial(parse_order_events, self._venue, self._subscribed)
            named = self._in_our_names(frames)
            told = orders_seen(self._venue, arrived_mono, named, parse, lambda _: False)
            return (*told, *self._fills.told(named, arrived_mono))
        return ()

    def _in_our_names(self, frames: Sequence[Any]) -> list[Any]:
        """Order events with ccxt's names of their pairs."""
        named = []
        for frame in frames:
            event = frame.get("event", frame)
            if event.get("e") not in ORDER_EVENTS:
                continue
            market = self.market_of(str(event.get("s")), spot=True)
            named.append({**frame, "event": {**event, "s": event.get("s") if market is None else market["symbol"]}})
        return named

    def _read_tickers(self, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        found = (self._price(text(frame, "s"), frame["b"], frame["a"]) for frame in frames)
        prices = {price.symbol: price for price in found if price is not None}
        self._seen.setdefault(Kind.PRICES, set()).update(prices)
        return (PricesSeen(self._venue, arrived_mono, Source.STREAM, tuple(prices.values())),) if prices else None
