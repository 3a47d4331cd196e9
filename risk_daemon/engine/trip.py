"""A trip: what happened, under which id, and how far its proof has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from risk_daemon.gate.restraints import cause_of
from risk_daemon.model.clock import Instant


@dataclass(slots=True)
class Trip:
    """One trip, or one freeze. `since_mono` belongs to this process: after a restart the deadline runs anew.

    breaker: the rule's instance. cause: what the gate gives as its reason. is_freeze: it ends by itself, the process
    stays. until_wall, until_mono: when a freeze may end at the earliest, by both clocks, so that a jump of one ends
    nothing; until_mono is None after a reboot. until_wall also of a freeze that this process only finishes, as a trip.
    day: the trading day that a freeze began on.
    unproven_since_mono: since when something may be open. proven_wall: since when nothing is, on any venue; None while
    that is not proven, or where nobody wrote down when. may_close: whether it is known to be no freeze, so that
    positions may be closed for it.
    """

    trip_id: str
    breaker: str
    reason: str
    since_wall: float
    since_mono: float
    proven: bool = False
    cause: str = ""
    is_freeze: bool = False
    until_wall: float | None = None
    until_mono: float | None = None
    day: str | None = None
    unproven_since_mono: float = 0.0
    proven_wall: float | None = None
    may_close: bool = True

    def __post_init__(self) -> None:
        self.cause = self.cause or cause_of(self.breaker)
        self.unproven_since_mono = self.since_mono

    @property
    def began_as_freeze(self) -> bool:
        """Whether others know it as a freeze, also where this process only finishes it."""
        return self.is_freeze or self.until_wall is not None

    def is_over(self, now: Instant) -> bool:
        """Whether a freeze has lasted its time; a trip never has."""
        if not self.is_freeze or self.until_wall is None:
            return False
        return now.wall >= self.until_wall and (self.until_mono is None or now.mono >= self.until_mono)

    def latch(self) -> dict[str, Any]:
        """What must survive kill -9."""
        return {
            "trip_id": self.trip_id,
            "breaker": self.breaker,
            "cause": self.cause,
            "reason": self.reason,
            "since_wall": self.since_wall,
            "proven": self.proven,
            "proven_wall": self.proven_wall,
            "is_freeze": self.is_freeze,
            "until_wall": self.until_wall,
            "until_mono": self.until_mono,
            "day": self.day,
        }

    @classmethod
    def from_latch(cls, latch: Mapping[str, Any], now: Instant) -> Trip:
        """The trip behind a latch. Proven, and a freeze, only where the latch says so in so many words."""
        until_wall, until_mono = _seconds(latch.get("until_wall")), _seconds(latch.get("until_mono"))
        is_freeze = latch.get("is_freeze") is True and until_wall is not None
        return cls(
            trip_id=latch["trip_id"],
            breaker=latch["breaker"],
            reason=latch["reason"],
            since_wall=latch["since_wall"],
            since_mono=now.mono,
            proven=latch["proven"] is True,
            proven_wall=_seconds(latch.get("proven_wall")) if latch["proven"] is True else None,
            cause=str(latch.get("cause") or ""),
            is_freeze=is_freeze,
            until_wall=until_wall,
            until_mono=until_mono if is_freeze else None,
            may_close=latch.get("is_freeze") is False,
            day=latch["day"] if isinstance(latch.get("day"), str) else None,
        )


def _seconds(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]


def new_trip_id(now: Instant, seq: int) -> str:
    """Unique within a state directory: wall time to the millisecond and the engine's sequence number."""
    stamp = datetime.fromtimestamp(now.wall, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"trip-{stamp}Z-{seq}"
