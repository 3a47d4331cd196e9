"""What went wrong, said in our three words.

ccxt's exception classes are no guide to what a reader can do: a refused address looks retryable
there, a broken connection does not, and the class depends on the host. So the status and the code
in the text decide first, and the class only where it is unambiguous. What is not recognised is
"unavailable": an unknown, never a success and never "empty".
"""

from __future__ import annotations

import asyncio
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from risk_daemon.errors import ConfigError, MalformedReply, VenueError, VenueRejected, VenueUnavailable

_EXCERPT = 240

_LATER = re.compile(
    r"rate.?limit|too many|throttl|apiLimitExceeded|deadline|timed? ?out|unavailable|\bbusy\b|maintenance"
    r"|cancel_only|post_only|nonce|timestamp|recvWindow|Internal error|serverUnavailable|MarketInCancelOnlyMode"
    r"|-1001\b|-1003\b|-1006\b|-1007\b|-1015\b|-1016\b|-1021\b|\b10006\b|\b10016\b|\b50011\b|\b50013\b",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"invalid.{0,3}key|invalid.{0,3}signature|permission|authentication|unauthori[sz]ed|api-?key|not whitelisted"
    r"|Invalid arguments|Unknown method|Unknown asset|Feature disabled|Account (?:disabled|locked)"
    r"|requiredArgumentMissing|-1022\b|-2014\b|-2015\b|\b1000[345]\b|\b33004\b|\b5010[1-5]\b|\b50111\b|\b50113\b",
    re.IGNORECASE,
)
_REFUSED_STATUS = frozenset({400, 401, 402, 403, 404, 405, 451})
_REFUSED_CLASSES = frozenset(
    {"AuthenticationError", "AccountSuspended", "BadRequest", "ArgumentsRequired", "NotSupported", "InvalidOrder"}
)
_MALFORMED_CLASSES = frozenset({"BadResponse", "NullResponse"})
_PARSER_ERRORS = (TypeError, KeyError, AttributeError, IndexError, ValueError, ArithmeticError)
_TOO_MUCH = re.compile(r"rate.?limit|too many|throttl|apiLimitExceeded|answered 429", re.IGNORECASE)
_GONE = re.compile(r"OrderNotFound|CancelPending|Unknown order|order.{0,12}not.{0,4}(?:found|exist)", re.IGNORECASE)


class OrderGone(VenueRejected):
    """There is no such order (any more): what a cancel of a filled one is told."""


class ClockOff(VenueUnavailable):
    """The time that a call was signed with is too far from the venue's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """What the error codes of one venue mean, by its own documentation; a code without a row is left to its words.

    at: the field of the reply that holds the code; `error.code` is one within another. later: ask again. refused: a
    person must look. gone: there is no such order. clock: the time that was signed is wrong: the venue's is asked for.
    ban_statuses: the HTTP statuses of a ban for asking too much, beside 418 and 429. row_codes: the list of rows and
    the field of each that holds a code of its own, where the outer one only sums up that all have failed.
    """

    at: str
    later: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    clock: frozenset[str] = frozenset()
    ban_statuses: frozenset[int] = frozenset()
    row_codes: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        sets = (self.later, self.refused, self.gone, self.clock)
        if len(frozenset().union(*sets)) != sum(map(len, sets)):
            raise ConfigError("a code of an exchange that means two things")


NO_CODES = Codes(at="code")


@dataclass(slots=True)
class HttpReply:
    """What is known of one HTTP exchange; it fills up as the exchange goes on."""

    method: str = ""
    url: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def content_type(self) -> str:
        """In lower case; empty if none was given."""
        return next((value.lower() for name, value in self.headers.items() if name.lower() == "content-type"), "")


def failure(
    error: BaseException, reply: HttpReply | None = None, secrets: Iterable[str] = (), codes: Codes = NO_CODES
) -> VenueError:
    """The VenueError that `error`, raised while `reply` was awaited, amounts to. Secrets are blotted out."""
    if isinstance(error, VenueError):
        return error
    seen = reply or HttpReply()
    sentence = blot(_sentence(error, seen), secrets)
    code = _code(seen, codes.at)
    of_rows = _codes_of_rows(seen, codes)
    if code in codes.gone or (of_rows and of_rows <= codes.gone):
        return OrderGone(sentence)
    if code in codes.clock:
        return ClockOff(sentence)
    if of_rows and code not in codes.later | codes.refused:
        # ccxt goes by the first row alone: one that is gone would speak for all.
        kept = sorted(of_rows - codes.gone)
        return _by_rows(
            kept, f"{seen.method} {without_query(seen.url)}: rows were refused with {', '.join(kept)}", codes
        )
    if code in codes.later or seen.status in codes.ban_statuses:
        return VenueUnavailable(sentence, retry_after_s(seen.headers))
    if code in codes.refused:
        return VenueRejected(sentence)
    if _is_malformed(error, seen):
        return MalformedReply(sentence)
    if _is_refused(error, seen):
        return VenueRejected(sentence)
    return VenueUnavailable(sentence, retry_after_s(seen.headers))


def is_gone(error: VenueError) -> bool:
    """Whether the venue says that the order to cancel is not there (any more)."""
    if isinstance(error, OrderGone):
        return True
    return isinstance(error, VenueRejected | VenueUnavailable) and _GONE.search(str(error)) is not None


def is_rate_limit(error: VenueError) -> bool:
    """Whether the venue says that too much was asked of it."""
    return _TOO_MUCH.search(str(error)) is not None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The venue's wish in seconds; None if it gave none, or a date."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and value.strip().isdigit():
            return float(value.strip())
    return None


def blot(text: str, secrets: Iterable[str]) -> str:
    """`text` without any of the secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def without_query(url: str) -> str:
    """Host and path of an address: signatures and keys travel in the query."""
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}"


