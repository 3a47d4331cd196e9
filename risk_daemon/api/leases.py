"""The answer to one order: the bot's words into a request to the gate, the gate's answer into JSON.

The hot path: no logging, one pass, the constant parts ready.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from itertools import count

from aiohttp import web

from risk_daemon.api.doors import Caller
from risk_daemon.api.models import OrderCheck
from risk_daemon.api.port import Control
from risk_daemon.api.problems import Refused, encoded, problem
from risk_daemon.gate import OrderAnswer, OrderRequest, Veto
from risk_daemon.lock.shared import MAX_VALID_MS
from risk_daemon.writing import utc_text

_LEASE = b'{"allowed":true,"time":"%b","time_wall":%b,"lease_id":"%b-%x","valid_for_ms":' + b"%d}" % MAX_VALID_MS
_RUN = secrets.token_hex(6).encode("ascii")
_numbers = count(1)


def order_request(order: OrderCheck, caller: Caller, control: Control) -> OrderRequest:
    """Raises Refused (422) for a venue or a symbol that is not known."""
    if order.venue not in control.venues():
        raise unknown("venue", order.venue)
    instrument = control.instrument(order.venue, order.symbol)
    if instrument is None:
        raise unknown("symbol", f"{order.symbol} on {order.venue}")
    return OrderRequest(
        venue=order.venue,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        order_type=order.type,
        price=None if order.type == "market" else order.price,
        reduce_only=order.reduce_only,
        client_order_id=order.client_order_id,
        bot=caller.bot,
        contract_size=instrument.contract_size,
        inverse=instrument.inverse,
    )


def unknown(what: str, name: str) -> Refused:
    """What the daemon has never heard of can't be guarded."""
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"the {what} {name} is not known")


def written(answer: OrderAnswer) -> web.Response:
    """200 with a lease for this one order, or 423. Raises InvariantError for a time that is none."""
    time = utc_text(answer.wall)
    if answer.veto is not None:
        return problem(_locked(answer.veto, answer.wall, time))
    return encoded(_LEASE % (time.encode("ascii"), repr(answer.wall).encode("ascii"), _RUN, next(_numbers)))


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
