"""What prices alone made of the portfolio's worth, over the last seconds.

A flow moves the baselines by what was there when it flowed. A price that is wrong for a moment is no part of that,
one that fell a moment before is: so what counts is the median by time around that moment. Of a fall it is what held
on the flow's side of it, of a wick that is shorter than `steady_s` what held before and after.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from risk_daemon.model.units import ZERO

# Changes closer than this part of `steady_s` count as one, so that there are never more entries than that.
RESOLUTION = 100
# Entries are kept for so many times `steady_s`: both sides of a moment, and as much again for whoever asks late.
KEEP = 4


class PriceTrack:
    """An entry (mono, value): from `mono` until the next entry, or until now, it was `value`.

    steady_s: how far both sides of a moment reach.
    """

    def __init__(self, steady_s: float) -> None:
        self.steady_s = steady_s
        self._entries: deque[tuple[float, Decimal]] = deque()

    def add(self, mono: float, value: Decimal) -> None:
        """Take a value in. Times only move forward."""
        entries = self._entries
        if entries and entries[-1][1] == value:
            return
        if entries and mono - entries[-1][0] < self.steady_s / RESOLUTION:
            entries[-1] = (entries[-1][0], value)
        else:
            entries.append((mono, value))
        while len(entries) > 1 and entries[1][0] <= mono - KEEP * self.steady_s:
            entries.popleft()

    def spread(self, since_mono: float) -> Decimal:
        """How far apart the highest and the lowest value since then are."""
        low = high = self._entries[-1][1] if self._entries else ZERO
        for start, value in reversed(self._entries):
            low, high = min(low, value), max(high, value)
            if start <= since_mono:
                break
        return high - low

    def around(self, mono: float, now_mono: float) -> Decimal | None:
        """The median by time around `mono`, as far as it is known; None if nothing is."""
        first, last = mono - self.steady_s, min(now_mono, mono + self.steady_s)
        ends = [*(start for start, _ in self._entries), float("inf")][1:]
        held = [
            (value, min(end, last) - max(start, first))
            for (start, value), end in zip(self._entries, ends, strict=False)
            if start < last and end > first
        ]
        half_s = sum(seconds for _, seconds in held) / 2
        for value, seconds in sorted(held):
            half_s -= seconds
            if half_s <= 0:
                return value
        return None

    def clear(self) -> None:
        """What it was says nothing any more."""
        self._entries.clear()
