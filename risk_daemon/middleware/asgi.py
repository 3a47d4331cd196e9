"""For applications that speak ASGI (FastAPI, Starlette, Quart): standard library only.

    app.add_middleware(CircuitBreakerMiddleware, gate=TradingGate("/var/lib/risk-daemon"), guard=("POST /orders",))

A guarded request is answered 423 while the gate is shut, and does not reach the application. Orders that come over
a websocket are not seen here: there the application asks the gate itself.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from risk_daemon.bot.answers import GateAnswer
from risk_daemon.middleware.guard import CONTENT_TYPE, MAX_BODY, Gate, Guard, problem, status_of, unreadable
from risk_daemon.middleware.routes import DEFAULT, seen_from

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """A guarded request while it waits for its answer."""

    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)


ANSWER: Final = "risk_daemon.answer"

OrderFrom = Callable[[HeldRequest], "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"]


class CircuitBreakerMiddleware:
    """Guards the requests that match `guard`; all others pass untouched.

    gate: without `order_from` it is looked at (a TradingGate); with it, every order is asked about. order_from: makes
    the fields of a ProposedOrder of a request; what it raises makes the answer 422. The answer to an order that
    passes is in the scope under ANSWER: its lease may run out before the application sends the order.
    """

    def __init__(
        self,
        app: App,
        gate: Gate,
        guard: Iterable[str] = DEFAULT,
        *,
        order_from: OrderFrom | None = None,
    ) -> None:
        self._app = app
        self._guard = Guard(gate, guard, asks_orders=order_from is not None)
        self._order_from = order_from

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._guard.guards(scope["method"], _paths(scope)):
            await self._app(scope, receive, send)
            return
        if self._order_from is None:
            answer = self._guard.standing(f"{scope['method']} {scope['path']}")
        else:
            answer, receive = await self._judge(scope, receive, self._order_from)
        if not answer.is_valid():
            await _refuse(answer, send)
            return
        scope[ANSWER] = answer
        await self._app(scope, receive, send)

    def check_breaker(self, account_id: UUID | str) -> bool:
        """True while orders may be sent, else raises CircuitBreakerException; see `Guard.check_breaker`."""
        return self._guard.check_breaker(account_id)

    async def _judge(self, scope: Scope, receive: Receive, order_from: OrderFrom) -> tuple[GateAnswer, Receive]:
        body = await _read(receive)
        if body is None:
            return unreadable(f"its body does not end within {MAX_BODY} bytes"), receive
        request = HeldRequest(
            scope["method"], scope["path"], scope.get("query_string", b""), tuple(scope.get("headers", ())), body
        )
        try:
            fields = order_from(request)
            fields = await fields if inspect.isawaitable(fields) else fields
        except Exception as error:
            return unreadable(repr(error)), receive
        return await self._guard.judge(fields), _again(body, receive)


def _paths(scope: Scope) -> tuple[str, ...]:
    return seen_from(scope.get("root_path", ""), scope["path"])


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None if it is too long, or its sender is gone."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then what comes after it."""
    held: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return held.pop() if held else await receive()

    return replay


async def _refuse(answer: GateAnswer, send: Send) -> None:
    body = problem(answer)
    headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status_of(answer)), "headers": headers})
    await send({"type": "http.response.body", "body": body})
