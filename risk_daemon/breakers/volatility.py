"""Volatility of the equity."""

from __future__ import annotations

from math import sqrt
from statistics import stdev
from typing import Unpack

from risk_daemon.baselines.equity_history import KEEP_S, SAMPLE_EVERY_S, EquityHistory, Sample
from risk_daemon.breakers.base import (
    BaseCircuitBreaker,
    Calm,
    Common,
    EvaluationContext,
    Number,
    Verdict,
)
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import finite

MINUTES_A_YEAR = 525_600
_SAMPLES_MIN = 3


class VolatilityCircuitBreaker(BaseCircuitBreaker):
    """Breaches at an annualised volatility of `max_volatility` (a ratio: 0.30 is 30 %) or more over `window_s`.

    Formula: sample standard deviation of the minutes' log returns, times sqrt(525,600). With fewer than two
    returns there is no verdict. Raises ValueError for a limit that is not above zero, and for a window that holds
    fewer than three samples or more than are kept.
    """

    is_sure = False

    def __init__(self, max_volatility: Number, window_s: float = 3600.0, **common: Unpack[Common]) -> None:
        super().__init__(CircuitBreakerType.VOLATILITY, **common)
        limit = finite(max_volatility)
        if limit <= 0:
            raise ValueError(f"max_volatility is {limit}: set it above zero")
        if any(not 0 < level < limit for level in self.warnings):
            raise ValueError(f"a warning lies above zero and below the limit of {limit}")
        self.max_volatility = float(limit)
        self.window_s = float(finite(window_s))
        if not _SAMPLES_MIN * SAMPLE_EVERY_S <= self.window_s <= KEEP_S:
            raise ValueError(f"a window lies between {_SAMPLES_MIN} minutes and {KEEP_S:.0f} s, {window_s} s does not")
        self._limits = {"max_volatility": self.max_volatility, "window_s": self.window_s}
        self._looked_at: tuple[Sample | None, int] | None = None
        self._last_verdict = self._judge([])

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        """Works it out once a minute, or when there is a new sample; in between nothing can change."""
        samples = context.history.samples
        last, minute = samples[-1] if samples else None, int(now.wall // SAMPLE_EVERY_S)
        if self._looked_at is None or self._looked_at[0] is not last or self._looked_at[1] != minute:
            self._looked_at = (last, minute)
            self._last_verdict = self._judge(self._returns(context.history, now))
        return self._last_verdict

    def _returns(self, history: EquityHistory, now: Instant) -> list[float]:
        return history.log_returns(self.window_s, now)

    def _judge(self, returns: list[float]) -> Verdict:
        if len(returns) < _SAMPLES_MIN - 1:
            reason = f"{len(returns)} returns in {self.window_s:g} s are too few to say"
            return Verdict(
                breaker=self.name,
                breaker_type=self.breaker_type,
                action=self.action,
                cleared=False,
                reason=reason,
                limits=self._limits,
                calm=Calm(),
            )
        volatility = stdev(returns) * sqrt(MINUTES_A_YEAR)
        reached = [level for level in self.warnings if volatility >= level]
        is_breached = volatility >= self.max_volatility
        return Verdict(
            breaker=self.name,
            breaker_type=self.breaker_type,
            action=self.action,
            breached=is_breached,
            suspected=is_breached,
            warning=max(reached, default=None),
            cleared=not reached,
            reason=f"volatility of {volatility:.2%} a year, limit {self.max_volatility:.2%}",
            observed={"volatility": volatility, "returns": len(returns)},
            limits=self._limits,
            calm=None if is_breached or reached else Calm(),
        )
