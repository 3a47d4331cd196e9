"""One request's way in: the door, the route, who asks, how often, what it says. Then its handler, or a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from pydantic import TypeAdapter

from risk_daemon.api import body
from risk_daemon.api.connections import Connection
from risk_daemon.api.doors import Caller, too_many
from risk_daemon.api.handlers import Call, Services
from risk_daemon.api.limits import RateLimit
from risk_daemon.api.problems import COMMON_HEADERS, Refused, problem
from risk_daemon.api.routes import Route
from risk_daemon.auth.override import OverrideRefused
from risk_daemon.errors import CircuitBreakerError, InvariantError, RiskDaemonError, UsageError

_LOG = structlog.get_logger(__name__)
_BUG = "a bug of the daemon: what was asked is not confirmed"


@dataclass(frozen=True, slots=True)
class _Ready:
    """A route with what is made for it once."""

    route: Route
    rate: RateLimit
    read: Callable[[dict[str, Any]], Any] | None

    @classmethod
    def of(cls, route: Route, rates: Mapping[str, RateLimit]) -> _Ready:
        read = route.read
        if read is None and route.body is not None:
            read = partial(body.validated, TypeAdapter(route.body))
        return cls(route, rates[route.rate], read)


class Dispatcher:
    """Answers every request that comes through one door. rates: shared among all doors."""

    def __init__(self, services: Services, routes: Iterable[Route], rates: Mapping[str, RateLimit]) -> None:
        self._services = services
        self._door = services.door
        self._paths: dict[str, dict[str, _Ready]] = {}
        for route in routes:
            methods = self._paths.setdefault(route.path, {})
            methods[route.method] = _Ready.of(route, rates)
            if route.method == "GET":
                methods["HEAD"] = methods["GET"]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Raises nothing."""
        try:
            return await self._serve(request)
        except Refused as refused:
            return problem(refused)
        except Exception as error:
            return problem(_refusal(error))

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self._door.check(request)
        methods = self._paths.get(request.rel_url.raw_path)
        if methods is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such path: see /openapi.json")
        ready = methods.get(request.method)
        if ready is None:
            return _other_method(request.method, ", ".join([*methods, "OPTIONS"]))
        caller = self._admitted(request, ready)
        says = None if ready.read is None else ready.read(await self._document(request, ready.route))
        return await ready.route.handler(Call(request, self._services, caller, says))

    def _admitted(self, request: web.BaseRequest, ready: _Ready) -> Caller | None:
        """Who asks; None where anybody may. Raises Refused (401, 403, 429)."""
        route, door = ready.route, self._door
        caller = door.caller(request) if route.roles else None
        if caller is not None:
            if isinstance(request.protocol, Connection):
                request.protocol.known_as(caller.name, caller.role)
            _check_may(caller, route)
        key = door.address(request) if caller is None else caller.name
        wait_s = ready.rate.wait_s(key, self._services.clock.now().mono)
        if wait_s > 0:
            raise too_many(wait_s)
        return caller

    async def _document(self, request: web.BaseRequest, route: Route) -> dict[str, Any]:
        """The body. Raises Refused (400, 408, 413, 415)."""
        if route.may_be_empty and not request.body_exists:
            return {}
        data = await body.read(request, self._services.limits)
        return {} if route.may_be_empty and not data else body.parse(data)


def _check_may(caller: Caller, route: Route) -> None:
    if caller.role not in route.roles:
        raise Refused(HTTPStatus.FORBIDDEN, f"the role {caller.role} may not do this")
    if route.is_local and not caller.is_local:
        raise Refused(HTTPStatus.FORBIDDEN, "this can be asked only over the daemon's Unix socket, without a token")


def _other_method(method: str, allowed: str) -> web.Response:
    """Raises Refused (405) for all but OPTIONS."""
    if method != "OPTIONS":
        hint = f"{method[:20]} is not possible here, only {allowed}"
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, hint, headers={"Allow": allowed})
    return web.Response(status=HTTPStatus.NO_CONTENT, headers={**COMMON_HEADERS, "Allow": allowed})


def _refusal(error: Exception) -> Refused:
    """How a failure is told. Nothing was opened by it."""
    match error:
        case InvariantError():
            pass
        case CircuitBreakerError() | OverrideRefused():
            return Refused(HTTPStatus.CONFLICT, str(error))
        case UsageError():
            return Refused(HTTPStatus.BAD_REQUEST, str(error))
        case RiskDaemonError():
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    _LOG.error("request_failed", exc_info=error)
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, _BUG)
