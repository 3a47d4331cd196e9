"""Who asks: on the Unix socket as the kernel says, on TCP as the bearer token says.

Over TCP a web page must not get in through somebody's browser: what comes with an `Origin`, or on loopback under
another host's name (DNS rebinding), is refused before anything else is looked at.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION, HOST, ORIGIN

from risk_daemon.api.limits import RateLimit
from risk_daemon.api.problems import Refused
from risk_daemon.api.tally import Tally
from risk_daemon.auth.operators import operator_name
from risk_daemon.auth.tokens import Role, TokenStore
from risk_daemon.model.addresses import is_loopback
from risk_daemon.model.clock import Clock

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_BEARER = "bearer "
_CHALLENGE = 'Bearer realm="risk-daemon"'


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. name: for the records. bot: the bot that a token names. is_local, is_root: by the kernel's word."""

    name: str
    role: Role
    is_local: bool = False
    bot: str | None = None
    is_root: bool = False


class Door(Protocol):
    """One way in."""

    def check(self, request: web.BaseRequest) -> None:
        """Raises Refused for a request that nothing more should be done for."""
        ...

    def address(self, request: web.BaseRequest) -> str:
        """Whose requests are counted together where nobody has to say who they are."""
        ...

    def caller(self, request: web.BaseRequest) -> Caller:
        """Raises Refused (401, 429)."""
        ...


class SocketDoor:
    """The Unix socket: for root and the daemon's own user. A token sent there counts for what it says."""

    def __init__(self, tokens: TokenStore) -> None:
        self._bearers = Bearers(tokens)

    def check(self, request: web.BaseRequest) -> None:
        if peer_uid(request) not in (0, os.geteuid()):
            raise Refused(HTTPStatus.FORBIDDEN, "only root and the daemon's own user may use this socket")

    def address(self, request: web.BaseRequest) -> str:
        return "socket"

    def caller(self, request: web.BaseRequest) -> Caller:
        given = request.headers.get(AUTHORIZATION)
        if given is not None:
            return self._bearers.caller(given)
        uid = peer_uid(request)
        if uid is None:
            raise Refused(HTTPStatus.FORBIDDEN, "the caller is gone")
        return Caller(_user(uid), Role.OPERATOR, is_local=True, is_root=uid == 0)


class TokenDoor:
    """TCP: for whoever has a token. An address that fails too often is told to wait; a good token always passes."""

    def __init__(
        self, tokens: TokenStore, failures: RateLimit, clock: Clock, tally: Tally, *, is_loopback_only: bool
    ) -> None:
        self._bearers = Bearers(tokens)
        self._tally = tally
        self._failures = failures
        self._clock = clock
        self._is_loopback_only = is_loopback_only

    def check(self, request: web.BaseRequest) -> None:
        headers = request.headers
        if request.raw_path[:1] != "/" and "://" in request.raw_path:  # its host would overrule the Host header's
            raise Refused(HTTPStatus.BAD_REQUEST, "this is no proxy: ask for a path")
        if ORIGIN in headers:
            raise Refused(HTTPStatus.FORBIDDEN, "requests of web pages are not answered")
        host = headers.get(HOST)
        if host is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "the Host header is missing")
        if self._is_loopback_only and not is_local_host(host):
            raise Refused(HTTPStatus.FORBIDDEN, "the Host header does not name this machine")

    def address(self, request: web.BaseRequest) -> str:
        return request.remote or ""

    def caller(self, request: web.BaseRequest) -> Caller:
        try:
            return self._bearers.caller(request.headers.get(AUTHORIZATION, ""))
        except Refused:
            if AUTHORIZATION in request.headers:
                self._tally.count_login(_why(request.headers[AUTHORIZATION]), self.address(request))
            wait_s = self._failures.wait_s(self.address(request), self._clock.now().mono)
            if wait_s > 0:
                raise too_many(wait_s) from None
            raise


def _why(header: str) -> str:
    """Why a login failed, of which nothing may be repeated."""
    return "the token is not valid" if header[: len(_BEARER)].lower() == _BEARER else "it is no bearer token"


class Bearers:
    """Who sends an `Authorization` header. Good ones are remembered until the tokens change.

    Whether they did is looked for once for all requests that are served in one turn of the loop: each of them had
    come before that look.
    """

    def __init__(self, tokens: TokenStore) -> None:
        self._tokens = tokens
        self._version = -1
        self._has_looked = False
        self._callers: dict[str, Caller] = {}

    def caller(self, header: str) -> Caller:
        """Raises Refused (401)."""
        if not self._has_looked:
            self._look()
        caller = self._callers.get(header)
        if caller is None:
            caller = self._callers[header] = self._ask(header)
        return caller

    def _look(self) -> None:
        version = self._tokens.version()
        if version != self._version:
            self._version, self._callers = version, {}
        self._has_looked = True
        asyncio.get_running_loop().call_soon(self._look_again)

    def _look_again(self) -> None:
        self._has_looked = False

    def _ask(self, header: str) -> Caller:
        if header[: len(_BEARER)].lower() != _BEARER:
            raise _nobody("a bearer token is needed: Authorization: Bearer ...", _CHALLENGE)
        principal = self._tokens.authenticate(header[len(_BEARER) :])
        if principal is None:
            raise _nobody("this token is not valid", f'{_CHALLENGE}, error="invalid_token"')
        bot = principal.name if principal.role is Role.BOT else None
        return Caller(f"token:{principal.name}", principal.role, bot=bot)


def _nobody(detail: str, challenge: str) -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def too_many(wait_s: float) -> Refused:
    """The answer to who asks too often."""
    hint = {"Retry-After": str(max(1, math.ceil(wait_s)))}
    return Refused(HTTPStatus.TOO_MANY_REQUESTS, f"too many requests: wait {wait_s:.3g} s", headers=hint)


def peer_uid(request: web.BaseRequest) -> int | None:
    """The user id of the process at the other end, as the kernel has it; None if it is gone already."""
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    if peer is None:
        return None
    with socket.socket(fileno=os.dup(peer.fileno())) as copy:  # event loops hand out sockets without getsockopt
        data = copy.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(data)[1]
    return uid


@lru_cache(maxsize=16)
def _user(uid: int) -> str:
    """Kept, because the user database may be slow."""
    return operator_name(uid)


@lru_cache(maxsize=64)
def is_local_host(header: str) -> bool:
    """Whether a Host header names this machine, with or without a port."""
    host, bracket, rest = header.partition("]")
    name = host.removeprefix("[") if bracket else header.rpartition(":")[0] or header
    port = (rest if bracket else header[len(name) :]).removeprefix(":")
    return is_loopback(name.lower()) and (not port or (port.isascii() and port.isdigit()))
