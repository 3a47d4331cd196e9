"""Threads for what blocks on the way to people: looking up names, and Apprise.

The loop's own pool will not do: it is small, the venues' names are looked up on it too, and the interpreter waits
for it at its end. What hangs here holds up nobody but its own channel, and no exit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

AT_MOST = 4


class Busy(Exception):
    """All threads of a channel hang."""


class Threads:
    """A thread for each job, and only so many at once."""

    def __init__(self, name: str, at_most: int = AT_MOST) -> None:
        self._name = name
        self._free = threading.BoundedSemaphore(at_most)

    async def run(self, job: Callable[..., T], /, *args: Any) -> T:
        """Wait for `job(*args)`. Raises Busy at once. A waiter that is cancelled stops waiting; the job goes on."""
        if not self._free.acquire(blocking=False):
            raise Busy("earlier ones still hang")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on a cancel reaches the waiter only
        try:
            threading.Thread(target=self._work, args=(future, job, args), name=self._name, daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            self._free.release()
            raise Busy(str(error)) from None
        return await asyncio.wrap_future(future)

    def _work(self, future: Future[T], job: Callable[..., T], args: tuple[Any, ...]) -> None:
        try:
            result = job(*args)
        except Exception as error:  # the edge of a thread: whoever waits gets it
            self._free.release()
            future.set_exception(error)
        else:
            self._free.release()
            future.set_result(result)
