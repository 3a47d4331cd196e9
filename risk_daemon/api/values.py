"""The values in what bots and people send: amounts, times and texts, and what each may be."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, PlainValidator, StringConstraints, WithJsonSchema

from risk_daemon.model.units import finite

TEXT_MAX = 1_000
_AMOUNT = r"^([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
_AMOUNT_MAX = 80
_AMOUNT_LIMIT = Decimal("1e30")
_amount_matches = re.compile(_AMOUNT[1:-1], re.ASCII).fullmatch
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")
_DISABLE_MAX_S = 30 * 86_400
_AGO_MAX_S = 86_400


def above_zero(value: object) -> Decimal:
    """Raises ValueError for anything but a finite number above zero."""
    if type(value) is str:
        if len(value) > _AMOUNT_MAX or _amount_matches(value) is None:
            raise ValueError("must be a plain decimal number above zero")
        value = Decimal(value)
    elif type(value) not in (int, Decimal):
        raise ValueError("must be a number, or a text with one")
    number = finite(value)
    if number <= 0:
        raise ValueError("must be above zero")
    if number > _AMOUNT_LIMIT:
        raise ValueError("is out of any range")
    return number


def _seconds(value: object) -> float:
    if type(value) not in (int, Decimal):
        raise ValueError("must be a number of seconds")
    number = finite(value)
    if not 1 <= number <= _DISABLE_MAX_S:
        raise ValueError(f"must be 1 to {_DISABLE_MAX_S} seconds")
    return float(number)


def _ago(value: object) -> float:
    if type(value) not in (int, Decimal):
        raise ValueError("must be a number of seconds")
    number = finite(value)
    if not 0 <= number <= _AGO_MAX_S:
        raise ValueError(f"must be 0 to {_AGO_MAX_S} seconds")
    return float(number)


def _own_words(value: object) -> str:
    """A bot's error is counted whatever its text holds."""
    if type(value) is not str:
        raise ValueError("must be a text")
    return value[:TEXT_MAX].encode("utf-8", "replace").decode("utf-8").translate(_CONTROLS).strip()


def _not_blank(value: str) -> str:
    stripped = value.strip()
    if not stripped:
        raise ValueError("must not be blank")
    return stripped


_NUMBER_SCHEMA = {"type": "number", "minimum": 1e-30, "maximum": 1e30}
_SECONDS_SCHEMA = {"type": "number", "minimum": 1, "maximum": _DISABLE_MAX_S}
_TEXT_SCHEMA = {"type": "string", "pattern": _AMOUNT, "maxLength": _AMOUNT_MAX}

Amount = Annotated[
    Decimal,
    PlainValidator(above_zero),
    WithJsonSchema({"anyOf": [_TEXT_SCHEMA, _NUMBER_SCHEMA], "description": "Above zero; a text keeps every digit."}),
]
Ago = Annotated[float, PlainValidator(_ago), WithJsonSchema({"type": "number", "minimum": 0, "maximum": _AGO_MAX_S})]
Seconds = Annotated[float, PlainValidator(_seconds), WithJsonSchema(_SECONDS_SCHEMA)]
OwnWords = Annotated[
    str,
    PlainValidator(_own_words),
    WithJsonSchema({"type": "string", "description": f"Cut after {TEXT_MAX} characters; control characters go."}),
]
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]+$"
NAME_MAX = 128
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX, pattern=_PRINTABLE)]
ORDER_ID_MAX = 256
OrderId = Annotated[str, StringConstraints(min_length=1, max_length=ORDER_ID_MAX, pattern=_PRINTABLE)]
OrderType = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=TEXT_MAX, pattern=_PRINTABLE), AfterValidator(_not_blank)
]
Side = Literal["buy", "sell"]
