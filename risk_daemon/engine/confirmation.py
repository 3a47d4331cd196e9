"""From a suspected breach to a confirmed one: the gate is shut, everything is read again.

A price on its own can be a bad tick, a fall in holdings half of a trade or a withdrawal. A fall counts
as loss only once the account and its ledger were read later, or `flow_wait` is over: until then it is
suspected, not breached (see portfolio/flows.py). A breach is confirmed by fresh REST reads; where they don't
come, it counts at the deadline all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Judgement(StrEnum):
    """What the evidence says."""

    WAIT = "wait"
    READ_AGAIN = "read_again"
    CONFIRMED = "confirmed"
    DISPROVED = "disproved"


@dataclass(frozen=True, slots=True)
class ConfirmationSettings:
    """within_s: how long fresh reads may take."""

    enabled: bool = True
    within_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A breach in question. since_mono: reads begun then or later count. breached, lapsed: how it last looked."""

    since_mono: float
    breached: bool
    lapsed: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known now.

    breached: whichever way the unknowns fall. suspected: if unexplained falls are losses.
    clear: not even the worst case reaches the limit. by_prices: prices were the last thing to change.
    all_read: every expected part was read over REST since.
    """

    breached: bool
    suspected: bool
    clear: bool
    by_prices: bool
    all_read: bool


def judge(
    confirmation: Confirmation, evidence: Evidence, now_mono: float, settings: ConfirmationSettings
) -> tuple[Judgement, Confirmation]:
    """Whether the breach is real, and the question as it stands now.

    A breach that begins by a price asks for reads of its own: those that an older suspicion asked for
    say nothing about that price.
    """
    if evidence.clear:
        return Judgement.DISPROVED, confirmation
    if not evidence.breached and not evidence.suspected:
        return Judgement.WAIT, replace(confirmation, breached=False, lapsed=True)
    is_new = evidence.breached and not confirmation.breached and evidence.by_prices
    if confirmation.lapsed or is_new:
        return Judgement.READ_AGAIN, Confirmation(now_mono, evidence.breached)
    if not evidence.breached:
        return Judgement.WAIT, replace(confirmation, breached=False)
    is_over = now_mono - confirmation.since_mono >= settings.within_s
    return Judgement.CONFIRMED if evidence.all_read or is_over else Judgement.WAIT, replace(confirmation, breached=True)
