"""`risk-daemon broadcast`: what is still owed to whoever listens, and sending it while no guard runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from risk_daemon.app.broadcast import Kept, of_trip, usable_settings, voice_of
from risk_daemon.app.composition import open_journal
from risk_daemon.app.noting import Noter
from risk_daemon.app.override_stopped import writes_to
from risk_daemon.broadcast.kafka import WITHIN_S, KafkaLine
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.broadcast.relay import Relay
from risk_daemon.config.credentials import KAFKA
from risk_daemon.config.load import Settings
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ConfigError, StateError, StateOwned, UsageError
from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.latch import latch_of, refuse_unproven, trip_left
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.sqlite import SqliteStore, peek_documents

_FOR_ALL_S = 2 * WITHIN_S


def show_broadcast(settings: Settings) -> Mapping[str, Any]:
    """What the state says, with a guard or without one. Raises StateError where it can't be read: not "none"."""
    paths = Paths(settings.state.dir)
    documents = peek_documents(paths.database)
    if not documents:
        raise StateError(f"{paths.database}: what is still to be broadcast can't be read")
    return _told(settings, _outbox(paths, documents, SystemClock().now()))


async def send_stopped(settings: Settings) -> Mapping[str, Any]:
    """Send what is owed; what is not acknowledged in time stays owed.

    Raises UsageError while a guard runs, ConfigError where there is nowhere to send it, StateError; while a trip is not
    proven, too: its guard must be able to start.
    """
    kafka = usable_settings(settings)
    if kafka is None:
        raise ConfigError(f"{settings.file}: there is no table [{KAFKA}], so nothing is broadcast: add it.")
    async with AsyncExitStack() as stack:
        paths = _taken(settings, stack)
        store = SqliteStore.open(paths.database)
        stack.push_async_callback(store.close)
        documents, clock = dict(await store.load()), SystemClock()
        refuse_unproven(paths, documents, clock.now())
        outbox = _outbox(paths, documents, clock.now())
        journal = await open_journal(paths, store, documents)
        stack.push_async_callback(journal.close)
        noter, keep = Noter(writes_to(journal)), Kept(outbox, store)
        relay = Relay(
            KafkaLine(kafka), outbox, voice_of(settings), clock, keep=keep, told=noter.note, look_every_s=None
        )
        relay.start()
        await relay.flushed(_FOR_ALL_S)
        await relay.aclose()
        await noter.written()
        await store.save({BROADCAST: outbox.document(), ANCHOR: journal.anchor()})
        return _told(settings, outbox)


def _taken(settings: Settings, stack: AsyncExitStack) -> Paths:
    try:
        return stack.enter_context(StateDir.take(settings.state.dir)).paths
    except StateOwned:
        raise UsageError("the guard runs, or a command does: it sends what is owed by itself, without end") from None


def _outbox(paths: Paths, documents: Mapping[str, Any], now: Instant) -> Outbox:
    """With the trip that stands, which a process that was killed may have had no time to owe."""
    outbox, latch = Outbox(), latch_of(documents, now, trip_left(paths))
    outbox.restore(documents.get(BROADCAST, {}))
    if latch is not None:
        outbox.put(of_trip(Trip.from_latch(latch, now)))
    return outbox


def _told(settings: Settings, outbox: Outbox) -> Mapping[str, Any]:
    kafka = settings.broadcast.kafka
    return {
        "topic": None if kafka is None else kafka.topic,
        "bootstrap": None if kafka is None else kafka.bootstrap,
        "owed": [message.document() for message in outbox.owed()],
        "acknowledged": outbox.acknowledged(),
    }
