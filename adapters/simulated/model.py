"""The words of a simulated exchange: what it lists, what it holds, and what it says has changed.

All values are frozen and plain. Amounts and prices are Decimals; times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

ONE = Decimal(1)
ZERO = Decimal(0)

# Half of the distance between bid and ask, as a share of the price: the mid is the price exactly.
HALF_SPREAD = Decimal("0.00005")

TRIGGER_TYPES = frozenset({"stop_loss", "stop_loss_limit", "take_profit", "take_profit_limit", "trailing_stop"})
ORDER_TYPES = TRIGGER_TYPES | {"market", "limit"}


class Refused(Exception):
    """The exchange understood and said no. `code` is one word; a wire face turns it into the venue's own."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something tradable.

    symbol: ccxt's unified name. wire_id: the venue's own. names: its other spellings.
    settle: the asset profit is paid in, None for spot. wallet: where that profit lands.
    contract_size: base units a contract (linear) or quote units a contract (inverse).
    """

    symbol: str
    wire_id: str
    base: str
    quote: str
    settle: str | None = None
    contract_size: Decimal = ONE
    inverse: bool = False
    wallet: str | None = None
    names: tuple[str, ...] = ()

    def profit(self, quantity: Decimal, entry: Decimal, price: Decimal) -> Decimal:
        """Profit of a signed quantity of contracts, in the settle asset (inverse: size x (1/entry - 1/price))."""
        size = quantity * self.contract_size
        return size * (ONE / entry - ONE / price) if self.inverse else size * (price - entry)

    def worth(self, price: Decimal) -> Decimal:
        """One contract at `price`, in the settle asset."""
        return self.contract_size / price if self.inverse else self.contract_size * price

    def average_entry(self, held: Decimal, entry: Decimal, added: Decimal, price: Decimal) -> Decimal:
        """The entry price of `held` contracts at `entry` and `added` ones at `price`, both signed."""
        if held == 0:
            return price
        if self.inverse:
            return (held + added) / (held / entry + added / price)
        return (held * entry + added * price) / (held + added)


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask, and the mark."""

    bid: Decimal
    ask: Decimal
    mark: Decimal

    @classmethod
    def around(cls, price: Decimal) -> Quote:
        """A narrow quote whose mid and mark are `price` exactly."""
        half = price * HALF_SPREAD
        return cls(price - half, price + half, price)


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """An order as asked for. leveraged: a margin order on a spot pair; isolated: with a wallet of that pair.

    book: the venue's own name of the book that holds it, where it has more than one for plain and one for triggers.
    position_side: the position it belongs to, `long` or `short`, where an account may hold both in one instrument.
    close_position: it closes the whole position, whatever that is by then.
    """

    symbol: str
    side: str
    order_type: str
    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    client_order_id: str | None = None
    reduce_only: bool = False
    leveraged: bool = False
    isolated: bool = False
    book: str = ""
    position_side: str = ""
    close_position: bool = False


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot that places the same order again and again: client order ids are `prefix-1`, `prefix-2`, ...

    strategy: the venue's own name of its kind (`twap`, `grid`), if the venue itself runs it: then it outlives every
    cancel of its orders, and whether it is listed is the venue's business. began_wall: when it placed its first.
    """

    bot_id: str
    draft: OrderDraft
    every_s: float
    prefix: str
    strategy: str = ""
    began_wall: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order the exchange accepted. kind: market and sort in one word: `perp_trigger`, `spot_tpslOrder`.

    strategy: the bot of the venue's own that placed it.
    """

    order_id: str
    draft: OrderDraft
    kind: str
    placed_wall: float
    filled: Decimal = ZERO
    strategy: str = ""

    @property
    def remaining(self) -> Decimal:
        return self.draft.quantity - self.filled


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An order that was cancelled, when, and how: `cancel`, `cancel_all`, `dead_man` or `admin`."""

    order: OpenOrder
    wall: float
    how: str


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of a market order is executed at once, for the next `count` of them; whether the rest of it rests.

    count None: until it is lifted. What neither is executed nor rests expires.
    """

    quantity: Decimal
    rests: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """A signed quantity of contracts at an average entry price. side: `long` or `short` where there may be both.

    isolated: its margin lies apart from the wallet, where a venue has that.
    """

    symbol: str
    quantity: Decimal
    entry: Decimal
    opened_wall: float
    side: str = ""
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One change of one balance. `number` counts rows; rows of one event share `ref`. balance: after it.

    amount: net of `fee`. sizes: a position's, before and after, where it is a trade with contracts.
    """

    number: int
    ref: int
    wall: float
    kind: str
    wallet: str
    asset: str
    amount: Decimal
    balance: Decimal
    symbol: str | None = None
    price: Decimal | None = None
    fee: Decimal = ZERO
    sizes: tuple[Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution: `order` as it stands after it."""

    order: OpenOrder
    fill_id: int
    quantity: Decimal
    price: Decimal
    wall: float


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    """Rows that changed balances at one moment."""

    rows: tuple[LedgerRow, ...]


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """An order rests."""

    order: OpenOrder


@dataclass(frozen=True, slots=True)
class OrderFilled:
    """An order was executed, wholly or in part."""

    fill: Fill


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """An order no longer rests."""

    cancelled: Cancelled


@dataclass(frozen=True, slots=True)
class OrderTriggered:
    """A trigger order has left its book; `became` is the id of the plain order that stands for it, if it is placed."""

    order: OpenOrder
    became: str = ""


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """The position of a symbol is another one now (or none)."""

    symbol: str


@dataclass(frozen=True, slots=True)
class PriceChanged:
    """An instrument is quoted differently."""

    symbol: str


Notice = BalanceChanged | OrderOpened | OrderFilled | OrderCancelled | OrderTriggered | PositionChanged | PriceChanged


def check_draft(draft: OrderDraft) -> None:
    """Raise Refused unless the draft is an order at all."""
    if draft.side not in ("buy", "sell"):
        raise Refused("invalid", f"side {draft.side!r} is neither buy nor sell")
    if draft.order_type not in ORDER_TYPES:
        raise Refused("invalid", f"order type {draft.order_type!r} is none of {', '.join(sorted(ORDER_TYPES))}")
    check_positive(draft.quantity, "quantity")
    if draft.order_type.endswith("limit"):
        check_positive(draft.price, "price")
    if draft.order_type in TRIGGER_TYPES:
        check_positive(draft.trigger_price, "trigger_price")


def check_positive(value: Decimal | None, name: str) -> None:
    """Raise Refused unless `value` is above zero."""
    if value is None or value <= 0:
        raise Refused("invalid", f"{name} must be above zero")
