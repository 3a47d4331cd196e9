"""Vetoes counted for the event log: a summary at a time, because a bot may be refused thousands of times a second."""

from __future__ import annotations

from collections import Counter
from typing import Any

from risk_daemon.gate.restraints import Veto

EVERY_S = 1.0
_NEVER = float("-inf")


class VetoTally:
    """Vetoes since the last summary. A summary is due with the first of them, then at most once in a while.

    A summary: `count`, `by_reason`, `by_bot`, `without_bot` (of bots that have no name; with `by_bot` it adds up
    to `count`), `first_reason` and `last_reason` (sentences), `total` since the start, so that a summary that
    got lost is seen.
    """

    def __init__(self) -> None:
        self.total = 0
        self._by_reason: Counter[str] = Counter()
        self._by_bot: Counter[str | None] = Counter()
        self._first_reason: str | None = None
        self._last_reason: str | None = None
        self._summed_mono = _NEVER

    def note(self, veto: Veto, bot: str | None) -> None:
        """Count a veto."""
        self.total += 1
        self._by_reason[str(veto.veto_reason)] += 1
        self._by_bot[bot] += 1
        if self._first_reason is None:
            self._first_reason = veto.reason
        self._last_reason = veto.reason

    def due(self, now_mono: float, every_s: float = EVERY_S) -> dict[str, Any] | None:
        """The summary, if there is something to tell and the last one is `every_s` ago. Counting begins anew."""
        if now_mono - self._summed_mono < every_s:
            return None
        summary = self.flush()
        if summary is not None:
            self._summed_mono = now_mono
        return summary

    def flush(self) -> dict[str, Any] | None:
        """What was counted since the last summary; None if that is nothing. Counting begins anew."""
        if not self._by_reason:
            return None
        without_bot = self._by_bot.pop(None, 0)
        summary = {
            "count": self._by_reason.total(),
            "by_reason": dict(self._by_reason),
            "by_bot": dict(self._by_bot),
            "without_bot": without_bot,
            "first_reason": self._first_reason,
            "last_reason": self._last_reason,
            "total": self.total,
        }
        self._by_reason.clear()
        self._by_bot.clear()
        self._first_reason = self._last_reason = None
        return summary
