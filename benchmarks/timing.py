"""How long something takes, as the median of some rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 7


def median_s(work: Callable[[], object]) -> float:
    """Seconds of `work`."""
    return statistics.median(_rounds(work))


def _rounds(work: Callable[[], object]) -> list[float]:
    return [once(work) for _ in range(ROUNDS)]


def once(work: Callable[[], object]) -> float:
    """Seconds of `work`, this one time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
