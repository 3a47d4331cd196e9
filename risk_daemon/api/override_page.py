"""The page on which wardens agree, and what it asks. For browsers of this very page only.

What another site makes a browser send is refused: by the Host, which must be the page's own (a name that was rebound is
another), by the Origin, and because only JSON is taken. Whoever has no code learns nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.hdrs import HOST
from pydantic import Field, TypeAdapter

from risk_daemon.api import body
from risk_daemon.api.browsers import (
    check_asks_itself,
    check_is_not_foreign,
    check_is_path,
    check_method,
    file_answer,
    page_headers,
)
from risk_daemon.api.doors import too_many
from risk_daemon.api.limits import Limits
from risk_daemon.api.models import Body
from risk_daemon.api.problems import Refused, answer, problem
from risk_daemon.api.tally import Tally
from risk_daemon.auth.desk import PAGE, Desk
from risk_daemon.auth.override import OverrideRefused, Unknown
from risk_daemon.auth.page_site import PageSite
from risk_daemon.errors import InvariantError, RiskDaemonError
from risk_daemon.model.clock import Clock

_LOG = structlog.get_logger(__name__)
_BUG = "a bug of the daemon: nothing was agreed to"

_FILES = {
    PAGE: ("override.html", "text/html"),
    f"{PAGE}/page.js": ("override.js", "text/javascript"),
    f"{PAGE}/page.css": ("override.css", "text/css"),
}
_PAGE_HEADERS = page_headers(
    form_action="'none'",
    referrer="no-referrer",
    permissions="publickey-credentials-get=(self), publickey-credentials-create=(self)",
)


# --- what the page sends -----------------------------------------------------------------------------


class Look(Body):
    """What is it about?"""

    code: str = Field(max_length=64)


class OfAttempt(Look):
    """Something about one attempt. attempt: which one the page shows."""

    attempt: str = Field(max_length=64)


class Challenge(OfAttempt):
    """A warden is about to agree."""

    warden: str = Field(max_length=64)


class Agree(Challenge):
    """A warden agrees. credential: what the browser's authenticator says."""

    otp: str = Field(max_length=16)
    credential: dict[str, Any]


class Enroll(OfAttempt):
    """A new warden has made a passkey."""

    otp: str = Field(max_length=16)
    credential: dict[str, Any]


_Handler = Callable[[Desk, Any], Awaitable[Mapping[str, Any]]]


async def _look(desk: Desk, said: Look) -> Mapping[str, Any]:
    return await desk.look(said.code)


async def _challenge(desk: Desk, said: Challenge) -> Mapping[str, Any]:
    return await desk.challenge(said.code, said.attempt, said.warden)


async def _agree(desk: Desk, said: Agree) -> Mapping[str, Any]:
    return await desk.agree(said.code, said.attempt, said.warden, said.otp, said.credential)


async def _registration(desk: Desk, said: OfAttempt) -> Mapping[str, Any]:
    return await desk.registration(said.code, said.attempt)


async def _enroll(desk: Desk, said: Enroll) -> Mapping[str, Any]:
    return await desk.enroll(said.code, said.attempt, said.otp, said.credential)


_QUESTIONS: Mapping[str, tuple[TypeAdapter[Any], _Handler]] = {
    f"{PAGE}/look": (TypeAdapter(Look), _look),
    f"{PAGE}/challenge": (TypeAdapter(Challenge), _challenge),
    f"{PAGE}/agree": (TypeAdapter(Agree), _agree),
    f"{PAGE}/registration": (TypeAdapter(OfAttempt), _registration),
    f"{PAGE}/enroll": (TypeAdapter(Enroll), _enroll),
}


# --- the page ----------------------------------------------------------------------------------------


class OverridePage:
    """Answers browsers for one desk. host: what its address calls this machine, and what passkeys are made for."""

    def __init__(
        self, desk: Desk, host: str, clock: Clock, limits: Limits | None = None, tally: Tally | None = None
    ) -> None:
        limits = limits or Limits()
        self.desk = desk
        self._host = host
        self._clock = clock
        self._limits = limits
        self._tally = tally or Tally(limits.tell_every_s)
        self._rates = limits.rate_limits()

    def listens_at(self, port: int, *, is_tls: bool) -> None:
        """From now on there is a page to ask wardens on."""
        self.desk.site = PageSite.at(self._host, port, is_tls=is_tls)

    def address(self) -> str | None:
        """Where a browser finds it; None before there is a port."""
        return None if self.desk.site is None else f"{self.desk.site.origin}{PAGE}"

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a request for `path` is for the page."""
        return path == PAGE or path.startswith(f"{PAGE}/")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Raises nothing."""
        try:
            said = await self._serve(request)
        except Refused as refused:
            said = problem(refused)
        except Exception as error:
            said = problem(self._refusal(request, error))
        said.headers.update(_PAGE_HEADERS)
        said.force_close()  # a browser's idle connection takes no bot's seat
        return said

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        path = request.rel_url.raw_path
        self._check_is_own(request)
        wait_s = self._rates["anybody"].wait_s(request.remote or "", self._clock.now().mono)
        if wait_s > 0:
            raise too_many(wait_s)
        if path in _FILES:
            check_method(request, "GET", "HEAD")
            return file_answer("pages", *_FILES[path])
        if path not in _QUESTIONS:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such path on this page")
        check_method(request, "POST")
        check_asks_itself(request, self._origin())
        adapter, handler = _QUESTIONS[path]
        said = body.validated(adapter, body.parse(await body.read(request, self._limits)))
        return answer(await handler(self.desk, said))

    def _check_is_own(self, request: web.BaseRequest) -> None:
        """Raises Refused where the browser thinks that it is somewhere else."""
        origin = self._origin()
        check_is_path(request)
        if request.headers.getall(HOST, []) != [origin.partition("://")[2]]:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, f"this page is at {origin}{PAGE} and nowhere else")
        check_is_not_foreign(request, origin)

    def _origin(self) -> str:
        if self.desk.site is None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the page is not ready")
        return self.desk.site.origin

    def _refusal(self, request: web.BaseRequest, error: Exception) -> Refused:
        match error:
            case Unknown():
                return self._stranger(request, str(error))
            case OverrideRefused():
                return Refused(HTTPStatus.CONFLICT, str(error))
            case RiskDaemonError() if not isinstance(error, InvariantError):
                return Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        _LOG.error("override_page_failed", exc_info=error)
        return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, _BUG)

    def _stranger(self, request: web.BaseRequest, why: str) -> Refused:
        """Somebody without a code. Counted with the failed logins, told to wait, and never a warden's failure."""
        self._tally.count_login("there is no such code on the wardens' page", request.remote or "")
        wait_s = self._rates["failed_logins"].wait_s(request.remote or "", self._clock.now().mono)
        return too_many(wait_s) if wait_s > 0 else Refused(HTTPStatus.FORBIDDEN, why)
