"""Everything that can happen to the engine; what it writes down is in event_names.py.

Inputs are frozen values: what a venue said, what an operator wants, what a sweep found, and time.
A frame of a venue is one input, applied whole, however many rows it has. Amounts are finite
Decimals; an unknown field never gets this far, the adapter refuses the frame instead.

`*_mono` are seconds of `Instant.mono`. `requested_mono` is when a REST request was begun, or when a
stream frame arrived: a reply is evidence about that moment, not about the moment it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from risk_daemon.model.event_names import EventName as EventName
from risk_daemon.model.event_names import RiskEvent as RiskEvent


class Kind(StrEnum):
    """What a reading is about."""

    BALANCES = "balances"
    POSITIONS = "positions"
    PRICES = "prices"
    ORDERS = "orders"
    FLOWS = "flows"


class Source(StrEnum):
    """REST is truth on a schedule; a stream is a hint that comes early."""

    REST = "rest"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A perp, futures or margin position.

    quantity: signed, in contracts. contract_size: base units (linear) or quote units (inverse) a contract.
    entry: average entry price in the quote asset. settle: the asset its profit is paid in.
    """

    symbol: str
    quantity: Decimal
    entry: Decimal
    settle: str
    underlying: str
    contract_size: Decimal = Decimal(1)
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """A mid or mark of one instrument: `value` units of `quote` for one `base`.

    converts: usable as an exchange rate base -> quote (spot pairs); a perp's mark values positions only.
    """

    symbol: str
    base: str
    quote: str
    value: Decimal
    converts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A row of the venue's book: a deposit (+), withdrawal (-) or transfer; or a leg of a trade, a fee, funding.

    flow_id: the venue's ledger id: the same id is the same row. amount: net of the row's fee. wall: the venue's
    clock. group: what the rows of one trade share (its reference); empty where the venue gives none.
    """

    flow_id: str
    venue: str
    asset: str
    amount: Decimal
    wall: float
    kind: str = "transfer"
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An open order as a venue lists it."""

    venue: str
    scope: str
    order_id: str
    symbol: str
    side: str
    order_type: str
    client_order_id: str | None = None
    reduce_only: bool = False
    remaining: Decimal | None = None


# --- what venues say -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BalancesSeen:
    """Holdings of a venue: free + locked, minus debt, without unrealised PnL.

    complete: the whole account; what is not in `amounts` is zero. Else only the named assets changed.
    """

    venue: str
    requested_mono: float
    source: Source
    amounts: Mapping[str, Decimal]
    complete: bool


