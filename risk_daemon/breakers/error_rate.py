"""Too many errors of one bot on one venue: something is broken between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from risk_daemon.activity import Activity
from risk_daemon.breakers.base import CircuitBreakerType, Common, Verdict
from risk_daemon.breakers.loss import check_one
from risk_daemon.breakers.rate import RateCircuitBreaker
from risk_daemon.clock import Instant
from risk_daemon.events import ErrorKind

WINDOW_S = 300.0
Pair = tuple[str | None, str | None]


class ErrorRateCircuitBreaker(RateCircuitBreaker):
    """Breaches with more than `max_errors` errors of any one bot on any one venue in the last `window_seconds`.

    Expected errors (insufficient funds and the like) do not count. Without a window, 300 s; the daemon's table has 60.
    window: another name of it. Raises ValueError for a limit that is no whole
    number above zero, and for a window over an hour.
    """

    noun = "errors"

    def __init__(
        self,
        max_errors: int = 10,
        window_seconds: float | None = None,
        *,
        window: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_one(window_seconds=window_seconds, window=window)
        window_s = next((given_s for given_s in (window_seconds, window) if given_s is not None), WINDOW_S)
        super().__init__(CircuitBreakerType.ERROR_RATE, max_errors, window_s, **common)
        self._quiet = self._verdict(0, f"no errors in {self.window_s:g} s", {"errors": 0})

    def can_trade(self) -> bool:
        """Whether no more errors than the limit were recorded in the window."""
        return not self.is_tripped

    def record_error(self, kind: ErrorKind | str = ErrorKind.BROKER) -> None:
        """A program saw an error now. Raises ValueError for a kind that is none of `ErrorKind`."""
        self._program().record_error(self._clock.now().mono, ErrorKind(kind))

    def get_error_count(self) -> int:
        """How many errors `record_error` counted in the window."""
        if self._own is None:
            return 0
        counts = self._own.error_counts(self._clock.now().mono, self.window_s)
        return sum(_total(kinds) for kinds in counts.values())

    def _judge(self, activity: Activity, now: Instant) -> Verdict:
        counts = activity.error_counts(now.mono, self.window_s)
        if not counts:
            return self._quiet
        pair = max(counts, key=lambda pair: (_total(counts[pair]), pair[0] or "", pair[1] or ""))
        return self._pair_verdict(pair, counts[pair])

    def _pair_verdict(self, pair: Pair, kinds: Mapping[ErrorKind, int]) -> Verdict:
        bot, venue = pair
        whose = (f" of bot {bot}" if bot else "") + (f" on {venue}" if venue else "")
        by_kind = {kind.value: count for kind, count in sorted(kinds.items())}
        listed = ", ".join(f"{kind} {count}" for kind, count in by_kind.items())
        reason = f"{_total(kinds)} errors{whose} in {self.window_s:g} s ({listed})"
        observed = {"bot": bot, "venue": venue, "errors": _total(kinds), "by_kind": by_kind}
        return self._verdict(_total(kinds), reason, observed)


def _total(kinds: Mapping[ErrorKind, int]) -> int:
    return sum(kinds.values())
