"""For applications of aiohttp.

    app = web.Application(middlewares=[circuit_breaker_middleware(TradingGate("/var/lib/risk-daemon"))])

A guarded request is answered 423 while the gate is shut, and its handler is not called. Orders that come over a
websocket are not seen here: there the handler asks the gate itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from risk_daemon.bot.answers import GateAnswer
from risk_daemon.middleware.guard import CONTENT_TYPE, Gate, Guard, problem, status_of, unreadable
from risk_daemon.middleware.routes import DEFAULT, seen_from

ANSWER: Final = web.RequestKey("risk_daemon.answer", GateAnswer)

OrderFrom = Callable[[web.Request], "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"]


def circuit_breaker_middleware(
    gate: Gate, guard: Iterable[str] = DEFAULT, *, order_from: OrderFrom | None = None
) -> Middleware:
    """A middleware that guards the requests that match `guard`; all others pass untouched. Raises ValueError.

    gate: without `order_from` it is looked at (a TradingGate); with it, every order is asked about. order_from: makes
    the fields of a ProposedOrder of a request (`await request.json()` may be read again by the handler); what it
    raises makes the answer 422. The answer to an order that passes is in the request under ANSWER.
    """
    watch = Guard(gate, guard, asks_orders=order_from is not None)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not watch.guards(request.method, _paths(request)):
            return await handler(request)
        where = f"{request.method} {request.path}"
        answer = watch.standing(where) if order_from is None else await _judge(watch, request, order_from)
        if not answer.is_valid():
            return web.Response(status=int(status_of(answer)), body=problem(answer), content_type=CONTENT_TYPE)
        request[ANSWER] = answer
        return await handler(request)

    return middleware


async def _judge(watch: Guard, request: web.Request, order_from: OrderFrom) -> GateAnswer:
    try:
        fields = order_from(request)
        fields = await fields if inspect.isawaitable(fields) else fields
    except Exception as error:
        return unreadable(repr(error))
    return await watch.judge(fields)


def _paths(request: web.Request) -> tuple[str, ...]:
    """The path as it was sent, and as the application sees it that this middleware belongs to."""
    return (*seen_from(_mounted_at(request), request.path), request.rel_url.raw_path)


def _mounted_at(request: web.Request) -> str:
    """The prefix under which `request.app` is mounted; empty for the outermost."""
    apps = request.match_info.apps
    outer = apps[: apps.index(request.app)] if request.app in apps else ()
    for app in outer:
        for resource in app.router.resources():
            info = resource.get_info()
            if info.get("app") is request.app:
                return str(info.get("prefix", ""))
    return ""
