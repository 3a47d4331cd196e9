"""A ccxt client that cannot mistake garbage for an answer.

It is ccxt's own class with five things put in front: every signed call goes through the account's
lane, every call is paced by our limiter, nothing follows a redirect, every reply is held against its
envelope before a parser sees it, and a frame that a parser chokes on ends the socket instead of leaving
it deaf.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from adapters.budget import Budget
from adapters.envelopes import Check, parse_strictly, wrong_with
from adapters.failures import NO_CODES, ClockOff, Codes, HttpReply, blot, failure, is_rate_limit, without_query
from adapters.lane import Pacer, SignedLane, current_urgency
from adapters.lean_ccxt import ccxt_pro
from adapters.recording import Tape
from adapters.transport import open_connector, open_session
from adapters.watched_streams import uses
from risk_daemon.errors import ConfigError, MalformedReply, VenueError, VenueUnavailable

_REPLY: ContextVar[HttpReply | None] = ContextVar("reply", default=None)
_RECORD: ContextVar[list[Any] | None] = ContextVar("record", default=None)
_IS_SIGNED: ContextVar[bool] = ContextVar("is_signed", default=False)


@dataclass(eq=False, slots=True, kw_only=True)
class Shell:
    """What the guarded client needs besides ccxt: one a client. tape: takes down every answer, if there is one."""

    pacer: Pacer
    budget: Budget
    lane: SignedLane
    replies: Mapping[str, Check] | None
    secrets: tuple[str, ...]
    codes: Codes = NO_CODES
    tape: Tape | None = None
    local_address: str | None = None
    nonce_rises: bool = True


@contextmanager
def recording() -> Iterator[list[Any]]:
    """Collects the raw replies of every call made inside, to hold what was parsed against them."""
    replies: list[Any] = []
    token = _RECORD.set(replies)
    try:
        yield replies
    finally:
        _RECORD.reset(token)


class Guard:
    """Mixed in before a ccxt.pro class; ccxt calls these methods at the places they are named after."""

    shell: Shell
    rateLimit: float  # noqa: N815 - ccxt's name: milliseconds for a call of cost 1
    last_nonce = 0
    session: Any
    own_session: bool
    tcp_connector: Any
    ssl_context: Any
    aiohttp_trust_env: bool

    def open(self, lazy: bool = False) -> None:
        """ccxt's own session follows redirects: it sets up everything else, and the session is ours."""
        parent: Any = super()
        is_own, self.own_session = self.own_session, False
        try:
            parent.open(lazy)
        finally:
            self.own_session = is_own
        if is_own and self.session is None:
            self.tcp_connector = open_connector(self.ssl_context, self.shell.local_address)
            self.session = open_session(self.tcp_connector, trust_env=self.aiohttp_trust_env)

    def nonce(self) -> int:
        """Strictly above the last one, whatever the clock does: two calls may fall into one millisecond.

        Where it is a time, and no number that must rise, it is the time: that may have been set back.
        """
        parent: Any = super()
        if not self.shell.nonce_rises:
            return int(parent.nonce())
        self.last_nonce = max(int(parent.nonce()), self.last_nonce + 1)
        return self.last_nonce

    async def fetch2(
        self,
        path: str,
        api: Any = "public",
        method: str = "GET",
        params: Any = None,
        config: Any = None,
    ) -> Any:
        """One call: within the venue's limits, and through the lane if it is signed."""
        client: Any = super()
        cost = float(client.calculate_rate_limiter_cost(api, method, path, params or {}, config or {}))
        urgency, budget = current_urgency(), self.shell.budget
        is_counted = budget.covers(path, public=_is_public(api))

        async def send() -> Any:
            if is_counted:
                await budget.spend(path, params or {}, urgency)
            elif urgency.is_paced:
                await self.shell.pacer.wait(cost * self.rateLimit / 1000)
            try:
                return await client.fetch2(path, api, method, params or {}, config or {})
            except VenueUnavailable as error:
                if is_counted and is_rate_limit(error):
                    budget.refused(path)
                if isinstance(error, ClockOff):
                    await self._learn_the_time()
                raise

        token = _IS_SIGNED.set(not _is_public(api))
        try:
            if _is_public(api):
                return await send()
            return await self.shell.lane.run(send, rank=urgency.rank, pushes=urgency.goes_first)
        finally:
            _IS_SIGNED.reset(token)

    async def _learn_the_time(self) -> None:
        """One of the clocks was moved: the next call is signed with the venue's time, be it an earlier one."""
        client: Any = self
        with suppress(VenueError):
            await client.load_time_difference()
            self.last_nonce = 0

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """The venue's own answer. Raises a VenueError for anything else."""
        client: Any = super()
        reply = HttpReply(method, url)
        token = _REPLY.set(reply)
        try:
            raw = await client.fetch(url, method, headers, body)
        except Exception as error:
            if reply.status is None and self.tcp_connector is not None:
                self.tcp_connector.clear_dns_cache()  # it may have moved
            raise failure(error, reply, self.shell.secrets, self.shell.codes) from None
        finally:
            _REPLY.reset(token)
        self._prove(raw, reply)
        record = _RECORD.get()
        if record is not None:
            record.append(raw)
        return raw

    def _prove(self, raw: Any, reply: HttpReply) -> None:
        """Raise a VenueError unless this is what the venue says, all of it, and to what was asked."""
        if reply.status != 200:
            raise failure(RuntimeError("not a success"), reply, self.shell.secrets, self.shell.codes)
        is_page = _IS_SIGNED.get() and "html" in reply.content_type
        wrong = "the answer calls itself HTML" if is_page else wrong_with(self.shell.replies, reply.url, raw)
        if wrong is not None:
            sentence = f"{reply.method} {without_query(reply.url)}: {wrong}; it began {reply.body[:80]!r}"
            raise MalformedReply(blot(sentence, self.shell.secrets))

    def on_rest_response(
        self, code: int, reason: str, url: str, method: str, headers: Any, body: str, sent_headers: Any, sent_body: Any
    ) -> Any:
        """ccxt's hook between transport and parser: keeps what the classification of failures needs."""
        reply = _REPLY.get()
        if reply is not None:
            reply.status, reply.headers, reply.body = code, dict(headers), body
            self.shell.budget.heard(headers)
            if self.shell.tape is not None:
                sent = sent_body if isinstance(sent_body, str) else None
                self.shell.tape.take(method, url, code, body, sent, signed=_IS_SIGNED.get())
        parent: Any = super()
        return parent.on_rest_response(code, reason, url, method, headers, body, sent_headers, sent_body)

    def on_json_response(self, body: str) -> Any:
        """Of a signed call strictly: of two equal keys ccxt's parser silently takes the last."""
        parent: Any = super()
        return parse_strictly(body) if _IS_SIGNED.get() else parent.on_json_response(body)

    def client(self, url: str) -> Any:
        """The socket of `url`, with its frame handler guarded."""
        parent: Any = super()
        socket = parent.client(url)
        if not getattr(socket, "is_guarded", False):
            self._guard_socket(socket)
        uses(socket)
        return socket

    def _guard_socket(self, socket: Any) -> None:
        handle = socket.handle_message
        socket.is_guarded = True

        def handle_guarded(message: Any) -> None:
            try:
                handle(message)
            except Exception as error:
                socket.on_error(MalformedReply(f"a frame could not be read: {type(error).__name__} {error}"[:240]))

        socket.handle_message = handle_guarded


def _is_public(api: Any) -> bool:
    words = [api] if isinstance(api, str) else list(api)
    return any("public" in str(word).lower() for word in words)


def build_client(exchange: str, options: dict[str, Any], shell: Shell) -> Any:
    """A guarded ccxt.pro client. Raises ConfigError for an id that this ccxt release does not have."""
    ccxt = ccxt_pro()
    base = getattr(ccxt, exchange, None)
    if exchange not in ccxt.exchanges or base is None:
        raise ConfigError(
            f"{exchange!r} is not an exchange of ccxt {ccxt.__version__} with streams: "
            "ids come and go between its releases, see ccxt.pro.exchanges"
        )
    client = type(exchange, (Guard, base), {"shell": shell})(options)
    # At DEBUG ccxt writes whole requests, keys included.
    client.logger.setLevel(logging.WARNING)
    return client


def tls_of(client: Any) -> ssl.SSLContext | bool:
    """By what a client judges certificates: ccxt brings the authorities along, whatever the machine has."""
    client.open()
    context: ssl.SSLContext | bool = client.ssl_context
    return context
