"""A venue adapter without a wire: it calls the exchange core, with the delays and faults of a real venue.

One adapter belongs to one life of the daemon. When that ends, however it ends, the adapter is dead, and
nothing that still unwinds can reach the venue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from adapters.base import CancelPermission, Capabilities, Market, OrderListing, OrderScope
from adapters.lane import SignedLane
from adapters.simulated.model import BalanceChanged, Notice, OpenOrder, OrderOpened, PositionChanged, PriceChanged
from risk_daemon.errors import MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.model.account import Instrument
from risk_daemon.model.events import (
    BalancesSeen,
    Flow,
    FlowsListed,
    Input,
    Kind,
    Order,
    OrdersSeen,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
)
from risk_daemon.model.units import ONE, ZERO
from tests.simulated.scenario import Call, Fault
from tests.simulated.venue import QUOTE, Past, SimVenue

T = TypeVar("T")

PING_EVERY_S = 5.0
_FLOW_KINDS = frozenset({"deposit", "withdrawal", "transfer"})


class DirectAdapter:
    """See VenueAdapter."""

    def __init__(self, venue: SimVenue) -> None:
        self.venue = venue
        self.name = venue.name
        self.markets: frozenset[Market] = frozenset({venue.market})
        self.capabilities = Capabilities(venue.streams, has_flows=True, has_positions=venue.spec.perp)
        self.scopes: Sequence[OrderScope] = venue.scopes
        self.is_dead = False
        self.waiting: dict[int, tuple[Call, float]] = {}
        self._calls_made = 0
        self._lane = SignedLane()
        self._streams = {kind: _Stream() for kind in sorted(venue.streams)}
        venue.publish = self._publish

    def die(self) -> None:
        """The process is gone."""
        self.is_dead = True
        self.venue.publish = None

    # --- REST ----------------------------------------------------------------------------------------

    def instrument(self, symbol: str) -> Instrument | None:
        return Instrument()

    async def connect(self) -> None:
        await self._call(Call.CONNECT, lambda: None)

    async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
        requested, amounts = await self._signed(Call.BALANCES, self._told_amounts, int(urgent))
        self.venue.balances_told = True
        return BalancesSeen(self.name, requested, Source.REST, amounts, complete=True)

    async def read_positions(self, *, urgent: bool = False) -> PositionsSeen:
        symbols = self.venue.exchange.positions
        requested, rows = await self._signed(
            Call.POSITIONS, lambda: tuple(self._position(symbol) for symbol in symbols), int(urgent)
        )
        return PositionsSeen(self.name, requested, Source.REST, rows, complete=True)

    async def read_prices(self, assets: frozenset[str], *, urgent: bool = False) -> PricesSeen:
        requested, (prices, lied) = await self._call(Call.PRICES, lambda: self._told_prices(assets))
        self._note_prices(prices, requested, lied)
        return PricesSeen(self.name, requested, Source.REST, prices)

    async def read_flows(self, since_wall: float, *, urgent: bool = False) -> FlowsListed:
        requested, (rows, looked_true) = await self._signed(Call.FLOWS, lambda: self._book(since_wall), int(urgent))
        self.venue.ledger_told_true = max(self.venue.ledger_told_true, looked_true)
        flows = tuple(row for row in rows if row.kind in _FLOW_KINDS)
        return FlowsListed(self.name, requested, flows, tuple(row for row in rows if row.kind not in _FLOW_KINDS))

    async def list_orders(self, scope: OrderScope, *, urgent: bool = True) -> OrderListing:
        requested, (rows, looked_true) = await self._signed(Call.LIST, lambda: self._look(scope), 2 * urgent)
        for looks in (self.venue.last_look, self.venue.last_urgent_look) if urgent else (self.venue.last_look,):
            looks[scope.name] = max(looked_true, looks.get(scope.name, looked_true))
        return OrderListing(self.name, scope.name, requested, rows)

    async def cancel_orders(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        if not self.is_dead:
            self.venue.cancel_asked_mono.append(self.venue.timeline.mono)
        await self._signed(Call.CANCEL, lambda fault: self._cancel(scope, orders, fault), 2, tells_fault=True)

    async def cancel_permission(self) -> CancelPermission:
        _, allowed = await self._signed(Call.PROBE, lambda: not self.venue.health.read_only, 0)
        return CancelPermission(allowed, "" if allowed else "permission denied")

    async def close(self) -> None:
        await asyncio.sleep(0)

    async def _signed(
        self, call: Call, act: Callable[..., T], rank: int, *, tells_fault: bool = False
    ) -> tuple[float, T]:
        return await self._lane.run(lambda: self._call(call, act, tells_fault=tells_fault), rank=rank)

    async def _call(self, call: Call, act: Callable[..., T], *, tells_fault: bool = False) -> tuple[float, T]:
        """(when it was requested, what the venue answered), or the fault."""
        venue, requested = self.venue, self.venue.timeline.mono
        fault = venue.fault(call)
        number = self._calls_made = self._calls_made + 1
        if fault is not Fault.DEAF:
            self.waiting[number] = (call, requested)
        try:
            return requested, await self._carry(act, fault, tells_fault)
        finally:
            self.waiting.pop(number, None)

    async def _carry(self, act: Callable[..., T], fault: Fault, tells_fault: bool) -> T:
        venue = self.venue
        await self._there(fault)
        if self.is_dead:
            raise VenueUnavailable("the process is gone")
        answer = act(fault) if tells_fault else act()
        await asyncio.sleep(venue.latency_s() + (venue.slowness_s() if fault is Fault.LATE else 0.0))
        if fault is Fault.LOST:
            raise VenueUnavailable("connection reset by peer")
        if fault is Fault.MALFORMED:
            raise MalformedReply("<html>Just a moment...</html>")
        return answer

    async def _there(self, fault: Fault) -> None:
        """The way of a request to the venue; raises where it never arrives."""
        venue = self.venue
        if fault is Fault.HANG:
            await asyncio.get_running_loop().create_future()
        if fault is Fault.DEAF:
            await _ignore_cancellation(60.0)
        await asyncio.sleep(venue.latency_s() + (venue.slowness_s() if fault is Fault.SLOW else 0.0))
        if fault in (Fault.REFUSED, Fault.DEAF):
            raise VenueUnavailable("connection refused")
        if fault is Fault.TOO_MANY:
            raise VenueUnavailable("429 too many requests", venue.retry_after_s())
        if fault is Fault.REJECTED:
            raise VenueRejected("permission denied")

    # --- what the venue answers ----------------------------------------------------------------------

    def _told_amounts(self) -> dict[str, Decimal]:
        """Over REST; a short reply lacks half of them."""
        short = self.venue.short
        is_short = short.pop(0) if short else False
        return {asset: amount / 2 if is_short else amount for asset, amount in self._amounts().items()}

    def _amounts(self) -> dict[str, Decimal]:
        return {asset: amount for asset, amount in self.venue.exchange.wallets["main"].items() if amount}

    def _position(self, symbol: str) -> Position:
        exchange = self.venue.exchange
        instrument, held = exchange.instruments[symbol], exchange.positions.get(symbol)
        quantity, entry = (held.quantity, held.entry) if held else (ZERO, ONE)
        return Position(
            symbol=symbol,
            quantity=quantity,
            entry=entry,
            settle=QUOTE,
            underlying=instrument.base,
            contract_size=instrument.contract_size,
        )

    def _symbols(self, assets: frozenset[str]) -> list[str]:
        exchange = self.venue.exchange
        wanted = {f"{asset}/{QUOTE}" for asset in assets} | set(exchange.positions)
        return [symbol for symbol in exchange.instruments if symbol in wanted]

    def _prices(self, symbols: Sequence[str]) -> tuple[Price, ...]:
        return tuple(self.honest_price(symbol) for symbol in symbols)

    def _told_prices(self, assets: frozenset[str]) -> tuple[tuple[Price, ...], str | None]:
        """The prices, and of which of them the venue tells a lie."""
        rows, lie = self._prices(self._symbols(assets)), self.venue.lie
        if lie is None or lie[0] not in {row.symbol for row in rows}:
            return rows, None
        self.venue.lie = None
        symbol, factor = lie
        return tuple(replace(row, value=row.value * factor) if row.symbol == symbol else row for row in rows), symbol

    def _note_prices(self, prices: Sequence[Price], about_mono: float, lied: str | None = None) -> None:
        """What has just been told: a lie stays open until the truth about a later moment is told."""
        told, lies = {price.symbol for price in prices}, self.venue.lies_open
        self.venue.lies_open = {s: at for s, at in lies.items() if s not in told or about_mono < at}
        if lied is not None:
            self.venue.lies_open[lied] = about_mono

    def _book(self, since_wall: float) -> tuple[tuple[Flow, ...], float]:
        rows = tuple(
            Flow(
                flow_id=f"{self.name}-{row.number}",
                venue=self.name,
                asset=row.asset,
                amount=row.amount,
                wall=row.wall,
                kind=row.kind,
                group=str(row.ref),
            )
            for row in self.venue.exchange.ledger
            if row.wall >= since_wall
        )
        return rows, self.venue.timeline.true

    def _look(self, scope: OrderScope) -> tuple[tuple[Order, ...], float]:
        rows = tuple(self._order(scope, order) for order in self.venue.orders_in(scope.name))
        return rows, self.venue.timeline.true

    def _order(self, scope: OrderScope, order: OpenOrder) -> Order:
        draft = order.draft
        return Order(
            venue=self.name,
            scope=scope.name,
            order_id=order.order_id,
            symbol=draft.symbol,
            side=draft.side,
            order_type=draft.order_type,
            client_order_id=draft.client_order_id,
            reduce_only=draft.reduce_only,
            remaining=order.remaining,
        )

    def _cancel(self, scope: OrderScope, orders: Sequence[Order], fault: Fault) -> None:
        venue = self.venue
        resting = venue.orders_in(scope.name)
        if venue.spec.by_id:
            asked = {order.order_id for order in orders}
            resting = [order for order in resting if order.order_id in asked]
        if fault is Fault.ACK_ONLY:
            return
        if fault is Fault.PARTIAL:
            resting = [resting[index] for index in venue.picks(len(resting))]
        for order in resting:
            venue.exchange.cancel(order.order_id, venue.timeline.true)

    # --- streams -------------------------------------------------------------------------------------

    async def next_frame(self, kind: Kind) -> Sequence[Input]:
        stream = self._streams[kind]
        if not stream.is_connected:
            await self._call(Call.STREAM, lambda: None)
            stream.connect(self.venue.timeline.mono)
            stream.frames.append(self._snapshot(kind))
        while not stream.frames:
            if not stream.is_connected:
                raise VenueUnavailable("the stream was dropped")
            stream.waiter = asyncio.get_running_loop().create_future()
            await stream.waiter
        stream.has_snapshot = True
        return stream.frames.popleft()

    def heartbeat_mono(self, kind: Kind) -> float | None:
        """Pings come every few seconds, also on a frozen stream; a silent one gives none."""
        stream, now_mono = self._streams[kind], self.venue.timeline.mono
        if not stream.is_connected or not stream.has_snapshot:
            return None
        if not self.venue.health.silent:
            pings = (now_mono - stream.since_mono) // PING_EVERY_S
            stream.alive_mono = max(stream.alive_mono, stream.since_mono + pings * PING_EVERY_S)
        return stream.alive_mono

    async def reset_streams(self) -> None:
        for stream in self._streams.values():
            stream.drop()

    def drop_streams(self) -> None:
        """All sockets are cut."""
        for stream in self._streams.values():
            stream.drop()

    def tell_lie(self, symbol: str, price: Price) -> bool:
        """Push a wrong price. False if no price stream is up."""
        stream = self._streams.get(Kind.PRICES)
        if stream is None or not stream.is_connected or self.venue.health.silent or self.venue.health.frozen:
            return False
        arrived = self.venue.lies_open[symbol] = self.venue.timeline.mono
        stream.give((PricesSeen(self.name, arrived, Source.STREAM, (price,)),), arrived)
        return True

    def present(self) -> Past:
        """What the streams would say now."""
        positions = tuple(self._position(symbol) for symbol in self.venue.exchange.positions)
        return Past(self._amounts(), positions, self._prices(list(self.venue.exchange.instruments)))

    def tell_past(self) -> None:
        """Every stream says what was true once."""
        health, now_mono = self.venue.health, self.venue.timeline.mono
        for kind, stream in self._streams.items():
            is_up = stream.is_connected and not (health.silent or health.frozen or self.is_dead)
            frame = self._past_frame(kind) if is_up else ()
            if frame:
                stream.give(frame, now_mono)

    def _past_frame(self, kind: Kind) -> Sequence[Input]:
        past, now_mono = self.venue.health.past, self.venue.timeline.mono
        if past is None or (kind is Kind.BALANCES and self.venue.spec.vague_streams):
            return ()
        if kind is Kind.BALANCES:
            return (BalancesSeen(self.name, now_mono, Source.STREAM, past.amounts, complete=False),)
        if kind is Kind.POSITIONS:
            return (PositionsSeen(self.name, now_mono, Source.STREAM, past.positions, complete=False),)
        return (PricesSeen(self.name, now_mono, Source.STREAM, past.prices),) if kind is Kind.PRICES else ()

    def honest_price(self, symbol: str) -> Price:
        instrument = self.venue.exchange.instruments[symbol]
        value = self.venue.exchange.quotes[symbol].mark
        return Price(symbol, instrument.base, QUOTE, value, converts=not self.venue.spec.perp)

    def _snapshot(self, kind: Kind) -> Sequence[Input]:
        now_mono = self.venue.timeline.mono
        if self.venue.health.past is not None and kind is not Kind.ORDERS:
            return self._past_frame(kind)
        if kind is Kind.BALANCES:
            seen = BalancesSeen(self.name, now_mono, Source.STREAM, self._amounts(), complete=False)
            return () if self.venue.spec.vague_streams else (seen,)
        if kind is Kind.POSITIONS:
            rows = tuple(self._position(symbol) for symbol in self.venue.exchange.positions)
            return (PositionsSeen(self.name, now_mono, Source.STREAM, rows, complete=False),)
        if kind is Kind.PRICES:
            symbols = list(self.venue.exchange.instruments)
            return (PricesSeen(self.name, now_mono, Source.STREAM, self._prices(symbols)),)
        return (OrdersSeen(self.name, now_mono, ()),)

    def _publish(self) -> None:
        """Push what changed to the sockets; it arrives one way later."""
        health = self.venue.health
        notices = self.venue.exchange.take_notices()
        if health.silent or health.frozen or self.is_dead:
            return
        for kind, body in self._frames(notices):
            stream = self._streams.get(kind)
            if stream is not None and stream.is_connected and (health.past is None or kind is Kind.ORDERS):
                lag_s = 0.0 if kind is Kind.ORDERS else health.lag_s
                delay_s = self.venue.spec.latency_s / 2 + lag_s
                asyncio.get_running_loop().call_later(delay_s, self._arrive, stream, stream.session, body)

    def _frames(self, notices: Sequence[Notice]) -> list[tuple[Kind, Callable[[float], Input | None]]]:
        """One frame a notice; all price changes of a moment in one."""
        frames: list[tuple[Kind, Callable[[float], Input | None]]] = []
        priced = [notice.symbol for notice in notices if isinstance(notice, PriceChanged)]
        if priced:
            prices = self._prices(priced)
            frames.append((Kind.PRICES, lambda mono: PricesSeen(self.name, mono, Source.STREAM, prices)))
        for notice in notices:
            match notice:
                case BalanceChanged():
                    frames.append((Kind.BALANCES, self._balance_frame(notice)))
                case PositionChanged():
                    frames.append((Kind.POSITIONS, self._position_frame(notice)))
                case OrderOpened():
                    frames.append((Kind.ORDERS, lambda mono: OrdersSeen(self.name, mono, ())))
        return frames

    def _balance_frame(self, notice: BalanceChanged) -> Callable[[float], Input | None]:
        amounts = {row.asset: row.balance for row in notice.rows}
        if self.venue.spec.vague_streams:
            return lambda _mono: None
        return lambda mono: BalancesSeen(self.name, mono, Source.STREAM, amounts, complete=False)

    def _position_frame(self, notice: PositionChanged) -> Callable[[float], Input | None]:
        row = self._position(notice.symbol)
        return lambda mono: PositionsSeen(self.name, mono, Source.STREAM, (row,), complete=False)

    def _arrive(self, stream: _Stream, session: int, body: Callable[[float], Input | None]) -> None:
        if stream.session == session and stream.is_connected and not self.is_dead:
            now_mono = self.venue.timeline.mono
            frame = body(now_mono)
            if isinstance(frame, PricesSeen):
                self._note_prices(frame.prices, frame.requested_mono)
            stream.give(() if frame is None else (frame,), now_mono)


class _Stream:
    """One socket's subscription."""

    def __init__(self) -> None:
        self.is_connected = False
        self.has_snapshot = False
        self.session = 0
        self.since_mono = 0.0
        self.alive_mono = 0.0
        self.frames: deque[Sequence[Input]] = deque()
        self.waiter: asyncio.Future[None] | None = None

    def connect(self, now_mono: float) -> None:
        self.is_connected, self.has_snapshot = True, False
        self.session += 1
        self.since_mono = self.alive_mono = now_mono
        self.frames.clear()

    def give(self, frame: Sequence[Input], now_mono: float) -> None:
        self.frames.append(frame)
        self.alive_mono = max(self.alive_mono, now_mono)
        self._wake()

    def drop(self) -> None:
        self.is_connected = self.has_snapshot = False
        self.session += 1
        self.frames.clear()
        self._wake()

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


async def _ignore_cancellation(for_s: float) -> None:
    """A client that catches its own cancellation and goes on."""
    loop = asyncio.get_running_loop()
    until = loop.time() + for_s
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue
