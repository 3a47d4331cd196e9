"""Too many deeds in a sliding window: it trips by counting, and clears as they age out.

In the daemon the deeds of all bots are in the evaluation context. In a program of one's own the rule counts for
itself, and its state goes by its clock.
"""

from __future__ import annotations

import operator
from decimal import Decimal
from typing import Any, Unpack

from risk_daemon.activity import COUNT_MAX, KEEP_S, Activity
from risk_daemon.breakers.base import (
    BaseCircuitBreaker,
    BreakerState,
    CircuitBreakerType,
    Common,
    EvaluationContext,
    Standing,
    Verdict,
)
from risk_daemon.clock import Instant
from risk_daemon.units import finite


class RateCircuitBreaker(BaseCircuitBreaker):
    """Breaches with more than `limit` in the last `window_s` seconds.

    Raises ValueError for a limit or window out of range, and for warnings that would never come before the limit.
    """

    needs_confirmation = False
    noun = ""

    def __init__(
        self, breaker_type: CircuitBreakerType, limit: int, window_s: float, /, **common: Unpack[Common]
    ) -> None:
        super().__init__(breaker_type, **common)
        self.limit = _whole(self.noun, limit)
        self.window_s = float(finite(window_s))
        if not 0 < self.window_s <= KEEP_S:
            raise ValueError(f"a window lies between 0 and {KEEP_S:.0f} s, {window_s} s does not")
        if any(not 0 < level <= self.limit for level in self.warnings):
            raise ValueError(f"a warning lies above zero and not above the limit of {self.limit}")
        self._limits = {f"max_{self.noun}": self.limit, "window_s": self.window_s}
        self._own: Activity | None = None
        self._own_trip: Standing | None = None

    @property
    def state(self) -> BreakerState:
        """Of now: in a program, time alone may have changed it."""
        self.refresh()
        return super().state

    def refresh(self) -> None:
        """Move a program's own state by its clock. What the daemon's verdicts say is not touched."""
        if self._own is None:
            return
        now, standing = self._clock.now(), self.standing
        is_used_up = self._is_used_up(self._own, now)
        if is_used_up and standing.state is BreakerState.NORMAL:
            verdict = self._judge(self._own, now)
            self._trip(verdict.reason, **verdict.observed)
            self._own_trip = self.standing
        elif not is_used_up and standing is self._own_trip and self.ends_by_itself:
            self.standing = Standing()

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        return self._judge(context.activity, now)

    def _judge(self, activity: Activity, now: Instant) -> Verdict:
        """The verdict on what is in `activity`."""
        raise NotImplementedError

    def _is_used_up(self, activity: Activity, now: Instant) -> bool:
        """Whether a program must stop here."""
        return self._judge(activity, now).breached

    def _verdict(self, count: int, reason: str, observed: dict[str, Any]) -> Verdict:
        reached = [level for level in self.warnings if count >= level]
        return Verdict(
            self.name,
            self.breaker_type,
            self.action,
            breached=count > self.limit,
            suspected=count > self.limit,
            warning=max(reached, default=None),
            cleared=not reached,
            reason=f"{reason}, limit {self.limit}",
            observed=observed,
            limits=self._limits,
        )

    def _program(self) -> Activity:
        """What a program records in."""
        if self._own is None:
            self._own = Activity()
        return self._own

    def _clear_conditions(self) -> None:
        self._own = None


def _whole(noun: str, limit: int) -> int:
    number = None if isinstance(limit, bool | float | str | Decimal) else operator.index(limit)
    if number is None or not 0 < number < COUNT_MAX:
        raise ValueError(f"max_{noun} is {limit!r}: write a whole number above zero and below {COUNT_MAX}")
    return number