def _sentence(error: BaseException, seen: HttpReply) -> str:
    where = f"{seen.method} {without_query(seen.url)}".strip()
    status = "" if seen.status is None else f" answered {seen.status}"
    text = " ".join((seen.body or _own_text(error, seen)).split())[:_EXCERPT]
    return f"{where}{status}: {type(error).__name__} {text}".removeprefix(": ").strip()


def _own_text(error: BaseException, seen: HttpReply) -> str:
    text = str(error.__cause__ or error)
    return text.replace(seen.url, without_query(seen.url)) if seen.url else text


def _code(seen: HttpReply, at: str) -> str | None:
    """The venue's own code of what went wrong, as text; None if it gave none."""
    if not seen.body.startswith("{"):
        return None
    try:
        value = json.loads(seen.body)
    except (ValueError, RecursionError):
        return None
    for name in at.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _codes_of_rows(seen: HttpReply, codes: Codes) -> frozenset[str]:
    """The codes of the rows of a reply, if each has one; none otherwise."""
    if codes.row_codes is None or not seen.body.startswith("{"):
        return frozenset()
    rows_at, field_name = codes.row_codes
    try:
        rows = json.loads(seen.body).get(rows_at)
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(rows, list) or not all(isinstance(row, dict) and field_name in row for row in rows):
        return frozenset()
    return frozenset(str(row[field_name]) for row in rows)


def _by_rows(kept: list[str], sentence: str, codes: Codes) -> VenueError:
    """Whether to ask again: if a row says so."""
    return VenueUnavailable(sentence) if codes.later & set(kept) else VenueRejected(sentence)


def _is_malformed(error: BaseException, seen: HttpReply) -> bool:
    if seen.status is not None and not 200 <= seen.status < 300:
        return False
    if isinstance(error, binascii.Error | TimeoutError | OSError | asyncio.CancelledError):
        return False
    return isinstance(error, _PARSER_ERRORS) or bool(_MALFORMED_CLASSES & _class_names(error))


def _is_refused(error: BaseException, seen: HttpReply) -> bool:
    if isinstance(error, binascii.Error):
        return True
    if seen.status is not None and (seen.status >= 500 or seen.status in {408, 418, 425, 429}):
        return False
    code_text = seen.body if seen.body.startswith("{") else ("" if seen.body else str(error))
    if _LATER.search(code_text):
        return False
    if _REFUSED.search(code_text) or seen.status in _REFUSED_STATUS:
        return True
    return bool(_REFUSED_CLASSES & _class_names(error))


def _class_names(error: BaseException) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)
