"""Acknowledge a trip while no daemon runs: a line in the event log, which the next daemon and `watch` read.

The others are told at once, by the command itself: whoever was called must not go on looking for who takes it on.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from risk_daemon.app.alerting_stopped import telling
from risk_daemon.app.composition import open_journal
from risk_daemon.config.load import Settings
from risk_daemon.errors import UsageError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.directory import StateDir
from risk_daemon.state.latch import latch_of, trip_left
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.sqlite import SqliteStore


async def acknowledge_stopped(settings: Settings, trip_id: str | None, who: str) -> str:
    """The trip's id. Raises UsageError where there is no such trip, StateError."""
    async with AsyncExitStack() as stack:
        paths = stack.enter_context(StateDir.take(settings.state.dir)).paths
        store = SqliteStore.open(paths.database)
        stack.push_async_callback(store.close)
        documents, now = dict(await store.load()), SystemClock().now()
        latch = latch_of(documents, now, trip_left(paths))
        if latch is None or trip_id not in (None, latch["trip_id"]):
            raise UsageError("there is no trip to acknowledge" if latch is None else f"the trip is {latch['trip_id']}")
        journal = await open_journal(paths, store, documents)
        stack.push_async_callback(journal.close)
        told = await stack.enter_async_context(telling(settings, journal))
        facts = {"trip_id": latch["trip_id"], "operator": who}
        await told.append([RiskEvent(EventName.ALERT_ACKNOWLEDGED, facts)], now.wall, durable=True)
        await store.save({ANCHOR: journal.anchor()})
        return str(latch["trip_id"])
