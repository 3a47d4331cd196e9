"""A loss since the start of a period, as a rule of the daemon and in a program of one's own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.baselines.trading_day import TradingDay
from risk_daemon.breakers.base import BreakerState, Number, Standing, Unset
from risk_daemon.breakers.loss import LossCircuitBreaker, Measure
from risk_daemon.breakers.program import base, worth
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import EXACT, fixed, plain
from risk_daemon.portfolio.manager import Equity


class PeriodLossCircuitBreaker(LossCircuitBreaker):
    """What daily and weekly loss have in common for a program: it knows what the period began with.

    A trip by what a program told ends with the period, whatever its action: a program has nobody else who would end
    it. calendar: when that is; the daemon has its own.
    """

    calendar = TradingDay()
    _current_loss: Decimal | None = None
    _period: str | None = None

    @property
    def state(self) -> BreakerState:
        """Of now: in a program, a new period may have begun."""
        self.refresh()
        return super().state

    def refresh(self) -> None:
        """Let a program's own period end. What the daemon's verdicts say is not touched."""
        if self._period is not None and self._key_now() > self._period:
            self._period = None
            self.is_sure = False  # what is known is of the period before
            if self._is_own_trip():
                self.standing = Standing()

    def _may_trade(self, start_name: str, start: Number | Unset, current: Number | Unset) -> bool:
        """By the loss from `start` to `current`; by the last one if neither is given."""
        given = {start_name: start, "current_portfolio_value": current}
        values = {name: value for name, value in given.items() if not isinstance(value, Unset)}
        self.is_sure = self.is_sure and not values
        if len(values) == 1:
            raise ValueError(f"{' and '.join(given)} go together, there is only {next(iter(values))}")
        if values:
            self._see(base(start_name, values[start_name]), worth(*values.popitem()))
            self.is_sure = True
        return not self.is_tripped

    def _see(self, start: Decimal, current: Decimal) -> None:
        self.refresh()
        self._period = max(self._period or "", self._key_now())  # a clock that is set back ends no day twice
        self._current_loss = EXACT.subtract(start, current)
        loss = fixed(EXACT.divide(self._current_loss, start)) if self.limit.is_ratio else self._current_loss
        if loss < self.limit.size:
            self._recover()
        elif not self.is_tripped:
            key = "loss_ratio" if self.limit.is_ratio else "loss"
            observed = {key: self.limit.fact(loss), "equity": plain(current)}
            self._trip_for_program(f"{self.word} of {self.limit.text_of(loss)}{self._reason_end}", **observed)

    def _clear_conditions(self) -> None:
        self._current_loss = None
        self.is_sure = False

    def _key_now(self) -> str:
        return self._key_of(self._clock.now().wall)

    def _key_of(self, wall: float) -> str:
        """The period of a moment, as a word."""
        raise NotImplementedError

    def _measures(self, baselines: Baselines) -> tuple[Measure, Measure]:
        """The loss by equity, as a ratio and in money."""
        raise NotImplementedError

    def _measure(self, baselines: Baselines, now: Instant) -> Measure:
        ratio, money = self._measures(baselines)
        return ratio if self.limit.is_ratio else money

    def _observe_fully(self, likely: Decimal, equity: Equity, baselines: Baselines, now: Instant) -> dict[str, Any]:
        ratio, money = (measure(equity.value) for measure in self._measures(baselines))
        return {
            "loss_ratio": None if ratio is None else float(ratio),
            "loss": None if money is None else plain(money),
            "equity": plain(equity.value),
        }
