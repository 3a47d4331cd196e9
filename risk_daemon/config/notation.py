"""How values are written in the configuration file, as types: `"5%"`, `"5000 USDT"`, `"10s"`, `"off"`.

A word such as "off" is None. Each type reads the file's notation and is printed in it again. Where a bare
number could mean two things, it is refused.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
)

from risk_daemon.model.units import finite, parse_duration, parse_money, parse_ratio, plain

ENVIRONMENT_PREFIX = "RISK_DAEMON_"
_AMOUNT = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Z0-9]{2,10})\s*$", re.ASCII)
_HOURS = re.compile(r"^\s*(\d\d:\d\d)\s*-\s*(\d\d:\d\d)\s*$")


class Refused(ValueError):
    """A refusal that names another key than the one pydantic was looking at."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def environment_name(venue: str) -> str:
    """How the environment variables of a venue's keys begin."""
    return ENVIRONMENT_PREFIX + re.sub(r"[^A-Z0-9]", "_", venue.upper())


def _positive_ratio(value: object) -> Decimal:
    if isinstance(value, str) and _AMOUNT.match(value):
        raise ValueError(f'{value!r} is money, and this is a ratio: write one such as "5%"')
    ratio = parse_ratio(value)
    if ratio == 0:
        raise ValueError(f'{value!r} is zero: write a ratio above it, such as "5%"')
    return ratio


@dataclass(frozen=True, slots=True)
class LossSize:
    """How much may be lost: `size` is an amount of `currency`, or without one a ratio of what it is measured from."""

    size: Decimal
    currency: str | None = None

    @property
    def ratio(self) -> Decimal | None:
        return self.size if self.currency is None else None

    @property
    def money(self) -> Decimal | None:
        return None if self.currency is None else self.size

    def __str__(self) -> str:
        return ratio_text(self.size) if self.currency is None else f"{plain(self.size)} {self.currency}"


def _loss_limit(value: object) -> LossSize:
    if isinstance(value, LossSize):
        return value
    amount = _AMOUNT.match(value) if isinstance(value, str) else None
    if amount is not None:
        return LossSize(parse_money(value), amount.group(2))
    if isinstance(value, str) and value.strip().endswith("%"):
        return LossSize(_positive_ratio(value))
    try:
        number = finite(value)
    except ValueError as error:
        raise ValueError(f'{error}: write a ratio such as "5%", or money such as "5000 USDT"') from None
    if number >= 1:
        percent = f'"{plain(number)}%" or ' if number < 100 else ""
        raise ValueError(f'{value} could be percent or money: write {percent}"{plain(number)} USDT"')
    return LossSize(_positive_ratio(value))


def _annual_ratio(value: object) -> Decimal:
    """An annualised ratio, which may well be above 1: then with its sign of percent."""
    is_percent = isinstance(value, str) and value.strip().endswith("%")
    try:
        ratio = finite(str(value).strip()[:-1]) / 100 if is_percent else finite(value)
    except ValueError:
        raise ValueError(f'{value!r} is not a ratio: write one such as "80%" or "150%"') from None
    if ratio <= 0:
        raise ValueError(f'{value!r} is not above zero: write a ratio such as "80%"')
    if ratio >= 1 and not is_percent and not isinstance(value, Decimal):
        raise ValueError(f'{value} could be percent or a ratio: write "{plain(ratio)}%" or "{plain(ratio * 100)}%"')
    return ratio


_COUNT_MAX = 1_000_000_000
_DAYS_MAX = 36_525


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a count: write a whole number from 1")
    if value > _COUNT_MAX:
        raise ValueError(f"it is more than there can be: write {_COUNT_MAX} at most")
    return value


def _quantity(value: object) -> Decimal:
    number = finite(value)
    if number <= 0:
        raise ValueError(f"{value!r} is not above zero")
    return number


def _positive_duration(value: object) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError(f'{value!r} is no time at all: write one above zero, such as "10s"')
    return seconds


