"""Binance's futures, both halves, by calls of their own.

One wallet is read, the half's own, by its balance without unrealised profit; spot, funding and the other half are
outside, and a transfer from there is a flow. Assets are valued by the index of their perpetual, or else as the venue
values collateral. Positions of a hedged account are two a contract.
https://developers.binance.com/docs/derivatives/usds-margined-futures
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapters.cancel_plans import ScopePlan
from adapters.conversion import needed_symbols
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
from adapters.fills import Fills
from adapters.own_dialect import Market, OwnDialect
from adapters.venue import VenueSettings
from adapters.venues.binance_dialect import FILL, executions
from adapters.venues.binanceusdm_book import PAGE_ROWS, IncomeReader
from adapters.venues.binanceusdm_wire import MarkWire, UserWire
from adapters.wire import Wire
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.account import OrderStatus, side_of
from risk_daemon.model.events import Input, Kind, Order, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ZERO, finite

PLAIN, CONDITIONAL, STRATEGIES = "plain", "conditional", "strategies"
KEY_EVERY_MS = 20 * 60_000
"""How often the listen key is renewed, which lives for an hour."""

_USD = "USD"
_WRONG_TIME = "-1021"
_SIGNS = {"BOTH": (-1, 1), "LONG": (1,), "SHORT": (-1,)}
_OPEN = frozenset({"NEW", "PARTIALLY_FILLED", "TRIGGERING"})
_ENDED = {
    "CANCELED": OrderStatus.CANCELLED,
    "FILLED": OrderStatus.FILLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
    "TRIGGERED": OrderStatus.ENDED,
    "FINISHED": OrderStatus.ENDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """The calls of one half of the futures, and the names of its sockets. paths: an address for each kind of stream."""

    stream: str
    balance: str
    positions: str
    marks: str
    income: str
    new_key: str
    renew_key: str
    has_paths: bool


USDM = Half(
    stream="linear",
    balance="fapiPrivateV3GetBalance",
    positions="fapiPrivateV3GetPositionRisk",
    marks="fapiPublicGetPremiumIndex",
    income="fapiPrivateGetIncome",
    new_key="fapiPrivatePostListenKey",
    renew_key="fapiPrivatePutListenKey",
    has_paths=True,
)
COINM = Half(
    stream="inverse",
    balance="dapiPrivateGetBalance",
    positions="dapiPrivateGetPositionRisk",
    marks="dapiPublicGetPremiumIndex",
    income="dapiPrivateGetIncome",
    new_key="dapiPrivatePostListenKey",
    renew_key="dapiPrivatePutListenKey",
    has_paths=False,
)


def parse_balances(rows: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """balance: {asset: amount} without unrealised profit; what the account never held stands there with 0."""
    amounts: dict[str, Decimal] = {}
    for row in rows:
        asset, amount = text(row, "asset"), number(row, "balance")
        if asset in amounts:
            raise MalformedReply(f"the balance of {asset} is told twice")
        amounts[asset] = amount
    return {asset: amount for asset, amount in amounts.items() if amount}


def parse_position(row: Mapping[str, Any], market: Market | None) -> Position | None:
    """A row of positionRisk; None for one of nothing: an open order is enough for a row."""
    quantity, symbol = number(row, "positionAmt"), text(row, "symbol")
    entry, signs = number(row, "entryPrice"), _SIGNS.get(text(row, "positionSide"))
    if quantity == 0:
        return None
    if market is None or signs is None or (1 if quantity > 0 else -1) not in signs or entry <= 0:
        raise MalformedReply(f"a position in {symbol} of an unknown contract or side, or without an entry price")
    return Position(
        symbol=market["symbol"],
        quantity=quantity,
        entry=entry,
        settle=market["settle"],
        underlying=market["base"],
        contract_size=finite(market["contractSize"]),
        inverse=market["inverse"] is True,
    )


def parse_order_frame(venue: str, frame: Mapping[str, Any], symbol: str) -> Order:
    """ORDER_TRADE_UPDATE or ALGO_UPDATE."""
    row = frame["o"]
    is_algo = "aid" in row
    return Order(
        venue=venue,
        scope=CONDITIONAL if is_algo else PLAIN,
        order_id=str(row["aid"] if is_algo else row["i"]),
        symbol=symbol,
        side=side_of(str(row.get("S", "")).lower()),
        order_type=str(row.get("o", "")),
        client_order_id=optional_text(row, "caid", "c"),
        reduce_only=row.get("R") is True or row.get("cp") is True,
        remaining=number(row, "q") - (ZERO if is_algo else number(row, "z")),
        quantity=told_size(row, "q"),
        price=told_size(row, "p"),
        trigger_price=told_size(row, "tp", "sp"),
    )


class BinanceFuturesDialect(OwnDialect):
    """One half."""

    stream_kinds = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES, Kind.ORDERS})

    def __init__(self, account: VenueSettings, client: Any, half: Half = USDM) -> None:
        super().__init__(account, client)
        self._half = half
        self._held: frozenset[str] = frozenset()
        self._rates: frozenset[str] = frozenset()
        self._has_all_rates = True
        self._is_classic = False
        self._key_ms: int | None = None
        self._income = IncomeReader(account.name, self._ask_income)
        self._fills = Fills(account.name, FILL, self._symbol_of_fill, executions)

    # --- readings --------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Decimal]:
        async with self._clock_watched():
            await self._check_account()
            await self._keep_key()
            return parse_balances(await getattr(self._client, self._half.balance)())

    async def orders(self, plan: ScopePlan) -> tuple[Order, ...]:
        async with self._clock_watched():
            return await super().orders(plan)

    @asynccontextmanager
    async def _clock_watched(self) -> AsyncIterator[None]:
        """A time that is refused has the venue's clock read again: ours was set since the markets were loaded."""
        try:
            yield
        except VenueUnavailable as error:
            if _WRONG_TIME in str(error):
                await self._client.load_time_difference()
            raise

    async def _check_account(self) -> None:
        """Once. Raises VenueRejected for portfolio margin, whose money and orders these calls do not show at all."""
        if self._is_classic:
            return
        if (await self._client.sapiGetAccountInfo())["isPortfolioMarginRetailEnabled"]:
            raise VenueRejected(
                "this is an account of portfolio margin: its orders stand under papi.binance.com, which is not guarded"
            )
        self._is_classic = True

    async def positions(self) -> tuple[Position, ...]:
        rows = await getattr(self._client, self._half.positions)()
        check_once(rows, "symbol", "positionSide")
        found = (parse_position(row, self.market_of(text(row, "symbol"), spot=False)) for row in rows)
        positions = legs([position for position in found if position is not None])
        self._held = frozenset(position.symbol for position in positions)
        self._position_symbols = frozenset(map(market_symbol, self._held))
        self._price_symbols = self._position_symbols | self._rates
        return positions

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        """Marks of what is held; each asset by the index under its perpetual, else as the venue values collateral."""
        self._rates = self._needed(assets)
        self._price_symbols = self._position_symbols | self._rates
        rows = await getattr(self._client, self._half.marks)()
        told = self._read_marks(rows, "symbol", "markPrice", "indexPrice")
        return (*told, *await self._collateral(assets, told))

    def _needed(self, assets: frozenset[str]) -> frozenset[str]:
        """The perpetuals whose index leads each asset to the reference currency."""
        markets = self._client.markets.values()
        pairs = {
            frozenset({market["base"], market["quote"]}): market["symbol"]
            for market in markets
            if market.get("swap") and market.get("active") is not False
        }
        return needed_symbols(assets - {_USD}, self._settings.reference_currency, pairs)

    def _read_marks(self, rows: Iterable[Mapping[str, Any]], name: str, mark: str, index: str) -> tuple[Price, ...]:
        """What rows of marks tell of the instruments that are wanted. A mark or index of 0 is none.

        Streams of inverse contracts tell no index.
        """
        marks, rates = [], []
        for row in rows:
            market = self.market_of(text(row, name), spot=False)
            if market is None or market["symbol"] not in self._price_symbols:
                continue
            symbol, base, quote = market["symbol"], market["base"], market["quote"]
            if symbol in self._position_symbols and (value := number(row, mark)) > 0:
                marks.append(Price(symbol, base, quote, value, converts=False))
            if symbol in self._rates and row.get(index) and (value := number(row, index)) > 0:
                rates.append(Price(f"{base}/{quote}", base, quote, value))
        return (*told_of_legs(marks, self._held), *rates)

    async def _collateral(self, assets: frozenset[str], told: Sequence[Price]) -> tuple[Price, ...]:
        """US dollars for what no perpetual has an index of, and for the reference currency if others lead to them."""
        reference = self._settings.reference_currency
        rates = [price for price in told if price.converts]
        missing = assets - {reference, _USD} - {name for price in rates for name in (price.base, price.quote)}
        if missing or any(price.quote == _USD for price in rates):
            missing |= {reference} - {_USD}
        self._has_all_rates = not missing
        if not missing:
            return ()
        rows = await self._client.fapiPublicGetAssetIndex()
        values = {text(row, "symbol").removesuffix(_USD): number(row, "index") for row in rows}
        return tuple(
            Price(f"{asset}/{_USD}", asset, _USD, values[asset])
            for asset in sorted(missing & values.keys())
            if values[asset] > 0
        )

    async def book(self, since_wall: float, now_wall: float) -> Book:
        return await self._income.read(since_wall, now_wall)

    async def _ask_income(self, query: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        rows: Sequence[Mapping[str, Any]] = await getattr(self._client, self._half.income)(query)
        if len(rows) > PAGE_ROWS:
            raise MalformedReply("a page of the income history is longer than was asked for")
        return rows

    # --- streams ---------------------------------------------------------------------------------

    def line_of(self, kind: Kind) -> str:
        return "marks" if kind is Kind.PRICES else "account"

    async def open_wire(self, line: str) -> Wire:
        base = str(self._client.urls["api"]["ws"][self._half.stream])
        if line == "marks":
            url = f"{base.removesuffix('/ws')}/market/ws" if self._half.has_paths else base
            return MarkWire(url, self._client.market_id)
        key = text(await getattr(self._client, self._half.new_key)(), "listenKey")
        self._key_ms = self._client.milliseconds()
        path = f"/private/ws?listenKey={key}" if self._half.has_paths else f"/ws/{key}"
        return UserWire(base.removesuffix("/ws") + path, key)

    async def _keep_key(self) -> None:
        """With the readings, which never stop: a key that was not renewed ends its stream in silence."""
        now_ms = self._client.milliseconds()
        if self._key_ms is None or now_ms - self._key_ms < KEY_EVERY_MS:
            return
        try:
            await getattr(self._client, self._half.renew_key)()
            self._key_ms = now_ms
        except VenueError:
            return  # the next reading tries again; when the key has expired the stream says so

    def is_confirming(self, kind: Kind) -> bool:
        return super().is_confirming(kind) and self._has_all_rates

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if kind is Kind.PRICES:
            return self._read_mark_frames(frames, arrived_mono)
        if kind is Kind.ORDERS:
            told = orders_seen(self._venue, arrived_mono, frames, self._read_order_frames, lambda _: False)
            return (*told, *self._fills.told(frames, arrived_mono))
        return ()

    def _read_mark_frames(self, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        prices = self._read_marks(frames, "s", "p", "i")
        seen = self._seen.setdefault(Kind.PRICES, set())
        for frame in frames:
            market = self.market_of(text(frame, "s"), spot=False)
            if market is not None and (frame.get("i") or market["symbol"] not in self._rates):
                seen.add(market["symbol"])
        return (PricesSeen(self._venue, arrived_mono, Source.STREAM, prices),) if prices else None

    def _symbol_of_fill(self, row: Mapping[str, Any]) -> str:
        market = self.market_of(text(row, "s"), spot=False)
        return str(row["s"] if market is None else market["symbol"])

    def _read_order_frames(self, frames: Sequence[Any]) -> OrdersTold:
        told = OrdersTold()
        for frame in frames:
            name = text(frame["o"], "s")
            market = self.market_of(name, spot=False)
            order = parse_order_frame(self._venue, frame, name if market is None else market["symbol"])
            status = frame["o"].get("X")
            if status in _ENDED:
                told.has_ended(order.order_id, order, _ENDED[status])
            else:
                told.is_open(order)
        return told
