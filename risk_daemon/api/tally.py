"""Who was turned away: counted, shown in the state, and told in the journal once a minute at most."""

from __future__ import annotations

import asyncio
from collections import Counter
from enum import StrEnum

import structlog

_LOG = structlog.get_logger(__name__)


class Away(StrEnum):
    """Why somebody was turned away."""

    SILENT = "silent"  # connected, and said nothing in time
    CROWDED = "crowded"  # was idle, and made room for another
    FULL = "full"  # came while every seat of its role was in use
    FAILED_LOGIN = "failed_login"


class Tally:
    """Counts since the start. Lives in the loop; `stop` it with the listeners."""

    def __init__(self, tell_every_s: float) -> None:
        self._tell_every_s = tell_every_s
        self._total: Counter[Away] = Counter()
        self._untold: Counter[Away] = Counter()
        self._told_mono = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def count(self, why: Away) -> None:
        """One more."""
        self._total[why] += 1
        self._untold[why] += 1
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
        """Say what was not said yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        self._told_mono = asyncio.get_running_loop().time()
        counts, self._untold = self._untold, Counter()
        _LOG.warning("callers_turned_away", **{why.value: number for why, number in counts.items()})
