"""What venues say: a frame is one reading, applied whole, however many rows it has.

`*_mono` are seconds of `Instant.mono`. `requested_mono` is when a REST request was begun, or when a
stream frame arrived: a reply is evidence about that moment, not about the moment it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.model.account import Fill, Flow, Kind, Order, Position, Price, Source


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
class FillsSeen:
    """Orders that were executed, wholly or in part, by a stream or a list; the same fill may be told of twice."""

    venue: str
    requested_mono: float
    source: Source
    fills: tuple[Fill, ...]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManAnswered:
    """A venue's own switch was armed or refreshed, or it was tried: `error` says why it failed.

    armed: the markets that it is armed for, "" for the whole account. was_armed: by the venue's word, before this guard
    armed it; None: it can't be asked. is_held_back: other calls went first, and nothing is wrong with the venue.
    """

    venue: str
    requested_mono: float
    armed: tuple[str, ...] = ()
    was_armed: bool | None = None
    error: str | None = None
    is_held_back: bool = False
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DeadManDisarmed:
    """A venue's own switch was disarmed at the end, or `error` says why not: then it fires.

    is_certain: no refresh is left without an answer, that the venue might take after the disarm.
    """

    venue: str
    error: str | None = None
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAudited:
    """What the venue tells of our key. None: it does not tell. is_bound: it is good from named addresses only."""

    venue: str
    may_read: bool | None = None
    may_cancel: bool | None = None
    may_withdraw: bool | None = None
    is_bound: bool | None = None


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
