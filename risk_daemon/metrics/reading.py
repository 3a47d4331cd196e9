"""All that one scrape tells, as it was at one moment: nothing in it changes while it is written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from risk_daemon.metrics.counters import Counted
from risk_daemon.model.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelReading:
    """One channel of alerts. sent, failed: tries since the start. failing: how many failed in a row.

    owed: alerts that are not delivered yet. missed: that were given up.
    """

    sent: int
    failed: int
    failing: int
    owed: int
    missed: int


@dataclass(frozen=True, slots=True)
class CallBudget:
    """One of a venue's own counts of our calls; see `adapters.base.BudgetLevel`."""

    name: str
    used: float
    ceiling: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """See above. wall: Unix seconds.

    evaluated_wall: when the guard last looked; None: not yet. lease_left_s: for how long bots would still read an open
    gate if it stopped now. waiting: events that are not taken in yet. log_seq: the last line of the event log that is
    on disk for certain. open_orders: by venue and scope, as they were listed last, and those that only a stream told
    of. turned_away: by why.
    """

    status: Status
    wall: float
    version: str
    counted: Counted
    evaluated_wall: float | None
    lease_left_s: float
    waiting: int
    log_seq: int | None = None
    open_orders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    budgets: Mapping[str, Sequence[CallBudget]] = field(default_factory=dict)
    channels: Mapping[str, ChannelReading] = field(default_factory=dict)
    turned_away: Mapping[str, int] = field(default_factory=dict)
