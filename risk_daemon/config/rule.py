"""What the table of every rule has, and what rules of one sort have in common.

A table is the whole kind of a rule: its keys, the breaker that they make, and the sentence that says when it breaches.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Unpack

from pydantic import BeforeValidator, ValidationInfo, field_validator

from risk_daemon.breakers.base import BaseCircuitBreaker, Common, Number
from risk_daemon.config.notation import (
    ActiveSpan,
    Count,
    Limit,
    LossSize,
    Ratio,
    Seconds,
    Table,
    as_written,
    listed,
    ratio_text,
    seconds_text,
)
from risk_daemon.config.wording import Premises, limit_text, percent, span
from risk_daemon.gate import activity

ActionWord = Literal["veto", "freeze", "trip"]
ScopeWord = Literal["bot", "venue", "all"]

DOES: dict[ActionWord | None, str] = {
    None: "it does what its class says, a veto at least",
    "trip": "it trips",
    "freeze": "it freezes",
    "veto": "all new orders are refused while it lasts",
}


class Rule(Table):
    """What every rule may be told. Warnings are of the limit's kind, and below it.

    action None: what the class of a rule of the user's own says. active_hours None: always.
    limit_key: the key that warnings are compared with. is_of_portfolio: it is measured from the whole portfolio, as
    the circuit breaker's own limit is. missed: what `check` says, loudly, where no table turns it on.
    """

    limit_key: ClassVar[str] = "limit"
    is_of_portfolio: ClassVar[bool] = False
    missed: ClassVar[str] = ""

    action: ActionWord | None = "veto"
    active_hours: ActiveSpan | None = None

    @abstractmethod
    def build(self, **common: Unpack[Common]) -> BaseCircuitBreaker:
        """The breaker, which has seen nothing yet. Raises ValueError and CircuitBreakerError for what it refuses."""

    @abstractmethod
    def condition(self, premises: Premises) -> str:
        """When it breaches, as what follows "when"."""

    def effect(self) -> str:
        """What a breach does, as a sentence without its end."""
        return DOES[self.action]

    def warning_levels(self) -> tuple[Number, ...]:
        """In the unit of the limit; none where it knows no warnings."""
        return tuple(_size(warning) for warning in getattr(self, "warnings", ()))

    @field_validator("warnings", check_fields=False)
    @classmethod
    def _below_the_limit(cls, warnings: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        limit = info.data.get(cls.limit_key)
        for warning in warnings if limit is not None else ():
            if _unit(warning) != _unit(limit):
                raise ValueError(
                    f"a warning at {_text(warning)} can't be compared with the limit, {_text(limit)}: write both as"
                    " percent, or both as money"
                )
            if _size(warning) >= _size(limit):
                raise ValueError(
                    f"a warning at {_text(warning)} would never come before the limit, {cls.limit_key} at"
                    f" {_text(limit)}: set it below"
                )
        return tuple(sorted(warnings, key=_size))


def _size(value: Any) -> Any:
    return value.size if isinstance(value, LossSize) else value


def _unit(value: Any) -> str | None:
    return value.currency if isinstance(value, LossSize) else None


def _text(value: Any) -> str:
    return str(value) if isinstance(value, LossSize | int) else ratio_text(value)


Ratios = Annotated[tuple[Ratio, ...], BeforeValidator(listed)]
Limits = Annotated[tuple[Limit, ...], BeforeValidator(listed)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(listed)]


# --- losses -----------------------------------------------------------------------------------------


def loss_since(limit: LossSize, start: str, period: str, premises: Premises) -> str:
    """A loss since `start`, with an example of a `period` that began with the configured capital."""
    capital, lost = premises.capital, limit_text(limit)
    if capital is None:
        return f"{lost} since {start}"
    example = (
        f"{percent(limit.money / capital)} of {premises.money(capital)}"
        if limit.money is not None
        else f"{premises.money(capital * limit.size)}, if the {period} began with {premises.money(capital)}"
    )
    return f"{lost} since {start} ({example})"


def loss_of_part(limit: LossSize, of: str, since: str = "") -> str:
    """A loss of a part of the portfolio: a ratio `of` something, or money lost `since` a moment."""
    return f"{limit} {since}".rstrip() if limit.money is not None else f"{percent(limit.size)} {of}"


# --- rates ------------------------------------------------------------------------------------------

_RATE_OF = {"bot": "one bot has", "venue": "one venue has", "all": "all bots and venues together have"}


class RateRule(Rule):
    """More than so many in a sliding window, of each bot, each venue, or all.

    Subclasses have `scope`, the limit of each, and `<limit>_total`: a limit over all of them besides.
    """

    noun: ClassVar[str]

    window: Seconds = as_written("60s")

    def condition(self, premises: Premises) -> str:
        scope, total = self._scope_and_total()
        together = f", or all together more than {total} (one {scope} counts for half at most)"
        return (
            f"{_RATE_OF[scope]} more than {getattr(self, self.limit_key)} {self.noun} in {span(self.window)}"
            f"{'' if total is None else together}"
        )

    def effect(self) -> str:
        """A veto is of those who went too far."""
        scope, total = self._scope_and_total()
        if self.action != "veto" or scope == "all":
            return super().effect()
        second = "" if total is None else ", or of all in the second case,"
        return f"new orders of that {scope}{second} are refused while it lasts"

    def _scope_and_total(self) -> tuple[ScopeWord, int | None]:
        scope: ScopeWord = getattr(self, "scope")  # noqa: B009 - a field of every subclass
        total: int | None = getattr(self, f"{self.limit_key}_total")
        return scope, total

    @field_validator("max_orders", "max_errors", check_fields=False)
    @classmethod
    def _can_be_counted(cls, count: int) -> int:
        if count >= activity.COUNT_MAX:
            raise ValueError(f"{count} is more than is ever counted: write a number below {activity.COUNT_MAX}")
        return count

    @field_validator("max_orders_total", "max_errors_total", mode="before", check_fields=False)
    @classmethod
    def _fits_the_scope(cls, total: Any, info: ValidationInfo) -> Any:
        """By default the limit over everything is as high as the one of each; with one count there is only that."""
        is_one_count = info.data.get("scope") == "all"
        if total == "same":
            return "off" if is_one_count else info.data.get(cls.limit_key, "off")
        if is_one_count and total != "off":
            raise ValueError('with scope = "all" there is one count only, and its limit: take this out')
        return total

    @field_validator("window")
    @classmethod
    def _is_remembered(cls, window: float) -> float:
        if window > activity.KEEP_S:
            raise ValueError(f"{seconds_text(window)} is longer than what is remembered: write 1h or less")
        return window
