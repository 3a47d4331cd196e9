"""docs/requirements.md: every row of the source documents with its tests, or why it is different, or what it waits for.

    python -m tests.seeds.requirements      writes it

A test whose name begins with a row's id, `test_004_03_...`, is a test of that row; tests elsewhere are named by the
row. `problems` says what is wrong with the rows, `text` is the page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.seeds import rows_000, rows_001, rows_002, rows_003, rows_004, rows_card
from tests.seeds.row import PARTS, Document, Row

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "requirements.md"
DOCUMENTS: tuple[Document, ...] = tuple(
    module.DOCUMENT for module in (rows_000, rows_001, rows_002, rows_003, rows_004, rows_card)
)

_NAMED = re.compile(r"test_(\d{3}|card)_(\d{2})_\w+")
_SECTION = re.compile(r"\d+(\.\d)?: \S")
_NOT_RUN = ("skip", "skipif", "xfail")

DONE, DIFFERENT, TO_COME = "done", "different", "to come"

_HEAD = """# What was asked for

Six documents asked for this system: a phase plan (000), a patch set (001), a summary of an implementation in Rust
(002), a story (003), a guide (004) and a card (packages, layout, the chain from breach to exit, who uses it). Here is
every row that they ask for, in short, and what stands for it.

*done*: tested as asked. *different*: the design settles it in another way, with its section. *to come*: missing, or
missing in part; tests named there are of the part that is there. A known fault (*to mend*) has a test that fails.

