"""Events for slow readers: in order, bounded, and never a hindrance."""

from __future__ import annotations

import asyncio

import pytest

from risk_daemon.api.feed import Feed, FeedEnded, FeedEvent, TooManyReaders

SOON = 5.0


def event(seq: int) -> FeedEvent:
    return FeedEvent(seq, "portfolio_update", {"equity": str(seq)}, 1.0)


def publish(feed: Feed, *numbers: int) -> None:
    for seq in numbers:
        feed.publish(seq, "portfolio_update", {"equity": str(seq)}, 1.0)


async def test_every_reader_gets_every_event_in_order() -> None:
    feed = Feed()
    publish(feed, 1)
    readers = [feed.subscribe(), feed.subscribe()]
    publish(feed, 2, 3)

    for reader in readers:
        assert [await reader.next(SOON), await reader.next(SOON)] == [event(2), event(3)]
        assert await reader.next(0.001) is None


async def test_a_reader_waits_for_the_next_event() -> None:
    feed = Feed()
    reader = feed.subscribe()
    waiting = asyncio.ensure_future(reader.next(SOON))
    await asyncio.sleep(0)
    publish(feed, 1)

    assert await waiting == event(1)


async def test_time_that_is_over_comes_before_events() -> None:
    feed = Feed()
    reader = feed.subscribe()
    publish(feed, 1)

    assert await reader.next(0) is None
    assert await reader.next(SOON) == event(1)


async def test_a_slow_reader_is_dropped_and_the_others_are_not() -> None:
    feed = Feed(capacity=3)
    slow, quick = feed.subscribe(), feed.subscribe()
    for seq in range(1, 5):
        publish(feed, seq)
        assert await quick.next(SOON) == event(seq)

    with pytest.raises(FeedEnded):
        await slow.next(SOON)
    publish(feed, 5)
    assert await quick.next(SOON) == event(5)


async def test_readers_are_bounded_and_make_room() -> None:
    feed = Feed(readers=2)
    first, _ = feed.subscribe(), feed.subscribe()
    with pytest.raises(TooManyReaders):
        feed.subscribe()
    first.close()
    first.close()

    feed.subscribe()


async def test_closing_ends_who_waits() -> None:
    feed = Feed()
    reader = feed.subscribe()
    waiting = asyncio.ensure_future(reader.next(SOON))
    await asyncio.sleep(0)
    feed.close()

    with pytest.raises(FeedEnded):
        await waiting
    publish(feed, 1)
    with pytest.raises(FeedEnded):
        await reader.next(SOON)
