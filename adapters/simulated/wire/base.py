"""What every venue's face has in common: requests, replies, routes, keys and their nonces."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol
from urllib.parse import parse_qsl

from adapters.simulated import API_PASSPHRASE
from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import Notice, Refused


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as the venue sees it. path: without the host that stands first in the URL."""

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]
    wall: float
    host: str = ""

    def form(self) -> dict[str, Any]:
        """Query and body as one mapping; a JSON body counts as well."""
        values: dict[str, Any] = dict(parse_qsl(self.query, keep_blank_values=True))
        if self.body.startswith("{"):
            return values | dict(json.loads(self.body))
        return values | dict(parse_qsl(self.body, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: a JSON value, or bytes that were made before. headers: such as how much of a limit is used."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: what kind of call it is, who answers, and whether it must be signed."""

    call: Call
    handler: Callable[[Request, dict[str, Any]], Any]
    private: bool = True


class Session(Protocol):
    """One websocket connection, without the socket. A frame is a JSON value, or bytes that go out as they are."""

    def opened(self, now: float) -> Sequence[Any]:
        """Frames to greet with."""
        ...

    def received(self, text: str, now: float) -> Sequence[Any]:
        """Frames that answer a frame of the client."""
        ...

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        """Frames that tell what changed."""
        ...

    def idle(self, now: float) -> Sequence[Any]:
        """Frames to send when nothing was sent for a second."""
        ...


class Face(Protocol):
    """A venue's way of speaking for an exchange."""

    kind: str
    hosts: frozenset[str]
    exchange: Exchange
    key: Key
    empty_envelope: bytes
    key_errors: Mapping[str, str]
    """In the venue's own words, why a key is refused: by the name of the fault."""

    def route(self, method: str, path: str) -> Route | None: ...

    def answer(self, route: Route | None, request: Request) -> Reply: ...

    def error(self, text: str, wall: float) -> bytes | Reply:
        """The venue's own way to say `text` went wrong; a Reply where that has a status of its own."""
        ...

    def session(self, host: str, path: str = "", /) -> Session:
        """A new connection to the socket of `host`; path: with its query."""
        ...


@dataclass(slots=True)
class CallCounter:
    """The venue's count of a key's calls, falling by `decay_per_s`; one that lifts it above `ceiling` is refused."""

    ceiling: float
    decay_per_s: float
    level: float = 0.0
    wall: float = 0.0

    def admits(self, cost: float, wall: float) -> bool:
        """Count a call at `wall`. One that is refused counts as well, up to the ceiling."""
        self.level = max(0.0, self.level - max(0.0, wall - self.wall) * self.decay_per_s)
        self.wall = wall
        is_admitted = self.level + cost <= self.ceiling
        self.level = min(self.ceiling, self.level + cost)
        return is_admitted or cost == 0


@dataclass(slots=True)
class Key:
    """An API key, its secret, the highest nonce it has used, and the count of its calls, if there is one.

    may_withdraw, bound_to, read_only: what the venue tells of it when it is asked for its own permissions.
    """

    api_key: str
    api_secret: str
    passphrase: str = API_PASSPHRASE
    may_withdraw: bool = False
    bound_to: str = "127.0.0.1"
    read_only: bool = False
    last_nonce: int = -1
    seen: set[int] = field(default_factory=set)
    counter: CallCounter | None = None

    def sign(self, message: bytes) -> str:
        """HMAC-SHA-512 of `message`, base64, by the secret's bytes, which are base64 too: Kraken's way."""
        digest = hmac.new(base64.b64decode(self.api_secret), message, hashlib.sha512).digest()
        return base64.b64encode(digest).decode()

    def verifies(self, message: bytes, signature: str) -> bool:
        return hmac.compare_digest(self.sign(message), signature)


def hmac_sha256(secret: str, message: str) -> bytes:
    """By the secret as it is written: most venues' way; they differ in whether it is sent as hex or base64."""
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).digest()


def milliseconds(wall: float) -> int:
    """Unix milliseconds."""
    return int(wall * 1000)


def iso(wall: float) -> str:
    """`2026-11-20T11:17:00.123Z`."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(number: Decimal, places: int | None = None) -> str:
    """A Decimal as a venue writes it: no exponent."""
    return format(number, "f") if places is None else f"{number:.{places}f}"


def decimal(form: Mapping[str, Any], name: str) -> Decimal | None:
    """A number of a request; None if it is not there. Raises Refused if it is no finite number."""
    raw = form.get(name)
    if raw in (None, ""):
        return None
    try:
        number = Decimal(str(raw))
    except InvalidOperation:
        raise Refused("invalid", f"{name} is no number") from None
    if not number.is_finite():
        raise Refused("invalid", f"{name} is not finite")
    return number
