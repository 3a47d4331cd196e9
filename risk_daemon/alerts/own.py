"""Alerts about alerts, which no line of the event log stands for: a test, what is missing, a channel that fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.routing import HEARTBEAT, LOST
from risk_daemon.model.event_names import EventName

TEST, _MISSED = "test", "missed"


def of_test(wall: float) -> Alert:
    summary = "This is a test: nothing happened."
    return Alert(alert_id=f"{TEST}-{wall:.6f}", event=TEST, severity=Severity.INFO, summary=summary, wall=wall)


def of_loss(summary: str, wall: float, number: int) -> Alert:
    """That something was not told. number: of several at one moment."""
    alert_id = f"{LOST}-{wall:.6f}-{number}"
    return Alert(alert_id=alert_id, event=LOST, severity=Severity.CRITICAL, summary=summary, wall=wall)


def of_failure(channel: str, summary: str, details: Mapping[str, Any], wall: float) -> Alert:
    """That a channel tells nobody: for the others."""
    return Alert(
        alert_id=f"{EventName.ALERT_FAILED}-{channel}-{wall:.6f}",
        event=EventName.ALERT_FAILED,
        severity=Severity.CRITICAL,
        summary=summary,
        details={"channel": channel, **details},
        wall=wall,
    )


def of_missed(channel: str, count: int, wall: float) -> Alert:
    """What was given up, or fell out of a full lane: for the channel itself, once it works again."""
    return Alert(
        alert_id=f"{_MISSED}-{channel}-{wall:.6f}",
        event=EventName.ALERT_FAILED,
        severity=Severity.CRITICAL,
        summary=f"{count} earlier alerts never got here: see the event log.",
        details={"count": count, "channel": channel},
        wall=wall,
    )


def missed_with(alert: Alert) -> int:
    """How many nobody got with this one that is given up: a count that did not arrive is counted on."""
    if alert.event in (TEST, HEARTBEAT):
        return 0
    return int(alert.details["count"]) if alert.alert_id.startswith(f"{_MISSED}-") else 1
