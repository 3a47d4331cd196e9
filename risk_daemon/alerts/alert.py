"""One thing that people are told, and how it reads on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Severity(StrEnum):
    """How loud an alert is; a channel hears its own severity and above."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def reaches(self, threshold: Severity) -> bool:
        """Whether a channel that asks for `threshold` and above hears it."""
        return self.rank >= threshold.rank


_RANKS: Mapping[Severity, int] = MappingProxyType({severity: rank for rank, severity in enumerate(Severity)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is told.

    alert_id: the same over all tries and after a restart, so that a receiver can tell a repeat from news.
    event: a name of the event log, or one that only alerts have, like that of a heartbeat.
    rule: the kind of circuit breaker, or "" where none is concerned.
    summary: one sentence. details: JSON-able. wall: Unix seconds of what happened, not of the telling.
    """

    alert_id: str
    event: str
    severity: Severity
    summary: str
    wall: float
    rule: str = ""
    trip_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def timestamp(self) -> str:
        """ISO 8601, UTC."""
        return datetime.fromtimestamp(self.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def payload(self, strategy_name: str) -> dict[str, Any]:
        """The body that receivers get."""
        return {
            "event_type": str(self.event),
            "strategy_name": strategy_name,
            "circuit_breaker_type": self.rule,
            "severity": str(self.severity),
            "trip_id": self.trip_id,
            "summary": self.summary,
            "details": dict(self.details),
            "timestamp": self.timestamp,
        }

    def document(self) -> dict[str, Any]:
        """As JSON, to be kept until it is delivered."""
        return {
            "alert_id": self.alert_id,
            "event": str(self.event),
            "severity": str(self.severity),
            "summary": self.summary,
            "wall": self.wall,
            "rule": self.rule,
            "trip_id": self.trip_id,
            "details": dict(self.details),
        }

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> Alert:
        """The inverse of `document`. Raises KeyError, TypeError or ValueError for what never was one."""
        return cls(
            alert_id=str(document["alert_id"]),
            event=str(document["event"]),
            severity=Severity(document["severity"]),
            summary=str(document["summary"]),
            wall=float(document["wall"]),
            rule=str(document["rule"]),
            trip_id=None if document["trip_id"] is None else str(document["trip_id"]),
            details=dict(document["details"]),
        )
