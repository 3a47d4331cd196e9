"""Numbers, moments and truths as people read them. What is not known is said to be so, never 0 and never blank."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from risk_daemon.api.dashboard.html import Markup, joined, tag, text

UNKNOWN = "not known"
MINUS = "\N{MINUS SIGN}"


def unknown(words: str = UNKNOWN) -> Markup:
    return tag("span", words, class_="unknown")


def shown(value: object) -> Markup:
    """Any text or number as it is."""
    return unknown() if value is None or value == "" else text(value)


def number(value: object) -> Decimal | None:
    """A decimal text or a number; None for what is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def money(value: object, currency: str = "") -> Markup:
    """`"9400.5"` as `9,400.50`, with its currency."""
    found = number(value)
    return unknown() if found is None else text(money_text(found) + (f" {currency}" if currency else ""))


def money_text(value: Decimal) -> str:
    """With two digits; what would be 0.00 and is not keeps three that count."""
    digits = f"{value:,.2f}"
    if value and not any(char in "123456789" for char in digits):
        digits = f"{value:.3g}"
    return digits.replace("-", MINUS, 1) if digits.startswith("-") else digits


def gain(value: object, currency: str = "") -> Markup:
    """A profit or a loss: told by its sign, and by colour."""
    found = number(value)
    if found is None:
        return unknown()
    sign, kind = ("+", "up") if found > 0 else ("", "down") if found < 0 else ("", "even")
    return tag("span", f"{sign}{money_text(found)}" + (f" {currency}" if currency else ""), class_=kind)


def quantity(value: object) -> Markup:
    """Every digit of a price or an amount, thousands apart."""
    found = number(value)
    if found is None:
        return shown(value)
    digits = f"{found:,f}"
    return text(digits.replace("-", MINUS, 1))


def percent(value: object, digits: int = 2) -> Markup:
    """`0.06` as `6.00%`."""
    found = number(value)
    return unknown() if found is None else text(f"{float(found) * 100:.{digits}f}%".replace("-", MINUS))


def short_percent(value: float) -> str:
    """`0.1` as `10%`, `0.125` as `12.5%`."""
    return f"{round(value * 100, 4):g}%"


def size(value: object, currency: str) -> Markup:
    """A loss or a limit: a ratio is a number in JSON, an amount of money is a text."""
    if isinstance(value, str):
        return money(value, currency)
    return percent(value)


def age(seconds: object) -> Markup:
    """In the largest fitting unit."""
    found = number(seconds)
    return unknown() if found is None else text(age_text(float(found)))


def lapse(seconds: float) -> str:
    """How long something took, with a tenth while that is much: `1.5 s`, `4 min`."""
    return f"{seconds:.1f} s" if seconds < 2 * 60 else age_text(seconds)


def age_text(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def wall_of(value: object) -> float | None:
    """Unix seconds of a number, or of a moment in ISO 8601."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()


def clock(value: object) -> str:
    """`12:03:04`, in UTC."""
    moment = _moment(wall_of(value))
    return UNKNOWN if moment is None else f"{moment:%H:%M:%S}"


def when(value: object, now_wall: float | None = None) -> Markup:
    """The time of day, with the date where it is another one than today's. In UTC."""
    wall = wall_of(value)
    moment = _moment(wall)
    if moment is None:
        return unknown()
    today = _moment(now_wall)
    is_today = today is not None and today.date() == moment.date()
    words = f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"
    return tag("time", words, datetime=f"{moment:%Y-%m-%dT%H:%M:%SZ}")


def day_text(wall: float, form: str) -> str:
    moment = _moment(wall)
    return "" if moment is None else moment.strftime(form)


def told(sentence: str) -> Markup:
    """What stands between backquotes is what is typed."""
    pieces = sentence.split("`")
    return joined(*(tag("code", piece) if number % 2 else piece for number, piece in enumerate(pieces)))


def truth(value: object, yes: Any, no: Any) -> Markup:
    """Two words, and a third for what may be missing."""
    if value is True:
        return text(yes)
    return text(no) if value is False else unknown()


def _moment(wall: float | None) -> datetime | None:
    if wall is None:
        return None
    try:
        return datetime.fromtimestamp(wall, UTC)
    except (ValueError, OverflowError, OSError):
        return None
