"""Kraken spot and margin, read from its raw fields.

ccxt is not enough here: it keeps earn and staked balances apart from the asset they are, forgets
credit, gives margin positions no entry, counts a closed part of one as open, and reads one page of
the ledger. Addresses: https://docs.kraken.com/api-reference/account-data
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from functools import partial
from typing import Any

from adapters.base import Market
from adapters.cancel_plans import ScopePlan
from adapters.conversion import mid, needed_symbols, spot_pairs
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
from adapters.venues.kraken_book import NOT_MONEY, WALLET_SUFFIX, LedgerReader, asset_code
from adapters.venues.kraken_wire import KrakenWire
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.account import OrderStatus, side_of
from risk_daemon.model.events import BalancesSeen, Input, Kind, Order, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ZERO, finite

_TRIGGERS = frozenset(
    {"stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit", "trailing-stop", "trailing-stop-limit"}
)
_OPEN_STATUSES = frozenset({"pending_new", "new", "partially_filled", "open", "pending"})
_ENDED_STATUSES = {
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
    "closed": OrderStatus.ENDED,
}


def parse_balances(reply: Mapping[str, Any]) -> dict[str, Decimal]:
    """BalanceEx: {asset: balance - credit used}, wallets of one asset added up. `balance` includes what orders hold."""
    amounts: dict[str, Decimal] = {}
    for raw, row in reply["result"].items():
        asset = asset_code(raw)
        if asset not in NOT_MONEY:
            credit = number(row, "credit_used") if row.get("credit_used") is not None else ZERO
            amounts[asset] = amounts.get(asset, ZERO) + number(row, "balance") - credit
    return amounts


def plain_assets(reply: Mapping[str, Any]) -> frozenset[str]:
    """Assets with one wallet and no credit: for these the stream's balance and BalanceEx mean the same."""
    rows: dict[str, list[bool]] = {}
    for raw, row in reply["result"].items():
        has_credit = any(finite(row.get(key) or 0) != 0 for key in ("credit", "credit_used"))
        rows.setdefault(asset_code(raw), []).append(has_credit or WALLET_SUFFIX.search(raw) is not None)
    return frozenset(asset for asset, oddities in rows.items() if oddities == [False])


def parse_positions(
    rows: Sequence[Mapping[str, Any]], markets: Mapping[str, Mapping[str, Any]]
) -> tuple[Position, ...]:
    """OpenPositions: what is still open of each, entered at cost / volume. `markets` is keyed by pair name."""
    return merged([position for row in rows if (position := _position(row, markets)) is not None])


def _position(row: Mapping[str, Any], markets: Mapping[str, Mapping[str, Any]]) -> Position | None:
    volume = number(row, "vol")
    remaining = volume - number(row, "vol_closed")
    if remaining < 0 or volume <= 0:
        raise MalformedReply("a position's closed volume is above its volume")
    if remaining == 0:
        return None
    market = _market(row, "pair", markets)
    side = _signs(row, {"buy": 1, "sell": -1})
    return Position(
        symbol=market["symbol"],
        quantity=remaining * side,
        entry=number(row, "cost") / volume,
        settle=market["quote"],
        underlying=market["base"],
    )


def _signs(row: Mapping[str, Any], signs: Mapping[str, int]) -> int:
    side = text(row, "type")
    if side not in signs:
        raise MalformedReply(f"a position of type {side!r}")
    return signs[side]


