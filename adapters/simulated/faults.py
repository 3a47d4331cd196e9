"""Faults as data: which calls of a venue go wrong, how, and how often.

Every fault here has been seen on a real venue. Pure: this module decides what the caller gets to
see; the server carries it out. A fault hits the next `count` calls, or all until it is healed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking</body></html>"
GARBAGE = "{this is not JSON"


class Verbatim(str):
    """A text frame of a socket that goes out as it is: a venue's `pong` is no JSON."""

    __slots__ = ()


class Call(StrEnum):
    """What a request of a venue is about. WS: dialling a socket, and every frame on it."""

    BALANCES = "balances"
    OPEN_ORDERS = "open_orders"
    POSITIONS = "positions"
    PRICES = "prices"
    LEDGER = "ledger"
    FILLS = "fills"
    CANCEL = "cancel"
    PLACE = "place"
    DEAD_MAN = "dead_man"
    MARKETS = "markets"
    TOKEN = "token"
    OTHER = "other"
    WS = "ws"


class How(StrEnum):
    """What goes wrong."""

    HTML = "html"
    EMPTY_OBJECT = "empty_object"
    EMPTY_ENVELOPE = "empty_envelope"
    EMPTY_LIST = "empty_list"
    EMPTY_BODY = "empty_body"
    TRUNCATED = "truncated"
    NAN = "nan"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    HANG = "hang"
    RESET = "reset"
    SLOW = "slow"
    VENUE_ERROR = "venue_error"
    ACK_WITHOUT_CANCEL = "ack_without_cancel"
    REDIRECT = "redirect"
    REPEATED = "repeated"
    REPLACE = "replace"
    BODY = "body"
    READ_ONLY_KEY = "read_only_key"
    REVOKED_KEY = "revoked_key"
    SOCKET_SILENT = "socket_silent"
    SOCKET_FROZEN = "socket_frozen"
    SOCKET_GARBAGE = "socket_garbage"
    SOCKET_DROP = "socket_drop"


