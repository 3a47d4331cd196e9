"""What a value was when the running day or week began.

It is the last sure value before the boundary; what is sure, whoever gives it says. Where that is too old (down,
blind), it is the higher of it and the first sure one after. Periods are named by the wall clock and only move
forward. It is kept twice, since a flow does not do the same to both: `value` is scaled by it, so that a ratio does
not move; `money` moves by its amount, so that a loss in money does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from risk_daemon.model.clock import Instant
from risk_daemon.model.units import finite, plain

MAX_AGE_S = 600.0


class PeriodStart:
    """key: names the period of a moment (Unix seconds); later periods have greater names."""

    def __init__(self, key: Callable[[float], str]) -> None:
        self.value: Decimal | None = None
        self.money: Decimal | None = None
        self.name: str | None = None
        self.is_provisional = False
        self._key = key
        self._last: tuple[Decimal, Decimal, float] | None = None

    def turn(self, now: Instant) -> bool:
        """Look whether a new period began. Returns whether one did."""
        name = self._key(now.wall)
        if self.name is not None and name <= self.name:
            return False
        self.name = name
        if self._last is None:
            self.is_provisional = True
            return True
        self.value, self.money, last_wall = self._last
        self.is_provisional = now.wall - last_wall > MAX_AGE_S
        return True

    def settle(self, sure: Decimal, now: Instant) -> bool:
        """Take a sure value in. Returns whether it completed the start of the period."""
        self._last = (sure, sure, now.wall)
        if not self.is_provisional:
            return False
        self.is_provisional = False
        self.value = sure if self.value is None else max(self.value, sure)
        self.money = sure if self.money is None else max(self.money, sure)
        return True

    def map(self, change: Callable[[Decimal], Decimal]) -> None:
        """A flow scaled what ratios are measured from."""
        self.value = None if self.value is None else change(self.value)
        if self._last is not None:
            self._last = (change(self._last[0]), *self._last[1:])

    def pay(self, amount: Decimal) -> None:
        """A flow of `amount` came in (or went out, below zero)."""
        self.money = None if self.money is None else self.money + amount
        if self._last is not None:
            self._last = (self._last[0], self._last[1] + amount, self._last[2])

    def forget(self) -> None:
        """Take the next sure value."""
        self.value = self.money = self._last = None
        self.is_provisional = True

    def snapshot(self) -> dict[str, Any]:
        last = self._last
        return {
            "value": _text(self.value),
            "money": _text(self.money),
            "name": self.name,
            "is_provisional": self.is_provisional,
            "last": None if last is None else [plain(last[0]), plain(last[1]), last[2]],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        self.value, self.money = _number(data["value"]), _number(data["money"])
        self.name = data["name"]
        self.is_provisional = data["is_provisional"]
        last = data["last"]
        self._last = None if last is None else (finite(last[0]), finite(last[1]), float(last[2]))


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else finite(text)