@dataclass(frozen=True, slots=True)
class PositionsSeen:
    """Positions of a venue. complete: all of them; else only the named symbols (quantity 0 = closed)."""

    venue: str
    requested_mono: float
    source: Source
    positions: tuple[Position, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class PricesSeen:
    """Prices of instruments of a venue; instruments not named are not touched."""

    venue: str
    requested_mono: float
    source: Source
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class FlowsListed:
    """The venue's book. flows: what moved money in or out, complete from the time asked for to `requested_mono`.

    trades: the rows that are profit or loss (trades, fees, funding, interest, liquidation), as far back as the book
    was walked: to rows that an earlier listing of this run gave already. None where this book tells of none.
    """

    venue: str
    requested_mono: float
    flows: tuple[Flow, ...]
    trades: tuple[Flow, ...] | None = None


@dataclass(frozen=True, slots=True)
class OrdersSeen:
    """Orders that a venue's stream says are open now (new, amended).

    is_snapshot: what was open when the stream began, not what was sent since. ended: orders that were told of
    and are open no more, such as a market order that was filled at once.
    """

    venue: str
    requested_mono: float
    orders: tuple[Order, ...]
    is_snapshot: bool = False
    ended: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class OrdersListed:
    """A well-formed listing of one order scope over REST, in ordinary times: what a sweep would need can be had."""

    venue: str
    scope: str
    requested_mono: float
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class ListingFailed:
    """An order scope could not be listed. is_refused: the venue understood, and refused this key or this call."""

    venue: str
    scope: str
    requested_mono: float
    reason: str
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class CancelChecked:
    """Whether the venue would let this key cancel, asked without harm. None: there is no way known to ask."""

    venue: str
    may_cancel: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StreamConfirmed:
    """A stream that gave a snapshot since it connected was alive at `mono`: what it did not change, still holds."""

    venue: str
    kind: Kind
    mono: float


@dataclass(frozen=True, slots=True)
class VenueConnected:
    """The venue answered: markets loaded, credentials accepted. kind: only this stream of it is back."""

    venue: str
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class VenueLost:
    """A venue, a stream of it (`kind`), or what is read of it over REST (`is_stream` False) stopped answering."""

    venue: str
    reason: str
    kind: Kind | None = None
    is_stream: bool = True


# --- what bots say ---------------------------------------------------------------------------------


class ErrorKind(StrEnum):
    """What went wrong for a bot. EXPECTED (insufficient funds and the like) does not count."""

    ORDER_REJECTED = "order_rejected"
    BROKER = "broker"
    CONNECTION = "connection"
    DATA_FEED = "data_feed"
    STRATEGY = "strategy"
    EXPECTED = "expected"


@dataclass(frozen=True, slots=True)
class OrderReported:
    """A bot sent an order."""

    venue: str
    symbol: str
    side: str
    bot: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """Something went wrong for a bot. detail: its own words."""

    kind: ErrorKind
    bot: str | None = None
    venue: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """A bot's token is no longer good: what it told is not believed any more."""

    bot: str


# --- time and people -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The process is up and has loaded its state; the first input of every run."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. Nothing else happened."""


@dataclass(frozen=True, slots=True)
class StoreChecked:
    """A save ended: `error` says why it failed, None that it is durable. What can't be remembered locks."""

    error: str | None


@dataclass(frozen=True, slots=True)
class HaltRequested:
    """An operator's halt of everything; where a venue or a bot is named, a veto for its orders only."""

    reason: str
    operator: str
    venue: str | None = None
    bot: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The end of the halt of one venue or one bot."""

    reason: str
    operator: str
    venue: str | None = None
    bot: str | None = None


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """A warden's reset. rebaseline: `keep` the baselines, or take the `current` equity."""

    reason: str
    operator: str
    rebaseline: str


@dataclass(frozen=True, slots=True)
class DisableRequested:
    """A warden's order to watch without acting, for a stated time."""

    duration_s: float
    reason: str
    operator: str


@dataclass(frozen=True, slots=True)
class EnableRequested:
    """End of a disable, by a person or by its time."""

    operator: str


# --- what the sweep reports ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VenueProven:
    """Every order scope of the venue was listed empty twice, `settle` apart.

    changes: how often it changed between proven and not since that was last told; above 1 it flaps.
    """

    venue: str
    trip_id: str
    cancelled: int
    elapsed_s: float
    kept: tuple[Order, ...] = ()
    changes: int = 1


@dataclass(frozen=True, slots=True)
class VenueUnproven:
    """The venue is not proven (yet, or any more), and why. changes: see VenueProven; a new reason is one, too."""

    venue: str
    trip_id: str
    reason: str
    changes: int = 1


@dataclass(frozen=True, slots=True)
class OrderReplaced:
    """An order appeared after the lock; it is being cancelled."""

    trip_id: str
    order: Order


@dataclass(frozen=True, slots=True)
class SweepFinished:
    """The sweep ended. proven: the joint round listed every scope of every venue empty."""

    trip_id: str
    proven: bool
    cancelled: int
    elapsed_s: float


Input = (
    BalancesSeen
    | PositionsSeen
    | PricesSeen
    | FlowsListed
    | OrdersSeen
    | OrdersListed
    | ListingFailed
    | CancelChecked
    | StreamConfirmed
    | VenueConnected
    | VenueLost
    | Started
    | Tick
    | StoreChecked
    | OrderReported
    | ErrorReported
    | TokenRevoked
    | HaltRequested
    | ReleaseRequested
    | ResetRequested
    | DisableRequested
    | EnableRequested
    | VenueProven
    | VenueUnproven
    | OrderReplaced
    | SweepFinished
)
