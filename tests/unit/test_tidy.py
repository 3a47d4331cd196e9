"""The house's style, as a test: every message says what to do instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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


def product_files() -> list[Path]:
    return sorted(path for package in PRODUCT for path in (ROOT / package).rglob("*.py"))


def all_files() -> list[Path]:
    return product_files() + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "examples").rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


@pytest.mark.parametrize("path", all_files(), ids=name)
def test_functions_are_short(path: Path) -> None:
    for function in functions(parsed(path)):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        assert lines <= LINES_A_FUNCTION, f"{name(path)}:{function.lineno} {function.name} has {lines} lines: split it"


@pytest.mark.parametrize("path", product_files(), ids=name)
def test_files_are_short(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= LINES_A_FILE or name(path) in LONG_FILES, f"{name(path)} has {lines} lines: split it by idea"


@pytest.mark.parametrize("path", product_files(), ids=name)
def test_banned_calls(path: Path) -> None:
    if name(path) in ("risk_daemon/clock.py", "risk_daemon/__main__.py"):
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and called(node) in BANNED_CALLS:
            pytest.fail(f"{name(path)}:{node.lineno} {called(node)}: {BANNED_CALLS[called(node)]}")


@pytest.mark.parametrize("path", product_files(), ids=name)
def test_invariants_are_raised_not_asserted(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        assert not isinstance(node, ast.Assert), f"{name(path)}:{node.lineno}: `python -O` drops assert; use check()"


@pytest.mark.parametrize("path", product_files(), ids=name)
def test_broad_handlers_raise_or_give_a_value(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        where = f"{name(path)}:{node.lineno}"
        if name(path) != "risk_daemon/__main__.py":  # the last resort goes on whatever fails
            is_empty = all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
            assert not is_empty, f"{where}: an exception is swallowed: turn it into a value or raise it"
        broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        answers = any(isinstance(inner, ast.Raise | ast.Return | ast.Assign | ast.Call) for inner in ast.walk(node))
        assert not broad or answers, f"{where}: a broad handler must raise or give a value"


@pytest.mark.parametrize("path", all_files(), ids=name)
def test_nothing_is_left_to_do(path: Path) -> None:
    if path == Path(__file__):
        return
    for mark in ("TO" + "DO", "FIX" + "ME", "XX" + "X"):
        assert mark not in path.read_text(), f"{name(path)}: {mark}: do it, or open an issue"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=name)
def test_tests_wait_for_the_thing(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and called(node) in ("time.sleep", "asyncio.sleep"):
            first = node.args[0] if node.args else None
            fixed = isinstance(first, ast.Constant) and first.value not in (0, 0.0)
            assert not fixed, f"{name(path)}:{node.lineno}: a test sleeps: wait for the thing instead"


@pytest.mark.parametrize("path", product_files(), ids=name)
def test_modules_say_what_they_are_for(path: Path) -> None:
    tree = parsed(path)
    if tree.body:
        assert ast.get_docstring(tree), f"{name(path)}: begin with one sentence that says what it is for"
