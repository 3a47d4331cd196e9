"""Events for readers who may be slow: each has a bounded queue, and one that is full loses its reader.

The daemon publishes and goes on. Whoever reads too slowly is cut off and may come again; what was missed is in
the event log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

READERS = 16
CAPACITY = 1_000


class TooManyReaders(Exception):
    """Nobody else may listen now."""


class FeedEnded(Exception):
    """The reader was too slow, or the feed is closed."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event. wall: Unix seconds. fields: as they go into the event log; not to be changed any more."""

    seq: int
    name: str
    fields: Mapping[str, Any]
    wall: float


class Subscription:
    """One reader's queue."""

    def __init__(self, capacity: int, on_close: Callable[[Subscription], None]) -> None:
        self._capacity = capacity
        self._on_close = on_close
        self._events: deque[FeedEvent] = deque()
        self._something = asyncio.Event()
        self._is_over = False

    async def next(self, within_s: float) -> FeedEvent | None:
        """The oldest unread event; None if there was none in time. One reader. Raises FeedEnded."""
        if within_s > 0 and not self._events and not self._is_over:
            await self._wait(within_s)
        if self._is_over:
            raise FeedEnded
        if within_s <= 0 or not self._events:
            return None
        event = self._events.popleft()
        if not self._events:
            self._something.clear()
        return event

    def close(self) -> None:
        """End it, and forget what was not read. A second call does nothing."""
        if self._is_over:
            return
        self._is_over = True
        self._events.clear()
        self._something.set()
        self._on_close(self)

    def put(self, event: FeedEvent) -> None:
        """For the feed. A queue that is full ends."""
        if len(self._events) >= self._capacity:
            self.close()
        elif not self._is_over:
            self._events.append(event)
            self._something.set()

    async def _wait(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._something.wait()
        except TimeoutError:
            return


class Feed:
    """Hands every event to every reader. Use it in one thread."""

    def __init__(self, *, readers: int = READERS, capacity: int = CAPACITY) -> None:
        self._readers = readers
        self._capacity = capacity
        self._subscriptions: set[Subscription] = set()

    def publish(self, seq: int, name: str, fields: Mapping[str, Any], wall: float) -> None:
        """Never waits and raises nothing."""
        if not self._subscriptions:
            return
        event = FeedEvent(seq, str(name), fields, wall)
        for subscription in tuple(self._subscriptions):
            subscription.put(event)

    def subscribe(self) -> Subscription:
        """Every event from now on. Raises TooManyReaders."""
        if len(self._subscriptions) >= self._readers:
            raise TooManyReaders
        subscription = Subscription(self._capacity, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """End every subscription."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
