"""`make bench`: the numbers to hold, each as a ratio measured in this run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks import engine_rows, gate_rows, http_rows


def main() -> None:
    table = Table("what", "hold", "measured", title="numbers to hold")
    for part in (engine_rows, gate_rows, http_rows):
        for row in part.rows():
            table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
