"""The daemon's answers over HTTP, and why anything that is not exactly its contract is a no.

An answer of 200 must have the members of a lease, all of them and no others, each of its type. 423 is a veto.
All else, from a redirect to a page of HTML, is no answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from risk_daemon.bot.answers import INVALID_ORDER, LOCKED, NO_ANSWER, GateAnswer, Lease, no_answer
from risk_daemon.state.lock.memory_map import MAX_VALID_MS

_LEASE_MEMBERS: Final = {"allowed", "time", "time_wall", "lease_id", "valid_for_ms"}
_NOT_AN_ORDER: Final = (400, 413, 422)
_MAX_DETAIL: Final = 300


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply, read whole."""

    status: int
    content_type: str
    body: bytes


def read_answer(reply: Reply, asked_ns: int) -> GateAnswer:
    """The answer that `reply` is. Raises nothing: what can't be read is a no."""
    document = _object(reply)
    if reply.status == 200:
        return _granted(reply, document, asked_ns)
    if reply.status == 423:
        return _vetoed(document)
    detail = f"the daemon answered {reply.status}: {_text(document, 'detail') or 'without a reason'}"
    return GateAnswer(
        allowed=False, veto_reason=INVALID_ORDER if reply.status in _NOT_AN_ORDER else NO_ANSWER, detail=_clip(detail)
    )


def _granted(reply: Reply, document: Mapping[str, Any] | None, asked_ns: int) -> GateAnswer:
    wrong = _wrong_with_lease(reply, document)
    if wrong is not None or document is None:
        return no_answer(f"the daemon answered 200, but {wrong}")
    answer = GateAnswer(allowed=True, lease=Lease(document["valid_for_ms"], asked_ns, document["lease_id"]))
    return answer if answer.is_valid() else no_answer("the lease had run out before the answer was here")


def _wrong_with_lease(reply: Reply, document: Mapping[str, Any] | None) -> str | None:
    if document is None or reply.content_type != "application/json":
        return "not with a JSON object"
    if document.keys() != _LEASE_MEMBERS:
        return f"the members are not those of a lease: {_clip(', '.join(sorted(document)))}"
    wall, valid_for_ms = document["time_wall"], document["valid_for_ms"]
    if document["allowed"] is not True:
        return "`allowed` is not true"
    if not _text(document, "time") or not _text(document, "lease_id"):
        return "`time` or `lease_id` is not a text"
    if isinstance(wall, bool) or not isinstance(wall, int | float) or not math.isfinite(wall):
        return "`time_wall` is not a time"
    if isinstance(valid_for_ms, bool) or not isinstance(valid_for_ms, int) or not 0 < valid_for_ms <= MAX_VALID_MS:
        return f"`valid_for_ms` is not within 1 to {MAX_VALID_MS}"
    return None


def _vetoed(document: Mapping[str, Any] | None) -> GateAnswer:
    reason = _text(document, "veto_reason")
    if document is None or reason is None:
        return GateAnswer(
            allowed=False, veto_reason=LOCKED, detail="the daemon answered 423, without a reason that can be read"
        )
    return GateAnswer(
        allowed=False,
        veto_reason=reason,
        detail=_text(document, "detail") or "",
        observed=_mapping(document, "observed"),
        limits=_mapping(document, "limits"),
        trip_id=_text(document, "trip_id"),
        locked_until=_text(document, "locked_until"),
    )


def _object(reply: Reply) -> dict[str, Any] | None:
    """The JSON object of the body; None for anything else, doubled members and NaN included."""
    try:
        document = json.loads(reply.body, object_pairs_hook=_distinct, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _text(document: Mapping[str, Any] | None, name: str) -> str | None:
    value = None if document is None else document.get(name)
    return _clip(value) if isinstance(value, str) and value else None


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _clip(text: str) -> str:
    """One line of bounded length: it may be shown and logged."""
    return "".join(character if character.isprintable() else " " for character in text[:_MAX_DETAIL])
