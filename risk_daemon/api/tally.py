"""Who was turned away: counted, shown in the state, and told once a minute at most.

The journal is told of all of them, the event log of logins that failed: how many, why and from where, never what was
sent. Of addresses there may be as many as there are: so many are counted one by one, the others together.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import structlog

from risk_daemon.model.event_names import EventName, RiskEvent

ADDRESSES_MAX = 1_000
_ADDRESSES_TOLD = 10
_LOG = structlog.get_logger(__name__)


class Away(StrEnum):
    """Why somebody was turned away."""

    SILENT = "silent"  # connected, and said nothing in time
    CROWDED = "crowded"  # was idle, and made room for another
    FULL = "full"  # came while every seat of its role was in use
    FAILED_LOGIN = "failed_login"


class FailedLogins:
    """Those of one interval."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._others = 0

    def count(self, reason: str, address: str) -> None:
        """One more."""
        self._reasons[reason] += 1
        if address in self._addresses or len(self._addresses) < ADDRESSES_MAX:
            self._addresses[address] += 1
        else:
            self._others += 1

    def event(self, over_s: float) -> RiskEvent | None:
        """What to write down; None for nothing."""
        count = self._reasons.total()
        if not count:
            return None
        most = dict(self._addresses.most_common(_ADDRESSES_TOLD))
        others = count - sum(most.values())
        facts = {"count": count, "over_s": round(over_s, 1), "reasons": dict(self._reasons), "from": most}
        return RiskEvent(EventName.LOGINS_FAILED, {**facts, "from_elsewhere": others})


class Tally:
    """Counts since the start. Lives in the loop; `stop` it with the listeners.

    note: has an event written down, without waiting.
    """

    def __init__(self, tell_every_s: float, note: Callable[[RiskEvent], None] | None = None) -> None:
        self._tell_every_s = tell_every_s
        self._note = note
        self._logins = FailedLogins()
        self._total: Counter[Away] = Counter()
        self._untold: Counter[Away] = Counter()
        self._told_mono = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def count(self, why: Away) -> None:
        """One more."""
        self._total[why] += 1
        self._untold[why] += 1
        self._tell_in_time()

    def count_login(self, reason: str, address: str) -> None:
        """One more that failed. reason, address: never anything that was sent."""
        self._logins.count(reason, address)
        self.count(Away.FAILED_LOGIN)

    def _tell_in_time(self) -> None:
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._told_mono + self._tell_every_s - loop.time()
        if wait_s <= 0:
            self._tell()
        else:
            self._timer = loop.call_later(wait_s, self._tell)

    def document(self) -> dict[str, int]:
        """By cause, since the start; every cause is there."""
        return {why.value: self._total[why] for why in Away}

    def stop(self) -> None:
        """Say what was not said yet. A second call says what came since."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        now_mono = asyncio.get_running_loop().time()
        over_s, self._told_mono = min(now_mono - self._told_mono, self._tell_every_s), now_mono
        logins, self._logins = self._logins.event(over_s), FailedLogins()
        if logins is not None and self._note is not None:
            self._note(logins)
        counts, self._untold = self._untold, Counter()
        _LOG.warning("callers_turned_away", **{why.value: number for why, number in counts.items()})
