"""The runbooks quote the program: what they say people see is what it says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from risk_daemon.errors import ExitCode
from risk_daemon.gate.restraints import Cause
from risk_daemon.model.breaker_types import CircuitBreakerType

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.name != "index.md")
PARTS = ["What you see", "What it means", "Are my orders gone?", "Now", "Don't", "How it ends"]
GAP = "\0"

of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@cache
def said() -> tuple[str, ...]:
    """Every text in the program, with a gap where a value is put in."""
    texts = []
    for path in sorted((ROOT / "risk_daemon").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"\{\w+\}", GAP, node.value))
    return tuple(texts)


def quoted(page: Path) -> list[str]:
    blocks = re.findall(r"```text\n(.*?)```", page.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def fragments(line: str) -> list[str]:
    """What stands between the values."""
    return [part for part in re.split(r"<\w+>", line) if len(part.strip(" .:()")) > 1]


def unsaid(line: str) -> list[str]:
    """The parts of a line that the program says nowhere, in one go or put together of two texts."""
    return [part for part in fragments(line) if not _is_said(part) and not _is_put_together(part)]


def _is_said(part: str) -> bool:
    return any(part in text for text in said())


def _is_put_together(part: str) -> bool:
    """A word that is a text of its own, such as for what happened, and then ` by` whom."""
    return any(part[:at] in said() and _is_said(part[at:]) for at in range(3, len(part) - 3))


@of_each_page
def test_every_line_that_is_quoted_is_one_that_the_program_says(page: Path) -> None:
    lines = quoted(page)
    assert lines or page.stem == "override"
    assert {line: parts for line in lines if (parts := unsaid(line))} == {}


def test_a_line_that_it_does_not_say_is_found() -> None:
    assert unsaid("Every order is proven gone, <count> were canceled (trip <id>).")
    assert not unsaid("Every order is proven gone, <count> were cancelled (trip <id>).")


@of_each_page
def test_each_page_answers_the_same_questions(page: Path) -> None:
    assert re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE) == PARTS
    now = page.read_text().partition("## Now")[2].partition("## Don't")[0]
    assert re.search(r"`guard [a-z]|^ *guard [a-z]|systemctl|sudo", now, re.MULTILINE), "a command"


@of_each_page
def test_every_event_and_key_that_is_named_exists(page: Path) -> None:
    names = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page.read_text()))
    source = "\n".join(path.read_text() for path in (ROOT / "risk_daemon").rglob("*.py"))
    assert {name for name in names if not re.search(rf"\b{name}\b", source)} == set()


def test_every_reason_for_a_shut_gate_that_is_a_state_has_its_page() -> None:
    """Rules and limits of single orders say themselves what is wrong; the others need a person to look."""
    index = (RUNBOOKS / "index.md").read_text()
    assert re.findall(r"\]\((\S+)\.md\)", index.replace("../operations.md", "")) != []
    assert {page.stem for page in PAGES} == set(re.findall(r"\]\(([\w-]+)\.md\)", index))
    for cause in (Cause.CONFIRMING, CircuitBreakerType.BLIND.cause, "unlistable:"):
        assert f"`{cause}`" in index
    everything = "\n".join(page.read_text() for page in PAGES)
    named = {int(code) for code in re.findall(r"exit code (\d+)|\b(?=(\d\d?): )", everything) for code in code if code}
    assert {1, 4, 70, 78} <= named <= {int(code) for code in ExitCode}
