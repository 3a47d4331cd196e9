"""An order as a bot proposes it, checked before anybody is asked about it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.model.units import finite, plain

Number = Decimal | int | float | str

_SIDES = ("buy", "sell")
_MAX_TEXT = 128
_MAX_ID = 256


@dataclass(frozen=True, slots=True)
class ProposedOrder:
    """A new order, or an amended one as it shall be.

    venue: its name in the daemon's configuration. symbol: as ccxt writes it (`BTC/USDT`, `BTC/USD:USD`).
    quantity: in the venue's own unit, above zero. price: None for a market order. Numbers may be Decimals, ints,
    floats or text; they are kept as Decimals. Raises ValueError for what makes no sense.
    """

    venue: str
    symbol: str
    side: str
    quantity: Number
    type: str = "limit"
    price: Number | None = None
    reduce_only: bool = False
    client_order_id: str | None = None

    def __post_init__(self) -> None:
        for name in ("venue", "symbol", "side", "type"):
            _check_text(name, getattr(self, name))
        if self.client_order_id is not None:
            _check_text("client_order_id", self.client_order_id, _MAX_ID)
        object.__setattr__(self, "side", self.side.lower())
        object.__setattr__(self, "type", self.type.lower())
        object.__setattr__(self, "quantity", _above_zero("quantity", self.quantity))
        object.__setattr__(self, "price", None if self.price is None else _above_zero("price", self.price))
        if self.side not in _SIDES:
            raise ValueError(f"side is {self.side!r}: write buy or sell")
        if not isinstance(self.reduce_only, bool):
            raise ValueError(f"reduce_only is {self.reduce_only!r}: write True or False")  # noqa: TRY004 - one error class

    def document(self) -> dict[str, Any]:
        """As a JSON object, numbers as text; what is None is left out."""
        fields = {
            "venue": self.venue,
            "symbol": self.symbol,
            "side": self.side,
            "type": self.type,
            "quantity": plain(finite(self.quantity)),
            "price": None if self.price is None else plain(finite(self.price)),
            "reduce_only": self.reduce_only,
            "client_order_id": self.client_order_id,
        }
        return {name: value for name, value in fields.items() if value is not None}


def proposed(order: ProposedOrder | None, fields: dict[str, Any]) -> ProposedOrder:
    """`order`, or one made of keywords. Raises ValueError for both, neither, and fields that don't exist."""
    if order is not None:
        if fields or not isinstance(order, ProposedOrder):
            raise ValueError("give a ProposedOrder, or the fields of one as keywords")
        return order
    try:
        return ProposedOrder(**fields)
    except TypeError as error:
        raise ValueError(f"this is no order: {error}") from None


def _check_text(name: str, value: object, longest: int = _MAX_TEXT) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        raise ValueError(f"{name} is {value!r}: write a text of 1 to {longest} characters")


def _above_zero(name: str, value: object) -> Decimal:
    try:
        number = finite(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if number <= 0:
        raise ValueError(f"{name} is {value!r}: it must be above zero")
    return number
