"""The table of `volatility`."""

from __future__ import annotations

from typing import Annotated, Literal, Unpack

from pydantic import BeforeValidator, field_validator

from risk_daemon.baselines import equity_history
from risk_daemon.breakers.base import Common
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.config.notation import AnnualRatio, Seconds, as_written, listed, seconds_text
from risk_daemon.config.rule import Rule
from risk_daemon.config.wording import Premises, percent, span

_SAMPLES_S = 180.0


class Volatility(Rule):
    """Standard deviation of the minutes' log returns of the equity, annualised."""

    rule: Literal["volatility"]
    limit: AnnualRatio
    window: Seconds = as_written("1h")
    warnings: Annotated[tuple[AnnualRatio, ...], BeforeValidator(listed)] = ()

    def build(self, **common: Unpack[Common]) -> VolatilityCircuitBreaker:
        return VolatilityCircuitBreaker(self.limit, self.window, **common)

    def condition(self, premises: Premises) -> str:
        return f"equity swings by {percent(self.limit)} a year, by the minutes of the last {span(self.window)}"

    @field_validator("window")
    @classmethod
    def _holds_samples(cls, window: float) -> float:
        if not _SAMPLES_S <= window <= equity_history.KEEP_S:
            raise ValueError(
                f"{seconds_text(window)} is out of range: write one from 3m to 30d, equity has a sample a minute"
            )
        return window
