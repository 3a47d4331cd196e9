"""Kraken Futures, read from its raw fields.

ccxt is not enough here: its balance is one account of several, its margin totals include unrealised
profit, and its positions have no value. Wallets are added up over the cash, single-collateral and
multi-collateral accounts, each without unrealised profit.
Addresses: https://docs.kraken.com/api-reference/account-information
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from functools import partial
from typing import Any

from adapters.cancel_plans import ScopePlan
from adapters.conversion import mid
from adapters.dialect import (
    ACCOUNT,
    Book,
    OrdersTold,
    merged,
    number,
    optional_text,
    orders_seen,
    text,
    told_number,
    told_size,
)
from adapters.fills import FillFields, Fills
from adapters.venues.krakenfutures_book import NOT_MONEY, LogReader, asset_code, is_contract
from adapters.venues.krakenfutures_wire import FILLS, SNAPSHOT, KrakenFuturesWire
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderSide, OrderStatus, side_of
from risk_daemon.model.events import Input, Kind, Order, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ZERO, finite

_SIDES = {"long": 1, "short": -1}
_ENDED = {
    "full_fill": OrderStatus.FILLED,
    "contract_expired": OrderStatus.EXPIRED,
    "not_enough_margin": OrderStatus.REJECTED,
    "post_order_failed_because_it_would_filled": OrderStatus.REJECTED,
    "ioc_order_failed_because_it_would_not_be_executed": OrderStatus.REJECTED,
    "would_execute_self": OrderStatus.REJECTED,
}
_BY_DIRECTION = {"0": OrderSide.BUY, "1": OrderSide.SELL}

Markets = Mapping[str, Mapping[str, Any]]
"""ccxt markets by lower-case id."""


def parse_wallets(reply: Mapping[str, Any]) -> dict[tuple[str, str], Decimal]:
    """accounts: {(account, asset): wallet balance without unrealised profit}. Raises MalformedReply for a new kind."""
    wallets: dict[tuple[str, str], Decimal] = {}
    for name, account in reply["accounts"].items():
        for asset, amount in _wallet_rows(account):
            key = (name, asset_code(asset))
            if key[1] not in NOT_MONEY:
                wallets[key] = wallets.get(key, ZERO) + amount
    return wallets


def _wallet_rows(account: Mapping[str, Any]) -> Iterable[tuple[str, Decimal]]:
    kind = text(account, "type")
    if kind in {"cashAccount", "marginAccount"}:
        return [(asset, number(account["balances"], asset)) for asset in account["balances"] if not is_contract(asset)]
    if kind == "multiCollateralMarginAccount":
        return [(asset, number(row, "quantity")) for asset, row in account["currencies"].items()]
    raise MalformedReply(f"an account of the unknown type {kind!r}")


def parse_balances(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """accounts: {asset: amount}, all accounts added up."""
    amounts: dict[str, Decimal] = {}
    for (_, asset), amount in parse_wallets(reply).items():
        amounts[asset] = amounts.get(asset, ZERO) + amount
    return amounts


def parse_implied_prices(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """accounts: {asset: US dollars for one}, as the multi-collateral account values what it holds."""
    prices = {}
    for account in reply["accounts"].values():
        for asset, row in account.get("currencies", {}).items():
            quantity, value = number(row, "quantity"), number(row, "value")
            if quantity > 0 and value > 0 and asset_code(asset) != "USD":
                prices[asset_code(asset)] = value / quantity
    return prices


def parse_positions(reply: Mapping[str, Any], markets: Markets) -> tuple[Position, ...]:
    """openpositions: linear contracts settle in US dollars, inverse ones in their base asset."""
    return merged([_position(row, markets) for row in reply["openPositions"]])


def _position(row: Mapping[str, Any], markets: Markets) -> Position:
    market = markets.get(text(row, "symbol").lower())
    side = _SIDES.get(text(row, "side"))
    if market is None or side is None:
        raise MalformedReply(f"a position of unknown symbol or side: {row.get('symbol')!r} {row.get('side')!r}")
    size, entry = number(row, "size"), number(row, "price")
    if size < 0 or entry <= 0:
        raise MalformedReply("a position with a negative size or without an entry price")
    return Position(
        symbol=market["symbol"],
        quantity=size * side,
        entry=entry,
        settle=market["settle"],
        underlying=market["base"],
        contract_size=finite(market["contractSize"]),
        inverse=market["inverse"] is True,
    )


def parse_orders(venue: str, scope: str, reply: Mapping[str, Any], markets: Markets) -> tuple[Order, ...]:
    """openorders: every row, plain and trigger."""
    return tuple(_order(venue, scope, row, markets) for row in reply["openOrders"])


def _order(venue: str, scope: str, row: Mapping[str, Any], markets: Markets) -> Order:
    symbol = text(row, "symbol")
    market = markets.get(symbol.lower())
    return Order(
        venue=venue,
        scope=scope,
        order_id=text(row, "order_id"),
        symbol=symbol if market is None else market["symbol"],
        side=side_of(text(row, "side")),
        order_type=str(row.get("orderType", "")),
        client_order_id=optional_text(row, "cliOrdId"),
        reduce_only=row.get("reduceOnly") is True,
        remaining=number(row, "unfilledSize") if row.get("unfilledSize") is not None else None,
        quantity=_sum(told_number(row, "unfilledSize"), told_number(row, "filledSize")),
        price=told_size(row, "limitPrice"),
        trigger_price=told_size(row, "stopPrice"),
    )


def _sum(left: Decimal | None, filled: Decimal | None) -> Decimal | None:
    """What was ordered, of what is left of it and what was filled."""
    return None if left is None else left + (filled or ZERO)


def parse_marks(rows: Iterable[Mapping[str, Any]], symbols: frozenset[str], markets: Markets) -> dict[str, Price]:
    """tickers: the marks of these instruments. An instrument whose mark is not above zero is left out."""
    marks = {}
    for row in rows:
        market = markets.get(str(row.get("symbol", row.get("product_id", ""))).lower())
        if market is not None and market["symbol"] in symbols:
            value = number(row, "markPrice")
            if value > 0:
                marks[market["symbol"]] = Price(
                    market["symbol"], market["base"], market["quote"], value, converts=False
                )
    return marks


def parse_index_prices(rows: Iterable[Mapping[str, Any]], assets: frozenset[str], markets: Markets) -> dict[str, Price]:
    """tickers: the index under each asset's linear perpetual, an exchange rate to US dollars."""
    prices = {}
    for row in rows:
        market = markets.get(str(row.get("symbol", row.get("product_id", ""))).lower())
        if market is None or not market.get("swap") or market["base"] not in assets or market["quote"] != "USD":
            continue
        raw = row.get("indexPrice", row.get("index"))
        value = mid(raw, raw)
        if value is not None:
            prices[market["base"]] = _dollar_price(market["base"], value)
    return prices


def _dollar_price(asset: str, value: Decimal) -> Price:
    return Price(f"{asset}/USD", asset, "USD", value)


def parse_order_frames(
    venue: str, scope: str, frames: Sequence[Any], markets: Markets, known: dict[str, Order] | None = None
) -> OrdersTold:
    """Streams `open_orders` and its snapshot: the orders that are open, and those that were."""
    told = OrdersTold(known)
    for frame in frames:
        if frame.get("is_cancel") is True:
            told.has_ended(str(frame.get("order_id")), status=_end(frame))
            continue
        for row in frame["orders"] if "orders" in frame else [frame["order"]] if "order" in frame else []:
            told.is_open(_streamed_order(venue, scope, row, markets))
    return told


FILL = FillFields(
    fill_id="fill_id",
    order_id="order_id",
    quantity="qty",
    price="price",
    time="time",
    side="buy",
    sides={"True": OrderSide.BUY, "False": OrderSide.SELL},
    client_order_id=("cli_ord_id",),
    fee="fee_paid",
    fee_asset="fee_currency",
)


def _end(frame: Mapping[str, Any]) -> OrderStatus:
    """How an order ended, by the reason that is given."""
    reason = str(frame.get("reason"))
    if reason in _ENDED:
        return _ENDED[reason]
    return OrderStatus.CANCELLED if reason.startswith(("cancelled_by", "dead_man")) else OrderStatus.ENDED


