"""Drawdown: loss from the highest worth of the last days."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any, Unpack

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers.base import UNSET, Action, Common, Number, Unset
from risk_daemon.breakers.loss import LossCircuitBreaker, Measure, check_one, one_limit
from risk_daemon.breakers.program import worth
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import EXACT, ZERO, finite, fixed
from risk_daemon.portfolio.manager import Equity

_DAY_S = 86400.0
_GRAINS = 1000


class DrawdownCircuitBreaker(LossCircuitBreaker):
    """Breaches at a drawdown of `max_drawdown_pct` (a ratio: 0.10 is 10 %) or more. Formula: (peak - latest) / peak.

    lookback_days: how far back the peak may lie; None: as far as it is remembered. threshold: another name of the
    limit. Raises ValueError for a limit that is not between 0 and 1, and for a lookback that is not above zero.
    """

    word = "drawdown"
    since = "from the peak"
    default_action = Action.TRIP

    def __init__(
        self,
        max_drawdown_pct: Number | None = None,
        lookback_days: float | None = 30,
        *,
        threshold: Number | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_one(max_drawdown_pct=max_drawdown_pct, threshold=threshold)
        ratio = threshold if max_drawdown_pct is None else max_drawdown_pct
        limit = one_limit("drawdown", None, ratio, common.get("warnings", ()), "10%")
        super().__init__(CircuitBreakerType.DRAWDOWN, limit, **common)
        self.max_drawdown_pct = limit.size
        self.lookback_days = None if lookback_days is None else float(finite(lookback_days))
        if self.lookback_days is not None and self.lookback_days <= 0:
            raise ValueError(f"lookback_days is {lookback_days}: write a number of days above zero, or None for all")
        self._peak = PeakWithin(self.lookback_days)

    def can_trade(self, current_portfolio_value: Number | Unset = UNSET) -> bool:
        """Whether the drawdown of `current_portfolio_value` from the highest one seen is below the limit.

        Once it is not, False until `reset`, which also begins a new history; with the action VETO, until a value is
        that far from the peak no more. Without a value: by the last one.
        Raises ValueError for None, NaN and infinities; such a value changes nothing.
        """
        if not isinstance(current_portfolio_value, Unset):
            self.is_sure = False
            self._see(worth("current_portfolio_value", current_portfolio_value))
            self.is_sure = True
        return not self.is_tripped

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "lookback_days": self.lookback_days}

    def _limit_key(self) -> str:
        return "max_portfolio_dd_nav_pct"

    def _measure(self, baselines: Baselines, now: Instant) -> Measure:
        lookback_days = self.lookback_days
        return lambda equity: baselines.drawdown_ratio(equity, lookback_days, now)

    def _stands_until(self, baselines: Baselines, now: Instant) -> float:
        return baselines.peak_until_mono(self.lookback_days, now)

    def _observe(self, likely: Decimal, equity: Equity, baselines: Baselines, now: Instant) -> dict[str, Any]:
        return _facts(likely, baselines.peak_within(self.lookback_days, now), equity.value)

    def _see(self, value: Decimal) -> None:
        """A program's own history."""
        peak = self._peak.add(value, self._clock.now().mono)
        drawdown = ZERO if peak <= 0 else fixed(EXACT.divide(EXACT.subtract(peak, value), peak))
        if drawdown < self.limit.size:
            self._recover()
        elif not self.is_tripped:
            self._trip_for_program(
                f"{self.word} of {self.limit.text_of(drawdown)}{self._reason_end}", **_facts(drawdown, peak, value)
            )

    def _clear_conditions(self) -> None:
        self._peak = PeakWithin(self.lookback_days)
        self.is_sure = False


def _facts(drawdown: Decimal, peak: Decimal | None, latest: Decimal) -> dict[str, Any]:
    return {
        "current_dd_pct": float(drawdown),
        "peak_nav_usd": None if peak is None else float(peak),
        "latest_nav_usd": float(latest),
    }


class PeakWithin:
    """The highest of the values of the last `lookback_days`; None: of all.

    An entry (first_mono, last_mono, value): nothing since was higher. Entries below the peak are merged within a
    thousandth of the lookback, and then count as the higher and the later of them.
    """

    def __init__(self, lookback_days: float | None) -> None:
        self._lookback_s = None if lookback_days is None else lookback_days * _DAY_S
        self._entries: deque[tuple[float, float, Decimal]] = deque()

    def add(self, value: Decimal, mono: float) -> Decimal:
        """Take a value in. Returns the highest, this one included."""
        entries = self._entries
        while self._lookback_s is not None and entries and entries[0][1] < mono - self._lookback_s:
            entries.popleft()
        while entries and entries[-1][2] <= value:
            entries.pop()
        if len(entries) > 1 and self._is_same_grain(entries[-1][0], mono):
            first, _, higher = entries.pop()
            entries.append((first, mono, higher))
        else:
            entries.append((mono, mono, value))
        return entries[0][2]

    def _is_same_grain(self, first_mono: float, mono: float) -> bool:
        """Without a lookback no entry but the first is ever asked for."""
        return self._lookback_s is None or mono - first_mono < self._lookback_s / _GRAINS
