"""Numbers with their units: finite Decimals, ratios, money, durations.

Nothing turns "unknown" into zero: what is not a finite number raises. Only `fixed` rounds.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

ZERO = Decimal(0)
ONE = Decimal(1)

# Arithmetic that does not depend on whose thread it runs in: 60 digits, and no silent NaN or infinity.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
QUANTUM = Decimal("1e-12")

_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")
_MONEY = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Z0-9]{2,10})?\s*$", re.ASCII)
_NUMBER = re.compile(r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$", re.ASCII)
_PERCENT = re.compile(r"^\s*(-?[0-9]+(?:\.[0-9]+)?)\s*%\s*$", re.ASCII)

# No amount, price or time of any venue has more digits before or after its point: beyond this it is garbage.
_DIGITS_MAX = 30


def finite(value: object) -> Decimal:
    """The finite Decimal that `value` stands for.

    Accepts int, str, Decimal and float (read by its shortest text, so 0.1 is 0.1).
    Raises ValueError for None, booleans, text that is no plain number, NaN, infinities, and what no venue
    can mean (more than 30 digits before or after the point).
    """
    if value is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    if isinstance(value, Decimal):
        number = value
    else:
        text = str(value).strip()
        if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise ValueError(f"{value!r} is not finite")
        if _NUMBER.match(text) is None:
            raise ValueError(f"{text[:60]!r} is not a number")
        number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"{value!r} is not finite")
    if number and not -_DIGITS_MAX <= number.adjusted() <= _DIGITS_MAX:
        raise ValueError(f"{number:.3E} is out of any range")
    return number


def fixed(number: Decimal) -> Decimal:
    """`number` rounded to QUANTUM, so that sums of such numbers are exact."""
    return EXACT.quantize(number, QUANTUM)


def parse_ratio(value: object) -> Decimal:
    """A ratio in [0, 1): `"5%"` or `0.05`. Raises ValueError with a hint for `5` and for negatives."""
    match = _PERCENT.match(value) if isinstance(value, str) else None
    if match is not None:
        ratio = finite(match.group(1)) / 100
        hint = ""
    else:
        ratio = finite(value)
        hint = f'; for {ratio} percent write "{ratio}%"' if ratio >= 1 else ""
    if ratio < 0:
        raise ValueError(f"{value!r} is negative: write the size of the loss, without a sign")
    if ratio >= 1:
        raise ValueError(f"{value!r} is not a ratio below 1{hint}")
    return ratio


def parse_money(value: object, currency: str | None = None) -> Decimal:
    """An amount above zero: `5000` or `"5000 USDT"`. Raises ValueError for another currency than `currency`."""
    if isinstance(value, str):
        match = _MONEY.match(value)
        if match is None:
            raise ValueError(f'{value!r} is not an amount: write 5000 or "5000 USDT"')
        named = match.group(2)
        if named is not None and currency is not None and named != currency:
            raise ValueError(f"{value!r} is not in {currency}")
        amount = finite(match.group(1))
    else:
        amount = finite(value)
    if amount <= 0:
        raise ValueError(f"{value!r} is not above zero")
    return amount


_LONGEST_S = 36_525 * 86_400.0


def parse_duration(value: object) -> float:
    """Seconds: `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"30d"`. A bare number is refused: it has no unit."""
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a duration: write "10s", "250ms", "5m", "1h" or "30d"')
    seconds = float(match.group(1)) * _DURATION_UNITS_S[match.group(2)]
    if seconds > _LONGEST_S:
        raise ValueError(f"{str(value)[:40]!r} is longer than a hundred years")
    return seconds


def percent(ratio: Decimal) -> str:
    """`0.055` as `5.50 %`, for people."""
    return f"{ratio * 100:.2f} %"


def plain(number: Decimal) -> str:
    """A Decimal as text without exponent or trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
