"""A trip: what happened, under which id, and how far its proof has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from risk_daemon.clock import Instant


@dataclass(slots=True)
class Trip:
    """One trip. `since_mono` belongs to this process: after a restart the deadline runs anew."""

    trip_id: str
    breaker: str
    reason: str
    since_wall: float
    since_mono: float
    proven: bool = False

    def latch(self) -> dict[str, Any]:
        """What must survive kill -9."""
        return {
            "trip_id": self.trip_id,
            "breaker": self.breaker,
            "reason": self.reason,
            "since_wall": self.since_wall,
            "proven": self.proven,
        }

    @classmethod
    def from_latch(cls, latch: Mapping[str, Any], now: Instant) -> Trip:
        """The trip behind a latch. Proven only where the latch says so in so many words."""
        return cls(
            trip_id=latch["trip_id"],
            breaker=latch["breaker"],
            reason=latch["reason"],
            since_wall=latch["since_wall"],
            since_mono=now.mono,
            proven=latch["proven"] is True,
        )


def new_trip_id(now: Instant, seq: int) -> str:
    """Unique within a state directory: wall time to the millisecond and the engine's sequence number."""
    stamp = datetime.fromtimestamp(now.wall, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"trip-{stamp}Z-{seq}"
