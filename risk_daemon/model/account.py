"""What an account has, and what it is worth by: positions, prices, orders, rows of its book.

Amounts are finite Decimals; an unknown field never gets this far, the adapter refuses the frame instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

HUBS = ("USD", "USDT", "USDC", "BTC", "ETH")
"""What an asset is valued by where it has no market against the reference currency; the first that leads there."""


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


@dataclass(frozen=True, slots=True)
class Instrument:
    """What an order's quantity counts: base units (linear) or quote units (inverse) of one unit of it."""

    contract_size: Decimal = Decimal(1)
    inverse: bool = False


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


class OrderSide(StrEnum):
    """Which way an order goes. UNTOLD: neither, by the venue's words; it is an order all the same."""

    BUY = "buy"
    SELL = "sell"
    UNTOLD = ""


_SIDES = {side.value: side for side in (OrderSide.BUY, OrderSide.SELL)}


def side_of(word: object) -> OrderSide:
    """The side that a venue or a bot names."""
    return _SIDES.get(word, OrderSide.UNTOLD) if isinstance(word, str) else OrderSide.UNTOLD


class OrderStatus(StrEnum):
    """What became of an order. ENDED: it is open no more, and nobody said how."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as a venue lists it. quantity, remaining: in the venue's own unit. price: of a limit order.

    All of these are for people, None where the venue does not say: that an order is there is what counts.
    """

    venue: str
    scope: str
    order_id: str
    symbol: str
    side: OrderSide
    order_type: str
    client_order_id: str | None = None
    reduce_only: bool = False
    remaining: Decimal | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    status: OrderStatus = OrderStatus.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A part of an order that was executed, for people: the worth follows from balances and positions.

    fill_id: the venue's own, the same id is the same fill. quantity: in the order's unit. wall: the venue's clock.
    fee: what was paid, in `fee_asset`; negative where it was received.
    """

    venue: str
    fill_id: str
    order_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    wall: float
    client_order_id: str | None = None
    fee: Decimal | None = None
    fee_asset: str | None = None
