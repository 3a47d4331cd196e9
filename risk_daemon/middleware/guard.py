"""What a middleware does, whatever the framework: look at the gate, and say no in the form of the daemon's own 423."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol
from uuid import UUID

from risk_daemon.bot.answers import INVALID_ORDER, LOCKED, GateAnswer, no_answer
from risk_daemon.errors import CircuitBreakerException
from risk_daemon.middleware.routes import DEFAULT, Routes

CONTENT_TYPE: Final = "application/problem+json"
MAX_BODY: Final = 64 * 1024

_MAX_DETAIL = 300
_LOSSES: Final = (
    "portfolio_dd_circuit",
    "capital_loss",
    "daily_loss",
    "weekly_loss",
    "venue_loss",
    "position_loss",
)
_LOG = logging.getLogger(__name__)


class Gate(Protocol):
    """What a middleware asks: TradingGate or DaemonGate. `peek` is missing where there is no memory map."""

    async def acheck(self, **fields: Any) -> GateAnswer: ...


class Guard:
    """A gate, and which requests it guards. Raises ValueError for a gate that can't answer for them.

    asks_orders: each order is judged; otherwise the gate is looked at, which only one with a map can be.
    """

    def __init__(self, gate: Gate, patterns: Iterable[str] = DEFAULT, *, asks_orders: bool = False) -> None:
        if not asks_orders and not hasattr(gate, "peek"):
            raise ValueError("this gate answers for single orders only: give order_from, or a TradingGate")
        self._gate = gate
        self._routes = Routes.of(patterns)

    def guards(self, method: str, paths: Iterable[str]) -> bool:
        """Whether such a request may pass only while the gate is open."""
        return self._routes.guards(method, paths)

    def standing(self, where: str = "") -> GateAnswer:
        """The gate as it stands for everybody. A gate that fails is a shut gate; where: what it would be refused."""
        gate: Any = self._gate
        try:
            answer = _sound(gate.peek())
            if not answer.allowed and hasattr(gate, "tell_refused"):
                gate.tell_refused(None, answer, where)
            return answer
        except Exception as error:
            return _failed(error)

    async def judge(self, fields: object) -> GateAnswer:
        """The answer to the order with `fields`; `invalid_order` where they make none."""
        if not isinstance(fields, Mapping):
            return unreadable(f"order_from gave {type(fields).__name__}, not the fields of an order")
        try:
            return _sound(await self._gate.acheck(**fields))
        except (ValueError, TypeError) as error:
            return unreadable(error)
        except Exception as error:
            return _failed(error)

    def check_breaker(self, account_id: UUID | str) -> bool:
        """True while orders may be sent. There is one gate for all accounts.

        An `account_id` that is a venue's name in the daemon's configuration is judged with that venue's own halt as
        well; any other is judged by the gate alone. Raises CircuitBreakerException with the limit that was hit.
        """
        answer = self.standing(f"account {account_id}")
        if answer.is_valid():
            answer = self._account(str(account_id))
        if not answer.is_valid():
            raise CircuitBreakerException(zen_sentence(answer))
        return True

    def _account(self, account_id: str) -> GateAnswer:
        gate: Any = self._gate
        try:
            answer = _sound(gate.peek_venue(account_id))
            if not answer.allowed:
                gate.tell_refused(None, answer, f"account {account_id}")
            return answer
        except Exception as error:
            return _failed(error)


def unreadable(cause: object) -> GateAnswer:
    """No, because what was sent is no order."""
    return GateAnswer(
        allowed=False, veto_reason=INVALID_ORDER, detail=f"the order can't be read: {cause}"[:_MAX_DETAIL]
    )


def status_of(answer: GateAnswer) -> HTTPStatus:
    """423, or 422 for what is no order."""
    return HTTPStatus.UNPROCESSABLE_ENTITY if answer.veto_reason == INVALID_ORDER else HTTPStatus.LOCKED


def problem(answer: GateAnswer) -> bytes:
    """The body of a refusal, after RFC 9457, with the members that the daemon's own has."""
    status = status_of(answer)
    members = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": answer.detail,
        "veto_reason": answer.veto_reason or LOCKED,
        "observed": dict(answer.observed),
        "limits": dict(answer.limits),
        "trip_id": answer.trip_id,
        "locked_until": answer.locked_until,
    }
    return json.dumps(members, default=str).encode()


def zen_sentence(answer: GateAnswer) -> str:
    """`Zen Mode Active: -3% Limit Hit`, with the limit of the loss; what is no loss is told by its reason."""
    for limit in answer.limits.values() if answer.veto_reason in _LOSSES else ():
        if isinstance(limit, str) and limit:
            return f"Zen Mode Active: -{limit} Limit Hit"
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            size = f"{limit * 100:g}%" if 0 < limit < 1 else f"{limit:g}"
            return f"Zen Mode Active: -{size} Limit Hit"
    return f"Zen Mode Active: {answer.veto_reason or LOCKED}"


def _sound(answer: object) -> GateAnswer:
    """`answer`; a yes only while its lease is valid, and nothing that is no answer."""
    if not isinstance(answer, GateAnswer):
        return no_answer(f"the gate answered {answer!r}"[:_MAX_DETAIL])
    if answer.allowed and not answer.is_valid():
        return no_answer("the lease had run out")
    return answer


def _failed(error: Exception) -> GateAnswer:
    _LOG.error("the gate failed, which counts as shut", exc_info=error)
    return GateAnswer(allowed=False, veto_reason=LOCKED, detail=f"the gate failed: {type(error).__name__}")