def _market(row: Mapping[str, Any], key: str, markets: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    pair = text(row, key)
    if pair not in markets:
        raise MalformedReply(f"the pair {pair!r} is not in the market list")
    return markets[pair]


def parse_orders(
    venue: str, scope: str, reply: Mapping[str, Any], markets: Mapping[str, Mapping[str, Any]]
) -> tuple[Order, ...]:
    """OpenOrders: every row, plain and trigger. An order of an unknown pair keeps the venue's name for it."""
    return tuple(_order(venue, scope, txid, row, markets) for txid, row in reply["result"]["open"].items())


def _order(
    venue: str, scope: str, txid: str, row: Mapping[str, Any], markets: Mapping[str, Mapping[str, Any]]
) -> Order:
    described = row["descr"]
    pair, has_trigger = text(described, "pair"), described.get("ordertype") in _TRIGGERS
    return Order(
        venue=venue,
        scope=scope,
        order_id=txid,
        symbol=markets[pair]["symbol"] if pair in markets else pair,
        side=side_of(text(described, "type")),
        order_type=text(described, "ordertype"),
        client_order_id=optional_text(row, "cl_ord_id", "userref"),
        reduce_only=row.get("reduce_only") is True or row.get("reduceOnly") is True,
        remaining=number(row, "vol") - number(row, "vol_exec"),
        quantity=told_size(row, "vol"),
        price=_listed_price(described, has_trigger),
        trigger_price=told_size(described, "price") if has_trigger else None,
    )


def _listed_price(described: Mapping[str, Any], has_trigger: bool) -> Decimal | None:
    """Of an order that waits for a price that one is `price`, and its limit `price2`."""
    return told_size(described, "price2" if has_trigger else "price")


def parse_tickers(rows: Mapping[str, Mapping[str, Any]], markets: Mapping[str, Mapping[str, Any]]) -> tuple[Price, ...]:
    """Ticker: mids. A pair without a sound bid and ask is left out: unknown, not zero."""
    prices = []
    for market_id, row in rows.items():
        value = mid(number(row["b"], 0), number(row["a"], 0))  # type: ignore[arg-type]
        if value is not None and market_id in markets:
            prices.append(_price(markets[market_id], value))
    return tuple(prices)


def _price(market: Mapping[str, Any], value: Decimal) -> Price:
    return Price(market["symbol"], market["base"], market["quote"], value)


def parse_ticker_frames(
    frames: Sequence[Mapping[str, Any]], by_symbol: Mapping[str, Mapping[str, Any]]
) -> dict[str, Price]:
    """Stream `ticker`: the newest sound mid of each symbol."""
    prices: dict[str, Price] = {}
    for row in (row for frame in frames for row in frame["data"]):
        market = by_symbol.get(row["symbol"])
        value = mid(row.get("bid"), row.get("ask"))
        if market is not None and value is not None:
            prices[market["symbol"]] = _price(market, value)
    return prices


def parse_balance_frames(frames: Sequence[Mapping[str, Any]], plain: frozenset[str]) -> tuple[dict[str, Decimal], bool]:
    """Stream `balances`: (amounts that can't be read in two ways, whether there is more that must be read over REST).

    A row's `balance` is the asset's total in a snapshot; whether an update's is the wallet's or the
    asset's is not documented. For an asset with one wallet it is the same. Anything but a trade may
    have made a second wallet.
    """
    amounts: dict[str, Decimal] = {}
    is_partial = False
    for frame in frames:
        for row in frame["data"]:
            asset = asset_code(text(row, "asset"))
            amount = number(row, "balance")
            if asset in plain and _is_main_wallet(row) and row.get("type", "trade") == "trade":
                amounts[asset] = amount
            elif asset not in NOT_MONEY:
                amounts.pop(asset, None)
                is_partial = True
    return amounts, is_partial


def _is_main_wallet(row: Mapping[str, Any]) -> bool:
    wallets = row.get("wallets")
    if wallets is None:
        return (row.get("wallet_type"), row.get("wallet_id")) == ("spot", "main")
    return [(wallet.get("type"), wallet.get("id")) for wallet in wallets] == [("spot", "main")]


def parse_order_frames(
    venue: str, scope: str, frames: Sequence[Mapping[str, Any]], known: dict[str, Order] | None = None
) -> OrdersTold:
    """Stream `executions`. A row without a symbol adds to one that came before it and says little by itself."""
    told = OrdersTold(known)
    for row in (row for frame in frames for row in frame["data"]):
        order_id, status = text(row, "order_id"), row.get("order_status")
        order = _streamed_order(venue, scope, order_id, row) if row.get("symbol") else None
        if status in _ENDED_STATUSES:
            told.has_ended(order_id, order, _ENDED_STATUSES[status])
        elif status in _OPEN_STATUSES and order is not None:
            told.is_open(order)
    return told


FILL = FillFields(
    fill_id="exec_id",
    order_id="order_id",
    quantity="last_qty",
    price="last_price",
    time="timestamp",
    client_order_id=("cl_ord_id", "order_userref"),
)


def executions(frame: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Stream `executions`: what was executed, with the first of its fees."""
    return [_with_fee(row) for row in frame["data"] if row.get("exec_type") == "trade"]


def _with_fee(row: Mapping[str, Any]) -> Mapping[str, Any]:
    fee: Mapping[str, Any] = next(iter(row.get("fees") or ()), {})
    return {**row, "fee": fee.get("qty"), "feeAsset": fee.get("asset")}


def _streamed_order(venue: str, scope: str, order_id: str, row: Mapping[str, Any]) -> Order:
    quantity, filled = told_size(row, "order_qty"), told_number(row, "cum_qty")
    return Order(
        venue=venue,
        scope=scope,
        order_id=order_id,
        symbol=row["symbol"],
        side=side_of(row.get("side")),
        order_type=str(row.get("order_type", "")),
        client_order_id=optional_text(row, "cl_ord_id", "order_userref"),
        reduce_only=row.get("reduce_only") is True,
        remaining=None if quantity is None or filled is None else quantity - filled,
        quantity=quantity,
        price=told_size(row, "limit_price"),
        trigger_price=told_size(row.get("triggers"), "price") or told_size(row, "stop_price"),
    )


class KrakenDialect:
    """Kraken's calls. `client` is a guarded ccxt client with its markets loaded."""

    stream_kinds = frozenset({Kind.BALANCES, Kind.PRICES, Kind.ORDERS})
    has_flows = True
    ledger_lag_s = 2.0

    def __init__(self, venue: str, markets: frozenset[Market], reference: str, client: Any) -> None:
        self._venue = venue
        self._reference = reference
        self._client = client
        self.has_positions = Market.MARGIN in markets
        self.notes: tuple[str, ...] = ()
        self._plain: frozenset[str] = frozenset()
        self._position_symbols: frozenset[str] = frozenset()
        self._price_symbols: frozenset[str] = frozenset()
        self._streamed: dict[Kind, set[str]] = {}
        self._markets_of: object = None
        self._markets: dict[str, Mapping[str, Any]] = {}
        self._ledger = LedgerReader(venue, self._ask_ledger)
        self._known: dict[str, Order] = {}
        self._fills = Fills(venue, FILL, self._symbol_of_fill, executions)

    async def balances(self) -> Mapping[str, Decimal]:
        reply = await self._client.privatePostBalanceEx()
        amounts = parse_balances(reply)
        self._plain = plain_assets(reply)
        return amounts

    async def positions(self) -> tuple[Position, ...]:
        reply = await self._client.privatePostOpenPositions({"consolidation": "market"})
        rows = reply["result"]
        if rows == {}:
            await self._prove_flat()
        positions = parse_positions(list(rows.values()) if isinstance(rows, dict) else rows, self._by_pair())
        self._position_symbols = frozenset(position.symbol for position in positions)
        return positions

    async def _prove_flat(self) -> None:
        """An empty object is no list of positions; the margin it would take must be zero too."""
        try:
            balance = (await self._client.privatePostTradeBalance())["result"]
        except VenueRejected as error:
            raise MalformedReply(
                f"OpenPositions is an empty object, and no margin in use can be read: {error}"
            ) from None
        if number(balance, "m") != 0 or number(balance, "c") != 0:
            raise MalformedReply("OpenPositions is empty while margin is in use")

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        pairs = spot_pairs(self._client.markets.values())
        symbols = needed_symbols(assets, self._reference, pairs) | self._position_symbols
        self._price_symbols = symbols
        if not symbols:
            return ()
        ids = ",".join(sorted(self._client.market(symbol)["id"] for symbol in symbols))
        reply = await self._client.publicGetTicker({"pair": ids})
        return parse_tickers(reply["result"], self._by_pair())

    async def book(self, since_wall: float, now_wall: float) -> Book:
        return await self._ledger.read(since_wall)

    async def _ask_ledger(self, query: dict[str, Any]) -> Mapping[str, Any]:
        result: Mapping[str, Any] = (await self._client.privatePostLedgers(query))["result"]
        return result

    async def orders(self, plan: ScopePlan) -> tuple[Order, ...]:
        reply = await self._client.privatePostOpenOrders()
        return parse_orders(self._venue, plan.scope.name, reply, self._by_pair())

    def learning(self) -> AbstractContextManager[None]:
        return nullcontext()  # a table says it

    async def cancel(self, plan: ScopePlan, orders: Sequence[Order]) -> None:
        await self._client.privatePostCancelAll()

    async def cancel_one(self, plan: ScopePlan, order: Order) -> None:
        await self._client.privatePostCancelOrder({"txid": order.order_id})

    def _by_pair(self) -> dict[str, Mapping[str, Any]]:
        """Markets by every name that Kraken gives a pair. Kept: there are a thousand, and a sweep asks for it often."""
        if self._markets_of is not self._client.markets:
            self._markets_of = self._client.markets
            self._markets = {}
            for name in ("wsId", "altname", "id"):
                self._markets.update({market[name]: market for market in self._client.markets.values()})
        return self._markets

    # --- streams ---------------------------------------------------------------------------------

    def watched(self, kind: Kind) -> frozenset[str]:
        return self._price_symbols if kind is Kind.PRICES else ACCOUNT

    def line_of(self, kind: Kind) -> str:
        return "publicV2" if kind is Kind.PRICES else "privateV2"

    async def open_wire(self, line: str) -> KrakenWire:
        url = self._client.urls["api"]["ws"][line]
        if line == "publicV2":
            return KrakenWire(url)
        return KrakenWire(url, (await self._client.privatePostGetWebSocketsToken())["result"]["token"])

    def stream_began(self, kind: Kind) -> None:
        self._streamed[kind] = set()

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        seen = self._streamed.setdefault(kind, set())
        if kind is Kind.PRICES:
            prices = parse_ticker_frames(frames, self._client.markets)
            seen.update(prices)
            return (PricesSeen(self._venue, arrived_mono, Source.STREAM, tuple(prices.values())),) if prices else None
        seen.update(frame.get("type", "") for frame in frames)
        if kind is Kind.ORDERS:
            fills = self._fills.told(frames, arrived_mono)
            parse = partial(parse_order_frames, self._venue, "account", known=self._known)
            told = orders_seen(self._venue, arrived_mono, frames, parse, lambda frame: frame.get("type") == "snapshot")
            return (*told, *fills)
        amounts, is_partial = parse_balance_frames(frames, self._plain)
        if is_partial or not amounts:
            return ()
        return (BalancesSeen(self._venue, arrived_mono, Source.STREAM, amounts, complete=False),)

    def _symbol_of_fill(self, row: Mapping[str, Any]) -> str:
        """Its own, or its order's: rows that come later repeat little."""
        known = self._known.get(str(row.get("order_id")))
        return known.symbol if known is not None and not row.get("symbol") else text(row, "symbol")

    def is_confirming(self, kind: Kind) -> bool:
        seen = self._streamed.get(kind, set())
        return bool(seen) and (self._price_symbols <= seen if kind is Kind.PRICES else "snapshot" in seen)
