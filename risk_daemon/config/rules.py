"""The tables below [breakers], one a rule: what may be set, with which defaults, and what is refused.

A table turns its rule on. Its name is the rule, unless it says otherwise: `rule = "drawdown"` makes it another
one of that kind, `class = "package.module:Class"` one of the user's own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from risk_daemon.baselines import equity_history
from risk_daemon.config.notation import (
    ActiveSpan,
    Count,
    CountOrOff,
    DaysOrAll,
    Limit,
    LossLimit,
    Ratio,
    Refused,
    Seconds,
    SecondsOrNever,
    Table,
    Volatility,
    as_written,
    listed,
    ratio_text,
    seconds_text,
)
from risk_daemon.gate import activity

ActionWord = Literal["veto", "freeze", "trip"]
ScopeWord = Literal["bot", "venue", "all"]
_NAME = r"[a-z][a-z0-9_-]{0,40}"
_CLASS = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
_ALWAYS_ON = {
    "capital_loss": "it is always on and set in [circuit_breaker]: take the table out",
    "manual": "it is always on and has no settings: take the table out",
}
_SAMPLES_S = 180.0


class Blind(Table):
    """How long equity may be too unknown to judge. trip_after None: never."""

    warn_after: Seconds = as_written("10s")
    veto_after: Seconds = as_written("30s")
    trip_after: SecondsOrNever = as_written("never")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.veto_after < self.warn_after:
            raise Refused("breakers.blind.veto_after", "it is shorter than warn_after: set it to at least that")
        if self.trip_after is not None and self.trip_after < self.veto_after:
            raise Refused("breakers.blind.trip_after", "it is shorter than veto_after: set it to at least that")
        return self


class Rule(Table):
    """What every rule may be told. Warnings are of the limit's kind, and below it.

    action None: what the class of a rule of the user's own says. active_hours None: always.
    """

    limit_key: ClassVar[str] = "limit"

    action: ActionWord | None = "veto"
    active_hours: ActiveSpan | None = None

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
    return value.size if isinstance(value, LossLimit) else value


def _unit(value: Any) -> str | None:
    return value.currency if isinstance(value, LossLimit) else None


def _text(value: Any) -> str:
    return str(value) if isinstance(value, LossLimit | int) else ratio_text(value)


Ratios = Annotated[tuple[Ratio, ...], BeforeValidator(listed)]
Limits = Annotated[tuple[Limit, ...], BeforeValidator(listed)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(listed)]


class Drawdown(Rule):
    """Loss from the highest worth of the last days. lookback_days: as in [baselines] where it is not given."""

    rule: Literal["drawdown"]
    limit: Ratio = as_written("10%")
    lookback_days: DaysOrAll = as_written(30)
    action: ActionWord | None = "trip"
    warnings: Ratios = ()


class DailyLoss(Rule):
    """Loss since the start of the trading day."""

    rule: Literal["daily_loss"]
    limit: Limit = as_written("5%")
    action: ActionWord | None = "trip"
    warnings: Limits = ()


class WeeklyLoss(Rule):
    """Loss since the start of the trading week, on Monday."""

    rule: Literal["weekly_loss"]
    limit: Limit
    warnings: Limits = ()


class VenueLoss(Rule):
    """Loss of one account since the start of the trading day; venue None: of each."""

    rule: Literal["venue_loss"]
    limit: Limit
    venue: str | None = None
    warnings: Limits = ()


class PositionLoss(Rule):
    """Unrealised loss of one position; as a ratio, of its value at entry."""

    rule: Literal["position_loss"]
    limit: Limit
    warnings: Limits = ()


class VolatilityOfEquity(Rule):
    """Standard deviation of the minutes' log returns, annualised."""

    rule: Literal["volatility"]
    limit: Volatility
    window: Seconds = as_written("1h")
    warnings: Annotated[tuple[Volatility, ...], BeforeValidator(listed)] = ()

    @field_validator("window")
    @classmethod
    def _holds_samples(cls, window: float) -> float:
        if not _SAMPLES_S <= window <= equity_history.KEEP_S:
            raise ValueError(
                f"{seconds_text(window)} is out of range: write one from 3m to 30d, equity has a sample a minute"
            )
        return window


class _Counting(Rule):
    """More than so many in a sliding window."""

    window: Seconds = as_written("60s")

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


class OrderRate(_Counting):
    """Orders of each bot, each venue, or all. max_orders_total: a limit over all of them besides; None: none."""

    limit_key = "max_orders"

    rule: Literal["order_rate"]
    max_orders: Count = 100
    scope: ScopeWord = "bot"
    max_orders_total: CountOrOff = as_written("same")
    warnings: Counts = ()


