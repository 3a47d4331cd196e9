"""What differs from venue to venue: which calls are made and how their rows are read.

A dialect asks through a guarded ccxt client and returns our values. It knows nothing of lanes,
time-outs or reconnects, and it never returns "empty" for something it could not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from adapters.cancel_plans import ScopePlan
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderStatus
from risk_daemon.model.events import Flow, Input, Kind, Order, OrdersSeen, Position, Price
from risk_daemon.model.units import finite

ACCOUNT = frozenset({"account"})
"""What a stream of the whole account watches."""

KNOWN_ORDERS = 1_000
"""So many open orders are remembered by what a stream told of them; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class Book:
    """What a venue's book tells: rows that moved money in or out; rows that are profit or loss, None if it has none."""

    flows: tuple[Flow, ...]
    trades: tuple[Flow, ...] | None = None


class Dialect(Protocol):
    """One exchange's own ways."""

    stream_kinds: frozenset[Kind]
    has_flows: bool
    ledger_lag_s: float
    """How far the book may be behind the balances; 2 s where nothing is known."""
    has_positions: bool
    notes: tuple[str, ...]

    async def balances(self) -> Mapping[str, Decimal]: ...

    async def positions(self) -> tuple[Position, ...]: ...

    async def prices(self, assets: frozenset[str]) -> tuple[Price, ...]: ...

    async def book(self, since_wall: float, now_wall: float) -> Book:
        """The book, with every flow since `since_wall`, and the other rows as far back as it was walked."""
        ...

    async def orders(self, plan: ScopePlan) -> tuple[Order, ...]: ...

    def learning(self) -> AbstractContextManager[None]:
        """While this lasts, what a reply looks like may be learned from the venue, where no table says it."""
        ...

    async def cancel(self, plan: ScopePlan, orders: Sequence[Order]) -> None: ...

    async def cancel_one(self, plan: ScopePlan, order: Order) -> None:
        """This order and no other."""
        ...

    def watched(self, kind: Kind) -> frozenset[str]:
        """What of a stream is subscribed to now; nothing to watch (yet) if empty."""
        ...

    def read_frames(self, kind: Kind, frames: Sequence[Any], arrived_mono: float) -> Sequence[Input] | None:
        """The inputs of frames; an empty sequence is "something changed: read over REST"; None is "nothing"."""
        ...


def number(row: Any, key: str) -> Decimal:
    """A finite field of a raw row. Raises MalformedReply, so that one bad row refuses the whole reply."""
    try:
        return finite(row[key])
    except (KeyError, TypeError, IndexError):
        raise MalformedReply(f"a row lacks {key}") from None
    except ValueError as error:
        raise MalformedReply(f"a row's {key}: {error}") from None


def text(row: Any, key: str) -> str:
    """A text field of a raw row that must be there. Raises MalformedReply."""
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value:
        raise MalformedReply(f"a row lacks {key}")
    return value


def optional_text(row: Mapping[str, Any], *keys: str) -> str | None:
    """The first of these fields that is set, as text; an exchange's 0 for "none" is none."""
    values = (row.get(key) for key in keys)
    return next((str(value) for value in values if value not in (None, "", 0, "0")), None)


def told_number(row: Any, *keys: str) -> Decimal | None:
    """The first of these fields that is a finite number, None if none is: of what is only shown to people."""
    return next((value for key in keys if (value := _told(row, key)) is not None), None)


def _told(row: Any, key: str) -> Decimal | None:
    try:
        return finite(row[key])
    except (KeyError, TypeError, IndexError, ValueError):
        return None


def told_size(row: Any, *keys: str) -> Decimal | None:
    """As `told_number`, of what is above zero: venues write 0 or -1 for the price of an order that has none."""
    found = (told_number(row, key) for key in keys)
    return next((value for value in found if value is not None and value > 0), None)


def check_once(rows: Iterable[Mapping[str, Any]], *keys: str) -> None:
    """Raises MalformedReply for two rows of one thing: each would count. A row without any of these fields is none."""
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        name = tuple(str(row.get(key)) for key in keys)
        if name in seen and any(row.get(key) is not None for key in keys):
            raise MalformedReply(f"a row stands twice: {' '.join(name)[:60]}")
        seen.add(name)