def _streamed_order(venue: str, scope: str, row: Mapping[str, Any], markets: Markets) -> Order:
    instrument = text(row, "instrument")
    market = markets.get(instrument.lower())
    return Order(
        venue=venue,
        scope=scope,
        order_id=text(row, "order_id"),
        symbol=instrument if market is None else market["symbol"],
        side=_BY_DIRECTION.get(str(row.get("direction")), OrderSide.UNTOLD),
        order_type=str(row.get("type", "")),
        client_order_id=optional_text(row, "cli_ord_id"),
        reduce_only=row.get("reduce_only") is True,
        remaining=told_number(row, "qty"),
        quantity=_sum(told_number(row, "qty"), told_number(row, "filled")),
        price=told_size(row, "limit_price"),
        trigger_price=told_size(row, "stop_price"),
    )


def wallet_fingerprint(frame: Mapping[str, Any]) -> dict[str, Decimal]:
    """Stream `balances`: every wallet amount it names, by account; profit and margin figures are not among them."""
    amounts = {f"cash {asset}": finite(amount) for asset, amount in (frame.get("holding") or {}).items()}
    for name, account in (frame.get("futures") or {}).items():
        amounts[f"{name} {account.get('unit')}"] = number(account, "balance")
    for asset, row in ((frame.get("flex_futures") or {}).get("currencies") or {}).items():
        amounts[f"flex {asset}"] = number(row, "quantity")
    return amounts


def position_fingerprint(frame: Mapping[str, Any]) -> dict[str, Decimal]:
    """Stream `open_positions`: the signed quantity and entry of every row."""
    amounts = {}
    for row in frame["positions"]:
        amounts[f"{text(row, 'instrument')} quantity"] = number(row, "balance")
        amounts[f"{text(row, 'instrument')} entry"] = number(row, "entry_price")
    return amounts


