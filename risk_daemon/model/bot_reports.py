"""What bots say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from risk_daemon.model.account import OrderSide


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
    side: OrderSide
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
