"""One order: the bot's words into a request to the gate, the gate's answer into JSON.

The hot path: no logging, the constant parts ready. An ordinary order is read by hand; whatever is not ordinary, the
model reads, or refuses with a sentence.
"""

from __future__ import annotations

import secrets
from decimal import Decimal
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from itertools import count
from typing import Any, NamedTuple

from aiohttp import web
from pydantic import TypeAdapter

from risk_daemon.api.body import validated
from risk_daemon.api.doors import Caller
from risk_daemon.api.models import OrderCheck, RefusedOrder
from risk_daemon.api.port import Control
from risk_daemon.api.problems import SERVER, Refused, problem
from risk_daemon.api.swift import SwiftAnswer
from risk_daemon.api.values import NAME_MAX, ORDER_ID_MAX, above_zero
from risk_daemon.gate.restraints import OrderAnswer, OrderRequest, Veto
from risk_daemon.model.account import OrderSide, side_of
from risk_daemon.state.files import utc_text
from risk_daemon.state.lock.memory_map import MAX_VALID_MS

_OK = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
    f"Server: {SERVER}\r\nDate: {{date}}\r\n"
)
_LEASE = b'{"allowed":true,"time":"%b.%06dZ","time_wall":%b,"lease_id":"%b-%x","valid_for_ms":' + b"%d}" % MAX_VALID_MS
_ADAPTER = TypeAdapter(OrderCheck)
_RUN = secrets.token_hex(6).encode("ascii")
_numbers = count(1)


class Order(NamedTuple):
    """What an OrderCheck says."""

    venue: str
    symbol: str
    side: OrderSide
    type: str
    quantity: Decimal
    price: Decimal | None
    reduce_only: bool
    client_order_id: str | None


_MEMBERS = frozenset(Order._fields)


def read(document: dict[str, Any]) -> Order:
    """Raises Refused (422)."""
    order = _ordinary(document)
    if order is None:
        model: OrderCheck = validated(_ADAPTER, document)
        order = Order(*(getattr(model, name) for name in Order._fields))._replace(side=OrderSide(model.side))
    return order


def _ordinary(document: dict[str, Any]) -> Order | None:
    """What the model would make of `document`, or None where it must be asked."""
    get = document.get
    venue: Any = get("venue")
    symbol: Any = get("symbol")
    side = side_of(get("side"))
    kind, price = get("type", "limit"), get("price")
    reduce_only, own_id = get("reduce_only", False), get("client_order_id")
    is_ordinary = (
        document.keys() <= _MEMBERS
        and side is not OrderSide.UNTOLD
        and ((kind == "limit" and price is not None) or kind == "market")
        and (reduce_only is True or reduce_only is False)
        and _is_plain(venue, NAME_MAX)
        and _is_plain(symbol, NAME_MAX)
        and (own_id is None or _is_plain(own_id, ORDER_ID_MAX))
    )
    if not is_ordinary:
        return None
    try:
        return Order(
            venue=venue,
            symbol=symbol,
            side=side,
            type=kind,
            quantity=above_zero(get("quantity")),
            price=None if price is None else above_zero(price),
            reduce_only=reduce_only,
            client_order_id=own_id,
        )
    except ValueError:
        return None


def _is_plain(text: object, length_max: int) -> bool:
    return type(text) is str and 0 < len(text) <= length_max and text.isascii() and text.isprintable()


def order_request(order: Order, caller: Caller, control: Control) -> OrderRequest:
    """Raises Refused (422) for a venue or a symbol that is not known."""
    if order.venue not in control.venues():
        raise unknown("venue", order.venue)
    instrument = control.instrument(order.venue, order.symbol)
    if instrument is None:
        raise unknown("symbol", f"{order.symbol} on {order.venue}")
    return OrderRequest(
        venue=order.venue,
        symbol=order.symbol,
        side=OrderSide(order.side),
        quantity=order.quantity,
        order_type=order.type,
        price=None if order.type == "market" else order.price,
        reduce_only=order.reduce_only,
        client_order_id=order.client_order_id,
        bot=caller.bot,
        contract_size=instrument.contract_size,
        inverse=instrument.inverse,
    )


def refused_order(order: RefusedOrder, bot: str | None) -> OrderRequest:
    """An order that is not asked about any more: nothing of it is looked up."""
    return OrderRequest(
        venue=order.venue,
        symbol=order.symbol,
        side=OrderSide(order.side),
        quantity=order.quantity,
        order_type=order.type,
        price=order.price,
        reduce_only=order.reduce_only,
        client_order_id=order.client_order_id,
        bot=bot,
    )


def unknown(what: str, name: str) -> Refused:
    """What the daemon has never heard of can't be guarded."""
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"the {what} {name} is not known")


def written(answer: OrderAnswer) -> web.StreamResponse:
    """200 with a lease for this one order, or 423. Raises an error for a time that is none."""
    wall = answer.wall
    if answer.veto is not None:
        return problem(_locked(answer.veto, wall, utc_text(wall)))
    header, second = _second(int(wall))
    microseconds = int(wall % 1 * 1_000_000)
    body = _LEASE % (second, microseconds, repr(wall).encode("ascii"), _RUN, next(_numbers))
    return SwiftAnswer(header, body)


@lru_cache(maxsize=4)
def _second(wall: int) -> tuple[bytes, bytes]:
    """The header of every lease given in one second, and that second as `2026-11-20T11:00:00`."""
    header = _OK.format(date=formatdate(wall, usegmt=True))
    return header.encode("ascii"), utc_text(wall).partition(".")[0].encode("ascii")


def _locked(veto: Veto, wall: float, time: str) -> Refused:
    until = veto.locked_until_wall
    fields = {
        "veto_reason": veto.veto_reason,
        "observed": veto.observed,
        "limits": veto.limits,
        "trip_id": veto.trip_id,
        "locked_until": None if until is None else utc_text(until),
        "time": time,
        "time_wall": wall,
    }
    return Refused(HTTPStatus.LOCKED, veto.reason, fields)
