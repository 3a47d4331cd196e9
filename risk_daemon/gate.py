"""Whether a bot may send a new order, and if not, why.

Open is the exception: it takes a complete picture, no breach, no doubt about one, and no halt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why the gate is shut, strongest first. A lock repeats the cause that made it."""

    MANUAL_HALT = "manual_halt"
    DRAWDOWN = "portfolio_dd_circuit"
    CAPITAL_LOSS = "capital_loss"
    DAILY_LOSS = "daily_loss"
    BLIND = "blind"
    CONFIRMING = "confirming"
    STARTING = "starting"
    LOCKED = "locked"


# The name a bot is given for each rule.
CAUSE_OF_BREAKER = {
    "manual": Cause.MANUAL_HALT,
    "drawdown": Cause.DRAWDOWN,
    "capital_loss": Cause.CAPITAL_LOSS,
    "daily_loss": Cause.DAILY_LOSS,
    "blind": Cause.BLIND,
}


@dataclass(frozen=True, slots=True)
class GateState:
    """The gate at one moment. trip_id and until_wall only for a lock that outlives its cause."""

    locked: bool
    cause: str | None = None
    trip_id: str | None = None
    since_wall: float | None = None
    until_wall: float | None = None

    def same_as(self, other: GateState) -> bool:
        """Whether only the time of entering differs."""
        return (self.locked, self.cause, self.trip_id, self.until_wall) == (
            other.locked,
            other.cause,
            other.trip_id,
            other.until_wall,
        )


def cause_of(breaker: str) -> str:
    """The gate's reason for a breached rule; a reason stays itself."""
    if breaker in set(Cause):
        return breaker
    return CAUSE_OF_BREAKER.get(breaker, f"custom:{breaker}")
