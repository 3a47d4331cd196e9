"""`make bench`: the numbers to hold, as ratios of one run where that is possible; also in benchmarks/results.json."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import engine_rows, gate_rows, http_rows
from benchmarks.rows import Row

RESULTS = Path(__file__).with_name("results.json")
_WORDS = {True: "hold", False: "[bold red]miss[/]", None: ""}


def main() -> None:
    """A miss is told and does not fail: on a busy machine it says little."""
    rows = [row for part in (engine_rows, gate_rows, http_rows) for row in part.rows()]
    RESULTS.write_text(json.dumps({"rows": [row.document() for row in rows]}, indent=1) + "\n")
    Console(width=120).print(_table(rows))


def _table(rows: list[Row]) -> Table:
    table = Table("what", "hold", "measured", "", title="numbers to hold")
    for row in rows:
        table.add_row(row.name, row.hold_at, f"{row.measured:,.4g} {row.unit}".strip(), _WORDS[row.held])
    return table


if __name__ == "__main__":
    main()
