"""What mexc refuses before it looks at a request: bad keys, signatures and times, and too many calls.

Spot and contract are two houses: each signs, numbers its errors and counts calls in its own way.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from adapters.simulated.faults import Call
from adapters.simulated.model import Refused
from adapters.simulated.wire.base import CallCounter, Key, Reply, Request, hmac_sha256, milliseconds

CONTRACT_PATHS = ("/api/v1/contract/", "/api/v1/private/")

_SPOT_WINDOW_MS = 5000
_SPOT_WINDOW_LIMIT_MS = 60_000
_SPOT_AHEAD_MS = 1000
_CONTRACT_WINDOW_S = 10.0
_CONTRACT_WINDOW_LIMIT_S = 60.0
_RETRY_AFTER_S = 1

_SPOT_ERRORS = {
    "unknown_symbol": (-1121, "Invalid symbol."),
    "unknown_order": (-2011, "Unknown order sent."),
    "insufficient_funds": (30004, "Insufficient position"),
    "invalid": (700004, "Mandatory parameter was not sent, was empty/null, or malformed."),
}
_CONTRACT_ERRORS = {
    "unknown_symbol": (1001, "Contract does not exist!"),
    "unknown_order": (2040, "order not exist"),
    "would_not_reduce": (2009, "Position is not exists or closed"),
    "insufficient_funds": (2005, "Balance insufficient"),
    "invalid": (600, "Parameter error!"),
}


@dataclass(frozen=True, slots=True)
class No:
    """A refusal: the venue's code and sentence."""

    code: int
    sentence: str
    status: int = 400


def is_contract(path: str) -> bool:
    """The house that answers."""
    return path.startswith(CONTRACT_PATHS)


def no(code: int, sentence: str) -> Refused:
    """A refusal by a handler in the venue's own words."""
    return Refused(str(code), sentence)


def spoken(refused: Refused, *, contract: bool) -> No:
    """A refusal of the account or of a handler as its house says it."""
    table = _CONTRACT_ERRORS if contract else _SPOT_ERRORS
    if refused.code in table:
        return No(*table[refused.code])
    if refused.code.lstrip("-").isdigit():
        return No(int(refused.code), str(refused))
    return No(*table["invalid"])


def refusal_body(refusal: No, *, contract: bool) -> dict[str, Any]:
    """What is sent of a refusal."""
    if contract:
        return {"success": False, "code": refusal.code, "message": refusal.sentence}
    return {"code": refusal.code, "msg": refusal.sentence}


def refusal_reply(refusal: No, *, contract: bool) -> Reply:
    """The contract house says no with status 200, whatever the reason."""
    headers = (("Retry-After", str(_RETRY_AFTER_S)),) if refusal.status == 429 else ()
    return Reply(refusal_body(refusal, contract=contract), 200 if contract else refusal.status, headers)


def spot_refusal(request: Request, key: Key) -> No | None:
    """Why a signed spot request is refused: key, window, time, signature. All of it stands in the query."""
    query = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
    if _headers(request).get("x-mexc-apikey") != key.api_key:
        return No(10072, "Api key info invalid")
    window, stamp = query.get("recvWindow", str(_SPOT_WINDOW_MS)), query.get("timestamp", "")
    if not window.isdigit() or int(window) > _SPOT_WINDOW_LIMIT_MS:
        return No(700005, "recvWindow must less than 60000")
    now = milliseconds(request.wall)
    if not stamp.isdigit() or not (int(stamp) < now + _SPOT_AHEAD_MS and now - int(stamp) <= int(window)):
        return No(700003, "Timestamp for this request is outside of the recvWindow.")
    signed, _, signature = request.query.rpartition("&signature=")
    if not _matches(key, signed, signature):
        return No(700002, "Signature for this request is not valid.")
    return None


def contract_refusal(request: Request, key: Key) -> No | None:
    """Why a signed contract request is refused. The path is not signed; what is read is the query, else the body."""
    headers = _headers(request)
    stamp, window = headers.get("request-time", ""), headers.get("recv-window", "")
    if headers.get("apikey") != key.api_key:
        return No(401, "Not logged in or login has expired")
    told = request.body if request.method == "POST" else request.query
    allowed_s = min(float(window), _CONTRACT_WINDOW_LIMIT_S) if window.isdigit() else _CONTRACT_WINDOW_S
    if not stamp.isdigit() or abs(request.wall - int(stamp) / 1000) > allowed_s:
        return No(513, "Invalid request, please try again later")
    if not _matches(key, key.api_key + stamp + told, headers.get("signature", "")):
        return No(602, "Confirming signature failed")
    return None


def _headers(request: Request) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _matches(key: Key, message: str, signature: str) -> bool:
    return hmac.compare_digest(hmac_sha256(key.api_secret, message).hex(), signature)


class Limits:
    """Counts of calls: spot placing and cancelling share one, each contract endpoint has its own.

    An admin's own count stands in for the spot one.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._orders = CallCounter(12.0, 12.0)
        self._endpoints: dict[str, CallCounter] = {}

    def refusal(self, call: Call, request: Request) -> No | None:
        """Count a call; why it is one too many, if it is."""
        if is_contract(request.path):
            counter = self._endpoints.setdefault(f"{request.method} {request.path}", CallCounter(20.0, 10.0))
            is_admitted = counter.admits(1.0, request.wall)
            return None if is_admitted else No(510, "Requests are too frequent, please try again later!")
        if call not in (Call.PLACE, Call.CANCEL):
            return None
        counter = self._key.counter or self._orders
        return None if counter.admits(1.0, request.wall) else No(429, "Too Many Requests", 429)
