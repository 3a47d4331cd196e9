"""Tables of the past: CSV, compressed or not. What can't be read is refused with its line.

    time,equity                             one curve
    time,asset,price                        prices in the reference currency, valued by holdings
    time,symbol,open,high,low,close         candles, such as those of examples/history; what else stands there is left

Times are ISO 8601 or Unix seconds, all of a file written in one way and in one zone; without a zone they are UTC.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from risk_daemon.errors import UsageError
from risk_daemon.model.units import finite

EQUITY, PRICES, CANDLES = (
    ("time", "equity"),
    ("time", "asset", "price"),
    ("time", "symbol", "open", "high", "low", "close"),
)
_OLDEST, _NEWEST = 946_684_800.0, 4_102_444_800.0  # the years 2000 to 2100
_LONGEST_CELL = 40


class BadLine(Exception):
    """What is wrong with a line, in words."""


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices of one symbol from `wall` on."""

    wall: float
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(slots=True)
class Table:
    """What was read: one of these is not empty. prices, candles: by asset or symbol."""

    equity: list[tuple[float, Decimal]] = field(default_factory=list)
    prices: dict[str, list[tuple[float, Decimal]]] = field(default_factory=dict)
    candles: dict[str, list[Candle]] = field(default_factory=dict)


def read_table(path: Path) -> Table:
    """Raises UsageError, a sentence with file and line."""
    table = Table()
    number = 1
    try:
        with _opened(path) as file:
            rows = csv.reader(file, strict=True)
            head = [name.strip().lower() for name in next(rows, [])]
            take = _taker(head, table)
            number = 2
            for row in rows:
                number = rows.line_num
                if row:
                    take(_cells(head, row))
                number += 1  # the next one may be what can't be read
    except BadLine as error:
        raise UsageError(f"{path}: line {number}: {error}") from None
    except csv.Error as error:
        raise UsageError(f"{path}: line {number}: it is not text with commas: {error}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: line {number}: the file is damaged, or was cut: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: it can't be read: {error.strerror or error}") from None
    if not (table.equity or table.prices or table.candles):
        raise UsageError(f"{path}: line {number}: there is nothing below the names of the columns")
    return table


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        yield file


def _taker(head: Sequence[str], table: Table) -> Callable[[Mapping[str, str]], None]:
    """What takes a row of such a table in."""
    if len(set(head)) < len(head):
        raise BadLine("two columns have the same name")
    clock = Clock()
    for columns, take in ((CANDLES, _take_candle), (PRICES, _take_price), (EQUITY, _take_equity)):
        if set(columns) <= set(head):
            return lambda row: take(row, clock, table)
    ways = ", or ".join(",".join(columns) for columns in (EQUITY, PRICES, CANDLES))
    found = ",".join(head)[:_LONGEST_CELL] or "nothing"
    raise BadLine(f"the names of the columns belong there: {ways}; there is {found!r}")


def _cells(head: Sequence[str], row: Sequence[str]) -> Mapping[str, str]:
    if len(row) != len(head):
        raise BadLine(f"it has {len(row)} columns, and the first line names {len(head)}")
    return {name: cell.strip() for name, cell in zip(head, row, strict=True)}


def _take_equity(row: Mapping[str, str], clock: Clock, table: Table) -> None:
    wall = clock.read(row["time"])
    _check_later(table.equity[-1][0] if table.equity else None, wall, row)
    table.equity.append((wall, _number(row, "equity")))


def _take_price(row: Mapping[str, str], clock: Clock, table: Table) -> None:
    wall, rows = clock.read(row["time"]), table.prices.setdefault(_name(row, "asset"), [])
    _check_later(rows[-1][0] if rows else None, wall, row)
    rows.append((wall, _price(row, "price")))


def _take_candle(row: Mapping[str, str], clock: Clock, table: Table) -> None:
    wall, rows = clock.read(row["time"]), table.candles.setdefault(_name(row, "symbol"), [])
    _check_later(rows[-1].wall if rows else None, wall, row)
    candle = Candle(wall, *(_price(row, name) for name in CANDLES[2:]))
    if not candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high:
        raise BadLine("open and close do not lie between low and high: are columns swapped?")
    rows.append(candle)


def _check_later(before: float | None, wall: float, row: Mapping[str, str]) -> None:
    if before is not None and wall <= before:
        raise BadLine(f"{row['time']} is not later than the time before it: sort the rows, and take out doubles")


def _name(row: Mapping[str, str], column: str) -> str:
    name = row[column]
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()) or name.isdigit():
        raise BadLine(f"the {column} is {_short(name)}, which is no name: are columns swapped?")
    return name.upper()


def _number(row: Mapping[str, str], column: str) -> Decimal:
    try:
        return finite(row[column])
    except ValueError:
        hint = "where it is not known, leave the row out: that counts as a gap"
        raise BadLine(f"the {column} is {_short(row[column])}, which is no number: {hint}") from None


def _price(row: Mapping[str, str], column: str) -> Decimal:
    price = _number(row, column)
    if price <= 0:
        raise BadLine(f"the {column} is {_short(row[column])}: a price lies above zero")
    return price


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= _LONGEST_CELL else f"{cell[:_LONGEST_CELL]}...")


class Clock:
    """Reads the times of one file: the first row says how they are written, and in which zone."""

    def __init__(self) -> None:
        self._way: str | None = None

    def read(self, text: str) -> float:
        """Unix seconds. Raises BadLine."""
        wall, way = _unix(text) if _is_number(text) else _iso(text)
        if self._way not in (None, way):
            raise BadLine(f"the time {_short(text)} is {way}, and those before it were {self._way}: write all alike")
        self._way = way
        if not _OLDEST <= wall <= _NEWEST:
            raise BadLine(f"the time {_short(text)} is in the year {_year(wall)}: are columns swapped?")
        return wall


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unix(text: str) -> tuple[float, str]:
    wall = float(text)
    if wall != wall or abs(wall) == float("inf"):
        raise BadLine(f"the time is {text!r}")
    if wall > _NEWEST and _OLDEST <= wall / 1000 <= _NEWEST:
        raise BadLine(f"the time {text} is in milliseconds: write seconds")
    return wall, "in Unix seconds"


def _iso(text: str) -> tuple[float, str]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadLine(f"the time is {_short(text)}: write 2025-02-03T01:00:00Z or Unix seconds") from None
    offset = moment.utcoffset()
    if offset is None:
        return moment.replace(tzinfo=UTC).timestamp(), "without a zone"
    return moment.timestamp(), f"in the zone {moment:%z}"


def _year(wall: float) -> str:
    try:
        return str(datetime.fromtimestamp(wall, UTC).year)
    except (ValueError, OverflowError, OSError):
        return "of no calendar"
