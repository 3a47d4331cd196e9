"""Deribit, read from its raw fields: cash and this session's profit of each currency, positions, marks by instrument.

ccxt is not enough here: its balance is the equity, unrealised profit and all, and its list of open orders is of one
currency. Sizes of orders and positions are amounts, in US dollars (inverse) or coins (linear), never contracts.
https://docs.deribit.com/api-reference/account-management/private-get_account_summaries
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapters.base import KeyPowers
from adapters.conversion import mid
from adapters.dialect import Book, OrdersTold, number, optional_text, orders_seen, text, told_number, told_size
from adapters.fills import FillFields, Fills
from adapters.key_audit import may_withdraw
from adapters.own_dialect import Market, OwnDialect
from adapters.venue import VenueSettings
from adapters.venues.deribit_book import LogReader
from adapters.venues.deribit_wire import DeribitWire
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderStatus, side_of
from risk_daemon.model.events import Input, Kind, Order, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ONE

_OPEN = frozenset({"open", "untriggered"})
_ENDED = {
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELLED,
    "rejected": OrderStatus.REJECTED,
}
_FUTURE = "future"


def parse_balances(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """get_account_summaries: {currency: cash and what futures realised since the last settlement}.

    `equity` is that, `futures_session_upl` and `options_value`; cash gets the profit of futures once a day, at 08:00
    UTC, and what options cost or bring at once.
    """
    amounts: dict[str, Decimal] = {}
    for row in reply["result"]["summaries"]:
        currency = text(row, "currency")
        if currency in amounts:
            raise MalformedReply(f"the account has {currency} twice")
        amounts[currency] = number(row, "balance") + number(row, "futures_session_rpl")
    return amounts


def parse_position(row: Mapping[str, Any], market: Market | None) -> Position | None:
    """get_positions: a row as a position; None for an empty one."""
    size = number(row, "size")
    if size == 0:
        return None
    if market is None or row.get("kind") != _FUTURE:
        raise MalformedReply(f"a position in {row.get('instrument_name')!r}: only futures and perpetuals can be valued")
    if (size > 0) != (row.get("direction") == "buy"):
        raise MalformedReply(f"a position of {size} whose direction is {row.get('direction')!r}")
    is_inverse = market["inverse"] is True
    return Position(
        symbol=market["symbol"],
        quantity=size,
        entry=_entry(row, size, is_inverse=is_inverse),
        settle=market["settle"],
        underlying=market["base"],
        contract_size=ONE,
        inverse=is_inverse,
    )


def _entry(row: Mapping[str, Any], size: Decimal, *, is_inverse: bool) -> Decimal:
    """The price that profit counts from: the average one, or after a settlement the one that leaves what is floating.

    What was settled lies in the cash already, while `average_price` stays.
    """
    floating, average = number(row, "floating_profit_loss"), number(row, "average_price")
    entry = average
    if floating != number(row, "total_profit_loss"):
        mark = number(row, "mark_price")
        if mark <= 0:
            raise MalformedReply("a position without a mark price")
        inverse_entry = ONE / mark + floating / size
        if is_inverse and inverse_entry <= 0:
            raise MalformedReply("a position whose profit is more than its worth")
        entry = ONE / inverse_entry if is_inverse else mark - floating / size
    if entry <= 0:
        raise MalformedReply(f"a position from a price of {entry}")
    return entry


def parse_price(row: Mapping[str, Any], market: Market) -> Price | None:
    """ticker: the mid of a spot pair, the mark of a contract; None where there is none above zero."""
    is_spot = market.get("spot") is True
    # A side that nobody offers on is 0 in the stream, and null over REST.
    sides = (row.get(name) or None for name in ("best_bid_price", "best_ask_price"))
    value = mid(*sides) if is_spot else number(row, "mark_price")
    if value is None or value <= 0:
        return None
    return Price(market["symbol"], market["base"], market["quote"], value, converts=is_spot)


_A_SCOPE = re.compile(r"[a-z_]+:(read|read_write|none)$")


def read_powers(row: Any) -> KeyPowers:
    """What list_api_keys tells of our own key; nothing, if it does not tell. Raises MalformedReply for an odd row."""
    if row is None:
        return KeyPowers()
    scopes, addresses = row.get("max_scope"), row.get("ip_whitelist")
    if not isinstance(scopes, str) or not (addresses is None or isinstance(addresses, list)):
        raise MalformedReply("the venue's word on the key is odd")
    may = frozenset(scopes.replace(",", " ").split())
    return KeyPowers(
        may_read=bool(may & {"account:read", "account:read_write"}),
        may_cancel="trade:read_write" in may,
        may_withdraw=may_withdraw(may, {"wallet:read_write"}, [*filter(_A_SCOPE.match, may)]),
        is_bound=bool(addresses),
    )


def adjust(client: Any) -> None:
    """Lets ccxt's client count in the venue's amounts, sign with the venue's time, and name orders by their label."""
    own_ms, fetch_markets, create_order = client.milliseconds, client.fetch_markets, client.create_order

    def milliseconds() -> int:
        return int(own_ms()) - int(client.options.get("timeDifference", 0))

    async def load_time_difference(_: Any = None) -> int:
        """A signature is good for a minute."""
        apart = client.options["timeDifference"] = int(own_ms()) - int(await client.fetch_time())
        return apart

    async def markets(params: Any = None) -> Any:
        await load_time_difference()
        rows = await fetch_markets(params or {})
        return [{**row, "contractSize": 1} if row.get("contract") else row for row in rows]

    async def order(symbol: str, kind: str, side: str, amount: Any, price: Any = None, params: Any = None) -> Any:
        named = {("label" if name == "clientOrderId" else name): value for name, value in (params or {}).items()}
        return await create_order(symbol, kind, side, amount, price, named)

    async def own_key(_: Any = None) -> Any:
        rows = (await client.privateGetListApiKeys())["result"]
        return next((row for row in rows if isinstance(row, dict) and row.get("client_id") == client.apiKey), None)

    client.milliseconds, client.load_time_difference = milliseconds, load_time_difference
    client.fetch_markets, client.create_order, client.own_key = markets, order, own_key


