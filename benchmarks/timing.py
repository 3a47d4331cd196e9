"""How long something takes, as the median of some rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 7


def median_s(work: Callable[[], object]) -> float:
    """Seconds of `work`."""
    return statistics.median(_rounds(work))


def ratio(work: Callable[[], None], other: Callable[[], None]) -> float:
    """How many times longer `work` takes than `other`: the median over rounds that take turns."""
    pairs = [(_once(work), _once(other)) for _ in range(ROUNDS)]
    return statistics.median(one / two for one, two in pairs)


def _rounds(work: Callable[[], object]) -> list[float]:
    return [_once(work) for _ in range(ROUNDS)]


def _once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
