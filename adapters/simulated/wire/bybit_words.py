"""How bybit answers: its envelope, its codes, its pages and its windows of time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from adapters.simulated.model import Refused
from adapters.simulated.wire.base import decimal, milliseconds

_T = TypeVar("_T")

DAY_S = 86_400.0
POSITION_INDEX = {"": 0, "long": 1, "short": 2}
"""Of a position, where an account may hold a long and a short of one contract."""

MESSAGES = {
    10001: "params error",
    10003: "API key is invalid.",
    10005: "Permission denied, please check your API key permissions.",
    10006: "Too many visits. Exceeded the API Rate Limit.",
    10010: "Unmatched IP, please check your API key's bound IP addresses.",
    10016: "System error. Please try again later.",
    60065: "Strategy not found",
    110001: "order not exists or too late to cancel",
    110007: "ab not enough for new order",
    110017: "orderQty will be truncated to zero.",
    110095: "You cannot create, modify or cancel Pre-Market Perpetual orders during the Call Auction.",
    110115: "The cancellation of a combo single-leg order can only be done by canceling the combo order",
    170131: "Insufficient balance.",
    170201: "Invalid orderFilter parameter",
    170213: "Order does not exist.",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result with what stands beside it. rows: the codes of a batch, one a row."""

    result: Any
    message: str = "OK"
    rows: Sequence[Mapping[str, Any]] = ()


def envelope(outcome: Any, wall: float) -> bytes:
    """The whole of a good answer; bytes are a result that is JSON already."""
    if isinstance(outcome, bytes):
        head = b'{"retCode":0,"retMsg":"OK","result":' + outcome
        return head + f',"retExtInfo":{{}},"time":{milliseconds(wall)}}}'.encode()
    told = outcome if isinstance(outcome, Outcome) else Outcome(outcome)
    beside = {"list": list(told.rows)} if told.rows else {}
    body = {"retCode": 0, "retMsg": told.message, "result": told.result, "retExtInfo": beside}
    return json.dumps(body | {"time": milliseconds(wall)}).encode()


def failure(code: int, wall: float, message: str | None = None) -> bytes:
    """The whole of a refusal; the status is 200 all the same."""
    said = MESSAGES.get(code, "") if message is None else message
    body = {"retCode": code, "retMsg": said, "result": {}, "retExtInfo": {}, "time": milliseconds(wall)}
    return json.dumps(body).encode()


def refused(code: int, message: str | None = None) -> Refused:
    """To raise."""
    return Refused(str(code), MESSAGES[code] if message is None else message)


def code_of(error: Refused, *, is_spot: bool) -> int:
    """The venue's number for what the exchange refused."""
    if error.code.isdigit():
        return int(error.code)
    spot = {"unknown_order": 170213, "unknown_symbol": 170121, "insufficient_funds": 170131, "would_not_reduce": 170131}
    contract = {"unknown_order": 110001, "insufficient_funds": 110007, "would_not_reduce": 110017}
    return (spot if is_spot else contract).get(error.code, 10001)


def page(
    rows: Sequence[_T],
    form: Mapping[str, Any],
    key: Callable[[_T], tuple[int, str]],
    *,
    rows_unasked: int = 20,
    most: int = 50,
    is_encoded: bool = False,
    ends: bool = False,
) -> tuple[list[_T], str]:
    """The newest rows from the cursor on, and the cursor of the next page.

    key: when a row was made, and its id. What vanishes between two pages moves no other row. is_encoded: as
    base64, where the endpoint writes its cursors so. ends: none is told with the last row; else one always is,
    and only a page without rows is the end.
    """
    limit = int(form.get("limit") or form.get("pageSize") or rows_unasked)
    if not 0 < limit <= most:
        raise refused(10001, "params error: limit is invalid")
    after = _place(form.get("cursor"), is_encoded)
    ordered = sorted(rows, key=key, reverse=True)
    rest = [row for row in ordered if after is None or key(row) < after]
    shown = rest[:limit]
    if not shown or (ends and len(rest) <= limit):
        return shown, ""
    return shown, _cursor(key(shown[0]), key(shown[-1]), is_encoded)


def _cursor(first: tuple[int, str], last: tuple[int, str], is_encoded: bool) -> str:
    said = ",".join(f"{name}:{made}" for made, name in (first, last))
    return base64.b64encode(said.encode()).decode() if is_encoded else quote(said, safe="")


def _place(cursor: Any, is_encoded: bool) -> tuple[int, str] | None:
    if cursor in (None, ""):
        return None
    try:
        said = base64.b64decode(str(cursor)).decode() if is_encoded else unquote(str(cursor))
        name, made = said.rpartition(",")[2].rsplit(":", 1)
        return int(made), name
    except ValueError:
        raise refused(10001, "params error: cursor is invalid") from None


def window(form: Mapping[str, Any], wall: float, *, unasked_s: float, most_s: float) -> tuple[float, float]:
    """From when to when, in Unix seconds: as asked for, else the last `unasked_s`, or so much from the end given."""
    asked = (decimal(form, name) for name in ("startTime", "endTime"))
    start, end = (None if value is None else float(value) / 1000 for value in asked)
    if start is None and end is None:
        return wall - unasked_s, wall
    if start is None or end is None:
        return (end - unasked_s, end) if end is not None else (start or 0.0, (start or 0.0) + unasked_s)
    if not 0 <= end - start <= most_s:
        raise refused(10001, "The time range between startTime and endTime is invalid")
    return start, end
