"""A thread for blocking work on one resource, in the order it was asked for.

`asyncio.to_thread` will not do: when a waiter gives up, its job stays in the air, and a later one may
overtake it, so that an old "open" could land on top of a new "locked". Here every job given is done, one
after the other. The thread is a daemon: a disk that hangs can't keep the process from exiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Run(Protocol):
    """Runs a blocking function and gives its result: on a thread, or inline where time is virtual."""

    async def __call__(self, job: Callable[..., T], /, *args: Any) -> T: ...


async def inline(job: Callable[..., T], /, *args: Any) -> T:
    """Run it here and now: for tests and for a loop whose time is virtual."""
    return job(*args)


class Worker:
    """One thread, first in, first out."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, job: Callable[..., T], /, *args: Any) -> T:
        """Wait for `job(*args)`. A waiter that is cancelled stops waiting; the job is done all the same."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on a cancel reaches the waiter only
        self._jobs.put((future, job, args))
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Let the thread end after the jobs it already has. Does not wait for it."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            future, job, args = item
            try:
                future.set_result(job(*args))
            except Exception as error:  # the edge of a thread: whoever waits gets it
                future.set_exception(error)
