"""The daemon's side of the Unix socket: state to read, and an operator's commands.

Who asks is what the kernel says: only root and the daemon's own user are answered, whatever the mode of the
file. Nothing is decided here; a command becomes an event for the engine, and its answer is passed on.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping, Set
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from risk_daemon.control import operator_name, short_address
from risk_daemon.errors import CircuitBreakerError, RiskDaemonError, StateError, UsageError
from risk_daemon.events import HaltRequested, Input, ResetRequested

_UID = web.RequestKey("uid", int)
_LOG = logging.getLogger(__name__)
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_MAX_BODY = 64 * 1024
_MAX_TEXT = 1_000
_STOP_WITHIN_S = 2.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control(Protocol):
    """What the daemon offers to people."""

    def state(self) -> Mapping[str, Any]:
        """How things stand, JSON-able."""
        ...

    def is_ready(self) -> bool: ...

    def is_alive(self) -> bool: ...

    async def command(self, event: Input) -> Mapping[str, Any]:
        """Put an operator's event through the engine: `accepted`, `reason`, `state`, `trip_id`."""
        ...

    async def cancel_all(self, venue: str | None, market: str | None) -> Mapping[str, Any]:
        """Sweep; an answer as `control.sweep_document` makes it. Not to be ended by a caller that hangs up."""
        ...


class ControlServer:
    """Serves a Control on a Unix socket. The caller owns the state directory, so a socket there is stale."""

    def __init__(self, control: Control, socket_path: Path) -> None:
        self.path = socket_path
        self._runner = web.AppRunner(
            _application(control), access_log=None, handle_signals=False, shutdown_timeout=_STOP_WITHIN_S
        )
        self._inode: int | None = None

    async def start(self) -> None:
        """Listen. Raises StateError if the socket can't be made."""
        await self._runner.setup()
        try:
            listener = _listener(self.path)
            self._inode = self.path.stat().st_ino
            await web.SockSite(self._runner, listener).start()
        except OSError as error:
            raise StateError(f"{self.path}: the socket can't be made: {error}") from error

    async def stop(self) -> None:
        """Stop listening and remove the socket, unless another daemon has put its own there by now."""
        await self._runner.cleanup()
        try:
            if self._inode is not None and self.path.stat().st_ino == self._inode:
                self.path.unlink()
        except FileNotFoundError:
            return  # somebody was quicker


def _listener(path: Path) -> socket.socket:
    """A socket bound at `path` for its owner only: nobody can connect before its mode is set. Raises OSError."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_address(path) as address:
            listener.bind(address)
        path.chmod(0o600)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StateError(f"{path}: this is not a socket: move it away")
    path.unlink()


# --- the application -------------------------------------------------------------------------------


def _application(control: Control) -> web.Application:
    commands = _Commands(control)
    application = web.Application(middlewares=[_problems, _only_owner], client_max_size=_MAX_BODY)
    application.router.add_get("/livez", commands.livez)
    application.router.add_get("/readyz", commands.readyz)
    application.router.add_get("/api/v1/state", commands.state)
    application.router.add_post("/api/v1/halt", commands.halt)
    application.router.add_post("/api/v1/reset", commands.reset)
    application.router.add_post("/api/v1/cancel-all", commands.cancel_all)
    return application


class _Commands:
    """One method a route."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def livez(self, request: web.Request) -> web.Response:
        return _health("alive", self._control.is_alive())

    async def readyz(self, request: web.Request) -> web.Response:
        return _health("ready", self._control.is_ready())

    async def state(self, request: web.Request) -> web.Response:
        return _json(self._control.state())

    async def halt(self, request: web.Request) -> web.Response:
        body = await _body(request, {"reason"}, {"operator"})
        operator = _operator(request)
        if "operator" in body:
            operator = f"{operator}, {_text(body, 'operator')}"
        return await self._command(HaltRequested(_text(body, "reason"), operator))

    async def reset(self, request: web.Request) -> web.Response:
        body = await _body(request, {"reason", "rebaseline"})
        rebaseline = _choice(body, "rebaseline", ("keep", "current"))
        return await self._command(ResetRequested(_text(body, "reason"), _operator(request), rebaseline))

    async def cancel_all(self, request: web.Request) -> web.Response:
        body = await _body(request, set(), {"venue", "market"})
        venue = None if body.get("venue") is None else _text(body, "venue")
        market = None if body.get("market") is None else _choice(body, "market", ("spot", "perp"))
        return _json(await self._control.cancel_all(venue, market))

    async def _command(self, event: Input) -> web.Response:
        answer = await self._control.command(event)
        if answer.get("accepted") is True:
            return _json(answer)
        return problem(HTTPStatus.CONFLICT, str(answer.get("reason") or "refused"), answer)


@web.middleware
async def _only_owner(request: web.Request, handler: Handler) -> web.StreamResponse:
    uid = _peer_uid(request)
    if uid not in (0, os.geteuid()):
        return problem(HTTPStatus.FORBIDDEN, "only root and the daemon's own user may use this socket")
    request[_UID] = uid
    return await handler(request)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes an answer of one form."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        answer = problem(HTTPStatus(error.status), error.text or error.reason)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except CircuitBreakerError as error:
        return problem(HTTPStatus.CONFLICT, str(error))
    except UsageError as error:
        return problem(HTTPStatus.BAD_REQUEST, str(error))
    except RiskDaemonError as error:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    except Exception:
        _LOG.exception("a request on the control socket failed")
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug of the daemon: what was asked is not confirmed")


def problem(status: HTTPStatus, detail: str, fields: Mapping[str, Any] | None = None) -> web.Response:
    """An answer of RFC 9457, with `fields` beside the fixed members."""
    members = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    text = json.dumps({**(fields or {}), **members})
    return web.Response(status=status, text=text, content_type="application/problem+json")


def _json(document: Mapping[str, Any]) -> web.Response:
    """Raises ValueError for NaN: a reader would take it for something else."""
    return web.json_response(text=json.dumps(dict(document), allow_nan=False))


def _health(name: str, good: bool) -> web.Response:
    return _json({name: True}) if good else problem(HTTPStatus.SERVICE_UNAVAILABLE, f"not {name}")


# --- who asks --------------------------------------------------------------------------------------


def _peer_uid(request: web.Request) -> int | None:
    """The user id of the process at the other end, as the kernel has it; None if it is gone already."""
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    if peer is None:
        return None
    with socket.socket(fileno=os.dup(peer.fileno())) as copy:  # event loops hand out sockets without getsockopt
        data = copy.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(data)[1]
    return uid


def _operator(request: web.Request) -> str:
    return operator_name(request[_UID])


# --- what is asked ---------------------------------------------------------------------------------


async def _body(request: web.Request, needed: Set[str], allowed: Set[str] = frozenset()) -> dict[str, Any]:
    """The JSON object of a request with all of `needed` and nothing but `allowed`. Raises UsageError."""
    try:
        body = await request.json() if request.can_read_body else {}
    except ValueError:
        raise UsageError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise UsageError("the body is not a JSON object")
    missing, unknown = needed - body.keys(), body.keys() - needed - allowed
    if missing or unknown:
        told = [f"{name} is missing" for name in sorted(missing)] + [f"{name} is not known" for name in sorted(unknown)]
        raise UsageError(", ".join(told))
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_TEXT:
        raise UsageError(f"{name} must be a text of 1 to {_MAX_TEXT} characters")
    return value.strip()


def _choice(body: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = body[name]
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}")
    return str(value)
