"""Any exchange that ccxt knows, by ccxt's unified calls.

Weaker than a dialect of one's own, and said so in its notes: a reply is held against the shape that
was seen at connect and against its own count of rows; streams of accounts are only a signal to read
over REST. Its orders are listed and cancelled by the venue's own calls where its file says them; else trigger orders
that ccxt lists by a separate call are not covered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from adapters.base import SPOT_MARKETS, Market
from adapters.cancel_plans import CancelBy, ScopePlan
from adapters.conversion import mid, needed_symbols, spot_pairs
from adapters.dialect import ACCOUNT, Book, merged, number, optional_text, text, told_size
from adapters.envelopes import Shape, check_same_shape, count_rows, shape_of
from adapters.failures import is_gone
from adapters.guarded import recording
from adapters.lane import Urgency, current_urgency, travelling
from adapters.order_books import OrderBooks
from adapters.venue import Venue, Wallet
from risk_daemon.errors import ConfigError, MalformedReply, VenueError, VenueUnavailable
from risk_daemon.model.account import side_of
from risk_daemon.model.events import Flow, Input, Kind, Order, OrdersSeen, Position, Price, PricesSeen, Source
from risk_daemon.model.units import ZERO

_FLOW_WINDOW_S = 25 * 86_400
_FLOW_PAGE = 100
_FLOW_PAGES = 50


def parse_wallet(wallet: Wallet, reply: Any) -> dict[str, Decimal]:
    """{asset: amount - debt} of a raw balance reply. Raises MalformedReply if the rows are not where they belong."""
    rows = reply
    for name in wallet.rows:
        try:
            rows = rows[int(name)] if isinstance(rows, list) else rows[name]
        except (KeyError, IndexError, TypeError, ValueError):
            raise MalformedReply(f"the balance has no {'.'.join(wallet.rows)}") from None
    if not isinstance(rows, list):
        raise MalformedReply("the balance's rows are not a list")
    return {text(row, wallet.asset): _net(wallet, row) for row in rows}


def _net(wallet: Wallet, row: Mapping[str, Any]) -> Decimal:
    owed = number(row, wallet.debt) if wallet.debt is not None else ZERO
    return number(row, wallet.amount) - owed


def parse_unified_balance(balance: Mapping[str, Any]) -> dict[str, Decimal]:
    """ccxt's `total` of every asset, minus debt where ccxt states one."""
    totals = balance.get("total")
    if not isinstance(totals, dict):
        raise MalformedReply("the balance has no totals")
    debts = balance.get("debt") or {}
    return {
        asset: number(totals, asset) - (number(debts, asset) if debts.get(asset) is not None else ZERO)
        for asset in totals
        if asset is not None
    }


def parse_unified_position(row: Mapping[str, Any], markets: Mapping[str, Mapping[str, Any]]) -> Position | None:
    """A ccxt position; None for one without contracts."""
    contracts = number(row, "contracts")
    market = markets.get(text(row, "symbol"))
    if market is None or row.get("side") not in {"long", "short"}:
        if contracts == 0:
            return None
        raise MalformedReply("a position of unknown symbol or side")
    if contracts == 0:
        return None
    return Position(
        symbol=market["symbol"],
        quantity=contracts if row["side"] == "long" else -contracts,
        entry=number(row, "entryPrice"),
        settle=market["settle"],
        underlying=market["base"],
        contract_size=number(market, "contractSize"),
        inverse=market.get("inverse") is True,
    )


def parse_unified_order(venue: str, scope: str, row: Mapping[str, Any]) -> Order:
    """A ccxt order."""
    return Order(
        venue=venue,
        scope=scope,
        order_id=text(row, "id"),
        symbol=text(row, "symbol"),
        side=side_of(row.get("side")),
        order_type=str(row.get("type")),
        client_order_id=optional_text(row, "clientOrderId"),
        reduce_only=row.get("reduceOnly") is True,
        remaining=number(row, "remaining") if row.get("remaining") is not None else None,
        quantity=told_size(row, "amount"),
        price=told_size(row, "price"),
        trigger_price=told_size(row, "triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice"),
    )


