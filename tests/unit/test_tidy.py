"""The house's style, as a test: every message says what to do instead."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("risk_daemon", "adapters", "oms")
LINES_A_FUNCTION = 70
LINES_A_FILE = 500  # an alarm, no aim: a file ends where an idea ends

# Files that are longer, each with its reason. New ones are split instead.
LONG_FILES: dict[str, str] = {}

BANNED_CALLS = {
    "time.time": "take the time as an argument, or from a Clock",
    "time.monotonic": "take the time as an argument, or from a Clock",
    "datetime.now": "take the time as an argument, or from a Clock",
    "datetime.utcnow": "take the time as an argument, or from a Clock",
    "random.random": "inject randomness, so that a seed decides",
    "os.system": "start processes with asyncio.create_subprocess_exec",
    "print": "log with structlog, or write through rich's console",
}


# --- one rule for many files ------------------------------------------------------------------------


def product_files() -> list[Path]:
    return sorted(path for package in PRODUCT for path in (ROOT / package).rglob("*.py"))


def files_of_tests() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_*.py"))


def all_files() -> list[Path]:
    return product_files() + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "examples").rglob("*.py"))


@cache
def text(path: Path) -> str:
    return path.read_text()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(text(path), str(path))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def walked(path: Path, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, kinds))


def called(node: ast.Call) -> str:
    """`name` or `module.name`; anything else can't be banned."""
    of = node.func.value if isinstance(node.func, ast.Attribute) else None
    if isinstance(of, ast.Name) and isinstance(node.func, ast.Attribute):
        return f"{of.id}.{node.func.attr}"
    return node.func.id if isinstance(node.func, ast.Name) else ""


def functions_are_short(path: Path) -> Iterator[str]:
    for function in walked(path, ast.FunctionDef, ast.AsyncFunctionDef):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > LINES_A_FUNCTION:
            yield f"{function.lineno} {function.name} has {lines} lines: split it"


def files_are_short(path: Path) -> Iterator[str]:
    lines = text(path).count("\n")
    if lines > LINES_A_FILE and name(path) not in LONG_FILES:
        yield f"1 has {lines} lines: split it by idea"


def banned_calls(path: Path) -> Iterator[str]:
    if name(path) in ("risk_daemon/model/clock.py", "risk_daemon/__main__.py"):
        return
    for node in walked(path, ast.Call):
        if called(node) in BANNED_CALLS:
            yield f"{node.lineno} {called(node)}: {BANNED_CALLS[called(node)]}"


def invariants_are_raised_not_asserted(path: Path) -> Iterator[str]:
    for node in walked(path, ast.Assert):
        yield f"{node.lineno} `python -O` drops assert; use check()"


def broad_handlers_raise_or_give_a_value(path: Path) -> Iterator[str]:
    for node in walked(path, ast.ExceptHandler):
        is_empty = all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
        if is_empty and name(path) != "risk_daemon/__main__.py":  # the last resort goes on whatever fails
            yield f"{node.lineno} an exception is swallowed: turn it into a value or raise it"
        broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        answers = any(isinstance(inner, ast.Raise | ast.Return | ast.Assign | ast.Call) for inner in ast.walk(node))
        if broad and not answers:
            yield f"{node.lineno} a broad handler must raise or give a value"


def nothing_is_left_to_do(path: Path) -> Iterator[str]:
    for mark in ("TO" + "DO", "FIX" + "ME", "XX" + "X"):
        if mark in text(path):
            yield f"1 {mark}: do it, or open an issue"


def waits_are_for_the_thing(path: Path) -> Iterator[str]:
    for node in walked(path, ast.Call):
        first = node.args[0] if node.args else None
        fixed = isinstance(first, ast.Constant) and first.value not in (0, 0.0)
        if fixed and called(node) in ("time.sleep", "asyncio.sleep"):
            yield f"{node.lineno} a test sleeps: wait for the thing instead"


def modules_say_what_they_are_for(path: Path) -> Iterator[str]:
    if parsed(path).body and not ast.get_docstring(parsed(path)):
        yield "1 begin with one sentence that says what it is for"


Rule = Callable[[Path], Iterator[str]]

RULES: dict[Rule, Callable[[], list[Path]]] = {
    functions_are_short: all_files,
    files_are_short: product_files,
    banned_calls: product_files,
    invariants_are_raised_not_asserted: product_files,
    broad_handlers_raise_or_give_a_value: product_files,
    nothing_is_left_to_do: all_files,
    waits_are_for_the_thing: files_of_tests,
    modules_say_what_they_are_for: product_files,
}

BREAKS = {
    functions_are_short: "def f():\n" + "    f()\n" * 70,
    files_are_short: "\n" * 501,
    banned_calls: "import time\ntime.time()\n",
    invariants_are_raised_not_asserted: "assert 1\n",
    broad_handlers_raise_or_give_a_value: "try:\n    f()\nexcept Exception:\n    pass\n",
    nothing_is_left_to_do: "# TO" + "DO\n",
    waits_are_for_the_thing: "import time\ntime.sleep(1)\n",
    modules_say_what_they_are_for: "x = 1\n",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps(rule: Rule) -> None:
    files = RULES[rule]()
    assert len(files) > 50
    assert [f"{name(path)}:{what}" for path in files for what in rule(path)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_finds_what_breaks(rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(BREAKS[rule])
    assert len(list(rule(path))) >= 1
