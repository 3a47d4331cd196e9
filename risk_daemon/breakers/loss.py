"""What rules about losses have in common: the limit in its unit, and how an interval is judged by it.

A loss is positive. At the limit exactly it breaches. `high` of the equity gives the least loss there can be,
`low` the most; with nothing unknown, which is nearly always, all of them are one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Unpack

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers.base import (
    BaseCircuitBreaker,
    Calm,
    Common,
    EvaluationContext,
    Number,
    Standing,
    Verdict,
)
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import EXACT, ONE, ZERO, finite, fixed, parse_money, parse_ratio, percent, plain
from risk_daemon.portfolio.manager import Equity

# So much of the way to its first level a loss may go before the rule is asked again.
CALM_PART = Decimal("0.99")

NOT_KNOWN = "the equity, or what its loss is measured from, is not known"

Measure = Callable[[Decimal], Decimal | None]


class LossLimit:
    """A limit with warning levels below it, all as ratios or all as money in the reference currency.

    Raises ValueError for a limit that is not above zero and for a warning that would never come before it.
    """

    __slots__ = ("is_ratio", "lowest", "size", "text", "warnings")

    def __init__(self, size: Decimal, warnings: Iterable[Decimal] = (), *, is_ratio: bool) -> None:
        self.size = size
        self.is_ratio = is_ratio
        self.warnings = tuple(sorted(warnings))
        if size <= 0:
            raise ValueError("a limit of zero would always be breached: set it above")
        if any(not 0 < level < size for level in self.warnings):
            raise ValueError(f"a warning lies above zero and below the limit of {size}")
        self.lowest = min((*self.warnings, size))
        self.text = self.text_of(size)

    def text_of(self, loss: Decimal) -> str:
        """For people."""
        return percent(loss) if self.is_ratio else f"{loss:.2f}"

    def fact(self, loss: Decimal) -> float | str:
        """For records: ratios are JSON numbers, amounts decimal strings."""
        return float(loss) if self.is_ratio else plain(loss)

    def warning(self, least: Decimal) -> Decimal | None:
        """The highest warning level that is surely reached."""
        return max((level for level in self.warnings if least >= level), default=None)

    def is_clear(self, most: Decimal) -> bool:
        """Whether no warning level is reached, whatever is unknown."""
        return not self.warnings or most < self.warnings[0]


def check_one(**given: object) -> None:
    """Raises ValueError if more than one of several names of the same was given."""
    if sum(value is not None for value in given.values()) > 1:
        raise ValueError(f"{' and '.join(given)} are names of the same: give one of them")


def is_ratio(limit: Number) -> bool:
    """Whether a limit that may be either is a ratio: `"5%"` or a number below 1. Raises ValueError for negatives."""
    if isinstance(limit, str) and limit.strip().endswith("%"):
        return True
    try:
        number = finite(limit)
    except ValueError:
        return False  # an amount with its currency, or what `parse_money` has a hint for
    if number < 0:
        raise ValueError(f"{limit} is negative: write the size of the loss, without a sign")
    return number < 1


def one_limit(
    name: str, money: Number | None, ratio: Number | None, warnings: Iterable[Number] = (), default: str | None = None
) -> LossLimit:
    """The limit `max_<name>` in money, or `max_<name>_pct` as a ratio: one of them. Raises ValueError else."""
    if money is not None and ratio is not None:
        raise ValueError(f"max_{name} is money, max_{name}_pct a ratio: give one of them")
    if money is None and ratio is None and default is None:
        raise ValueError(f"a limit is needed: give max_{name} in money, or max_{name}_pct as a ratio")
    levels = [finite(level) for level in warnings]
    if money is not None:
        return LossLimit(parse_money(money), levels, is_ratio=False)
    return LossLimit(parse_ratio(default if ratio is None else ratio), levels, is_ratio=True)


class LossCircuitBreaker(BaseCircuitBreaker):
    """A loss of the whole portfolio. Subclasses say how it is measured, from what, and what they tell of it.

    word, since: what it is called and what it is measured from, in words.
    """

    word = "loss"
    since = ""
    is_sure = False
    _own_trip: Standing | None = None

    def __init__(self, breaker_type: CircuitBreakerType, limit: LossLimit, /, **common: Unpack[Common]) -> None:
        super().__init__(breaker_type, **common)
        self.limit = limit
        self._reason_end = f" {self.since}, limit {limit.text}"
        self._limits = {self._limit_key(): limit.fact(limit.size)}
        self._unknown = Verdict(
            breaker=self.name,
            breaker_type=breaker_type,
            action=self.action,
            cleared=False,
            reason=NOT_KNOWN,
            limits=self._limits,
        )
        self._unmeasured = replace(self._unknown, calm=Calm())  # until there is something to measure from

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        equity, suspected_high = context.equity, context.suspected_high
        if equity is None or suspected_high is None:
            return self._unknown
        measure = self._measure(context.baselines, now)
        likely = measure(equity.value)
        if likely is None:
            return self._unmeasured
        least = likely if equity.high == equity.value else measure(equity.high)
        most = likely if equity.low == equity.value else measure(equity.low)
        suspected = least if suspected_high == equity.high else measure(suspected_high)
        if least is None or most is None or suspected is None:
            return self._unknown
        limit, name, kind, action = self.limit, self.name, self.breaker_type, self.action
        if most < limit.lowest and suspected < limit.lowest:
            observed = self._observe(likely, equity, context.baselines, now)
            return Verdict(
                breaker=name,
                breaker_type=kind,
                action=action,
                observed=observed,
                limits=self._limits,
                calm=self._calm(measure, max(most, suspected), min(equity.low, suspected_high), context.baselines, now),
            )
        return Verdict(
            breaker=name,
            breaker_type=kind,
            action=action,
            # A young fall may be half a trade, even where an older rise seems to make up for it.
            breached=least >= limit.size and suspected >= limit.size,
            suspected=suspected >= limit.size,
            undecided=most >= limit.size > min(least, suspected),
            warning=limit.warning(least),
            cleared=limit.is_clear(most),
            reason=f"{self.word} of {limit.text_of(likely)}{self._reason_end}",
            observed=self._observe_fully(likely, equity, context.baselines, now),
            limits=self._limits,
        )

    def loss_of(self, equity: Decimal, baselines: Baselines, now: Instant) -> Decimal | None:
        """The loss at that worth, in the limit's unit; None where it is not known."""
        return self._measure(baselines, now)(equity)

    def equity_at_limit(self, equity: Decimal, baselines: Baselines, now: Instant) -> Decimal | None:
        """The worth at which the limit would be reached as things stand; None where that is not known, or never is."""
        measure = self._measure(baselines, now)
        at_nothing, near = measure(ZERO), equity if equity > 0 else ONE
        if at_nothing is None or at_nothing < self.limit.size:
            return None
        # A loss is a straight line, but for what gains are cut off at: one point where something is lost will do.
        while (loss := measure(near)) is not None and loss <= 0:
            near /= 2
        if loss is None or loss == at_nothing:
            return None
        return fixed(EXACT.divide(EXACT.multiply(near, at_nothing - self.limit.size), at_nothing - loss))

    def _calm(self, measure: Measure, most: Decimal, worst: Decimal, baselines: Baselines, now: Instant) -> Calm:
        """The answer stands down to an equity that is near the first level, and reaches it as little as `worst` does.

        A loss never shrinks where the equity falls: so whatever lies above one that reaches nothing reaches nothing.
        """
        near = self.limit.lowest - most
        if self.limit.is_ratio and most < ONE:  # the loss of money that is as large a part of what it is measured from
            near *= worst / (ONE - most)
        above = worst - near * CALM_PART
        loss = measure(above)
        is_clear = loss is not None and loss < self.limit.lowest
        return Calm(min(above, worst) if is_clear else worst, self._stands_until(baselines, now))

    def _stands_until(self, baselines: Baselines, now: Instant) -> float:
        """When time alone changes what the loss is measured from, in seconds of `mono`."""
        return float("inf")

    def _trip_for_program(self, reason: str, **details: Any) -> None:
        """Trip by what a program told, apart from what verdicts of the daemon say."""
        self._trip(reason, **details)
        self._own_trip = self.standing

    def _recover(self) -> None:
        """A program told of a loss below the limit: a veto of its own is over."""
        if self._is_own_trip() and self.ends_by_itself:
            self.standing = Standing()

    def _is_own_trip(self) -> bool:
        return self._own_trip is not None and self.standing is self._own_trip

    def _limit_key(self) -> str:
        """The limit's name in records."""
        kind = self.breaker_type.value
        return f"max_{kind}_pct" if self.limit.is_ratio else f"max_{kind}"

    def _measure(self, baselines: Baselines, now: Instant) -> Measure:
        """The loss by equity, in the limit's unit; it gives None where there is nothing to measure from.

        It must not shrink where the equity falls.
        """
        raise NotImplementedError

    def _observe(self, likely: Decimal, equity: Equity, baselines: Baselines, now: Instant) -> dict[str, Any]:
        """What is told of the loss on every tick, so it must cost little."""
        key = "loss_ratio" if self.limit.is_ratio else "loss"
        return {key: self.limit.fact(likely), "equity": plain(equity.value)}

    def _observe_fully(self, likely: Decimal, equity: Equity, baselines: Baselines, now: Instant) -> dict[str, Any]:
        """What is told of a loss near a limit, or beyond it."""
        return self._observe(likely, equity, baselines, now)
