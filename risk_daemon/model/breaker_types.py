"""The rules there are, one line each.

Two files go with a line, both of its name: `breakers/<name>.py` says when the rule breaches, and what is on by a
table only has its settings in `config/rules/<name>.py`. What else names the rules, follows from here.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Self


@unique
class CircuitBreakerType(StrEnum):
    """A rule's name, and the reason that bots are given for it where that is another one.

    The most severe first: of several rules that hold, a bot is told the first.
    """

    _value_: str
    cause: str

    MANUAL = "manual", "manual_halt"
    DRAWDOWN = "drawdown", "portfolio_dd_circuit"
    CAPITAL_LOSS = "capital_loss"
    DAILY_LOSS = "daily_loss"
    WEEKLY_LOSS = "weekly_loss"
    VENUE_LOSS = "venue_loss"
    POSITION_LOSS = "position_loss"
    VOLATILITY = "volatility"
    ERROR_RATE = "error_rate"
    ORDER_RATE = "order_rate"
    CUSTOM = "custom", "custom:"  # followed by the name of the user's rule
    BLIND = "blind"

    def __new__(cls, value: str, cause: str | None = None) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.cause = cause or value
        return member

    @property
    def stem(self) -> str:
        """What the names of its classes begin with: `DailyLoss` of `daily_loss`."""
        return "".join(word.capitalize() for word in self.value.split("_"))

    @property
    def has_table(self) -> bool:
        """Whether a table of the configuration turns it on."""
        return self not in ALWAYS_ON and self is not CircuitBreakerType.CUSTOM


ALWAYS_ON = (CircuitBreakerType.MANUAL, CircuitBreakerType.CAPITAL_LOSS, CircuitBreakerType.BLIND)
