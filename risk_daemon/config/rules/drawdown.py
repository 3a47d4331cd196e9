"""The table of `drawdown`."""

from __future__ import annotations

from typing import ClassVar, Literal, Unpack

from risk_daemon.breakers.base import Common
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.config.notation import DaysOrAll, Ratio, as_written
from risk_daemon.config.rule import ActionWord, Ratios, Rule
from risk_daemon.config.wording import Premises, percent


class Drawdown(Rule):
    """Loss from the highest worth of the last days. lookback_days: as in [baselines] where it is not given."""

    is_of_portfolio = True
    missed: ClassVar[str] = "nothing stops a loss from the highest worth; a table [breakers.drawdown] turns it on"

    rule: Literal["drawdown"]
    limit: Ratio = as_written("10%")
    lookback_days: DaysOrAll = as_written(30)
    action: ActionWord | None = "trip"
    warnings: Ratios = ()

    def build(self, **common: Unpack[Common]) -> DrawdownCircuitBreaker:
        return DrawdownCircuitBreaker(self.limit, self.lookback_days, **common)

    def condition(self, premises: Premises) -> str:
        days = "ever" if self.lookback_days is None else f"of the last {self.lookback_days} days"
        below = f"the portfolio is {percent(self.limit)} below its highest worth {days}"
        peak = premises.capital
        if peak is None:
            return below
        return f"{below} (after a peak of {premises.money(peak)}, {premises.money(peak * self.limit)} are lost)"
