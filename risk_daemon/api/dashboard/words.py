"""Numbers, moments and truths as people read them. What is not known is said to be so, never 0 and never blank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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


# --- limits of rules ---------------------------------------------------------------------------------


def _ratio_text(value: object, _currency: str) -> str | None:
    found = number(value)
    return None if found is None else short_percent(float(found))


def _amount_text(value: object, currency: str) -> str | None:
    found = number(value)
    return None if found is None else f"{money_text(found)} {currency}".rstrip()


def _count_text(value: object, _currency: str) -> str | None:
    found = number(value)
    return None if found is None else f"{found.normalize():,f}"


def _span_text(value: object, _currency: str) -> str | None:
    """`90` as `90 s`, `3600` as `1 h`: exact, for it is a setting."""
    found = number(value)
    if found is None:
        return None
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if found >= length and found % length == 0:
            return f"{float(found) / length:g} {unit}"
    return f"{float(found):g} s"


def _scope_text(value: object, _currency: str) -> str | None:
    return {"bot": "of each bot", "venue": "of each venue", "all": "of all together"}.get(str(value))


def _plain_text(value: object, _currency: str) -> str | None:
    return str(value)


_Unit = Callable[[object, str], str | None]
# By their names in records: what is said of each limit of a rule, and how its figure is written.
LIMITS: Mapping[str, tuple[str, _Unit]] = {
    "loss_threshold": ("a loss of {} of the initial capital", _ratio_text),
    "max_portfolio_dd_nav_pct": ("a drawdown of {} from the peak", _ratio_text),
    "max_daily_loss_pct": ("a loss of {} since the day began", _ratio_text),
    "max_daily_loss": ("a loss of {} since the day began", _amount_text),
    "max_weekly_loss_pct": ("a loss of {} since the week began", _ratio_text),
    "max_weekly_loss": ("a loss of {} since the week began", _amount_text),
    "max_venue_loss_pct": ("a loss of {} on a venue since the day began", _ratio_text),
    "max_venue_loss": ("a loss of {} on a venue since the day began", _amount_text),
    "max_position_loss_pct": ("a position {} below its entry", _ratio_text),
    "max_position_loss": ("a position that lost {} since its entry", _amount_text),
    "max_volatility": ("a volatility of {} a year", _ratio_text),
    "max_orders": ("more than {} orders", _count_text),
    "max_orders_total": ("more than {} orders of all together", _count_text),
    "max_errors": ("more than {} errors", _count_text),
    "max_errors_total": ("more than {} errors of all together", _count_text),
    "window_s": ("within {}", _span_text),
    "scope": ("{}", _scope_text),
    "veto_after_s": ("vetoes new orders after {} blind", _span_text),
    "trip_after_s": ("trips after {} blind", _span_text),
    "lookback_days": ("looking back {} days", _count_text),
    "venue": ("on {} only", _plain_text),
    "active_hours": ("from {} only", _plain_text),
}
_BESIDE = ("lookback_days", "venue", "active_hours")  # of the rule itself, and not among its limits


def limits_text(rule: Mapping[str, Any], currency: str) -> str:
    """At what a rule acts, with units: `more than 100 orders within 1 min`. rule: as the state describes it.

    What is not known here, for another version wrote it, is written by its name.
    """
    limits = rule.get("limits")
    if rule.get("breaker_type") == "manual":
        return "a halt by a person"
    if not isinstance(limits, Mapping) or not limits:
        return "a rule of your own" if rule.get("breaker_type") in (None, "custom") else UNKNOWN
    said = {**limits, **{name: rule.get(name) for name in _BESIDE}}
    return ", ".join(_limit_text(str(name), value, currency) for name, value in said.items() if value is not None)


def _limit_text(name: str, value: object, currency: str) -> str:
    words, unit = LIMITS.get(name, ("", lambda _value, _currency: None))
    written = unit(value, currency)
    return f"{name.replace('_', ' ')} {value}" if written is None else words.format(written)


# --- time --------------------------------------------------------------------------------------------


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
    """`2026-11-20 12:03:04`, in UTC: a page that was left open says so on another day, too."""
    moment = _moment(wall_of(value))
    return UNKNOWN if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


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
