"""What `init` found, in tables: the worth of each venue, and what it consists of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from risk_daemon.cli.render import at_full_width, pairs
from risk_daemon.cli.words import UNKNOWN, amount, safe
from risk_daemon.model.units import plain

Cells = tuple[str | Text, ...]


def init_report(out: Console, report: Any) -> None:
    """What `init` found, an `InitReport`: the worth of each venue, what it consists of, and the whole."""
    equities = [(name, amount(equity)) for name, equity in report.venues]
    out.print(_figures(["Venue"], [f"Equity in {safe(report.reference)}"], equities))
    for table in _inventory(report.inventories, safe(report.reference)):
        out.print()
        out.print(at_full_width(out, table))
    for one in report.inventories:
        for orders in one.orders:
            if orders.count is None:
                out.print(f"Orders of {safe(one.venue)}, {safe(orders.scope)}: {safe(orders.reason)}", style="bold red")
    out.print()
    capital = "auto: the first baseline" if report.capital is None else amount(report.capital)
    rows = [("Equity", amount(report.equity)), ("Initial capital", capital), ("State directory", report.state_dir)]
    if report.difference_ratio is not None:
        rows.insert(2, ("Difference", f"{report.difference_ratio * 100:.2f} %"))
    out.print(pairs(rows))
    for warning in report.warnings:
        out.print(f"Warning: {safe(warning)}", style="yellow")


def _inventory(inventories: Iterable[Any], reference: str) -> Iterable[Table]:
    """Holdings, positions and orders of all venues."""
    holdings: list[Cells] = []
    positions: list[Cells] = []
    orders: list[Cells] = []
    for one in inventories:
        holdings += _of(one.venue, [(row.asset, plain(row.amount), amount(row.worth)) for row in one.holdings])
        if one.positions is not None:
            positions += _of(one.venue, [_position(row) for row in one.positions])
        orders += [(one.venue, row.scope, _count(row.count)) for row in one.orders]
    yield _figures(["Venue", "Asset"], ["Amount", f"Worth in {reference}"], holdings)
    if positions:
        yield _figures(["Venue", "Position"], ["Size", "Mark", f"Unrealised PnL in {reference}"], positions)
    if orders:
        yield _figures(["Venue", "Open orders"], ["Count"], orders)


def _of(venue: str, rows: list[Cells]) -> list[Cells]:
    """The rows of one venue. One that has none says so."""
    return [(venue, *row) for row in rows or [("none",)]]


def _position(row: Any) -> Cells:
    """Its size is in contracts, with what one of them is where that is not one unit."""
    of_one = "" if row.position.contract_size == 1 else f" x {plain(row.position.contract_size)}"
    mark = UNKNOWN if row.mark is None else plain(row.mark)
    return (row.position.symbol, f"{plain(row.position.quantity)}{of_one}", mark, amount(row.pnl))


def _figures(names: Iterable[str], figures: Iterable[str], rows: Iterable[Cells]) -> Table:
    """A table with its figures to the right."""
    table = Table(*names, box=None, pad_edge=False)
    for title in figures:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row))
    return table


def _count(count: int | None) -> Text:
    """A scope that could not be listed is not an empty one."""
    return Text("NOT LISTED", style="bold red") if count is None else Text(str(count))
