"""A channel whose answers are written down beforehand: for what depends on time alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.channels.base import Attempted, delivered
from risk_daemon.model.event_names import EventName

WALL = 1_700_000_000.0


class Scripted:
    """answers: of the tries to come, the last for ever; None: it hangs. tried: the ids, in order, and when."""

    def __init__(self, name: str, *answers: Attempted | Exception | None) -> None:
        self.name = name
        self.tried: list[str] = []
        self.at: list[float] = []
        self.is_closed = False
        self.answers = list(answers) or [delivered("204")]

    async def send(self, alert: Alert, payload: Mapping[str, Any]) -> Attempted:
        self.tried.append(alert.alert_id)
        self.at.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.Event().wait()
            raise AssertionError
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.is_closed = True


def alert(alert_id: str, **fields: Any) -> Alert:
    known: dict[str, Any] = {"event": EventName.VENUE_LOST, "severity": Severity.WARNING, "summary": "x", "wall": WALL}
    return Alert(alert_id=alert_id, **{**known, **fields})


def trip(alert_id: str, trip_id: str | None = None, **fields: Any) -> Alert:
    named = {"event": EventName.CIRCUIT_BREAKER_TRIGGERED, "severity": Severity.CRITICAL}
    return alert(alert_id, trip_id=trip_id or alert_id, **{**named, **fields})
