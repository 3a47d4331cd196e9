"""A few threads for questions and reports, which a fork doesn't leave behind dead."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class ForkSafeThreads:
    """Threads are started when first needed, in the process that needs them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Let a thread do `work`. Raises RuntimeError when the program is ending."""
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = os.getpid(), ThreadPoolExecutor(self._count, "risk-gate")
        return self._pool[1].submit(work, *arguments)