class OrdersTold:
    """Orders that frames tell of, row after row: which are open, and which were and have ended.

    known: what earlier frames told of open ones, kept by the caller where a later row only names an order.
    """

    def __init__(self, known: dict[str, Order] | None = None) -> None:
        self._open: dict[str, Order] = {}
        self._ended: dict[str, Order] = {}
        self._known = {} if known is None else known

    def is_open(self, order: Order) -> None:
        """A row that says so."""
        self._open[order.order_id] = order
        self._known.pop(order.order_id, None)
        self._known[order.order_id] = order
        if len(self._known) > KNOWN_ORDERS:
            del self._known[next(iter(self._known))]

    def has_ended(self, order_id: str, order: Order | None = None, status: OrderStatus = OrderStatus.ENDED) -> None:
        """A row that says so, and how. order: what it tells of it, if it tells enough."""
        self._open.pop(order_id, None)
        before = self._known.pop(order_id, None)
        order = order or before
        if order is not None:
            self._ended[order_id] = replace(order, status=status)

    @property
    def open(self) -> tuple[Order, ...]:
        return tuple(self._open.values())

    @property
    def ended(self) -> tuple[Order, ...]:
        return tuple(self._ended.values())


def orders_seen(
    venue: str,
    arrived_mono: float,
    frames: Sequence[Any],
    parse: Callable[[Sequence[Any]], OrdersTold],
    is_snapshot: Callable[[Any], bool],
) -> Sequence[Input]:
    """What frames of an order stream say is open, the snapshot apart from what came after it."""
    parts = {is_first: [frame for frame in frames if is_snapshot(frame) is is_first] for is_first in (True, False)}
    told = {is_first: parse(part) for is_first, part in parts.items() if part}
    return [OrdersSeen(venue, arrived_mono, each.open, is_first, each.ended) for is_first, each in told.items()]


def merged(rows: Sequence[Position]) -> tuple[Position, ...]:
    """Rows of one instrument as one position: the sum, at the entry that gives the same profit at any price."""
    by_symbol: dict[str, Position] = {}
    for row in rows:
        known = by_symbol.get(row.symbol)
        by_symbol[row.symbol] = row if known is None else _joined(known, row)
    return tuple(by_symbol.values())


SHORT_LEG = " short"
"""What a hedged account's short leg is called after its symbol: a long and a short of one market are two positions."""


def legs(rows: Sequence[Position]) -> tuple[Position, ...]:
    """Rows as positions, one a market; two where an account holds a long and a short of it at once."""
    longs, shorts = (merged([row for row in rows if (row.quantity > 0) is is_long]) for is_long in (True, False))
    held_long = {row.symbol for row in longs}
    named = (replace(row, symbol=row.symbol + SHORT_LEG) if row.symbol in held_long else row for row in shorts)
    return (*longs, *named)


def market_symbol(symbol: str) -> str:
    """The market of a position, whichever leg it is."""
    return symbol.removesuffix(SHORT_LEG)


def told_of_legs(marks: Iterable[Price], held: Iterable[str]) -> tuple[Price, ...]:
    """Marks, and once more under the name of each short leg that is held beside a long one."""
    by_symbol = {price.symbol: price for price in marks}
    twice = (symbol for symbol in held if symbol.endswith(SHORT_LEG) and market_symbol(symbol) in by_symbol)
    return (*by_symbol.values(), *(replace(by_symbol[market_symbol(symbol)], symbol=symbol) for symbol in twice))


def _joined(one: Position, other: Position) -> Position:
    quantity = one.quantity + other.quantity
    if quantity == 0:
        raise MalformedReply(f"{one.symbol} has a long and a short of one size, which can't be one position")
    if one.inverse:
        entry = quantity / (one.quantity / one.entry + other.quantity / other.entry)
    else:
        entry = (one.quantity * one.entry + other.quantity * other.entry) / quantity
    return Position(
        symbol=one.symbol,
        quantity=quantity,
        entry=entry,
        settle=one.settle,
        underlying=one.underlying,
        contract_size=one.contract_size,
        inverse=one.inverse,
    )
