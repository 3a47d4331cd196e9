"""A circuit breaker's events as an async iterator, for a program of one's own that runs on asyncio."""

from __future__ import annotations

import asyncio
import weakref
from typing import Self

from risk_daemon.circuit_breaker import CircuitBreaker
from risk_daemon.events import RiskEvent


class EventStream:
    """Every event since it was made, in order, until `aclose`. Slow readers lose nothing. One reader at a time."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._queue: asyncio.Queue[RiskEvent | None] = asyncio.Queue()
        # A stream that nobody holds any more must not be fed for ever.
        self._unsubscribe = weakref.finalize(self, breaker.subscribe(self._queue.put_nowait))
        self._unsubscribe.atexit = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RiskEvent:
        event = await self._queue.get() if self._unsubscribe.alive else None
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """End it, also for a reader that waits. What was not read is dropped."""
        self._unsubscribe()
        self._queue.put_nowait(None)


def event_stream(breaker: CircuitBreaker) -> EventStream:
    """The breaker's events from this call on, whenever they are read."""
    return EventStream(breaker)
