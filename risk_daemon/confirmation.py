"""From a suspected breach to a confirmed one: the gate is shut, everything is read again.

A price on its own can be a bad tick, a fall in holdings half of a trade or a withdrawal. Fresh REST
reads decide; if they don't come, a breach by prices on known holdings counts at the deadline, and a
fall in holdings only after a well-formed read of them, or `flow_wait_s` without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Finding(StrEnum):
    """What the evidence says."""

    WAIT = "wait"
    CONFIRMED = "confirmed"
    DISPROVED = "disproved"


@dataclass(frozen=True, slots=True)
class ConfirmationSettings:
    """Seconds for the reads, and for a fall in holdings that nothing confirms or explains."""

    enabled: bool = True
    within_s: float = 2.0
    flow_wait_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A breach under suspicion since `since_mono`. by_holdings: prices alone would not breach."""

    breaker: str
    since_mono: float
    by_holdings: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known now.

    breached: whichever way the unknowns fall. clear: not even the worst case reaches the limit.
    all_read: every expected part was read over REST since. holdings_read: the holdings were.
    """

    breached: bool
    clear: bool
    all_read: bool
    holdings_read: bool


def judge(confirmation: Confirmation, evidence: Evidence, now_mono: float, settings: ConfirmationSettings) -> Finding:
    """Whether the breach is real."""
    if evidence.clear:
        return Finding.DISPROVED
    if not evidence.breached:
        return Finding.WAIT
    waited_s = now_mono - confirmation.since_mono
    if confirmation.by_holdings:
        confirmed = evidence.holdings_read or waited_s >= settings.flow_wait_s
    else:
        confirmed = evidence.all_read or waited_s >= settings.within_s
    return Finding.CONFIRMED if confirmed else Finding.WAIT
