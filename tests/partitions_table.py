"""What happens when machines are cut from each other, measured, as a table in docs/scale.md.

python -m tests.partitions_table            plays every failure, half an hour, and writes each line of the table anew
python -m tests.partitions_table "kill -9"  those whose line begins with a cell that has these words
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.e2e.harness import ROOT
from tests.namespaces import CannotBeMade, Network
from tests.partition_cases import BOT, CASES, HOLDER, OTHER, Case, Who
from tests.partitions import Outcome, play

PAGE = ROOT / "docs" / "scale.md"
BEGIN = "<!-- python -m tests.partitions_table: begin -->\n"
END = "<!-- end -->\n"
_HEAD = (
    "what fails",
    "board",
    "what opened",
    "what was lost",
    "shut after",
    "the other opens after",
    "open meanwhile for",
    "open again after its end",
    "a loss meanwhile shuts after",
    "and is proven meanwhile by",
)
_SHORT = {HOLDER: "the one", OTHER: "the other", BOT: "bots"}


def cells(case: Case, outcome: Outcome) -> tuple[str, ...]:
    """Of a line of the table."""
    shut = ", ".join(f"{_SHORT[who]} {_seconds(outcome.shut_s[who])}" for who in _SHORT if who in outcome.shut_s)
    return (
        case.name,
        str(case.board),
        "; ".join(outcome.opened) or "nothing",
        "; ".join(outcome.lost) or "nothing",
        shut or "stays open",
        "" if outcome.takeover_s is None else _seconds(outcome.takeover_s),
        _names(outcome.open_then),
        _seconds(outcome.healed_s),
        _seconds(outcome.closing_s),
        _names(outcome.proven),
    )


def _seconds(taken: float) -> str:
    return f"{taken:.1f} s"


def _names(who: frozenset[Who]) -> str:
    return ", ".join(_SHORT[one] for one in _SHORT if one in who) or "nobody"


def lines_in(page: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """The cells of its table, by failure and place of the board."""
    rows = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    split = [tuple(cell.strip() for cell in row[1:-1].split("|")) for row in rows]
    return {(one[0], one[1]): one for one in split}


def with_line(page: str, line: tuple[str, ...]) -> str:
    """The page with this line in its table, in the order of the failures."""
    lines = lines_in(page) | {(line[0], line[1]): line}
    ordered = [lines[key] for case in CASES if (key := (case.name, str(case.board))) in lines]
    before, _, rest = page.partition(BEGIN)
    rows = [_HEAD, ("---",) * len(_HEAD), *ordered]
    table = "".join(f"| {' | '.join(one)} |\n" for one in rows)
    return f"{before}{BEGIN}{table}{END}{rest.partition(END)[2]}"


def played(case: Case) -> Outcome:
    """On machines of its own. Ends the program where none can be made."""
    try:
        network = Network()
    except CannotBeMade as error:
        raise SystemExit(f"no network namespace can be made here: {error}") from error
    try:
        return play(network, case)
    finally:
        network.close()


def main(words: Sequence[str]) -> None:
    for case in CASES:
        if not words or any(word in case.name for word in words):
            line = cells(case, played(case))
            sys.stdout.write(f"{' | '.join(line)}\n")
            sys.stdout.flush()
            PAGE.write_text(with_line(PAGE.read_text(), line))


if __name__ == "__main__":
    main(sys.argv[1:])
