"""The operator's page over HTTP: who may ask, and what each address does.

It is for browsers that were let in by a token. Programs ask the API, which still refuses whatever a web page sends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from aiohttp.hdrs import ACCEPT, HOST
from multidict import CIMultiDict
from pydantic import TypeAdapter

from risk_daemon.api import body
from risk_daemon.api.browsers import (
    check_asks_itself,
    check_is_not_foreign,
    check_is_path,
    check_method,
    file_answer,
    page_headers,
)
from risk_daemon.api.connections import Connection
from risk_daemon.api.dashboard import forms, pages
from risk_daemon.api.dashboard.board import Board
from risk_daemon.api.dashboard.html import Markup, joined, text
from risk_daemon.api.dashboard.live import stream
from risk_daemon.api.dashboard.sessions import Session, Sessions
from risk_daemon.api.dashboard.words import clock
from risk_daemon.api.doors import is_local_host, too_many
from risk_daemon.api.limits import Limits, RateLimit
from risk_daemon.api.models import Halt
from risk_daemon.api.port import Control
from risk_daemon.api.problems import Refused, answer, encoded, problem
from risk_daemon.api.tally import Tally
from risk_daemon.auth.tokens import Role, TokenStore
from risk_daemon.errors import CircuitBreakerError, InvariantError, RiskDaemonError, StateError
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import HaltRequested

_LOG = structlog.get_logger(__name__)
_BUG = "a bug of the daemon: what was asked is not confirmed"
_HTML = "text/html"
_ROWS = 1_000
_FILES = {
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/log.js": ("log.js", "text/javascript"),
}
# A referrer of the page's own, because without one a browser does not say where a form comes from.
_HEADERS = page_headers(form_action="'self'", referrer="same-origin")
_HALT: TypeAdapter[Halt] = TypeAdapter(Halt)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. form: what was sent with it. origins: how a browser may call where it is."""

    request: web.BaseRequest
    session: Session | None
    form: Mapping[str, str]
    origins: tuple[str, ...]

    @property
    def known(self) -> Session:
        """Raises Refused (403) for who is not logged in."""
        if self.session is None:
            raise Refused(HTTPStatus.FORBIDDEN, "log in first: this session is over")
        return self.session

    @property
    def operator(self) -> Session:
        """Raises Refused (403) for who may not act, and for a form that is not this session's own."""
        session = self.known
        if not session.signs(self.form.get("csrf", "")):
            raise Refused(HTTPStatus.FORBIDDEN, "this form is an old one: load the page again. Nothing was done")
        if not session.may_act:
            raise Refused(HTTPStatus.FORBIDDEN, "a viewer can do nothing: log in with an operator's token")
        return session


