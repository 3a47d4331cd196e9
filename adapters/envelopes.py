"""Is this reply really the venue's answer?

Parsers turn an HTML page, an empty body or `{}` into "no orders". So every reply is held against
what the venue's own answer looks like before any parser sees it. The tables are data, one line an
endpoint, in the venue's file. A venue without a table is held against what it answered when it was connected, which is
weaker: it proves that the shape did not change, not that the shape is right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from risk_daemon.errors import MalformedReply
from risk_daemon.model.units import finite

Check = Callable[[Any], str | None]
"""Gives None for a good value, else what is wrong with it."""


def is_a(*kinds: type, filled: bool = False) -> Check:
    """The value has one of these types, and is not empty if `filled`."""

    def check(value: Any) -> str | None:
        if not isinstance(value, kinds):
            return f"is {type(value).__name__}, not {' or '.join(kind.__name__ for kind in kinds)}"
        return "is empty" if filled and not value else None

    return check


def is_number(value: Any) -> str | None:
    """The value stands for a finite number."""
    try:
        finite(value)
    except ValueError as error:
        return str(error)
    return None


def equals(expected: Any) -> Check:
    """The value is exactly this one."""
    return lambda value: None if value == expected else f"is {value!r}, not {expected!r}"


def has(**fields: Check) -> Check:
    """The value is a dict with at least these fields, each good by its own check."""

    def check(value: Any) -> str | None:
        if not isinstance(value, dict):
            return f"is {type(value).__name__}, not dict"
        for name, field_check in fields.items():
            wrong = field_check(value[name]) if name in value else "is missing"
            if wrong is not None:
                return f"{name} {wrong}"
        return None

    return check


def each(check_row: Check, *kinds: type, filled: bool = False) -> Check:
    """The value is a dict or list (one of `kinds`) and every row in it is good."""
    container = is_a(*kinds, filled=filled)

    def check(value: Any) -> str | None:
        wrong = container(value)
        if wrong is not None:
            return wrong
        for row in value.values() if isinstance(value, dict) else value:
            wrong = check_row(row)
            if wrong is not None:
                return f"has a row that {wrong}"
        return None

    return check


def listing(rows: str, check_rows: Check) -> Check:
    """The value is a dict with the rows of a listing under this name, and nothing in it says that there are others."""
    check = has(**{rows: check_rows})

    def check_listing(value: Any) -> str | None:
        return check(value) or contradiction(value, len(value[rows]))

    return check_listing


_COUNTS = ("count", "total", "totalCount", "total_count", "totalNum", "sumCount")
_MORE = ("cursor", "nextPageCursor", "next_cursor", "nextCursor", "next", "pending", "has_more", "hasMore", "more")


def contradiction(value: Any, rows: int) -> str | None:
    """What beside a listing of so many rows says that there are others; None if nothing does."""
    if not isinstance(value, dict):
        return None
    for name in _COUNTS:
        if value.get(name) is not None and not _is_number_of(rows, value[name]):
            return f"has {rows} rows and a {name} of {value[name]!r}"
    more = next((name for name in _MORE if value.get(name) not in (None, "", False, "false", 0, "0")), None)
    return None if more is None else f"has {rows} rows and {more} {value[more]!r}: there is more than it shows"


def _is_number_of(rows: int, value: Any) -> bool:
    try:
        return finite(value) == rows
    except ValueError:
        return False


def parse_strictly(body: str) -> Any:
    """JSON of which every reader reads the same. Raises ValueError if it is none, MalformedReply for two equal keys."""
    return json.loads(body, object_pairs_hook=_unique, parse_constant=_no_number)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedReply(f"the answer has the key {twice[:40]!r} twice")
    return found


def _no_number(literal: str) -> Any:
    raise ValueError(f"{literal} is no number")


def both(one: Check, other: Check) -> Check:
    """The value is good by each of the two."""
    return lambda value: one(value) or other(value)


TEXT = is_a(str, filled=True)
ROWS = is_a(list)
FILLED_ROWS = is_a(list, filled=True)


def wrong_with(table: Mapping[str, Check] | None, url: str, reply: Any) -> str | None:
    """What is wrong with the parsed JSON `reply` of `url`, or None. Text, bytes and None are never a reply."""
    if not isinstance(reply, dict | list):
        return "the body is not JSON" if reply else "the body is empty"
    if table is None:
        return "the body is an empty object" if reply == {} else None
    words = urlsplit(url).path.rstrip("/").split("/")
    row = next(name for name in ("/".join(words[-2:]), words[-1], "") if name in table)
    return table[row](reply)


# --- venues without a table ------------------------------------------------------------------------

_STATUS_FIELDS = ("code", "retCode", "ret_code", "success", "status", "result", "error", "errno")
_ROW_FIELDS = ("data", "result", "list", "rows", "orders", "openOrders", "items", "resultList")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a reply looked like when the venue was connected: its type, its keys and its status fields."""

    kind: type
    keys: frozenset[str]
    statuses: tuple[tuple[str, str], ...]


def shape_of(reply: Any) -> Shape:
    """The shape of a parsed JSON reply."""
    if not isinstance(reply, dict):
        return Shape(type(reply), frozenset(), ())
    statuses = tuple((name, str(reply[name])) for name in _STATUS_FIELDS if _is_plain(reply.get(name)))
    return Shape(dict, frozenset(reply), statuses)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | bool)


def check_same_shape(learned: Shape, reply: Any) -> None:
    """Raise MalformedReply unless `reply` has the type, the keys and the status values that were learned."""
    seen = shape_of(reply)
    if seen.kind is not learned.kind:
        raise MalformedReply(f"the reply is {seen.kind.__name__}, at connect it was {learned.kind.__name__}")
    if not learned.keys <= seen.keys:
        raise MalformedReply(f"the reply lacks {', '.join(sorted(learned.keys - seen.keys))}, which it had at connect")
    if seen.statuses != learned.statuses:
        raise MalformedReply(f"the reply's status is {seen.statuses}, at connect it was {learned.statuses}")


def count_rows(reply: Any) -> int:
    """How many rows a listing has: a top-level list, or a list under the usual names.

    Raises MalformedReply if there is none, or if it is empty and something beside it says that there are rows.
    """
    if isinstance(reply, list):
        return len(reply)
    if isinstance(reply, dict):
        for name in _ROW_FIELDS:
            if isinstance(reply.get(name), list | dict):
                rows = count_rows(reply[name])
                wrong = contradiction(reply, 0) if rows == 0 else None
                if wrong is not None:
                    raise MalformedReply(f"the reply {wrong}")
                return rows
    raise MalformedReply("the reply holds no list of rows")
