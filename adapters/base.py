"""What a venue must be able to do. One adapter is one exchange account.

An adapter reads and cancels; it does not retry, time out, deduplicate or decide: the feed
(`streams.py`) and the order manager do that, once, for all venues. Every method either returns a
proven answer or raises a `VenueError`: an odd reply is an error, never "empty".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, runtime_checkable

from risk_daemon.model.account import Instrument, Position
from risk_daemon.model.events import BalancesSeen, FillsSeen, FlowsListed, Input, Kind, Order, PositionsSeen, PricesSeen


class Market(StrEnum):
    """The markets of an account that may be guarded."""

    SPOT = "spot"
    MARGIN = "margin"
    PERP = "perp"


SPOT_MARKETS = frozenset({Market.SPOT, Market.MARGIN})
PERP_MARKETS = frozenset({Market.PERP})


class ScopeKind(StrEnum):
    """What a scope holds, in the order in which the one can become another: a chase places orders, a trigger fires."""

    STRATEGY = "strategy"
    TRIGGER = "trigger"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class OrderScope:
    """A slice of a venue's open orders that one listing (all its pages) shows whole.

    A strategy is an order that the venue itself re-emits: while it lives, that its children are gone proves nothing.
    """

    name: str
    markets: frozenset[Market]
    kind: ScopeKind = ScopeKind.PLAIN


@dataclass(frozen=True, slots=True)
class OrderListing:
    """A well-formed listing of one scope. Only a listing is evidence; what a cancel returns is not."""

    venue: str
    scope: str
    requested_mono: float
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do beyond the required; what it lacks is said at start, never guessed.

    ledger_lag_s: how far the venue's book may be behind its balances. lane_width: how many signed calls it takes at
    once. unprovable: what may hold or place orders there that no call lists, one sentence each. is_provable: whether
    a sweep can prove anything at all there, these apart. streams_fills: its stream of orders tells what is executed.
    """

    stream_kinds: frozenset[Kind] = frozenset()
    has_flows: bool = True
    has_positions: bool = True
    notes: tuple[str, ...] = ()
    ledger_lag_s: float = 2.0
    lane_width: int = 1
    unprovable: tuple[str, ...] = ()
    is_provable: bool = True
    streams_fills: bool = False


@dataclass(frozen=True, slots=True)
class CancelPermission:
    """Whether a key may cancel orders, by the venue's own word. None: nobody knows how to ask there."""

    may_cancel: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What sizes the orders of a market may have, in what a position's quantity counts. largest None: any.

    Raises ValueError for sizes that nothing could be ordered in.
    """

    step: Decimal
    smallest: Decimal
    largest: Decimal | None = None

    def __post_init__(self) -> None:
        if self.step <= 0 or self.smallest < 0 or (self.largest is not None and self.largest < self.step):
            raise ValueError(f"no order fits a step of {self.step}, from {self.smallest} to {self.largest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPowers:
    """What a venue tells of a key. None: it does not tell. is_bound: it is good from named addresses only."""

    may_read: bool | None = None
    may_cancel: bool | None = None
    may_withdraw: bool | None = None
    is_bound: bool | None = None


@runtime_checkable
class VenueAdapter(Protocol):
    """One exchange account.

    `urgent=True` is the emergency path: the client's rate limiter is off and a call of ordinary
    business that holds the account's signed lane is pushed aside.
    """

    @property
    def name(self) -> str: ...

    @property
    def markets(self) -> frozenset[Market]: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def scopes(self) -> Sequence[OrderScope]:
        """Every order scope of the configured markets: the cancel plan."""
        ...

    def instrument(self, symbol: str) -> Instrument | None:
        """What `symbol` trades; None if the venue is not known to have it in the configured markets."""
        ...

    async def connect(self) -> None:
        """Load markets and prove that credentials and required calls work. Idempotent."""
        ...

    async def read_balances(self, *, urgent: bool = False) -> BalancesSeen: ...

    async def read_positions(self, *, urgent: bool = False) -> PositionsSeen: ...

    async def read_prices(self, assets: frozenset[str], *, urgent: bool = False) -> PricesSeen:
        """Prices that value `assets` in the reference currency, and marks of this venue's open positions."""
        ...

    async def read_flows(self, since_wall: float, *, urgent: bool = False) -> FlowsListed:
        """The venue's book: all deposits, withdrawals and transfers since `since_wall`, and what it tells besides.

        Every change of an amount is one row, in `flows` or in `trades`. Raises if the venue has no book.
        """
        ...

    async def list_orders(self, scope: OrderScope, *, urgent: bool = True) -> OrderListing:
        """All open orders of a scope, all pages. Urgent: as the sweep asks, before everything else."""
        ...

    async def cancel_orders(self, scope: OrderScope, orders: Sequence[Order]) -> None:
        """Ask the venue to cancel everything in the scope. Returning proves nothing. Always urgent.

        `orders` is for venues that cancel by id or symbol: the last listing, or, where there is none (yet),
        what was seen or is believed to be open. It may be empty, and some of it gone.
        """
        ...

    async def next_frame(self, kind: Kind) -> Sequence[Input]:
        """Wait for the next frame of a stream; the first after a connect is a snapshot. Raises when it is lost."""
        ...

    def heartbeat_mono(self, kind: Kind) -> float | None:
        """When the stream of `kind` last gave a sign of life; None if it has given no snapshot since connecting."""
        ...

    async def reset_streams(self) -> None:
        """Drop all sockets, so that the next `next_frame` dials, signs in and takes a snapshot anew."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class CancelProbe(Protocol):
    """An adapter that can ask whether its key may cancel, without cancelling anything."""

    async def cancel_permission(self) -> CancelPermission:
        """The venue's answer. Raises a VenueError where it gave none."""
        ...


@runtime_checkable
class PositionCloser(Protocol):
    """An adapter that can close positions, by market orders that can only make them smaller."""

    def lot(self, symbol: str) -> Lot:
        """What sizes orders in the market of a position have. Raises a VenueError if the venue does not say."""
        ...

    async def close_position(self, position: Position, quantity: Decimal, *, label: str) -> None:
        """Send one market order of this size against the position, which can only reduce it. Always urgent.

        Whether it returns or raises, it proves nothing: the order may be filled, in part, rest, or still be on its
        way. label: what its client order id names, as far as the venue takes one.
        """
        ...


@dataclass(frozen=True, slots=True)
class BudgetLevel:
    """One of a venue's counters of our calls: what is used of it, and above what the venue refuses."""

    name: str
    used: float
    ceiling: float


@runtime_checkable
class Budgeted(Protocol):
    """An adapter that keeps along how much it may still ask."""

    def budget_levels(self) -> Sequence[BudgetLevel]:
        """As it is now; nothing where the venue is not known to count."""
        ...


@runtime_checkable
class FillReader(Protocol):
    """An adapter that can list what was executed. For people: every other call goes before it."""

    async def read_fills(self, since_wall: float) -> FillsSeen:
        """Executions since then, as far as the venue shows them in one go. Raises a VenueError if it shows none."""
        ...


@runtime_checkable
class KeyAuditor(Protocol):
    """An adapter that can ask the venue what its key may do."""

    async def audit_key(self) -> KeyPowers | None:
        """The venue's answer; None where it can't be asked. Raises a VenueError where it gave none."""
        ...