class Dashboard:
    """host: what an address may call this machine besides its loopback names. rates, tally: of all doors."""

    def __init__(
        self,
        control: Control,
        tokens: TokenStore,
        clock: Clock,
        limits: Limits,
        rates: Mapping[str, RateLimit],
        tally: Tally,
        host: str,
    ) -> None:
        self.sessions = Sessions(tokens, clock)
        times = {"every_s": limits.page_every_s, "beat_s": limits.page_beat_s}
        self.board = Board(control, clock, self.sessions.sweep, **times)
        self.override: Callable[[], str | None] = lambda: None
        self._control = control
        self._tokens = tokens
        self._clock = clock
        self._limits = limits
        self._rates = rates
        self._tally = tally
        self._host = host
        self._is_tls = False
        self._port = 0
        self._routes: Mapping[str, Mapping[str, Callable[[Ask], Awaitable[web.StreamResponse]]]] = {
            "/": {"GET": self._home},
            "/login": {"GET": self._home, "POST": self._login},
            "/logout": {"POST": self._logout},
            "/log": {"GET": self._show_log},
            "/page/live": {"GET": self._live},
            "/page/state": {"GET": self._state},
            "/page/rows": {"GET": self._log_rows},
            "/page/halt": {"GET": self._home, "POST": self._halt},
            "/page/ack": {"GET": self._home, "POST": self._acknowledge},
        }

    def listens_at(self, port: int, *, is_tls: bool) -> None:
        """From now on there is a page."""
        self._port, self._is_tls = port, is_tls
        self.board.start()

    async def close(self) -> None:
        """Tell every open page the last that is known."""
        await self.board.close()

    def serves(self, path: str) -> bool:
        """Whether a request for `path` is for the page."""
        return path in self._routes or path.startswith("/page/")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Raises nothing."""
        try:
            said = await self._serve(request)
        except Refused as refused:
            said = _refused(request, refused)
        except Exception as error:
            said = _refused(request, _refusal(error))
        if not said.prepared:
            said.headers.update(_HEADERS)
            said.force_close()  # a browser's idle connection takes nobody's seat
        return said

    # --- the way in ----------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        check_is_path(request)
        path, origins = request.rel_url.raw_path, self._origins(request)
        check_is_not_foreign(request, *origins)
        session = self.sessions.of(request.cookies.get(self._cookie, ""))
        self._admit(request, session)
        if path in _FILES:
            check_method(request, "GET", "HEAD")
            return file_answer("dashboard/static", *_FILES[path])
        methods = self._routes.get(path)
        if methods is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such path on this page")
        check_method(request, *methods)
        form: Mapping[str, str] = {}
        if request.method == "POST":
            check_asks_itself(request, *origins)
            form = _form(await body.read_form(request, self._limits))
        return await methods[request.method](Ask(request, session, form, origins))

    def _origins(self, request: web.BaseRequest) -> tuple[str, ...]:
        """What a browser calls pages of the Host it asks. Raises Refused for a host that is not ours.

        Over TLS the certificate has told whose it is. Without, a proxy before us may have had one.
        """
        hosts = request.headers.getall(HOST, [])
        if len(hosts) != 1:
            raise Refused(HTTPStatus.BAD_REQUEST, "one Host header is needed")
        host = hosts[0].lower()
        if self._is_tls:
            return (f"https://{host}",)
        name, _, port = host.partition(":")
        if not is_local_host(host) and (name != self._host or (port and not (port.isascii() and port.isdigit()))):
            hint = f"this page is at http://{self._host}:{self._port}/: warden.host names others"
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, hint)
        return f"http://{host}", f"https://{host}"

    def _admit(self, request: web.BaseRequest, session: Session | None) -> None:
        """Not too often; and who is logged in has a seat among pages. Raises Refused (429, 503).

        Whoever logs in is counted when it failed: a flood of strangers keeps nobody with a token out.
        """
        if session is None and (request.method, request.rel_url.raw_path) == ("POST", "/login"):
            return
        rate = self._rates["page_strangers" if session is None else "pages"]
        key = (request.remote or "") if session is None else session.key
        wait_s = rate.wait_s(key, self._clock.now().mono)
        if wait_s > 0:
            raise too_many(wait_s)
        if session is not None and isinstance(request.protocol, Connection):
            request.protocol.shows_page(f"page:{session.name}")

    @property
    def _cookie(self) -> str:
        """Browsers keep cookies apart by host and not by port; two daemons on one machine do not share one."""
        return f"__Host-risk-{self._port}" if self._is_tls else f"risk-{self._port}"

    # --- logging in and out --------------------------------------------------------------------------

    async def _login(self, ask: Ask) -> web.StreamResponse:
        """A good token always passes; an address that fails too often is told to wait."""
        opened = self.sessions.open(ask.form.get("token", "").strip())
        if isinstance(opened, Role):
            said = f"This is the token of a {opened}: the page is for those of operators and viewers."
            return _page(pages.login(said), HTTPStatus.FORBIDDEN)
        if opened is None:
            self._tally.count_login("this token is not valid (on the page)", ask.request.remote or "")
            wait_s = self._rates["failed_logins"].wait_s(ask.request.remote or "", self._clock.now().mono)
            if wait_s > 0:
                raise too_many(wait_s)
            return _page(pages.login("This token is not valid."), HTTPStatus.FORBIDDEN)
        _LOG.info("page_login", name=opened.name, role=str(opened.role), address=ask.request.remote)
        welcome = _onwards()
        self._set_cookie(welcome, opened.key, ask)
        return welcome

    async def _logout(self, ask: Ask) -> web.StreamResponse:
        if ask.session is not None:
            if not ask.session.signs(ask.form.get("csrf", "")):
                raise Refused(HTTPStatus.FORBIDDEN, "this form is an old one: load the page again")
            self.sessions.end(ask.session)
        said = _onwards()
        self._set_cookie(said, "", ask)
        return said

    def _set_cookie(self, said: web.Response, key: str, ask: Ask) -> None:
        """A browser whose page came over TLS, be it a proxy's, sends it over nothing else."""
        is_secure = self._is_tls or ask.request.headers.get("Origin", "").startswith("https:")
        ends = None if key else 0
        said.set_cookie(self._cookie, key, path="/", httponly=True, samesite="Strict", secure=is_secure, max_age=ends)

    # --- looking -------------------------------------------------------------------------------------

    async def _home(self, ask: Ask) -> web.StreamResponse:
        if ask.session is None:
            return _page(pages.login())
        return await self._shown(ask, None)

    async def _shown(self, ask: Ask, said: Markup | None, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
        await self.board.fresh()
        query = ask.request.rel_url.query
        visit = pages.Visit(
            session=ask.known,
            venues=sorted(self._control.venues()),
            bots=self._bots(),
            override=self.override(),
            query=query.get("q", "")[:200].strip(),
            refreshes="refresh" in query,
            said=said,
        )
        return _page(pages.home(self.board, visit), status)

    def _bots(self) -> list[str] | None:
        try:
            return [one.name for one in self._tokens.list() if one.role is Role.BOT]
        except StateError:
            return None

    async def _show_log(self, ask: Ask) -> web.StreamResponse:
        if ask.session is None:
            return _page(pages.login())
        query = ask.request.rel_url.query
        most = query.get("rows", "")
        rows = int(most) if most.isascii() and most.isdigit() and len(most) < 8 else _ROWS
        await self.board.fresh()
        return _page(pages.log(self.board, ask.session, query.get("q", "")[:200].strip(), rows))

    async def _log_rows(self, ask: Ask) -> web.StreamResponse:
        """What is new, for a script that has read up to a number."""
        _ = ask.known
        after = ask.request.rel_url.query.get("since", "")
        since = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        log = self.board.log
        now = clock(self._clock.now().wall)
        return answer({"last": log.last, "clock": now, "rows": joined(*log.since(min(since, log.last)))})

    async def _state(self, ask: Ask) -> web.StreamResponse:
        """For a page that hears nothing of the stream."""
        _ = ask.known
        await self.board.fresh()
        return encoded(self.board.news(self.board.since(ask.request.rel_url.query.get("since", ""))))

    async def _live(self, ask: Ask) -> web.StreamResponse:
        return await stream(ask.request, ask.known, self.board, self._limits, self._clock, _HEADERS)

    # --- doing ---------------------------------------------------------------------------------------

    async def _halt(self, ask: Ask) -> web.StreamResponse:
        """Only what was named twice; a typo ends in a sentence and halts nothing."""
        session = ask.operator
        try:
            said = await self._halted(ask, session)
        except Refused as refused:
            return await self._told(ask, f"Nothing was halted: {refused.detail}.", refused.status)
        return await self._told(ask, said, HTTPStatus.OK)

    async def _halted(self, ask: Ask, session: Session) -> str:
        kind, _, name = ask.form.get("what", "").partition(":")
        if (kind, bool(name)) not in ((forms.ALL, False), ("venue", True), ("bot", True)):
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "choose everything, a venue or a bot")
        wanted, typed = name or forms.EVERYTHING, ask.form.get("confirm", "").strip()
        if typed != wanted:
            hint = f"{typed[:80]!r} was typed, and {wanted!r} is needed to confirm"
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, hint)
        said = body.validated(_HALT, {"reason": ask.form.get("reason", ""), **({kind: name} if name else {})})
        self._check_scope(said)
        self._check_rate(session)
        event = HaltRequested(said.reason, f"token:{session.name}", said.venue, said.bot)
        result = await self._control.command(event)
        if result.get("accepted") is not True:
            raise Refused(HTTPStatus.CONFLICT, str(result.get("reason") or "refused"))
        if name:
            return f"{name} is halted: its new orders are refused until risk-daemon release --{kind} {name}."
        return "Everything is halted: every order is being cancelled, and the venues above say when that is proven."

    def _check_scope(self, said: Halt) -> None:
        """A halt of somebody unknown would stop nobody, and look as if it had."""
        if said.venue is not None and said.venue not in self._control.venues():
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "there is no such venue")
        if said.bot is not None and self._tokens.knows(said.bot, Role.BOT) is False:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "there is no such bot")

    def _check_rate(self, session: Session) -> None:
        wait_s = self._rates["commands"].wait_s(f"token:{session.name}", self._clock.now().mono)
        if wait_s > 0:
            raise too_many(wait_s)

    async def _acknowledge(self, ask: Ask) -> web.StreamResponse:
        session = ask.operator
        self._check_rate(session)
        trip_id = self._control.acknowledge(None, f"token:{session.name}")
        if trip_id is None:
            return await self._told(ask, "There is no trip that waits for it.", HTTPStatus.CONFLICT)
        return await self._told(ask, f"Trip {trip_id} is acknowledged.", HTTPStatus.OK)

    async def _told(self, ask: Ask, said: str, status: HTTPStatus) -> web.Response:
        """For a script as JSON; else the page, with the sentence where the form is."""
        if _wants_page(ask.request):
            return await self._shown(ask, text(said), status)
        if status is not HTTPStatus.OK:
            raise Refused(status, said)
        return answer({"said": said})


# --- answers -----------------------------------------------------------------------------------------


def _page(content: bytes, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=content, headers=CIMultiDict({"Content-Type": f"{_HTML}; charset=utf-8"}))


def _onwards() -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})


def _wants_page(request: web.BaseRequest) -> bool:
    return _HTML in request.headers.get(ACCEPT, "")


def _refused(request: web.BaseRequest, refused: Refused) -> web.Response:
    if not _wants_page(request):
        return problem(refused)
    said = _page(pages.sentence(refused.status.phrase, refused.detail), refused.status)
    said.headers.update(refused.headers)
    return said


def _refusal(error: Exception) -> Refused:
    """How a failure is told. Nothing was opened by it."""
    match error:
        case InvariantError():
            pass
        case CircuitBreakerError():
            return Refused(HTTPStatus.CONFLICT, str(error))
        case RiskDaemonError():
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    _LOG.error("page_failed", exc_info=error)
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, _BUG)


def _form(data: bytes) -> dict[str, str]:
    """Raises Refused (400) for what is no form, or has a field twice."""
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "this is not a form that can be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refused(HTTPStatus.BAD_REQUEST, "a field stands there twice")
    return fields
