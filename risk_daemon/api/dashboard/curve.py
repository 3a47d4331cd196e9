"""Equity over time, thinned out while it is read to what a picture can show. Floats: nothing is decided by it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_AT_ONCE = 50
_PARTS = 240
_HOLE_S = 300.0


@dataclass(frozen=True, slots=True)
class Point:
    """Equity and its interval at a moment (Unix seconds); of several moments the last, the lowest, the highest."""

    wall: float
    equity: float
    low: float
    high: float

    def then(self, other: Point) -> Point:
        """The two as one."""
        return Point(other.wall, other.equity, min(self.low, other.low), max(self.high, other.high))


class Curve:
    """The last `span_s` seconds in a few parts."""

    def __init__(self, span_s: float) -> None:
        self.span_s = span_s
        self._step = span_s / _PARTS
        self._points: deque[Point] = deque(maxlen=_PARTS + 1)

    def add(self, point: Point) -> None:
        """One that is later than all before."""
        if self._points and point.wall // self._step == self._points[-1].wall // self._step:
            self._points.append(self._points.pop().then(point))
        else:
            self._points.append(point)

    def pieces(self, end: float, present: Point | None = None) -> list[list[Point]]:
        """What is not older than the span, in unbroken pieces: where nothing was known there is no line.

        present: what is known now. The line ends there, for a point a minute is too old for the minute of a trip.
        """
        found: list[list[Point]] = []
        newest = self._points[-1].wall if self._points else -math.inf
        for one in (*self._points, *([present] if present is not None and present.wall > newest else [])):
            if not end - self.span_s <= one.wall <= end:
                continue
            if not found or one.wall - found[-1][-1].wall > max(2.5 * self._step, _HOLE_S):
                found.append([])
            found[-1].append(one)
        return found


class Curves:
    """One for each span. `follow` reads every point of the history once."""

    def __init__(self, spans: Mapping[str, float]) -> None:
        self._curves = {name: Curve(span_s) for name, span_s in spans.items()}
        self._last = -math.inf

    def of(self, span: str) -> Curve:
        return self._curves[span]

    async def follow(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Take what is new. In pieces: a month of minutes at once would hold up the loop."""
        start = len(history)
        while start > 0 and _wall(history[start - 1]) > self._last:
            start = max(0, start - _AT_ONCE)
        for at in range(start, len(history), _AT_ONCE):
            for point in map(_point, history[at : at + _AT_ONCE]):
                if point is not None and point.wall > self._last:
                    self._last = point.wall
                    for curve in self._curves.values():
                        curve.add(point)
            await asyncio.sleep(0)


def _wall(document: Mapping[str, Any]) -> float:
    wall = document.get("time")
    return float(wall) if isinstance(wall, int | float) else -math.inf


def _point(document: Mapping[str, Any]) -> Point | None:
    """None for what can't be drawn."""
    try:
        equity = float(document["equity"])
        bounds = [equity if document.get(name) is None else float(document[name]) for name in ("low", "high")]
    except (KeyError, TypeError, ValueError):
        return None
    return Point(_wall(document), equity, *bounds) if all(map(math.isfinite, (equity, *bounds))) else None
