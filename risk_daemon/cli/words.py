"""Values as people read them: whatever is missing is unknown, never zero, and nothing drives a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from risk_daemon.model.status import AgesStatus, LastKnown, ProfitStatus, State

UNKNOWN = "unknown"


def safe(value: object) -> str:
    """Text without control characters: what a venue sends must not drive a terminal."""
    return "".join(char if char.isprintable() else " " for char in str(value))


def amount(value: object) -> str:
    """`"9400.5"` as `9,400.50`."""
    try:
        return UNKNOWN if value is None else f"{Decimal(str(value)):,.2f}"
    except InvalidOperation:
        return UNKNOWN


def ratio(value: object) -> str:
    """`0.06` as `6.00 %`."""
    number = _number(value)
    return UNKNOWN if number is None else f"{number * 100:.2f} %"


def age(seconds: object) -> str:
    """Seconds in the largest fitting unit."""
    number = _number(seconds)
    if number is None:
        return UNKNOWN
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if number >= 2 * size:
            return f"{number / size:.0f} {unit}"
    return f"{number:.1f} s"


def clock_time(wall: object) -> str:
    """Unix seconds as `11-21 12:03:04`, UTC."""
    if not isinstance(wall, int | float) or isinstance(wall, bool):
        return UNKNOWN
    try:
        return datetime.fromtimestamp(wall, UTC).strftime("%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return UNKNOWN


def moment(text: str, now_wall: float) -> str:
    """An ISO 8601 moment by this machine's clock and zone, and how far it is: `2026-11-22 03:14:07 CET, 12 min ago`.

    now_wall: Unix seconds. What is no moment, or names no zone, is shown as it is.
    """
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is None:
            return safe(text)
        away_s = now_wall - read.timestamp()
        local = read.astimezone()
    except (ValueError, OverflowError, OSError):
        return safe(text)
    far = f"{age(away_s)} ago" if away_s >= 0 else f"in {age(-away_s)}"
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}, {far}"


def signed(value: object) -> str:
    """`"12.5"` as `+12.50`."""
    try:
        return UNKNOWN if value is None else f"{Decimal(str(value)):+,.2f}"
    except InvalidOperation:
        return UNKNOWN


def profit(of: ProfitStatus, currency: str) -> str:
    """In all, and what of it is realised."""
    parts = (("", of.total), ("realised ", of.realized), ("unrealised ", of.unrealized))
    total, *rest = (f"{name}{signed(value)}" for name, value in parts)
    return f"{total} {currency} ({', '.join(rest)})"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def age_of_positions(ages: AgesStatus, *, is_read: bool) -> str:
    """Once everything expected was read, positions without an age are none that are read there: a dash."""
    is_none_there = is_read and ages.balances is not None and ages.positions is None
    return "-" if is_none_there else age(ages.positions)


def unproven_word(state: State) -> str:
    """Of a venue that is not proven: whether that goes well, and for how long, or not."""
    return "NOT PROVEN" if state.proving_s is None else f"proving, {state.proving_s:.0f} s"


def gone(document: Mapping[str, Any]) -> LastKnown:
    """What a daemon said last that is there no more: whatever it allowed then, the gate is shut without it."""
    return LastKnown.shown({**document, "locked": True})
