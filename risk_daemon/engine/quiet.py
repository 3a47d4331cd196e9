"""When nobody need be asked: every rule said how far its answer stands, and nothing has left that room since.

Prices move thousands of times a second and hardly ever come near a limit. Rules are asked again as soon as the worst
case of the equity falls below the highest of their bounds, when anything else that they rest on changes, and with
every event that is not a frame of prices or balances: with each tick of time, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from risk_daemon.breakers.base import Verdict
from risk_daemon.engine.books import Picture


@dataclass(frozen=True, slots=True)
class Quiet:
    """verdicts: the answers that stand. above: while the worst case of the equity is not below it, in the reference
    currency. until_mono: while that moment has not come. ground: what else they rest on (`Books.ground`).
    """

    verdicts: tuple[Verdict, ...]
    above: Decimal
    until_mono: float
    ground: tuple[object, ...]

    def holds(self, picture: Picture | None, ground: tuple[object, ...], now_mono: float) -> bool:
        """Whether asking would give the same answers. What is not known is never quiet."""
        return (
            picture is not None
            and picture.equity.low >= self.above
            and picture.suspected_high >= self.above
            and now_mono < self.until_mono
            and ground == self.ground
        )
