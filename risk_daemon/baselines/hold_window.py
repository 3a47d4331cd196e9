"""The lowest of a value over the last seconds: what one wild tick can't move."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

# A stretch with a gap of more than this is no stretch: the machine slept.
GAP_S = 60.0


class HoldWindow:
    """The lowest value over the last `hold_s` seconds or longer, once there is that much of it.

    An entry (mono, value): since `mono`, nothing was lower than `value`.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._since_mono = self._last_mono = float("inf")
        self._minima: deque[tuple[float, Decimal]] = deque()

    def add(self, mono: float, value: Decimal) -> None:
        """Take a value in. Times only move forward."""
        if mono - self._last_mono > GAP_S:
            self.clear()
        self._last_mono = mono
        if mono < self._since_mono:
            self._since_mono = mono
        start = mono
        while self._minima and self._minima[-1][1] > value:
            start = self._minima.pop()[0]
        if not self._minima or self._adds_something(start, value):
            self._minima.append((start, value))

    def lowest(self, now_mono: float, rest_mono: float | None) -> Decimal | None:
        """The lowest since `rest_mono`, but over `hold_s` at least. None until there is that much, and a REST read."""
        edge = min(now_mono - self._hold_s, now_mono if rest_mono is None else rest_mono)
        while len(self._minima) > 1 and self._minima[1][0] <= edge:
            self._minima.popleft()
        is_full = self._since_mono <= now_mono - self._hold_s
        return self._minima[0][1] if is_full and rest_mono is not None else None

    def _adds_something(self, start: float, value: Decimal) -> bool:
        """An equal value does not, and a rise within a hundredth of the window is left out to keep it small."""
        last_start, last = self._minima[-1]
        return value != last and start - last_start >= self._hold_s / 100

    def rescale(self, factor: Decimal) -> None:
        """A flow multiplied everything by `factor`."""
        self._minima = deque((mono, value * factor) for mono, value in self._minima)

    def clear(self) -> None:
        """Begin anew."""
        self._since_mono = self._last_mono = float("inf")
        self._minima.clear()
