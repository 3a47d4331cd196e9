"""`make bench`: the numbers to hold, as ratios of one run where that is possible; also in benchmarks/results.json.

`python -m benchmarks NAME...` measures some parts only, and leaves results.json as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import (
    engine_rows,
    gate_rows,
    http_rows,
    page_rows,
    process_rows,
    scale_rows,
    shared_rows,
    store_rows,
    sweep_rows,
    wire_rows,
)
from benchmarks.rows import Row

RESULTS = Path(__file__).with_name("results.json")
PARTS: dict[str, Callable[[], list[Row]]] = {
    "engine": engine_rows.rows,
    "gate": gate_rows.rows,
    "http": http_rows.rows,
    "wire": wire_rows.rows,
    "page": page_rows.rows,
    "sweep": sweep_rows.rows,
    "store": store_rows.rows,
    "process": process_rows.rows,
    "scale": scale_rows.rows,
    "shared": shared_rows.rows,
}
_WORDS = {True: "hold", False: "[bold red]miss[/]", None: ""}


def main(words: Sequence[str]) -> None:
    """Print each row as soon as its part is measured. A miss is told and does not fail: on a busy machine it says
    little.
    """
    names, console = chosen(words), Console(width=140, highlight=False)
    measured: list[Row] = []
    for name in names:
        console.print(f"[dim]{name}[/]")
        rows = PARTS[name]()
        for row in rows:
            console.print(line(row))
        measured += rows
    if len(names) == len(PARTS):
        RESULTS.write_text(json.dumps({"rows": [row.document() for row in measured]}, indent=1) + "\n")


def chosen(words: Sequence[str]) -> list[str]:
    """The parts to measure, in the order of PARTS; all where none is named. Ends the program on an unknown name."""
    unknown = [word for word in words if word not in PARTS]
    if unknown:
        raise SystemExit(f"there is no part {', '.join(unknown)}; known are {', '.join(PARTS)}")
    return [name for name in PARTS if name in words or not words]


def line(row: Row) -> str:
    """A row as it is printed: what, what was measured, what it should hold, and whether it does."""
    number = f"{row.measured:,.0f}" if row.measured >= 1_000 else f"{row.measured:.4g}"
    measured = f"{number} {row.unit}".strip()
    return f"  {row.name:<80}  {measured:>16}  {row.hold_at:>10}  {_WORDS[row.held]}".rstrip()


if __name__ == "__main__":
    main(sys.argv[1:])
