"""What a bot is told: an answer, and the lease that a yes comes with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

# The reasons that are the client's own; all others are the daemon's.
NO_ANSWER: Final = "no_answer"
INVALID_ORDER: Final = "invalid_order"
LOCKED: Final = "locked"

boot_ns = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one order for a short while, counted from before the question was sent.

    asked_ns: nanoseconds since boot, suspend included. lease_id: None where it comes from the memory map.
    """

    valid_for_ms: int
    asked_ns: int
    lease_id: str | None = None

    def is_valid(self) -> bool:
        """False once it has run out."""
        return 0 <= boot_ns() - self.asked_ns <= self.valid_for_ms * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAnswer:
    """The answer to one order; true as a condition only while it is a valid yes.

    veto_reason: None if allowed, else the daemon's cause, `no_answer`, or `invalid_order`. detail: a sentence.
    observed, limits: what was seen and which limits hold, where the daemon told. locked_until: ISO 8601, where an
    end is known.
    """

    allowed: bool
    veto_reason: str | None = None
    detail: str = ""
    observed: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    trip_id: str | None = None
    locked_until: str | None = None
    lease: Lease | None = None

    def is_valid(self) -> bool:
        """Whether the order may be sent now: allowed, and the lease has not run out."""
        return self.allowed and self.lease is not None and self.lease.is_valid()

    __bool__ = is_valid


def no_answer(detail: str) -> GateAnswer:
    """No, because nobody who may say yes has said so."""
    return GateAnswer(allowed=False, veto_reason=NO_ANSWER, detail=detail)
