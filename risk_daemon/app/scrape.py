"""What a scrape tells, gathered from a daemon and its alerts. It costs little more than a look at the status."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata

from adapters.base import Budgeted, VenueAdapter
from risk_daemon.app.composition import LEASE_S
from risk_daemon.app.hearers import Hearers
from risk_daemon.config.state import FILE
from risk_daemon.metrics.reading import CallBudget, ChannelReading, Reading
from risk_daemon.model.status import Status
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.state.lock.redis_record import LEASE_MS as REDIS_LEASE_MS


def reading_of(daemon: Daemon, hearers: Hearers, status: Status) -> Reading:
    """As it is now."""
    parts = daemon.parts
    now = parts.clock.now()
    unlooked_s = daemon.unlooked_s(now.mono)
    return Reading(
        status=status,
        wall=now.wall,
        version=_version(),
        counted=daemon.counters.counted(),
        evaluated_wall=now.wall - unlooked_s if math.isfinite(unlooked_s) else None,
        lease_left_s=0.0 if status.locked is not False else max(0.0, LEASE_S - unlooked_s, _left_elsewhere_s(status)),
        waiting=len(parts.inbox),
        log_seq=parts.journal.anchor()["seq"],
        open_orders=parts.open_orders.counts(),
        budgets={name: _levels(adapter) for name, adapter in parts.adapters.items()},
        channels=_channels(hearers),
    )


def _left_elsewhere_s(status: Status) -> float:
    """Of the last word to whoever asks in Redis."""
    said = [lock.written_s for lock in status.locks if lock.name != FILE and lock.written_s is not None]
    return max((REDIS_LEASE_MS / 1000 - ago_s for ago_s in said), default=0.0)


def _levels(adapter: VenueAdapter) -> Sequence[CallBudget]:
    levels = adapter.budget_levels() if isinstance(adapter, Budgeted) else ()
    return [CallBudget(level.name, level.used, level.ceiling) for level in levels]


def _channels(hearers: Hearers) -> Mapping[str, ChannelReading]:
    """With no channel nobody is told, and there is nothing to show."""
    alerts = hearers.alerts
    if alerts is None:
        return {}
    shown, tries = alerts.status()["channels"], alerts.tries()
    return {
        name: ChannelReading(
            sent=sent,
            failed=failed,
            failing=shown[name]["failures"],
            owed=shown[name]["owed"],
            missed=shown[name]["missed"],
        )
        for name, (sent, failed) in tries.items()
    }


@cache
def _version() -> str:
    """Read once: it lies on disk."""
    return metadata.version("risk-daemon")
