"""Replies of a real account made fit to be shown: keys, ids and amounts are masked, and the shape stays.

The same value is masked the same way throughout, so what was equal stays equal; with what key that is done is
forgotten at the end. What nothing is and what counts rows stays as it is: that is what a recording is for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

_KEPT = re.compile(
    r"(?i)^(code|retcode|ret_code|scode|errorcode|status|state|result|success|count|total|totalcount|sumcount|.*count"
    r"|page.*|.*page|limit|size_limit|.*time|.*_ts|ts|.*date|.*tm|lever.*|level|type|.*type|.*mode|version|precision"
    r"|decimals|cost|ver|v|e|t|jsonrpc)$"
)
"""Fields whose numbers say something of the protocol and nothing of the account."""

_NAMING = re.compile(
    r"(?i)(id|ids|uid|address|addr|memo|tag|email|mail|phone|label|note|remark|user|username|owner|ip|ips|key|secret"
    r"|token|hash|ref|refid|refno|txn|clord|client.*|name|nick.*|invite.*|code_name|listenkey|account|cursor)$"
)
"""Fields whose text names a person, an order, a transfer or a key."""

_PLAIN_NAMES = frozenset(
    {
        "instid",
        "instrumentid",
        "instrument_name",
        "productid",
        "marketid",
        "symbolid",
        "feedname",
        "exchangename",
        "typename",
        "statusname",
    }
)
"""Those of markets and kinds, which are the venue's and not the account's."""

_NUMBER = re.compile(r"^-?\d+(\.\d+)?([eE][-+]?\d+)?$")
_LIKE_AN_ID = re.compile(r"^(?=.*\d)[A-Za-z0-9_\-:]{10,}$|^[A-Z0-9]{5,}(-[A-Z0-9]{5,}){2,}$")
_SECRET_PARAMS = frozenset(
    {"signature", "sign", "apikey", "api_key", "timestamp", "recvwindow", "recv_window", "nonce", "listenkey"}
)


def is_personal(param: str) -> bool:
    """Whether a parameter of a call signs it, or names somebody or something of theirs."""
    name = param.lower()
    return name in _SECRET_PARAMS or (_NAMING.search(name) is not None and name != "instrument_name")


class Mask:
    """One recording's mask. Its key is made here and kept nowhere."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def reply(self, value: Any, field: str = "") -> Any:
        """A parsed reply to a signed call, masked."""
        if isinstance(value, Mapping):
            return {self._name(name): self.reply(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.reply(inner, field) for inner in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return self._number_itself(value, field)
        return self._text(str(value), field)

    def query(self, query: str) -> dict[str, str]:
        """The parameters of a call, masked, without those that sign it."""
        pairs = parse_qsl(query, keep_blank_values=True)
        return {name: self._text(value, name) for name, value in pairs if name.lower() not in _SECRET_PARAMS}

    def _name(self, name: object) -> str:
        return self._word(str(name)) if _LIKE_AN_ID.match(str(name)) and "USD" not in str(name) else str(name)

    def _text(self, text: str, field: str) -> str:
        if text == "" or _KEPT.match(field):
            return text
        if _NAMING.search(field) and field.lower() not in _PLAIN_NAMES:
            return self._word(text)
        if _NUMBER.match(text):
            return self._digits(text)
        return self._word(text) if len(text) >= 16 and _LIKE_AN_ID.match(text) else text

    def _number_itself(self, value: float, field: str) -> int | float:
        if _KEPT.match(field):
            return value
        text = self._digits(repr(value)) if not _NAMING.search(field) else self._word(repr(value))
        return type(value)(text)

    def _digits(self, text: str) -> str:
        """Another number of the same sign and length; nothing stays nothing."""
        if float(text) == 0:
            return text
        mantissa, e, exponent = text.lower().partition("e")
        first = next(index for index, letter in enumerate(mantissa) if letter in "123456789")
        made = self._word(mantissa[first:])
        return mantissa[:first] + ("1" if made[0] == "0" else made[0]) + made[1:] + e + exponent

    def _word(self, text: str) -> str:
        """Letters for letters and digits for digits; everything else stays."""
        stream = b""
        for counter in range(len(text) // 32 + 1):
            stream += hmac.new(self._key, f"{counter}:{text}".encode(), hashlib.sha256).digest()
        return "".join(_other(letter, byte) for letter, byte in zip(text, stream, strict=False))


def _other(letter: str, byte: int) -> str:
    if letter.isdigit():
        return str(byte % 10)
    if letter.isalpha() and letter.isascii():
        return chr((ord("A") if letter.isupper() else ord("a")) + byte % 26)
    return letter
