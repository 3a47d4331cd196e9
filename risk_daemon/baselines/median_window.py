"""The median by time of a value over the last seconds: what held for most of them, whatever it did meanwhile."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from decimal import Decimal

from risk_daemon.baselines.hold_window import GAP_S

# Changes closer than this part of the window count as one, so that there are never more entries than that.
RESOLUTION = 1_000


class MedianWindow:
    """The value that held for at least half of the last `hold_s` seconds, once there is that much of it.

    Exact, for values that hold for a thousandth of the window at least. Taking a value in costs the same however
    many there are; asking for the median is a pass over half of a thousand values at most, which are in order.

    An entry (mono, value): from `mono` until the next entry, or until now, it was `value`. All but the last one stand
    in `_over` as well, as (value, start, end), the lowest first.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._since_mono = self._last_mono = float("inf")
        self._entries: deque[tuple[float, Decimal]] = deque()
        self._over: list[tuple[Decimal, float, float]] = []

    def add(self, mono: float, value: Decimal) -> None:
        """Take a value in. Times only move forward."""
        if mono - self._last_mono > GAP_S:
            self.clear()
        self._last_mono = mono
        if mono < self._since_mono:
            self._since_mono = mono
        entries = self._entries
        if not entries:
            entries.append((mono, value))
            return
        if len(entries) > 1 and entries[1][0] <= mono - self._hold_s:
            self._forget(mono - self._hold_s)
        start, last = entries[-1]
        if value == last:
            return
        if mono - start < self._hold_s / RESOLUTION:
            entries[-1] = (start, value)
        else:
            insort(self._over, (last, start, mono))
            entries.append((mono, value))

    def median(self, now_mono: float) -> Decimal | None:
        """None until there is as much as `hold_s`, and after a gap. The higher of two that held equally long."""
        edge = now_mono - self._hold_s
        if not self._entries or self._since_mono > edge or now_mono - self._last_mono > GAP_S:
            return None
        self._forget(edge)
        last_mono, last = self._entries[-1]
        held = self._over.copy()
        insort(held, (last, last_mono, now_mono))
        half_s = (now_mono - edge) / 2
        for value, start, end in reversed(held):
            half_s -= end - (start if start > edge else edge)
            if half_s <= 0:
                return value
        return held[0][0]

    def rescale(self, factor: Decimal) -> None:
        """A flow multiplied everything by `factor`."""
        self._entries = deque((mono, value * factor) for mono, value in self._entries)
        self._over = sorted((value * factor, start, end) for value, start, end in self._over)

    def clear(self) -> None:
        """Begin anew."""
        self._since_mono = self._last_mono = float("inf")
        self._entries.clear()
        self._over.clear()

    def _forget(self, edge_mono: float) -> None:
        """Let go of what was over before the window began."""
        while len(self._entries) > 1 and self._entries[1][0] <= edge_mono:
            start, value = self._entries.popleft()
            del self._over[bisect_left(self._over, (value, start))]