FILL = FillFields(
    fill_id="trade_id",
    order_id="order_id",
    quantity="amount",
    price="price",
    time="timestamp",
    side="direction",
    client_order_id=("label",),
    fee_asset="fee_currency",
)


class DeribitDialect(OwnDialect):
    """Deribit's calls."""

    def __init__(self, account: VenueSettings, client: Any) -> None:
        super().__init__(account, client)
        adjust(client)
        kinds = {Kind.BALANCES, Kind.PRICES, Kind.ORDERS}
        self.stream_kinds = frozenset(kinds | {Kind.POSITIONS} if self.has_positions else kinds)
        self.notes = (
            "deribit: options are not valued: a position in one leaves the account unknown, and nothing is safe then",
            "deribit: there is no dead man's switch: cancel-on-disconnect reaches the orders of one connection alone",
        )
        self._log = LogReader(account.name, self._ask_log, client.safe_currency_code)
        self._fills = Fills(account.name, FILL, self._symbol_of, lambda data: data["trades"])
        self._currencies: tuple[str, ...] = ()
        self._moving: frozenset[str] = frozenset()
        self._cash: dict[str, Decimal] = {}

    # --- account ---------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Decimal]:
        amounts = parse_balances(await self._client.privateGetGetAccountSummaries())
        self._currencies = tuple(sorted(amounts))
        self._moving |= {currency for currency, amount in amounts.items() if amount}
        return {self._client.safe_currency_code(currency): amount for currency, amount in amounts.items()}

    async def positions(self) -> tuple[Position, ...]:
        rows = (await self._client.privateGetGetPositions({"currency": "any"}))["result"]
        parsed = (parse_position(row, self.market_of(text(row, "instrument_name"), spot=False)) for row in rows)
        positions = tuple(position for position in parsed if position is not None)
        symbols = [position.symbol for position in positions]
        if len(symbols) != len(set(symbols)):
            raise MalformedReply("two positions in one instrument")
        self._position_symbols = frozenset(symbols)
        return positions

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        """Mids of the pairs that value assets, and marks of what is held: one call each."""
        wanted = self._price_symbols = self.pairs_for(assets) | self._position_symbols
        found = await asyncio.gather(*map(self._price, sorted(wanted)))
        return tuple(price for price in found if price is not None)

    async def _price(self, symbol: str) -> Price | None:
        market = self._client.markets.get(symbol)
        if market is None:
            return None
        row = (await self._client.publicGetTicker({"instrument_name": market["id"]}))["result"]
        if row["instrument_name"] != market["id"]:
            raise MalformedReply(f"asked for {market['id']}, told of {row['instrument_name']!r}")
        return parse_price(row, market)

    async def book(self, since_wall: float, now_wall: float) -> Book:
        await self.balances()
        return Book(await self._log.read(self._currencies, self._moving, since_wall, now_wall))

    async def _ask_log(self, query: dict[str, Any]) -> Mapping[str, Any]:
        result: Mapping[str, Any] = (await self._client.privateGetGetTransactionLog(query))["result"]
        return result

    # --- streams ---------------------------------------------------------------------------------

    def line_of(self, kind: Kind) -> str:
        return "ws"

    async def open_wire(self, line: str) -> DeribitWire:
        client = self._client
        url = client.urls["api"][line]
        return DeribitWire(url, client.apiKey, client.secret, client.milliseconds, client.market_id)

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        rows = [frame["params"]["data"] for frame in frames]
        if kind is Kind.PRICES:
            return self._read_prices(rows, arrived_mono)
        if kind is Kind.BALANCES:
            return self._read_money(rows)
        if kind is Kind.POSITIONS:
            return () if any(row["positions"] or row["trades"] for row in rows) else None
        changed = [row for data in rows for row in data["orders"]]
        told = orders_seen(self._venue, arrived_mono, changed, self._told, lambda _: False)
        return (*told, *self._fills.told(rows, arrived_mono)) or None

    def _read_prices(self, rows: Sequence[Mapping[str, Any]], arrived_mono: float) -> Sequence[Input] | None:
        found: dict[str, Price] = {}
        for row in rows:
            known = self._client.markets_by_id.get(text(row, "instrument_name"), ())
            market = next((each for each in known if each["symbol"] in self._price_symbols), None)
            price = None if market is None else parse_price(row, market)
            found.update({} if price is None else {price.symbol: price})
        self._seen.setdefault(Kind.PRICES, set()).update(found)
        return (PricesSeen(self._venue, arrived_mono, Source.STREAM, tuple(found.values())),) if found else None

    def _read_money(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Input] | None:
        """Portfolios are told with every mark while there are positions: only another cash, or a trade, is read."""
        before = dict(self._cash)
        portfolios = (row for row in rows if "trades" not in row)
        self._cash.update({text(row, "currency").upper(): number(row, "balance") for row in portfolios})
        return () if self._cash != before or any(row.get("trades") for row in rows) else None

    def _told(self, rows: Sequence[Mapping[str, Any]]) -> OrdersTold:
        told = OrdersTold()
        for row in rows:
            order = self._order(row)
            if row.get("order_state") in _OPEN:
                told.is_open(order)
            else:
                told.has_ended(order.order_id, order, _ENDED.get(str(row.get("order_state")), OrderStatus.ENDED))
        return told

    def _symbol_of(self, row: Mapping[str, Any]) -> str:
        instrument = text(row, "instrument_name")
        known = self._client.markets_by_id.get(instrument, ())
        return str(next((market["symbol"] for market in known), instrument))

    def _order(self, row: Mapping[str, Any]) -> Order:
        quantity, filled = told_size(row, "amount"), told_number(row, "filled_amount")
        return Order(
            venue=self._venue,
            scope="account",
            order_id=text(row, "order_id"),
            symbol=self._symbol_of(row),
            side=side_of(row.get("direction")),
            order_type=str(row.get("order_type", "")),
            client_order_id=optional_text(row, "label"),
            reduce_only=row.get("reduce_only") is True,
            remaining=None if quantity is None or filled is None else quantity - filled,
            quantity=quantity,
            price=told_size(row, "price"),
            trigger_price=told_size(row, "trigger_price", "stop_price"),
        )
