"""Replies of a real account made fit to be shown: keys, ids and amounts are masked, and the shape stays.

The same value is masked the same way throughout, so what was equal stays equal and what was not stays apart; with
what key that is done is forgotten at the end. What nothing is and what counts rows stays as it is: that is what a
recording is for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

_KEPT = re.compile(
    r"(?i)^(code|retcode|ret_code|scode|errorcode|status|state|result|success|count|totalcount|totalnum|symbolsize"
    r"|sumcount|(?!.*(account|discount)$).*count|page.*|.*page|limit|size_limit|.*time(stamp)?|.*_ts|ts|.*date|.*tm"
    r"|lever.*|level|type|.*type|.*mode|version|precision|decimals|ver|v|e|t|jsonrpc)$"
)
"""Fields whose numbers say something of the protocol and nothing of the account."""

_COUNT = "total"
"""Counts the rows beside it, and is an amount where there are none."""

_NAMING = re.compile(
    r"(?i)(id|ids|uid|address|addr|memo|tag|email|mail|phone|label|notes?|text|alias|remark|user|username|owner|party"
    r"|ip|ips|ip.*list|key|secret|token|hash|ref|refid|refno|txn|clord|client.*|name|nick.*|invite.*|code_name"
    r"|listenkey|account|cursor)$"
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

_ACCOUNT_KINDS = re.compile(
    r"(?i)^(spot|margin|normal|unified|classic|cash|flex|main|funding|trade|swap|contract|futures?|cross.*|isolated.*"
    r"|f[a-z]?-[a-z]+:[a-z]+)$"
)
"""What stands under `account` where it is a kind of account, and not a name or number of one."""

_SAYS_WHO = re.compile(
    r"[^\s@,;]+@[^\s@,;]+|\b\d{1,3}(?:\.\d{1,3}){3}\b|(?i:\b(?:[0-9a-f]{0,4}:){2,7}:?[0-9a-f]{1,4}\b)"
)
"""Addresses of people and of machines, wherever they stand."""

_WITH_A_DIGIT = re.compile(r"(?=[\w.-]*\d)[\w.-]{4,}")
"""In a sentence: ids, amounts and keys."""

_NUMBER = re.compile(r"^-?\d+(\.\d+)?([eE][-+]?\d+)?$")
_LIKE_AN_ID = re.compile(r"^(?=.*\d)[A-Za-z0-9_\-:]{10,}$|^[A-Z0-9]{5,}(-[A-Z0-9]{5,}){2,}$")
_SECRET_PARAMS = frozenset(
    {"signature", "sign", "apikey", "api_key", "timestamp", "recvwindow", "recv_window", "nonce", "listenkey"}
)

_Shape = Callable[[str], str]
_DRAWS = 1000
"""More than enough to find the last digit that is free; letters are never that short."""


def is_personal(param: str) -> bool:
    """Whether a parameter of a call signs it, or names somebody or something of theirs."""
    name = param.lower()
    return name in _SECRET_PARAMS or (_NAMING.search(name) is not None and name != "instrument_name")


class Mask:
    """One recording's mask. Its key is made here and kept nowhere."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._made: dict[tuple[_Shape, str], str] = {}
        self._taken: set[tuple[_Shape, str]] = set()

    def reply(self, value: Any, field: str = "") -> Any:
        """A parsed reply to a signed call, masked."""
        if isinstance(value, Mapping):
            has_rows = any(isinstance(inner, list) for inner in value.values())
            return {self._name(name): self._field(inner, str(name), has_rows) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.reply(inner, field) for inner in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return self._number_itself(value, field)
        return self._text(str(value), field)

    def _field(self, value: Any, name: str, has_rows: bool) -> Any:
        """One of a row's. has_rows: whether others are lists."""
        counts = name.lower() == _COUNT and has_rows and str(value).isdigit()
        return value if counts else self.reply(value, name)

    def query(self, query: str) -> dict[str, str]:
        """The parameters of a call, masked, without those that sign it."""
        pairs = parse_qsl(query, keep_blank_values=True)
        return {name: self._text(value, name) for name, value in pairs if name.lower() not in _SECRET_PARAMS}

    def _name(self, name: object) -> str:
        return self._word(str(name)) if _LIKE_AN_ID.match(str(name)) and "USD" not in str(name) else str(name)

    def _text(self, text: str, field: str) -> str:
        if text == "" or _KEPT.match(field) or (field.lower().endswith("account") and _ACCOUNT_KINDS.match(text)):
            return text
        if _NAMING.search(field) and field.lower() not in _PLAIN_NAMES:
            return self._word(text)
        if _NUMBER.match(text):
            return self._digits(text)
        return self._word(text) if len(text) >= 16 and _LIKE_AN_ID.match(text) else self._words(text)

    def _words(self, text: str) -> str:
        """A name or a sentence, such as a refusal that tells who was refused: only what could be theirs is masked."""
        text = _SAYS_WHO.sub(lambda found: self._word(found[0]), text)
        return _WITH_A_DIGIT.sub(lambda found: self._word(found[0]), text) if " " in text.strip() else text

    def _number_itself(self, value: float, field: str) -> int | float:
        if _KEPT.match(field):
            return value
        return type(value)(self._digits(repr(value)))

    def _digits(self, text: str) -> str:
        """Another number of the same sign and length; nothing stays nothing."""
        if float(text) == 0:
            return text
        mantissa, e, exponent = text.lower().partition("e")
        first = next(index for index, letter in enumerate(mantissa) if letter in "123456789")
        return mantissa[:first] + self._apart(mantissa[first:], _as_a_number) + e + exponent

    def _word(self, text: str) -> str:
        """Letters for letters and digits for digits; everything else stays."""
        return self._apart(text, str)

    def _apart(self, text: str, shape: _Shape) -> str:
        """The one that stands for this text and, while one is left, for no other: two rows with one id would be one."""
        if (shape, text) not in self._made:
            drawn = (shape(self._drawn(text, draw)) for draw in range(_DRAWS))
            made = next((made for made in drawn if (shape, made) not in self._taken), shape(self._drawn(text, 0)))
            self._made[shape, text] = made
            self._taken.add((shape, made))
        return self._made[shape, text]

    def _drawn(self, text: str, draw: int) -> str:
        stream = b""
        for counter in range(len(text) // 32 + 1):
            stream += hmac.new(self._key, f"{draw}:{counter}:{text}".encode(), hashlib.sha256).digest()
        return "".join(_other(letter, byte) for letter, byte in zip(text, stream, strict=False))


def _as_a_number(digits: str) -> str:
    return "1" + digits[1:] if digits.startswith("0") else digits


def _other(letter: str, byte: int) -> str:
    if letter.isdigit():
        return str(byte % 10)
    if letter.isalpha() and letter.isascii():
        return chr((ord("A") if letter.isupper() else ord("a")) + byte % 26)
    return letter