Tests without a path are in `tests/seeds/`. This page is made by `python -m tests.seeds.requirements`; a test fails
when it is not up to date, when a row has neither test nor reason, and when a test that is named does not exist.
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A test function. runs: it is neither skipped nor known to fail."""

    name: str
    runs: bool


# --- which tests there are -----------------------------------------------------------------------------


@cache
def evidence_in(file: Path) -> Mapping[str, Evidence]:
    """The tests of a file by their names as pytest has them, `TestClass::test_name`. Raises what opening it raises."""
    return dict(_found(ast.parse(file.read_text()).body))


def _found(body: Sequence[ast.stmt], prefix: str = "", runs: bool = True) -> Iterator[tuple[str, Evidence]]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_run = runs and not any(_forbids(decorator) for decorator in node.decorator_list)
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _found(node.body, f"{prefix}{node.name}::", is_run)
        elif not isinstance(node, ast.ClassDef) and node.name.startswith("test_"):
            yield prefix + node.name, Evidence(node.name, is_run)


def _forbids(decorator: ast.expr) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in _NOT_RUN for node in ast.walk(decorator))


def evidence_by_row(files: Iterable[Path]) -> dict[str, list[Evidence]]:
    """The tests named after a row, by its id."""
    found: dict[str, list[Evidence]] = {}
    for file in sorted(files):
        for test in evidence_in(file).values():
            named = _NAMED.fullmatch(test.name)
            if named is not None:
                found.setdefault(f"{named[1]}-{named[2]}", []).append(test)
    return found


def own_evidence() -> dict[str, list[Evidence]]:
    """Those of this directory."""
    return evidence_by_row(HERE.glob("test_*.py"))


# --- what is wrong with them ---------------------------------------------------------------------------


def problems(documents: Iterable[Document], named: Mapping[str, Sequence[Evidence]], root: Path = ROOT) -> list[str]:
    """What keeps the rows from being believed, a sentence each."""
    documents = tuple(documents)
    known = {row_id: row for document in documents for row_id, row in document.rows.items()}
    told = [f"{row_id}: {test.name} is named after a row that does not exist" for row_id, test in _strays(known, named)]
    told += [sentence for document in documents for sentence in _miscounted(document)]
    told += [
        f"{row_id}: {what}" for row_id, row in known.items() for what in _wrong_with(row, named.get(row_id, ()), root)
    ]
    return told + _twice(named)


def _strays(known: Mapping[str, Row], named: Mapping[str, Sequence[Evidence]]) -> Iterator[tuple[str, Evidence]]:
    return ((row_id, test) for row_id, tests in named.items() if row_id not in known for test in tests)


def _miscounted(document: Document) -> Iterator[str]:
    expected = [f"{document.name}-{number:02d}" for number in range(1, document.count + 1)]
    if list(document.rows) != expected:
        yield f"{document.name}: its rows are not {expected[0]} to {expected[-1]}, each once and in order"


def _wrong_with(row: Row, tests: Sequence[Evidence], root: Path) -> Iterator[str]:
    if not (row.different or row.to_come or row.also or tests):
        yield "it has neither a test nor a reason"
    if row.different and not _SECTION.match(row.different):
        yield f"the section of the design is missing: {row.different!r}"
    if row.to_come and not row.to_come.startswith(tuple(f"{part}: " for part in PARTS)):
        yield f"the part that brings it is missing: {row.to_come!r}"
    faulty = [test.name for test in tests if not test.runs]
    if faulty and not row.to_come:
        yield f"{faulty[0]} is skipped or known to fail, and nothing is said to be to come"
    if row.to_come.startswith("to mend: ") and not faulty:
        yield "a fault is to be mended, and no test fails for it"
    for node in row.also:
        yield from _wrong_with_node(node, root)


def _wrong_with_node(node: str, root: Path) -> Iterator[str]:
    path, _, name = node.partition("::")
    if not (root / path).is_file():
        yield f"{node}: there is no such file"
    elif name not in evidence_in(root / path):
        yield f"{node}: there is no such test"
    elif not evidence_in(root / path)[name].runs:
        yield f"{node}: it is skipped or known to fail"


def _twice(named: Mapping[str, Sequence[Evidence]]) -> list[str]:
    names = [test.name for tests in named.values() for test in tests]
    return [f"{name}: two tests have this name" for name in sorted({name for name in names if names.count(name) > 1})]


# --- the page ------------------------------------------------------------------------------------------


def state(row: Row) -> str:
    """The least that must be said of it."""
    return TO_COME if row.to_come else DIFFERENT if row.different else DONE


def text(documents: Iterable[Document], named: Mapping[str, Sequence[Evidence]]) -> str:
    """The page."""
    documents = tuple(documents)
    parts = [_HEAD, _summary(documents), *(_section(document, named) for document in documents)]
    return "\n".join(parts)


def _summary(documents: Sequence[Document]) -> str:
    lines = ["| | rows | done | different | to come |", "|---|---|---|---|---|"]
    rows = [(f"{document.name}, {document.title}", list(document.rows.values())) for document in documents]
    rows.append(("all", [row for _, some in rows for row in some]))
    for name, some in rows:
        counts = [sum(state(row) == kind for row in some) for kind in (DONE, DIFFERENT, TO_COME)]
        lines.append(f"| {name} | {len(some)} | {' | '.join(str(count) for count in counts)} |")
    return "\n".join(lines) + "\n"


def _section(document: Document, named: Mapping[str, Sequence[Evidence]]) -> str:
    lines = [f"## {document.name}: {document.title}", "", "| id | asked for | state | tests, or why not |"]
    lines.append("|---|---|---|---|")
    for row_id, row in document.rows.items():
        cells = (row_id, row.asks, state(row), "<br>".join(_told(row, named.get(row_id, ()))))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _told(row: Row, tests: Sequence[Evidence]) -> Iterator[str]:
    if row.different:
        yield f"design {row.different}"
    if row.to_come:
        yield row.to_come
    if row.note:
        yield f"({row.note})"
    yield from (f"`{test.name}`" if test.runs else f"`{test.name}` (fails)" for test in tests)
    yield from (f"`{node}`" for node in row.also)


if __name__ == "__main__":
    PAGE.write_text(text(DOCUMENTS, own_evidence()))
