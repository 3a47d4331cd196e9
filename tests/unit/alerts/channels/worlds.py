"""What the tests of channels share: an alert, and a channel that is closed after its test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.channels.base import AnySettings, Attempted, Channel
from risk_daemon.alerts.channels.build import opened
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName

TRIP = Alert(
    alert_id="trip-1",
    event=EventName.CIRCUIT_BREAKER_TRIGGERED,
    severity=Severity.CRITICAL,
    rule="drawdown",
    trip_id="trip-1",
    summary="Drawdown reached 10.2 % of 10 %: everything is cancelled.",
    details={"observed": "0.102", "orders": 3},
    wall=1_700_000_000.25,
)
PAYLOAD = TRIP.payload("momentum")
# As a venue may say it: halves of signs, signs that do things, and far too much.
ODD = replace(
    TRIP, summary="half \ud83d \x00\x1b[2J " + "x" * 5_000, details={str(n): "\udc00" * 500 for n in range(99)}
)


@asynccontextmanager
async def channel_of(settings: AnySettings) -> AsyncIterator[Channel]:
    channel = opened(settings, SystemClock())
    try:
        yield channel
    finally:
        await channel.close()


async def told(settings: AnySettings, alert: Alert = TRIP) -> Attempted:
    """One try of a channel that was just opened."""
    async with channel_of(settings) as channel:
        return await channel.send(alert, alert.payload("momentum"))