class GenericDialect:
    """ccxt's unified calls. `client` is a guarded ccxt client with its markets loaded."""

    ledger_lag_s = 2.0

    def __init__(self, name: str, venue: Venue, markets: frozenset[Market], reference: str, client: Any) -> None:
        if Market.PERP in markets and venue.wallet is None:
            raise ConfigError(
                f"{venue.exchange}: it is not known which field of its balance excludes unrealised profit; "
                "its perp market needs a file in adapters/venues with its wallet"
            )
        lacking = [name for name in ("fetchDeposits", "fetchWithdrawals") if client.has.get(name) is not True]
        if venue.deposits_reach_spot and lacking:
            raise ConfigError(
                f"{venue.exchange} lacks {', '.join(lacking)} in ccxt: take `deposits_reach_spot` out of its file"
            )
        self._name = name
        self._venue = venue
        self._markets = markets
        self._reference = reference
        self._client = client
        self._books = OrderBooks(name, client, self._parts)
        self._shapes: dict[str, Shape] = {}
        self.may_learn = False
        self._position_symbols: frozenset[str] = frozenset()
        self._price_symbols: frozenset[str] = frozenset()
        self.has_positions = Market.PERP in markets
        self.has_flows = not self.has_positions and venue.deposits_reach_spot
        self.stream_kinds = frozenset(kind for kind, name in self._watchers().items() if client.has.get(name) is True)
        self.notes = self._notes()

    def _notes(self) -> tuple[str, ...]:
        exchange = self._venue.exchange
        notes = []
        if self._venue.replies is None:
            notes.append(f"{exchange}: replies are held against the shape seen at connect, not against a known one")
        if self._venue.scopes is None:
            notes.append(f"{exchange}: trigger orders that it lists apart from plain ones are not covered")
        if self.has_flows:
            notes.append(f"{exchange}: deposits and withdrawals are listed, transfers between wallets are not")
        else:
            notes.append(f"{exchange} has no ledger here: a withdrawal or transfer looks like a loss")
        return tuple(notes)

    def _watchers(self) -> dict[Kind, str]:
        watchers = {Kind.BALANCES: "watchBalance", Kind.PRICES: "watchTickers", Kind.ORDERS: "watchOrders"}
        return watchers | {Kind.POSITIONS: "watchPositions"} if self.has_positions else watchers

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Only while connecting: later the first odd reply would become the pattern."""
        self.may_learn = True
        try:
            yield
        finally:
            self.may_learn = False

    async def _asked(self, purpose: str, ask: Callable[[], Awaitable[Any]]) -> tuple[Any, list[Any]]:
        """What ccxt made of the replies, and the replies, each of the shape that this purpose had at connect."""
        with recording() as replies:
            parsed = await ask()
        if not replies:
            raise MalformedReply(f"{purpose}: nothing was asked of the venue")
        for index, reply in enumerate(replies):
            name = f"{purpose} {index}"
            if name not in self._shapes and not self.may_learn:
                raise MalformedReply(f"{purpose}: not connected yet, so it is not known what a proven reply looks like")
            check_same_shape(self._shapes.setdefault(name, shape_of(reply)), reply)
        return parsed, replies

    async def balances(self) -> Mapping[str, Decimal]:
        amounts: dict[str, Decimal] = {}
        for kind in self._account_types():
            parsed, replies = await self._asked(f"balances {kind}", lambda kind=kind: self._balance(kind))  # type: ignore[misc]
            wallet = self._venue.wallet
            rows = parse_unified_balance(parsed) if wallet is None else parse_wallet(wallet, replies[-1])
            for asset, amount in rows.items():
                amounts[asset] = amounts.get(asset, ZERO) + amount
        if not amounts:
            raise MalformedReply("the balance holds no asset at all")
        return amounts

    async def _balance(self, kind: str) -> Any:
        return await self._client.fetch_balance({"type": kind})

    def _account_types(self) -> tuple[str, ...]:
        if self._venue.shares_wallet:
            return ("swap",) if Market.PERP in self._markets else ("spot",)
        kinds = (("spot", bool(self._markets & SPOT_MARKETS)), ("swap", Market.PERP in self._markets))
        return tuple(kind for kind, is_wanted in kinds if is_wanted)

    async def positions(self) -> tuple[Position, ...]:
        rows, _ = await self._asked("positions", self._client.fetch_positions)
        found = (parse_unified_position(row, self._client.markets) for row in rows)
        positions = merged([position for position in found if position is not None])
        self._position_symbols = frozenset(position.symbol for position in positions)
        return positions

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]:
        pairs = spot_pairs(self._client.markets.values())
        self._price_symbols = needed_symbols(assets, self._reference, pairs) | self._position_symbols
        if not self._price_symbols:
            return ()
        client, tickers = self._client, {}
        marks = client.fetch_mark_prices if self._venue.marks_apart else client.fetch_tickers
        quoted = self._price_symbols - self._position_symbols
        for fetch, symbols in ((client.fetch_tickers, quoted), (marks, self._position_symbols)):
            if symbols:
                tickers.update(await fetch(sorted(symbols)))
        return self._parse_tickers(tickers)

    def _parse_tickers(self, tickers: Mapping[str, Any]) -> tuple[Price, ...]:
        prices = []
        for symbol in sorted(self._price_symbols & tickers.keys()):
            market, ticker = self._client.markets[symbol], tickers[symbol]
            is_position = symbol in self._position_symbols
            mark = ticker.get("markPrice") if is_position else None
            value = mid(mark, mark) or mid(ticker.get("bid"), ticker.get("ask"))
            if value is not None:
                is_spot = market.get("spot") is True
                prices.append(Price(symbol, market["base"], market["quote"], value, converts=is_spot))
        return tuple(prices)

    async def book(self, since_wall: float, now_wall: float) -> Book:
        if not self.has_flows:
            raise VenueUnavailable(f"{self._venue.exchange} lists no deposits and withdrawals")
        arrived = await self._transactions(self._client.fetch_deposits, since_wall, now_wall)
        left = await self._transactions(self._client.fetch_withdrawals, since_wall, now_wall)
        return Book(tuple(self._flow(row, sign) for rows, sign in ((arrived, 1), (left, -1)) for row in rows))

    async def _transactions(
        self, fetch: Callable[..., Awaitable[Any]], since_wall: float, now_wall: float
    ) -> list[Any]:
        """Exchanges show a month or so from a start, and say nothing of the rest: so it is asked for month by month."""
        found: dict[str, Any] = {}
        start_wall = since_wall
        while start_wall < now_wall:
            found.update(await self._window(fetch, start_wall))
            start_wall += _FLOW_WINDOW_S
        return [row for row in found.values() if row.get("status") == "ok"]

    async def _window(self, fetch: Callable[..., Awaitable[Any]], start_wall: float) -> dict[str, Any]:
        found: dict[str, Any] = {}
        start_ms = int(start_wall * 1000)
        for _ in range(_FLOW_PAGES):
            page = await fetch(None, start_ms, _FLOW_PAGE)
            new = {text(row, "id"): row for row in page if row.get("id") not in found}
            found.update(new)
            if len(page) < _FLOW_PAGE or not new:
                return found
            start_ms = max(int(row["timestamp"]) for row in page)
        raise MalformedReply("the list of transactions does not come to an end")

    def _flow(self, row: Mapping[str, Any], sign: int) -> Flow:
        kind = "deposit" if sign > 0 else "withdrawal"
        amount = number(row, "amount") * sign
        return Flow(
            flow_id=f"{kind}:{row['id']}",
            venue=self._name,
            asset=text(row, "currency"),
            amount=amount,
            wall=row["timestamp"] / 1000,
            kind=kind,
        )

    # --- orders ----------------------------------------------------------------------------------

    async def _parts(self, each: str) -> Sequence[Mapping[str, Any]]:
        parts = self._venue.parts[each]
        return parts.reads(await getattr(self._client, parts.call)(dict(parts.params)))

    async def orders(self, plan: ScopePlan) -> tuple[Order, ...]:
        if plan.calls is not None:
            return await self._books.listed(plan)
        params = dict(plan.listing)
        if plan.page_rows is not None:
            params.setdefault("limit", plan.page_rows)
        rows, replies = await self._asked(
            f"orders {plan.scope.name}", lambda: self._client.fetch_open_orders(None, None, None, params)
        )
        if sum(map(count_rows, replies)) != len(rows):
            raise MalformedReply(f"{plan.scope.name}: the reply has more orders than could be read")
        orders = tuple(parse_unified_order(self._name, plan.scope.name, row) for row in rows)
        if plan.page_rows is not None and len(orders) >= plan.page_rows and all(row.reduce_only for row in orders):
            raise VenueUnavailable(f"{plan.scope.name}: a full page of protective orders may hide others behind it")
        return orders

    async def cancel(self, plan: ScopePlan, orders: Sequence[Order]) -> None:
        """Every cancel of the plan is sent, whatever becomes of the others; then the first failure is raised.

        All at once: how many of them are under way is the lane's business.
        """
        if plan.calls is not None:
            await self._books.cancel(plan, orders)
            return
        cancels = [cancel for params in plan.cancels for cancel in self._cancels(plan, orders, dict(params))]
        outcomes = await asyncio.gather(*(cancel() for cancel in cancels), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not (isinstance(outcome, VenueError) and is_gone(outcome)):
                raise outcome

    async def cancel_one(self, plan: ScopePlan, order: Order) -> None:
        if plan.calls is not None:
            await self._books.cancel_one(plan, order)
            return
        await self._cancel_one(order.order_id, order.symbol, dict(plan.cancels[0]))

    def _cancels(
        self, plan: ScopePlan, orders: Sequence[Order], params: dict[str, Any]
    ) -> list[Callable[[], Awaitable[Any]]]:
        client = self._client
        by_symbol: dict[str, list[str]] = {}
        for order in orders:
            by_symbol.setdefault(order.symbol, []).append(order.order_id)
        if plan.cancel_by is CancelBy.ALL:
            return [lambda: client.cancel_all_orders(None, dict(params))]
        if plan.cancel_by is CancelBy.SYMBOL:
            return [lambda symbol=symbol: client.cancel_all_orders(symbol, dict(params)) for symbol in by_symbol]  # type: ignore[misc]
        if plan.cancel_by is CancelBy.BATCH:
            return [
                lambda ids=ids, symbol=symbol: client.cancel_orders(ids, symbol, dict(params))  # type: ignore[misc]
                for symbol, all_ids in by_symbol.items()
                for ids in _chunks(all_ids, plan.batch_rows)
            ]
        return [
            lambda order_id=order_id, symbol=symbol: self._cancel_one(order_id, symbol, dict(params))  # type: ignore[misc]
            for symbol, ids in by_symbol.items()
            for order_id in ids
        ]

    async def _cancel_one(self, order_id: str, symbol: str, params: dict[str, Any]) -> None:
        """Single cancels are many: they keep the venue's pace, or it locks the key out in the middle of a sweep."""
        with travelling(Urgency.PACED if current_urgency().goes_first else Urgency.ORDINARY):
            await self._client.cancel_order(order_id, symbol, params)

    # --- streams ---------------------------------------------------------------------------------

    async def watch(self, kind: Kind) -> Any:
        if kind is Kind.BALANCES:
            return await self._client.watch_balance()
        if kind is Kind.POSITIONS:
            return await self._client.watch_positions()
        if kind is Kind.ORDERS:
            return await self._client.watch_orders()
        client = self._client
        watch = client.watch_mark_prices if self._venue.marks_apart else client.watch_tickers
        await watch(sorted(self._price_symbols))
        # Between two reads ccxt keeps only the newest of each symbol, and it keeps that here.
        return dict(self._client.tickers)

    def watched(self, kind: Kind) -> frozenset[str]:
        return self._price_symbols if kind is Kind.PRICES else ACCOUNT

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        if kind is Kind.PRICES:
            prices = self._parse_tickers(frames[-1])
            return (PricesSeen(self._name, arrived_mono, Source.STREAM, prices),) if prices else None
        if kind is Kind.ORDERS:
            open_rows = [row for frame in frames for row in frame if row.get("status") == "open"]
            orders = tuple(parse_unified_order(self._name, "stream", row) for row in open_rows)
            return (OrdersSeen(self._name, arrived_mono, orders),) if orders else None
        return ()


def _chunks(ids: list[str], size: int) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