class KrakenFuturesDialect:
    """Kraken Futures' calls. `client` is a guarded ccxt client with its markets loaded."""

    stream_kinds = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES, Kind.ORDERS})
    has_flows = True
    ledger_lag_s = 2.0
    has_positions = True

    def __init__(self, venue: str, client: Any) -> None:
        self._venue = venue
        self._client = client
        self.notes: tuple[str, ...] = ()
        self._position_symbols: frozenset[str] = frozenset()
        self._assets: frozenset[str] = frozenset()
        self._indexed: frozenset[str] = frozenset()
        self._implied: frozenset[str] = frozenset()
        self._price_symbols: frozenset[str] = frozenset()
        self._markets_of: Any = None
        self._markets: Markets = {}
        self._streamed: dict[Kind, dict[str, Any]] = {}
        self._log = LogReader(venue, self._ask_log)
        self._known: dict[str, Order] = {}
        self._wire: KrakenFuturesWire | None = None
        self._fills = Fills(venue, FILL, self._symbol_of_fill, lambda frame: frame["fills"])

    async def balances(self) -> Mapping[str, Decimal]:
        return parse_balances(await self._client.privateGetAccounts())

    async def positions(self) -> tuple[Position, ...]:
        positions = parse_positions(await self._client.privateGetOpenpositions(), self._by_id())
        self._position_symbols = frozenset(position.symbol for position in positions)
        self._price_symbols = self._symbols_to_watch()
        return positions

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        """Marks of open positions; each asset in US dollars by its index, else by the account's own valuation."""
        self._assets = assets - {"USD"}
        self._price_symbols = self._symbols_to_watch()
        rows = (await self._client.publicGetTickers())["tickers"]
        marks = parse_marks(rows, self._position_symbols, self._by_id())
        dollars = parse_index_prices(rows, self._assets, self._by_id())
        self._indexed = frozenset(dollars)
        self._implied = frozenset()
        if missing := self._assets - self._indexed:
            implied = parse_implied_prices(await self._client.privateGetAccounts())
            self._implied = missing & implied.keys()
            dollars.update({asset: _dollar_price(asset, implied[asset]) for asset in self._implied})
        return (*marks.values(), *dollars.values())

    async def book(self, since_wall: float, now_wall: float) -> Book:
        return await self._log.read(since_wall)

    async def _ask_log(self, query: dict[str, Any]) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = (await self._client.historyGetAccountLog(query))["logs"]
        return rows

    async def orders(self, plan: ScopePlan) -> tuple[Order, ...]:
        return parse_orders(self._venue, plan.scope.name, await self._client.privateGetOpenorders(), self._by_id())

    def learning(self) -> AbstractContextManager[None]:
        return nullcontext()  # a table says it

    async def cancel(self, plan: ScopePlan, orders: Sequence[Order]) -> None:
        await self._client.privatePostCancelallorders()

    async def cancel_one(self, plan: ScopePlan, order: Order) -> None:
        await self._client.privatePostCancelorder({"order_id": order.order_id})

    def _by_id(self) -> Markets:
        """Kept from frame to frame: there are hundreds of markets, and thousands of frames a second."""
        if self._markets_of is not self._client.markets:
            self._markets_of = self._client.markets
            self._markets = {market["id"].lower(): market for market in self._client.markets.values()}
        return self._markets

    # --- streams ---------------------------------------------------------------------------------

    def watched(self, kind: Kind) -> frozenset[str]:
        return self._price_symbols if kind is Kind.PRICES else ACCOUNT

    def _symbols_to_watch(self) -> frozenset[str]:
        """Perpetuals and futures whose mark or index is needed."""
        indexes = {
            market["symbol"]
            for market in self._client.markets.values()
            if market.get("swap") and market.get("linear") and market["base"] in self._assets and market.get("active")
        }
        return self._position_symbols | indexes

    def line_of(self, kind: Kind) -> str:
        return "ws"

    async def open_wire(self, line: str) -> KrakenFuturesWire:
        client = self._client
        asks_fills = self._wire is None or not self._wire.waits_for_fills
        self._wire = KrakenFuturesWire(
            client.urls["api"][line], client.apiKey, client.secret, client.market_id, asks_fills=asks_fills
        )
        return self._wire

    def stream_began(self, kind: Kind) -> None:
        self._streamed[kind] = {}

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if kind is Kind.PRICES:
            return self._read_tickers(frames, arrived_mono)
        if kind is Kind.ORDERS:
            self._streamed.setdefault(kind, {})["snapshot"] = True
            executed = [frame for frame in frames if frame.get("feed") in FILLS]
            fills = self._fills.told(executed, arrived_mono)
            orders = [frame for frame in frames if frame.get("feed") not in FILLS]
            parse = partial(parse_order_frames, self._venue, "account", markets=self._by_id(), known=self._known)
            told = orders_seen(self._venue, arrived_mono, orders, parse, lambda frame: frame.get("feed") == SNAPSHOT)
            return (*told, *fills) or None
        return self._read_changes(kind, frames)

    def _read_tickers(self, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        marks = parse_marks(frames, self._position_symbols, self._by_id())
        dollars = parse_index_prices(frames, self._assets, self._by_id())
        self._streamed.setdefault(Kind.PRICES, {}).update(marks | dollars)
        prices = (*marks.values(), *dollars.values())
        return (PricesSeen(self._venue, arrived_mono, Source.STREAM, prices),) if prices else None

    def _read_changes(self, kind: Kind, frames: Sequence[Any]) -> Sequence[Input] | None:
        """Frames of the account come with every mark; only when an amount in them changes is it read over REST.

        Whether a frame names every wallet or position is not documented, so it is never taken as the whole.
        """
        fingerprint = wallet_fingerprint if kind is Kind.BALANCES else position_fingerprint
        before = self._streamed.get(kind)
        after = dict(before or {})
        for frame in frames:
            amounts = fingerprint(frame)
            after = amounts | {"": ZERO} if kind is Kind.POSITIONS else after | amounts | {"": ZERO}
        self._streamed[kind] = after
        return None if after == before else ()

    def _symbol_of_fill(self, row: Mapping[str, Any]) -> str:
        instrument = text(row, "instrument")
        market = self._by_id().get(instrument.lower())
        return instrument if market is None else str(market["symbol"])

    def is_confirming(self, kind: Kind) -> bool:
        seen = self._streamed.get(kind)
        if not seen or kind is not Kind.PRICES:
            return bool(seen)
        needed = self._position_symbols | self._indexed
        return not self._implied and needed <= seen.keys()
