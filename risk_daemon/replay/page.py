"""Replays as a page: docs/history.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from risk_daemon.model.units import percent
from risk_daemon.replay.outcome import Deed, Mark, Outcome

_HEAD = """# History

What every profile of `examples/profiles/` would have done on the days of `examples/history/`: real candles of one
minute, through the same engine as the guard's. Made by `make history`, which runs
`risk-daemon replay all --profile all --markdown`; `risk-daemon replay DAY --profile NAME` shows one of them in full.

The book is the same every time: 10,000 USDT, half of it kept, half of it spent in equal parts on everything the day
has a price of, and held. Within a minute the better price comes before the worse one, for all assets at once (see
[replay](replay.md)): so a fall is rather found than missed. *Saved* is against holding on, had everything been sold at
that moment; below zero, selling would have cost. A line that was frozen and tripped tells of the trip.
"""
_COLUMNS = ("profile", "first warning", "frozen", "tripped", "by", "equity then", "saved at the lowest", "at the end")


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The whole page."""
    names = list(dict.fromkeys(outcome.name for outcome in outcomes))
    sections = (_section([outcome for outcome in outcomes if outcome.name == name]) for name in names)
    return "\n".join((_HEAD, *sections))


def _section(outcomes: Sequence[Outcome]) -> str:
    first = outcomes[0]
    lowest = min(first.points, key=lambda point: point.value)
    assets = ", ".join(asset for asset in first.holdings if asset != first.reference)
    told = (
        f"{assets}: the book fell by {percent(first.worst_fall())} from a peak, was worth {_money(lowest.value)} at the"
        f" lowest ({_stamp(lowest.wall)}) and {_money(first.points[-1].value)} at the end."
    )
    rows = "".join(_row(*_cells(outcome)) for outcome in outcomes)
    return f"## {first.name}\n\n{told}\n\n{_row(*_COLUMNS)}{_row(*['---'] * len(_COLUMNS))}{rows}"


def _cells(outcome: Outcome) -> Sequence[str]:
    stop = outcome.trip or outcome.firsts(Deed.FROZE)
    saved = None if stop is None else outcome.saved(stop)
    money = ["", "", ""]
    if stop is not None and stop.equity is not None and saved is not None:
        money = [_money(stop.equity), _money(saved.to_lowest), _money(saved.to_end)]
    times = (_when(mark) for mark in (outcome.firsts(Deed.WARNED), outcome.firsts(Deed.FROZE), outcome.trip))
    return (outcome.profile, *times, "" if stop is None else stop.rule, *money)


def _when(mark: Mark | None) -> str:
    return "" if mark is None else _stamp(mark.wall)


def _stamp(wall: float) -> str:
    return f"{datetime.fromtimestamp(wall, UTC):%d %b %H:%M:%S}"


def _money(amount: Decimal) -> str:
    return f"{amount:,.0f}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"
