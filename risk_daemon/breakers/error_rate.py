"""Too many errors: something is broken at a bot, at a venue, or between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Unpack

from risk_daemon.breakers.base import Common, Verdict
from risk_daemon.breakers.loss import check_one
from risk_daemon.breakers.rate import RateCircuitBreaker, Scope, whose
from risk_daemon.gate.activity import Activity, Pair
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import ErrorKind

WINDOW_S = 300.0


class ErrorRateCircuitBreaker(RateCircuitBreaker):
    """Breaches with more than `max_errors` errors in the last `window_seconds`: of all, a bot, or a venue.

    scope: `all` counts everything together, `bot` and `venue` each by itself; max_errors_total: then a limit over
    everything, of which one bot or venue fills at most half. Expected errors (insufficient funds and the like) do
    not count. Without a window, 300 s; the daemon's table has 60. window: another name of it. Raises ValueError for
    a limit that is no whole number above zero, and for a window over an hour.
    """

    noun = "errors"

    def __init__(
        self,
        max_errors: int = 10,
        window_seconds: float | None = None,
        scope: Scope | str = Scope.ALL,
        max_errors_total: int | None = None,
        *,
        window: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_one(window_seconds=window_seconds, window=window)
        window_s = next((given_s for given_s in (window_seconds, window) if given_s is not None), WINDOW_S)
        kind = CircuitBreakerType.ERROR_RATE
        super().__init__(kind, max_errors, window_s, scope, max_errors_total, **common)
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

    def _bot_party(self, bot: str | None, venue: str | None) -> Pair:
        """What no bot said, the guard saw of a venue: that is what it concerns."""
        return (bot, None) if bot is not None else (None, venue)

    def _venue_party(self, bot: str | None, venue: str | None) -> Pair:
        return (None, venue) if venue is not None else (bot, None)

    def _judge(self, activity: Activity, now: Instant) -> Verdict:
        every = activity.error_counts(now.mono, self.window_s)
        if not every:
            return self._quiet
        others = activity.error_counts(now.mono, self.window_s, for_others=True)
        is_own = self.scope is Scope.BOT
        by_party = self._by_party(every if is_own else others)
        if not by_party:
            return self._quiet
        own = {party: _total(kinds) for party, kinds in by_party.items()}
        party = max(own, key=lambda party: (own[party], str(party)))
        by_kind = {kind.value: count for kind, count in sorted(by_party[party].items())}
        observed = {**_named(party, every), "errors": own[party], "by_kind": by_kind}
        totals = {party: _total(kinds) for party, kinds in self._by_party(others).items()}
        return self._judged(own, totals, observed)

    def _by_party(self, counts: Mapping[Pair, Mapping[ErrorKind, int]]) -> dict[Pair, Counter[ErrorKind]]:
        found: dict[Pair, Counter[ErrorKind]] = {}
        for pair, kinds in counts.items():
            found.setdefault(self.party(pair), Counter()).update(kinds)
        return found

    def _sentence(self, party: Pair, count: int, observed: Mapping[str, Any]) -> str:
        listed = ", ".join(f"{kind} {kinds}" for kind, kinds in observed["by_kind"].items())
        named = (observed["bot"], observed["venue"])
        return f"{count} errors{whose(named)} in {self.window_s:g} s ({listed})"


def _named(party: Pair, counts: Mapping[Pair, object]) -> dict[str, Any]:
    """Whose errors they were, as far as all of them have it in common."""
    bots, venues = ({pair[index] for pair in counts} for index in (0, 1))
    bot = party[0] or (bots.pop() if len(bots) == 1 and party[1] is None else None)
    venue = party[1] or (venues.pop() if len(venues) == 1 else None)
    return {"bot": bot, "venue": venue}


def _total(kinds: Mapping[ErrorKind, int]) -> int:
    return sum(kinds.values())