# A call that fails like these has been carried out; all others never reach the account.
_CARRIED_OUT = frozenset(
    {How.TRUNCATED, How.NAN, How.RESET, How.SLOW, How.ACK_WITHOUT_CANCEL, How.REPEATED, How.REPLACE}
)
_FRAMES = frozenset({How.SOCKET_SILENT, How.SOCKET_FROZEN, How.SOCKET_GARBAGE})
_STATUS = frozenset({How.UNAUTHORIZED, How.FORBIDDEN, How.TOO_MANY, How.SERVER_ERROR, How.UNAVAILABLE})
# The venue's own refusals, which come with its own status.
_SAID_NO = frozenset({How.VENUE_ERROR, How.READ_ONLY_KEY, How.REVOKED_KEY})
# What a key that may only read is refused, and what needs no key at all.
_CHANGES = frozenset({Call.CANCEL, Call.PLACE, Call.DEAD_MAN})
_UNSIGNED = frozenset({Call.PRICES, Call.MARKETS, Call.OTHER, Call.WS})
_NEED_TEXT = {
    How.VENUE_ERROR: "the error in the venue's own words",
    How.BODY: "the whole answer",
    How.REPLACE: "what stands there instead",
    How.REDIRECT: "the address that it sends to",
}
_ALIASES = {"tickers": "prices", "orders": "place"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    target: a Call, `any` (every REST call and dial), or a part of the path. count: calls left, None:
    until healed. delay_s: how slow. retry_after_s: what a 429 or 503 asks for. field: whose number
    becomes NaN (None: the first number), or what `replace` replaces. text: the venue's own error, the body of `body`,
    the value of `replace`, the address of `redirect`. carried_out: the account acts on the call all the same.
    """

    fault_id: str
    how: How
    target: str
    count: int | None = None
    delay_s: float = 0.0
    retry_after_s: int | None = None
    field: str | None = None
    text: str = ""
    carried_out: bool = False

    def hits(self, call: Call, path: str) -> bool:
        """Does this fault concern a call of that kind to that path?"""
        if _concerns_frames(self):
            return False
        if self.how is How.READ_ONLY_KEY:
            return call in _CHANGES
        if self.how is How.REVOKED_KEY:
            return call not in _UNSIGNED
        if self.target in set(Call):
            return self.target == call
        return self.target == "any" or self.target in path


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: an HTTP answer, perhaps late, perhaps cut, perhaps never (`hang`)."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0
    hang: bool = False
    reset: bool = False


class FaultBook:
    """The faults that are on."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._numbers = 0

    def add(self, request: Mapping[str, Any]) -> Fault:
        """Switch a fault on. Raises ValueError with a sentence if the request makes no sense."""
        self._numbers += 1
        fault = parse_fault(request, f"fault-{self._numbers}")
        self._faults[fault.fault_id] = fault
        return fault

    def heal(self, fault_id: str | None = None) -> None:
        """Switch one fault off, or all. Raises ValueError for an id that is not on."""
        if fault_id is None:
            self._faults.clear()
        elif self._faults.pop(fault_id, None) is None:
            raise ValueError(f"there is no fault {fault_id!r}")

    def heal_sockets(self) -> None:
        """Switch off what concerns sockets."""
        for fault in list(self._faults.values()):
            if fault.target == Call.WS:
                del self._faults[fault.fault_id]

    def take(self, call: Call, path: str) -> Fault | None:
        """The fault that hits this call, the eldest first; counts it."""
        found = next((f for f in self._faults.values() if f.hits(call, path)), None)
        return self._counted(found)

    def socket(self) -> Fault | None:
        """The fault that lies on every socket now: silent, frozen, garbage or NaN. Does not count."""
        return next((f for f in self._faults.values() if _concerns_frames(f)), None)

    def spoil_frame(self, frame: Any) -> str | bytes | None:
        """What goes out of a frame as the sockets' fault leaves it; None: nothing."""
        fault = self.socket()
        if fault is None:
            return frame if isinstance(frame, bytes | Verbatim) else json.dumps(frame)
        if fault.how in (How.SOCKET_SILENT, How.SOCKET_FROZEN):
            return None
        self._counted(fault)
        if fault.how is How.SOCKET_GARBAGE or isinstance(frame, bytes | Verbatim):
            return GARBAGE
        return json.dumps(with_nan(frame, fault.field))

    def active(self) -> list[dict[str, Any]]:
        """The faults that are on, JSON-able."""
        names = Fault.__dataclass_fields__
        return [{name: getattr(fault, name) for name in names} for fault in self._faults.values()]

    def _counted(self, fault: Fault | None) -> Fault | None:
        if fault is not None and fault.count is not None:
            if fault.count <= 1:
                del self._faults[fault.fault_id]
            else:
                self._faults[fault.fault_id] = replace(fault, count=fault.count - 1)
        return fault


def parse_fault(request: Mapping[str, Any], fault_id: str) -> Fault:
    """`{"how", "target"?, "count"?, "delay_ms"?, "retry_after_s"?, "field"?, "text"?, "carried_out"?}`.

    Raises ValueError with a sentence.
    """
    known = {"id", "how", "target", "count", "delay_ms", "retry_after_s", "field", "text", "carried_out"}
    if unknown := sorted(set(request) - known):
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    try:
        how = How(str(request.get("how")))
    except ValueError:
        raise ValueError(f"how must be one of {', '.join(How)}") from None
    target = str(request.get("target", "any"))
    if how is How.ACK_WITHOUT_CANCEL:
        target = Call.CANCEL
    if how in _FRAMES | {How.SOCKET_DROP}:
        target = Call.WS
    count = request.get("count")
    if count is not None and (not isinstance(count, int) or count < 1):
        raise ValueError("count must be a whole number above zero")
    delay_s = _milliseconds(request.get("delay_ms", 0)) / 1000
    if how is How.SLOW and delay_s == 0:
        raise ValueError("slow needs delay_ms")
    if how in _NEED_TEXT and not request.get("text"):
        raise ValueError(f"{how} needs text: {_NEED_TEXT[how]}")
    if how is How.REPLACE and not request.get("field"):
        raise ValueError("replace needs field, whose value it replaces")
    return Fault(
        str(request.get("id", fault_id)),
        how,
        _ALIASES.get(target, target),
        count,
        delay_s,
        request.get("retry_after_s", 1 if how in (How.TOO_MANY, How.UNAVAILABLE) else None),
        request.get("field"),
        str(request.get("text", "")),
        bool(request.get("carried_out", how in _CARRIED_OUT)),
    )


def spoil(
    fault: Fault, honest: bytes, *, empty_envelope: bytes = b"", error: bytes = b"", error_status: int = 200
) -> Answer:
    """What the caller sees of an honest answer under `fault`; the venue's envelopes are given."""
    how = fault.how
    if how in _STATUS:
        retry = () if fault.retry_after_s is None else (("Retry-After", str(fault.retry_after_s)),)
        return Answer(int(how), HTML, "text/html", retry, fault.delay_s)
    if how is How.REDIRECT:
        return Answer(302, b"", headers=(("Location", fault.text),), delay_s=fault.delay_s)
    bodies = {
        How.BODY: fault.text.encode(),
        How.HTML: HTML,
        How.EMPTY_OBJECT: b"{}",
        How.EMPTY_ENVELOPE: empty_envelope,
        How.VENUE_ERROR: error,
        How.READ_ONLY_KEY: error,
        How.REVOKED_KEY: error,
        How.EMPTY_LIST: b"[]",
        How.EMPTY_BODY: b"",
        How.TRUNCATED: honest[: max(1, len(honest) * 2 // 3)],
    }
    body = bodies.get(how, honest)
    if how is How.NAN:
        body = json.dumps(with_nan(json.loads(honest), fault.field)).encode()
    if how is How.REPLACE:
        body = json.dumps(with_value(json.loads(honest), str(fault.field), fault.text)).encode()
    kind = "text/html" if how is How.HTML else "application/json"
    status = error_status if how in _SAID_NO else 200
    return Answer(status, body, kind, delay_s=fault.delay_s, hang=how is How.HANG, reset=how is How.RESET)


def with_value(value: Any, field: str, text: str) -> Any:
    """The same JSON with `text` for every value under the key `field`; null is null."""
    if isinstance(value, dict):
        other = None if text == "null" else text
        return {key: other if key == field else with_value(inner, field, text) for key, inner in value.items()}
    return [with_value(inner, field, text) for inner in value] if isinstance(value, list) else value


def with_nan(value: Any, field: str | None) -> Any:
    """The same JSON with NaN for every number under the key `field`, or for the first number found."""
    return _Poison(field).spoil(value, field is None)


class _Poison:
    def __init__(self, field: str | None) -> None:
        self.field = field
        self.spent = False

    def spoil(self, value: Any, wanted: bool) -> Any:
        if isinstance(value, dict):
            return {key: self.spoil(inner, wanted or key == self.field) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.spoil(inner, wanted) for inner in value]
        if not wanted or self.spent or not _is_number(value):
            return value
        self.spent = self.field is None
        return "NaN" if isinstance(value, str) else float("nan")


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.replace(".", "", 1).removeprefix("-").isdigit()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _concerns_frames(fault: Fault) -> bool:
    return fault.how in _FRAMES or (fault.how is How.NAN and fault.target == Call.WS)


def _milliseconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("milliseconds must be a number, not below zero")
    return float(value)
