"""A loss since the start of a period, as a rule of the daemon and in a program of one's own."""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.breakers.base import Number, Unset
from risk_daemon.breakers.loss import LossCircuitBreaker
from risk_daemon.breakers.program import base, worth
from risk_daemon.units import EXACT, fixed, plain


class PeriodLossCircuitBreaker(LossCircuitBreaker):
    """What daily and weekly loss have in common for a program: it knows what the period began with."""

    _current_loss: Decimal | None = None

    def _may_trade(self, start_name: str, start: Number | Unset, current: Number | Unset) -> bool:
        """By the loss from `start` to `current`; by the last one if neither is given."""
        given = {start_name: start, "current_portfolio_value": current}
        values = {name: value for name, value in given.items() if not isinstance(value, Unset)}
        if len(values) == 1:
            raise ValueError(f"{' and '.join(given)} go together, there is only {next(iter(values))}")
        if values:
            self._see(base(start_name, values[start_name]), worth(*values.popitem()))
        return not self.is_tripped

    def _see(self, start: Decimal, current: Decimal) -> None:
        self._current_loss = EXACT.subtract(start, current)
        loss = fixed(EXACT.divide(self._current_loss, start)) if self.limit.is_ratio else self._current_loss
        if loss >= self.limit.size and not self.is_tripped:
            key = "loss_ratio" if self.limit.is_ratio else "loss"
            observed = {key: self.limit.fact(loss), "equity": plain(current)}
            self._trip(f"{self.word} of {self.limit.text_of(loss)}{self._reason_end}", **observed)

    def _clear_conditions(self) -> None:
        self._current_loss = None
