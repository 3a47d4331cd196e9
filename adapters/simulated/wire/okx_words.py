"""What okx says when it says no: its codes, their HTTP status and their sentences; and how its answers are wrapped.

After the error code tables of the venue's documentation (www.okx.com/docs-v5, "Error Code"); statuses and sentences
that others measured on its demo environment stand where they differ: wrong parameters come with 200, not 400.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.simulated.model import Refused
from adapters.simulated.wire.base import Reply, milliseconds

GONE = "51400"
ADVANCE_GONE = "51293"
BOT_GONE = "51291"

_SENTENCES: dict[str, tuple[int, str]] = {
    "50002": (400, "JSON syntax error"),
    "50011": (429, "Rate limit reached. Please refer to API documentation and throttle requests accordingly."),
    "50014": (200, "Parameter {} can not be empty."),
    "50038": (200, "This feature is unavailable in demo trading."),
    "50101": (401, "APIKey does not match current environment."),
    "50102": (401, "Timestamp request expired."),
    "50103": (401, 'Request header "OK-ACCESS-KEY" cannot be empty.'),
    "50104": (401, 'Request header "OK-ACCESS-PASSPHRASE" cannot be empty.'),
    "50105": (401, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.'),
    "50106": (401, 'Request header "OK-ACCESS-SIGN" cannot be empty.'),
    "50107": (401, 'Request header "OK-ACCESS-TIMESTAMP" cannot be empty.'),
    "50110": (401, "Your IP {} is not included in your API key's IP whitelist."),
    "50112": (401, "Invalid OK-ACCESS-TIMESTAMP"),
    "50113": (401, "Invalid Sign"),
    "50119": (401, "API key doesn't exist"),
    "50120": (200, "This API key doesn't have permission to use this function"),
    "51000": (200, "Parameter {} error"),
    "51001": (200, "Instrument ID, Instrument ID code, or Spread ID doesn't exist."),
    "51008": (200, "Order failed. Insufficient {} balance in account."),
    "51023": (200, "Position doesn't exist."),
    "51071": (200, "You've reached the maximum limit for tag level cancel all after timers."),
    "51169": (200, "Order failed because you don't have any positions in this direction to reduce or close."),
    "51291": (200, "The strategy does not exist or has stopped"),
    "51293": (200, "Operation failed."),
    "51400": (200, "Order cancellation failed as the order has been filled, canceled or does not exist."),
    "51406": (400, "Canceled - order count exceeds the limit {}."),
    "51411": (200, "User does not have the permission to perform MMP order cancellation."),
    "51603": (200, "Order does not exist"),
}
_REFUSALS = {
    "unknown_symbol": "51001",
    "unknown_order": GONE,
    "insufficient_funds": "51008",
    "would_not_reduce": "51169",
    "invalid": "51000",
}


class Denied(Exception):
    """A request that is refused as a whole. detail: what stands in the sentence: a parameter, a number."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def code_of(refused: Refused) -> str:
    """The venue's code of what an exchange refuses."""
    return _REFUSALS.get(refused.code, "51000")


def sentence(code: str, detail: str = "") -> str:
    """The venue's words for a code."""
    return _SENTENCES.get(code, (200, ""))[1].replace("{}", detail)


def denial(code: str, detail: str = "", *, at_the_gate: bool = False) -> Reply:
    """A refusal. at_the_gate: by the gateway that checks keys, which answers without `data`."""
    body: dict[str, Any] = {"code": code, "msg": sentence(code, detail)}
    return Reply(body if at_the_gate else body | {"data": []}, _SENTENCES.get(code, (200, ""))[0])


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an answer to a change, each with its own `sCode`: the outer code only sums them up."""

    rows: Sequence[dict[str, Any]]

    def body(self, wall: float) -> dict[str, Any]:
        """Code 0: all done; 1: none; 2: some."""
        failed = sum(row["sCode"] != "0" for row in self.rows)
        code, message = "0", ""
        if failed:
            is_whole = failed == len(self.rows)
            code, message = ("1", "All operations failed") if is_whole else ("2", "Bulk operation partially successful")
        stamp = str(milliseconds(wall) * 1000)
        return {"code": code, "msg": message, "data": list(self.rows), "inTime": stamp, "outTime": stamp}


def outcome(code: str = "0", detail: str = "", **names: str) -> dict[str, Any]:
    """One row of a change: done, or why not."""
    return {**names, "sCode": code, "sMsg": sentence(code, detail)}


def blank(names: str) -> dict[str, Any]:
    """Fields that have nothing to say, which the venue writes as empty strings. names: with blanks between them."""
    return dict.fromkeys(names.split(), "")