class ErrorRate(_Counting):
    """Unexpected errors of each bot, each venue, or all; max_errors_total: as max_orders_total."""

    limit_key = "max_errors"

    rule: Literal["error_rate"]
    max_errors: Count = 10
    scope: ScopeWord = "bot"
    max_errors_total: CountOrOff = as_written("same")
    warnings: Counts = ()


class OwnRule(Rule):
    """A rule of the user's own. Keys that are not known here are handed to its constructor."""

    model_config = ConfigDict(extra="allow")

    class_path: str = Field(alias="class")
    action: ActionWord | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """Keywords for the constructor."""
        return dict(self.model_extra or {})

    @field_validator("class_path")
    @classmethod
    def _names_a_class(cls, value: str) -> str:
        if not re.fullmatch(_CLASS, value):
            raise ValueError(f'{value!r} names no class: write "package.module:Class"')
        return value


RULES: dict[str, type[Rule]] = {
    "drawdown": Drawdown,
    "daily_loss": DailyLoss,
    "weekly_loss": WeeklyLoss,
    "venue_loss": VenueLoss,
    "position_loss": PositionLoss,
    "volatility": VolatilityOfEquity,
    "error_rate": ErrorRate,
    "order_rate": OrderRate,
}
OWN = "class"


def kind_of(table: Any) -> str | None:
    """Which rule a table is of; OWN for one of the user's."""
    if isinstance(table, Rule):
        return OWN if isinstance(table, OwnRule) else str(getattr(table, "rule", None))
    return OWN if OWN in table else table.get("rule")


AnyRule = Annotated[
    Annotated[Drawdown, Tag("drawdown")]
    | Annotated[DailyLoss, Tag("daily_loss")]
    | Annotated[WeeklyLoss, Tag("weekly_loss")]
    | Annotated[VenueLoss, Tag("venue_loss")]
    | Annotated[PositionLoss, Tag("position_loss")]
    | Annotated[VolatilityOfEquity, Tag("volatility")]
    | Annotated[ErrorRate, Tag("error_rate")]
    | Annotated[OrderRate, Tag("order_rate")]
    | Annotated[OwnRule, Tag(OWN)],
    Discriminator(kind_of),
]


class Breakers(Table):
    """One table a rule: `blind`, which is always on, and those that their tables turn on."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AnyRule]

    blind: Blind = Field(default_factory=Blind)

    @property
    def rules(self) -> Mapping[str, Rule]:
        """By name, in the order of the file."""
        return dict(self.__pydantic_extra__)

    @model_validator(mode="before")
    @classmethod
    def _each_with_its_rule(cls, tables: Any) -> Any:
        if not isinstance(tables, Mapping):
            return tables
        return {name: table if name == "blind" else _with_rule(name, table) for name, table in tables.items()}


def _with_rule(name: str, table: Any) -> Any:
    """The table, saying which rule it is of. Raises Refused."""
    key = f"breakers.{name}"
    if name in _ALWAYS_ON:
        raise Refused(key, _ALWAYS_ON[name])
    if isinstance(table, Rule):
        return table
    if not isinstance(table, Mapping):
        raise Refused(key, f"write it as a table, [breakers.{name}], with its keys below")
    if not re.fullmatch(_NAME, name):
        raise Refused(key, "it is not a rule's name: use small letters, digits, - and _")
    if OWN in table:
        return _own(key, name, table)
    rule = table.get("rule", name)
    if rule in _ALWAYS_ON or rule == "blind":
        raise Refused(f"{key}.rule", f"there is only one {rule!r}, and it is always on: take the table out")
    if rule not in RULES:
        raise Refused(key if "rule" not in table else f"{key}.rule", _unknown(rule))
    if name in RULES and rule != name:
        raise Refused(f"{key}.rule", f"a table named {name} is of the rule {name}: give it another name")
    return {**table, "rule": rule}


def _own(key: str, name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    if name in RULES:
        raise Refused(key, f"{name} is a rule of this program: give yours another name")
    for word in ("rule", "name", "clock"):
        if word in table:
            raise Refused(f"{key}.{word}", "a rule of your own can't be given that: take it out")
    return table


def _unknown(rule: object) -> str:
    near = difflib.get_close_matches(str(rule), RULES, n=1)
    meant = f'perhaps write "{near[0]}", or rule = "{near[0]}" below a name of yours' if near else _ANY_RULE
    return f'there is no rule {rule!r}: {meant}, or class = "package.module:Class" for one of your own'


_ANY_RULE = f"write rule = one of {', '.join(RULES)}"
