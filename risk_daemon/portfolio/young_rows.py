"""How far the newest changes fell or rose together: half a trade looks like a loss until its other half comes."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from risk_daemon.model.units import ZERO

NEVER = float("-inf")


class YoungRows:
    """The largest fall and rise that the newest rows make up. Amortised, a row costs the same at any rate.

    A sum over the newest rows is the total now less the total before the first of them: the largest
    falls from the highest of those, the largest rise from the lowest.
    """

    __slots__ = ("_highest", "_lowest", "_total", "last_mono")

    def __init__(self) -> None:
        self._total = ZERO
        self._highest: deque[tuple[float, Decimal]] = deque()
        self._lowest: deque[tuple[float, Decimal]] = deque()
        self.last_mono = NEVER

    def add(self, mono: float, amount: Decimal) -> None:
        before = self._total
        while self._highest and self._highest[-1][1] <= before:
            self._highest.pop()
        while self._lowest and self._lowest[-1][1] >= before:
            self._lowest.pop()
        self._highest.append((mono, before))
        self._lowest.append((mono, before))
        self._total, self.last_mono = before + amount, mono

    def extremes(self, since_mono: float) -> tuple[Decimal, Decimal]:
        """Fall and rise over rows younger than `since_mono`, both above zero or zero."""
        if self.last_mono <= since_mono:
            return ZERO, ZERO
        for totals in (self._highest, self._lowest):
            while totals[0][0] <= since_mono:
                totals.popleft()
        return max(ZERO, self._highest[0][1] - self._total), max(ZERO, self._total - self._lowest[0][1])
