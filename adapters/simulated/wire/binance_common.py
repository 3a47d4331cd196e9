"""What the faces of Binance's products have in common: signing, the timestamp's window, weights, errors.

After binance-spot-api-docs (rest-api.md, errors.md) and developers.binance.com (general information of spot,
margin and USD-M futures). Guessed, since the documentation is silent: the order in which a request is checked
(weight, key, timestamp, signature), and how many refused calls it takes until an address is banned.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Refused
from adapters.simulated.wire.base import Key, Reply, Request, Route, decimal, hmac_sha256, milliseconds

_ERRORS: Mapping[str, tuple[int, str]] = {
    "unknown_symbol": (-1121, "Invalid symbol."),
    "unknown_order": (-2011, "Unknown order sent."),
    "insufficient_funds": (-2010, "Account has insufficient balance for requested action."),
    "would_not_reduce": (-2022, "ReduceOnly Order is rejected."),
    "invalid": (-1100, "Illegal characters found in a parameter."),
}
_NO_KEY = (-2015, "Invalid API-key, IP, or permissions for action.")
_BAD_KEY = (-2014, "API-key format invalid.")
_BAD_SIGNATURE = (-1022, "Signature for this request is not valid.")
_EARLY = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
_LATE = (-1021, "Timestamp for this request is outside of the recvWindow.")
_TOO_MUCH = "Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."
_BANNED = "Way too much request weight used; IP banned until {}. Please use WebSocket Streams to avoid bans."

# The codes that come with 401; every other refusal is a 400.
_UNAUTHORIZED = frozenset({-2014, -2015})
_SIGNATURE = re.compile(r"(?:^|&)signature=([^&]*)")
_DEFAULT_WINDOW_MS, _LARGEST_WINDOW_MS, _AHEAD_MS = 5_000, 60_000, 1_000
# A time later than this is in microseconds, which are taken as well.
_MICROSECONDS = 10**14
_BAN_AFTER, _BAN_S = 20, 120


@dataclass(frozen=True, slots=True)
class Endpoint(Route):
    """A route, and what it costs.

    weight: a number, or what the parameters make of it. keyed: wants the key's header and no signature.
    is_free: costs nothing when it succeeds. by_user: counted by user id, not by address (/sapi).
    """

    weight: int | Callable[[Mapping[str, Any]], int] = 1
    keyed: bool = False
    is_free: bool = False
    by_user: bool = False

    def cost(self, form: Mapping[str, Any], status: int) -> int:
        if self.is_free and status == 200:
            return 0
        return self.weight if isinstance(self.weight, int) else self.weight(form)


@dataclass(slots=True)
class Tally:
    """Weight used in the current minute. header: where replies tell it. may_ban: who goes on too long is banned."""

    ceiling: int
    header: str
    may_ban: bool = True
    used: int = 0
    minute: int = 0
    refused: int = 0
    banned_until: float = 0.0

    def refusal(self, wall: float, ceiling: float) -> Reply | None:
        """429 or 418, if the minute's weight is used up."""
        if int(wall // 60) != self.minute:
            self.minute, self.used, self.refused = int(wall // 60), 0, 0
        if wall >= self.banned_until and self.used < ceiling:
            return None
        self.refused += 1
        if self.may_ban and self.refused == _BAN_AFTER:
            self.banned_until = wall + _BAN_S
        if wall < self.banned_until:
            said = _BANNED.format(milliseconds(self.banned_until))
            return replace(problem(-1003, said, 418), headers=_retry_after(self.banned_until - wall))
        return replace(problem(-1003, _TOO_MUCH, 429), headers=_retry_after((self.minute + 1) * 60 - wall))

    def told(self, reply: Reply, weight: int) -> Reply:
        """The reply with what is used by now."""
        self.used += weight
        return replace(reply, headers=(*reply.headers, (self.header, str(self.used))))


class BinanceFace:
    """Answers the calls of a product; its subclasses say which hosts and endpoints there are.

    may_trade, may_read: what the key may do; refused, a call is answered like one with an unknown key.
    """

    kind = ""
    hosts: frozenset[str] = frozenset()
    empty_envelope = b"[]"
    key_errors: Mapping[str, str] = dict.fromkeys(("read_only_key", "revoked_key"), f"{_NO_KEY[0]} {_NO_KEY[1]}")
    errors: Mapping[str, tuple[int, str]] = _ERRORS

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self.tallies: dict[str, Tally] = {}
        self.endpoints: Mapping[tuple[str, str], Endpoint] = self.table()

    def table(self) -> Mapping[tuple[str, str], Endpoint]:
        """The endpoints by method and path."""
        raise NotImplementedError

    def tally(self, endpoint: Endpoint, path: str) -> Tally:
        """What this call's weight is counted in. /sapi counts each endpoint by itself, and bans nobody."""
        if not path.startswith("/sapi/"):
            return self.tallies.setdefault("ip", Tally(self.weight_ceiling, "X-MBX-USED-WEIGHT-1M"))
        ceiling, who = (180_000, "UID") if endpoint.by_user else (12_000, "IP")
        return self.tallies.setdefault(path, Tally(ceiling, f"X-SAPI-USED-{who}-WEIGHT-1M", may_ban=False))

    weight_ceiling = 6_000
    """A minute, for one address."""

    def route(self, method: str, path: str) -> Endpoint | None:
        return self.endpoints.get((method, path))

    def answer(self, route: Route | None, request: Request) -> Reply:
        """The venue's answer to a request, its errors included."""
        if not isinstance(route, Endpoint):
            return Reply(b"<html><body><h2>404 Not found</h2></body></html>", 404)
        form = request.form()
        return self._weighed(route, request, form, lambda: self._check(route, request, form))

    def socket_answer(self, request: Request, params: Mapping[str, Any]) -> Reply:
        """The answer to a call over the WebSocket API, which is signed in its own way."""
        route = self.endpoints[request.method, request.path]

        def check() -> None:
            if route.private:
                check_socket_signature(self.key, params, request.wall)

        return self._weighed(route, request, dict(params), check)

    def _weighed(self, endpoint: Endpoint, request: Request, form: dict[str, Any], check: Callable[[], None]) -> Reply:
        """Counted against the minute's weight, checked, answered."""
        tally = self.tally(endpoint, request.path)
        ceiling = tally.ceiling if self.key.counter is None else self.key.counter.ceiling
        if (too_much := tally.refusal(request.wall, ceiling)) is not None:
            return tally.told(too_much, 0)
        try:
            check()
            body = endpoint.handler(request, form)
        except Refused as refused:
            body = problem(*self.code(refused))
        reply = body if isinstance(body, Reply) else Reply(body)
        return tally.told(reply, endpoint.cost(form, reply.status))

    def _check(self, endpoint: Endpoint, request: Request, form: Mapping[str, Any]) -> None:
        """Raise Refused unless the key, the time and the signature are in order."""
        if endpoint.private or endpoint.keyed:
            self._check_key({name.lower(): value for name, value in request.headers.items()})
        if endpoint.private:
            check_time(form, request.wall)
            self._check_signature(request)

    def _check_key(self, headers: Mapping[str, str]) -> None:
        if not headers.get("x-mbx-apikey"):
            raise refusal(*_BAD_KEY)
        if headers["x-mbx-apikey"] != self.key.api_key:
            raise refusal(*_NO_KEY)

    def _check_signature(self, request: Request) -> None:
        signatures = _SIGNATURE.findall(request.query) + _SIGNATURE.findall(request.body)
        payload = _SIGNATURE.sub("", request.query) + _SIGNATURE.sub("", request.body)
        if len(signatures) != 1:
            raise missing("signature")
        check_signature(self.key, payload, signatures[0])

    def code(self, refused: Refused) -> tuple[int, str]:
        """Binance's number and sentence: of the refusal itself, if its word is a number."""
        if refused.code.lstrip("-").isdigit():
            return int(refused.code), str(refused)
        return self.errors.get(refused.code, (-1000, "An unknown error occurred while processing the request."))

    def error(self, text: str, wall: float) -> Reply:
        """`-1121 Invalid symbol.`, or the sentence of an unknown error."""
        number, said = text.split(" ", 1) if " " in text else (text, "")
        return problem(int(number), said) if re.fullmatch(r"-?\d+", number) else problem(-1000, text)


def problem(code: int, said: str, status: int | None = None) -> Reply:
    """A refusal as it is sent."""
    return Reply({"code": code, "msg": said}, status or (401 if code in _UNAUTHORIZED else 400))


def refusal(code: int, said: str) -> Refused:
    """A refusal by Binance's own number."""
    return Refused(str(code), said)


def missing(name: str) -> Refused:
    """A parameter that must be there and isn't."""
    return refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def wanted(form: Mapping[str, Any], name: str) -> str:
    """A parameter that must be there. Raises Refused."""
    if not form.get(name):
        raise missing(name)
    return str(form[name])


def whole(form: Mapping[str, Any], name: str, default: int | None = None) -> int | None:
    """A whole number of a request. Raises Refused if it is there and is none."""
    raw = str(form.get(name, ""))
    if not raw:
        return default
    if not raw.isdigit():
        raise refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(raw)


def check_time(form: Mapping[str, Any], wall: float) -> None:
    """Raise Refused unless the timestamp lies in the window. Equal and falling ones are legal."""
    sent, window = whole(form, "timestamp"), decimal(form, "recvWindow") or _DEFAULT_WINDOW_MS
    if sent is None:
        raise missing("timestamp")
    if window > _LARGEST_WINDOW_MS:
        raise refusal(-1131, "recvWindow must be less than 60000.")
    sent = sent // 1000 if sent > _MICROSECONDS else sent
    now = milliseconds(wall)
    if sent >= now + _AHEAD_MS:
        raise refusal(*_EARLY)
    if now - sent > window:
        raise refusal(*_LATE)


def check_signature(key: Key, payload: str, signature: str) -> None:
    """Raise Refused unless it is the payload's HMAC-SHA-256 in hex, in whichever case."""
    if not hmac.compare_digest(hmac_sha256(key.api_secret, payload).hex(), signature.lower()):
        raise refusal(*_BAD_SIGNATURE)


def check_socket_signature(key: Key, params: Mapping[str, Any], wall: float) -> None:
    """The same for a signed request of the WebSocket API, whose parameters are signed in order of their names."""
    signed = sorted((name, value) for name, value in params.items() if name != "signature")
    if params.get("apiKey") != key.api_key:
        raise refusal(*_NO_KEY)
    check_time(params, wall)
    check_signature(key, "&".join(f"{name}={value}" for name, value in signed), wanted(params, "signature"))


def listed_ids(form: Mapping[str, Any], *names: str) -> list[str]:
    """A list in a parameter, by the first of its spellings that was sent: `[1,2]`. Raises Refused."""
    raw = next((str(form[name]) for name in names if form.get(name)), "[]")
    try:
        values = json.loads(raw)
    except ValueError:
        raise refusal(-1130, f"Data sent for parameter '{names[0]}' is not valid.") from None
    return [str(value) for value in values] if isinstance(values, list) else [str(values)]


def _retry_after(seconds: float) -> tuple[tuple[str, str], ...]:
    return (("Retry-After", str(max(1, int(seconds)))),)