def _or_word(word: str, parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """`parse`, with `word` read as None."""

    def read(value: object) -> Any:
        if value == word:
            return None
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "{word}"') from None

    return read


def _or_word_text(word: str, text: Callable[[Any], Any]) -> PlainSerializer:
    return PlainSerializer(lambda value: word if value is None else text(value), return_type=Any)


def ratio_text(ratio: Decimal) -> str:
    """`0.05` as `5%`."""
    return f"{plain(ratio * 100)}%"


def seconds_text(seconds: float) -> str:
    """`2.0` as `2s`, `0.25` as `250ms`."""
    return f"{seconds:.12g}s" if seconds >= 1 else f"{seconds * 1000:.12g}ms"


def _whole_days(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a number of days: write a whole number from 1")
    if value > _DAYS_MAX:
        raise ValueError(f'it is more than a hundred years: write "all", or {_DAYS_MAX} at most')
    return value


def _time_of_day(value: object) -> dt.time:
    if isinstance(value, dt.time) and (value.second, value.microsecond) == (0, 0):
        return value
    try:
        return dt.datetime.strptime(str(value), "%H:%M").time()  # noqa: DTZ007 - a time of day, no date
    except ValueError:
        raise ValueError(f'{value!r} is not a time of day: write "00:00"') from None


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of the day, over midnight where `end` is before `start`. `end` is not part of it."""

    start: dt.time
    end: dt.time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def _hours(value: object) -> Hours:
    if isinstance(value, Hours):
        return value
    match = _HOURS.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a span of the day: write "14:30-21:00"')
    hours = Hours(_time_of_day(match.group(1)), _time_of_day(match.group(2)))
    if hours.start == hours.end:
        raise ValueError(f"{value!r} begins where it ends: for the whole day take active_hours out")
    return hours


def time_zone(value: str) -> str:
    """`value`, if this machine knows such a time zone. Raises ValueError."""
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise ValueError(f'{value!r} is not a time zone: write a name such as "UTC"') from None
    return value


def listed(value: object) -> object:
    """A TOML list as a tuple; anything else as it is, for the next validator to refuse."""
    return tuple(value) if isinstance(value, list) else value


def _asset(value: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{1,20}", value):
        raise ValueError(f'{value!r} is not an asset: write its code in capitals, such as "USDT"')
    return value


Asset = Annotated[str, AfterValidator(_asset)]
Ratio = Annotated[Decimal, BeforeValidator(_positive_ratio), PlainSerializer(ratio_text)]
RatioOrOff = Annotated[
    Decimal | None, BeforeValidator(_or_word("off", _positive_ratio)), _or_word_text("off", ratio_text)
]
Money = Annotated[Decimal, BeforeValidator(parse_money), PlainSerializer(plain)]
MoneyOrAuto = Annotated[Decimal | None, BeforeValidator(_or_word("auto", parse_money)), _or_word_text("auto", plain)]
Limit = Annotated[LossSize, BeforeValidator(_loss_limit), PlainSerializer(str)]
AnnualRatio = Annotated[Decimal, BeforeValidator(_annual_ratio), PlainSerializer(ratio_text)]
Count = Annotated[int, BeforeValidator(_count)]
CountOrOff = Annotated[int | None, BeforeValidator(_or_word("off", _count)), _or_word_text("off", int)]
Quantity = Annotated[Decimal, BeforeValidator(_quantity), PlainSerializer(plain)]
ActiveSpan = Annotated[Hours, BeforeValidator(_hours), PlainSerializer(str)]
Seconds = Annotated[float, BeforeValidator(_positive_duration), PlainSerializer(seconds_text)]
SecondsOrNever = Annotated[
    float | None, BeforeValidator(_or_word("never", _positive_duration)), _or_word_text("never", seconds_text)
]
SecondsOrOff = Annotated[
    float | None, BeforeValidator(_or_word("off", _positive_duration)), _or_word_text("off", seconds_text)
]
DaysOrAll = Annotated[int | None, BeforeValidator(_or_word("all", _whole_days)), _or_word_text("all", int)]
TimeOfDay = Annotated[dt.time, BeforeValidator(_time_of_day), PlainSerializer(lambda moment: moment.strftime("%H:%M"))]


# --- tables and paths -----------------------------------------------------------------------------


class Table(BaseModel):
    """One table of the file. Defaults are validated too: a default may clash with a key that is set."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)


def as_written(text: object) -> Any:
    """A default in the file's notation: read and checked like a value that stands there."""
    return Field(default=text, validate_default=True)


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError('it is not a path: write a text such as "var"')
    return Path(value)


def _beside_the_file(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path())
    return Path(os.path.abspath(base / value))


def _is_there(value: Path) -> Path:
    """Where somebody else may not look, such as `watch`, whoever needs the file will be told."""
    with suppress(PermissionError):
        if not value.is_file():
            raise ValueError(f"there is no such file: {value}")
    return value


# Paths are absolute: a relative one is relative to the configuration file.
LocalPath = Annotated[Path, BeforeValidator(_path), AfterValidator(_beside_the_file)]
ExistingFile = Annotated[LocalPath, AfterValidator(_is_there)]
