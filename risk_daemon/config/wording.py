"""Settings in words, for sentences that people read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.config.notation import LossSize
from risk_daemon.model.units import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """What a sentence about a rule rests on besides the rule's own table.

    capital: the initial one, None where the first equity will be it. day_start: `00:00 UTC`. venues: their names.
    """

    capital: Decimal | None
    currency: str
    day_start: str
    venues: tuple[str, ...]

    def money(self, amount: Decimal) -> str:
        """`500 USDT`."""
        return f"{plain(round(amount, 2).normalize())} {self.currency}"


def percent(ratio: Decimal) -> str:
    """`0.125` as `12.5 %`."""
    return f"{plain(round(ratio * 100, 4).normalize())} %"


def span(seconds: float) -> str:
    """`90` as `90 s`, `3600` as `1 h`."""
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def limit_text(limit: LossSize) -> str:
    """`5 %`, or `500 USDT`."""
    return str(limit) if limit.money is not None else percent(limit.size)


def all_of(names: Iterable[str]) -> str:
    """`a, b and c`."""
    return _joined(names, "and")


def one_of(names: Iterable[str]) -> str:
    """`a, b or c`."""
    return _joined(names, "or")


def _joined(names: Iterable[str], word: str) -> str:
    *rest, last = names
    return f"{', '.join(rest)} {word} {last}" if rest else last
