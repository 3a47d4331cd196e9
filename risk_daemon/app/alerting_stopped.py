"""Alerts of a command that writes into the event log while no daemon runs: people are told by the command itself.

As well as it can be done: it is in the log first, where `watch` and the next start find it too, with the same ids.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog

from risk_daemon.alerts.manager import AlertManager
from risk_daemon.app.alerts import alert_settings, channels_of
from risk_daemon.config.load import Settings
from risk_daemon.model.event_names import RiskEvent
from risk_daemon.runtime.ports import Journal

WAIT_S = 5.0
_LOG = structlog.get_logger(__name__)

Tell = Callable[[Sequence[RiskEvent], float], None]


class ToldJournal:
    """The event log, and whoever is told of what was written there."""

    def __init__(self, journal: Journal, tell: Tell) -> None:
        self._journal = journal
        self._tell = tell

    def anchor(self) -> Mapping[str, Any]:
        return self._journal.anchor()

    async def append(self, events: Sequence[RiskEvent], wall: float, *, durable: bool) -> None:
        await self._journal.append(events, wall, durable=durable)
        self._tell(events, wall)


@asynccontextmanager
async def telling(settings: Settings, journal: Journal) -> AsyncIterator[Journal]:
    """`journal`, told by every channel that can be used. Its end waits for them, no longer than WAIT_S.

    Whatever is wrong with channels is logged, and keeps nothing from being done.
    """
    alerts = await _opened(settings)
    if alerts is None:
        yield journal
        return
    try:
        yield ToldJournal(journal, alerts.tell)
    finally:
        await _ended(alerts)


async def _opened(settings: Settings) -> AlertManager | None:
    """None: nobody can be told. It keeps nothing: what a daemon left in the state directory is the daemon's."""
    try:
        channels = channels_of(settings)
        for name, why in channels.unusable.items():
            _LOG.critical("alert_channel_left_out", channel=name, error=why)
        if not channels.usable:
            return None
        told = alert_settings(settings)
        # Only a guard can say that it is alive.
        told = replace(told, routing=replace(told.routing, heartbeat_every_s=None))
        alerts = AlertManager(channels.usable, told)
        await alerts.start()
    except Exception as error:  # whatever it is: a warden must not be kept from agreeing by a pager
        _LOG.critical("alerts_not_opened", error=repr(error))
        return None
    return alerts


async def _ended(alerts: AlertManager) -> None:
    try:
        if not await alerts.flushed(WAIT_S):
            _LOG.error("alerts_not_sent", hint="`risk-daemon watch` and the next start tell of it again")
        await alerts.aclose()
    except Exception as error:  # as above: what was done is done
        _LOG.critical("alerts_not_closed", error=repr(error))
