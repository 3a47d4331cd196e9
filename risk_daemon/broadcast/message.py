"""What is broadcast of a trip or a freeze: made of the record that opens it, kept until it is acknowledged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.units import EXACT, finite, plain
from risk_daemon.state.files import utc_text

ACTION = "CANCEL_ALL_OPEN_ORDERS"
URGENCY = "high"
FORMAT = 1
CONTENT_TYPE = "application/json"
_REASON_MAX = 1_000
_MONEY_DIGITS = Decimal("1e-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One trip or freeze. wall: Unix seconds of it. until_wall: when a freeze may end.

    equity_loss: money in the reference currency, loss_ratio: of what the rule measures from; both as decimal text. None
    where it is not known: never 0 for that.
    """

    trip_id: str
    wall: float
    equity_loss: str | None = None
    loss_ratio: str | None = None
    rule: str = ""
    reason: str = ""
    is_freeze: bool = False
    until_wall: float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON, to be kept until it is acknowledged."""
        return {
            "trip_id": self.trip_id,
            "wall": self.wall,
            "equity_loss": self.equity_loss,
            "loss_ratio": self.loss_ratio,
            "rule": self.rule,
            "reason": self.reason,
            "is_freeze": self.is_freeze,
            "until_wall": self.until_wall,
        }

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> Message:
        """The inverse of `document`. Raises KeyError, TypeError or ValueError for what never was one."""
        until_wall = document["until_wall"]
        return cls(
            trip_id=_id(document["trip_id"]),
            wall=float(document["wall"]),
            equity_loss=_number(document["equity_loss"]),
            loss_ratio=_number(document["loss_ratio"]),
            rule=str(document["rule"]),
            reason=str(document["reason"]),
            is_freeze=document["is_freeze"] is True,
            until_wall=None if until_wall is None else float(until_wall),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How messages sound. guard: which guard speaks. currency: that of `equity_loss`."""

    event_type: str
    currency: str
    guard: str

    def payload(self, message: Message) -> dict[str, Any]:
        """What receivers get. Raises InvariantError for a moment that is no date."""
        until_wall = message.until_wall
        return {
            "format": FORMAT,
            "event_type": self.event_type,
            "trip_id": message.trip_id,
            "action": ACTION,
            "urgency": URGENCY,
            "timestamp": utc_text(message.wall),
            "equity_loss": message.equity_loss,
            "loss_ratio": message.loss_ratio,
            "currency": self.currency,
            "kind": "freeze" if message.is_freeze else "trip",
            "until": None if until_wall is None else utc_text(until_wall),
            "rule": message.rule,
            "reason": message.reason,
            "guard": self.guard,
        }

    def body(self, message: Message) -> bytes:
        """`payload` as it is sent."""
        return json.dumps(self.payload(message), ensure_ascii=True, allow_nan=False).encode("ascii")


def message_of(record: RiskEvent, wall: float) -> Message | None:
    """What a line of the event log is broadcast as; None for every line that opens neither a trip nor a freeze.

    Never raises: figures that can't be understood are not known.
    """
    trip_id = record.fields.get("trip_id")
    if record.name is not EventName.CIRCUIT_BREAKER_TRIGGERED or not isinstance(trip_id, str) or not trip_id:
        return None
    loss, ratio = _lost(record.fields)
    until_wall = _decimal(record.fields.get("until_wall"))
    return Message(
        trip_id=trip_id,
        wall=wall,
        equity_loss=None if loss is None else plain(loss),
        loss_ratio=None if ratio is None else plain(ratio),
        rule=str(record.fields.get("breaker") or ""),
        reason=str(record.fields.get("reason") or "")[:_REASON_MAX],
        is_freeze=record.fields.get("action") == "freeze",
        until_wall=None if until_wall is None else float(until_wall),
    )


def _lost(fields: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """Money and ratio: what the rule measured, else what the portfolio lost of its capital, if that is to be trusted.

    What a part lost, of which the worth is not told, is a ratio or money alone.
    """
    observed = fields.get("observed")
    seen: Mapping[str, Any] = observed if isinstance(observed, Mapping) else {}
    money, ratio = _decimal(seen.get("loss")), _first(seen, "loss_ratio", "drawdown_ratio")
    if money is None and ratio is None:
        if fields.get("trusted") is not True:
            return None, None
        seen, ratio = fields, _decimal(fields.get("loss_ratio"))
    return _money(seen, ratio) if money is None else money, ratio


def _money(seen: Mapping[str, Any], ratio: Decimal | None) -> Decimal | None:
    """What is gone, where so much of it is gone that this is left."""
    equity = _decimal(seen.get("equity"))
    if equity is None or ratio is None or ratio >= 1:
        return None
    return EXACT.quantize(EXACT.divide(EXACT.multiply(equity, ratio), 1 - ratio), _MONEY_DIGITS)


def _first(seen: Mapping[str, Any], *keys: str) -> Decimal | None:
    return next((number for key in keys if (number := _decimal(seen.get(key))) is not None), None)


def _decimal(value: object) -> Decimal | None:
    try:
        return finite(value)
    except ValueError:
        return None


def _number(value: object) -> str | None:
    """Raises ValueError for what is neither a number in text nor nothing."""
    return None if value is None else plain(finite(value))


def _id(value: object) -> str:
    """Raises ValueError for what names no trip."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not the id of a trip")
    return value
