"""What a member of a fund measures its loss from: its sure equity when it was funded first, flows since taken out.

It belongs to one seat of one founding, and nothing but another one takes its place: no reset, no new day.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from risk_daemon.model.units import finite, plain


class FundStart:
    """money: in the reference currency; None: not taken yet, which is no start of nothing. wall: when the readings that
    it was taken from began; None: a state of an older version does not say."""

    def __init__(self) -> None:
        self.founding: str | None = None
        self.seat: str | None = None
        self.money: Decimal | None = None
        self.wall: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a seat was funded, and its start is still to be taken."""
        return self.seat is not None and self.money is None

    def of(self, founding: str, seat: str) -> Decimal | None:
        """The start of that seat; None where there is none, or it is another one's."""
        return self.money if (founding, seat) == (self.founding, self.seat) else None

    def begin(self, founding: str, seat: str) -> bool:
        """Take the next sure value for that seat. False where that was begun already: then nothing changes."""
        if (founding, seat) == (self.founding, self.seat):
            return False
        self.founding, self.seat, self.money, self.wall = founding, seat, None, None
        return True

    def settle(self, sure: Decimal, since_wall: float) -> bool:
        """Take a sure value in, told by readings since then. Returns whether it became the start."""
        if not self.is_waiting:
            return False
        self.money, self.wall = sure, since_wall
        return True

    def is_since(self, wall: float) -> bool:
        """Whether there is a start, and what a venue dates so came after it."""
        return self.money is not None and (self.wall is None or wall >= self.wall)

    def pay(self, amount: Decimal) -> None:
        """A flow of `amount` came in (or went out, below zero) that the start does not know of."""
        self.money = None if self.money is None else self.money + amount

    def snapshot(self) -> dict[str, Any]:
        money = None if self.money is None else plain(self.money)
        return {"founding": self.founding, "seat": self.seat, "money": money, "wall": self.wall}

    def restore(self, data: Mapping[str, Any] | None) -> None:
        """Take back what `snapshot` gave; None: there was no fund yet when it was saved."""
        if data is None:
            return
        self.founding, self.seat, self.wall = data["founding"], data["seat"], data.get("wall")
        self.money = None if data["money"] is None else finite(data["money"])
