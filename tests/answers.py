"""When somebody asked whether a gate is open, and what was answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_EVERY_S = 0.01


class Answers:
    """When somebody asked, and whether it was open; times of `monotonic`, in their order."""

    def __init__(self) -> None:
        self._told: list[tuple[float, bool]] = []

    def add(self, at: float, is_open: bool) -> None:
        self._told.append((at, is_open))

    def now(self) -> bool:
        return bool(self._told) and self._told[-1][1]

    def last_at(self) -> float:
        return self._told[-1][0] if self._told else 0.0

    def between(self, since: float, until: float = float("inf")) -> list[tuple[float, bool]]:
        return [one for one in list(self._told) if since <= one[0] <= until]

    def first_shut(self, since: float, until: float) -> float | None:
        """When it was first found shut."""
        return next((at for at, is_open in self.between(since, until) if not is_open), None)

    def last_open(self, since: float, until: float = float("inf")) -> float | None:
        """When it was last found open."""
        return next((at for at, is_open in reversed(self.between(since, until)) if is_open), None)

    def first_open(self, since: float) -> float | None:
        return next((at for at, is_open in self.between(since) if is_open), None)


@contextmanager
def asked(is_open: Callable[[], bool]) -> Iterator[Answers]:
    """What `is_open` answers, every 10 ms until the end of the block."""
    answers, is_over = Answers(), threading.Event()

    def ask() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            answers.add(time.monotonic(), is_open())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answers
    finally:
        is_over.set()
        asking.join()
