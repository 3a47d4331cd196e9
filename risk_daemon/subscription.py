"""A circuit breaker's events as an async iterator, for a program of one's own that runs on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from risk_daemon.circuit_breaker import CircuitBreaker
from risk_daemon.events import RiskEvent


async def event_stream(breaker: CircuitBreaker) -> AsyncIterator[RiskEvent]:
    """Every event from the first `anext` on, in order, until the iterator is closed. Slow readers lose nothing."""
    queue: asyncio.Queue[RiskEvent] = asyncio.Queue()
    unsubscribe = breaker.subscribe(queue.put_nowait)
    try:
        while True:
            yield await queue.get()
    finally:
        unsubscribe()
