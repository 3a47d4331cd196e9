"""What the documents say can be done, can be done."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer._click.exceptions import ClickException

from risk_daemon.cli import app
from risk_daemon.errors import ExitCode
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog

ROOT = Path(__file__).resolve().parents[2]
README, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "operations.md"
DOCUMENTS = (README, ROOT / "CHANGELOG.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
INSTALLED = "/opt/risk-daemon/"
COMMAND = typer.main.get_command(app)

of_each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


# --- command lines ---------------------------------------------------------------------------------


def blocks(document: Path, kind: str = r"\w*") -> list[str]:
    return re.findall(rf"^ *```{kind}\n(.*?)^ *```", document.read_text(), re.DOTALL | re.MULTILINE)


def spans(document: Path) -> list[str]:
    """What stands between single backquotes."""
    text = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.replace("\\|", "|").split()) for span in re.findall(r"`([^`]+)`", text)]


def typed(document: Path) -> list[list[str]]:
    """The command lines of its blocks, as words without the program's name; `guard` is the page's own shorthand."""
    lines = [shlex.split(line, comments=True) for block in blocks(document, "sh") for line in plain(block).splitlines()]
    return [words[1:] for words in lines if words and words[0].rpartition("/")[2] in ("risk-daemon", "guard")]


def plain(block: str) -> str:
    """Without shell functions, each command on one line."""
    return re.sub(r"^\w+\(\) \{\n.*?^\}\n", "", block, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")


def named(document: Path) -> list[list[str]]:
    """The commands that its sentences name, with as many options as they do."""
    lines = [words for span in spans(document) if (words := re.sub(r"[][]", "", span).split())]
    full = [words[1:] for words in lines if words[0].rpartition("/")[2] in ("risk-daemon", "guard") and words[1:]]
    short = [words for words in lines if words[0] in COMMAND.commands and any(w.startswith("--") for w in words)]
    return full + short


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that `words` begin with, and the rest of them."""
    command: Any = COMMAND
    while hasattr(command, "commands"):
        if not words and command.invoke_without_command:
            break
        assert words, f"{command.name} wants one of {', '.join(command.commands)}"
        if words[0].startswith("--"):  # an option of the program itself
            break
        assert words[0] in command.commands, f"{words[0]}: one of {', '.join(command.commands)}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def wrong_with(words: list[str]) -> str:
    """Why the program would refuse a command line; empty where it takes it."""
    try:
        command, rest = command_of(words)
        command.make_context(words[0], list(rest), resilient_parsing=not rest and hasattr(command, "commands"))
    except (AssertionError, ClickException) as error:
        return str(error) or type(error).__name__
    return ""


@of_each_document
def test_every_command_line_is_one_the_program_takes(document: Path) -> None:
    lines = typed(document)
    assert lines or document not in (README, OPERATIONS)
    assert {" ".join(words): wrong for words in lines if (wrong := wrong_with(words))} == {}


@of_each_document
def test_every_command_and_option_named_exists(document: Path) -> None:
    for words in named(document):
        if len(words) == 1 and words[0] in COMMAND.commands:
            continue
        command, rest = command_of(words)
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= options, words
    options = {word for span in spans(document) for word in [span.split()[0]] if re.fullmatch(r"--[a-z-]+", word)}
    assert options <= every_option(), document


def every_option() -> set[str]:
    groups = [getattr(command, "commands", {name: command}) for name, command in COMMAND.commands.items()]
    commands = [COMMAND, *(command for group in groups for command in group.values())]
    return {option for command in commands for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(
    "line",
    [
        "chek --explain",
        "check --explian",
        "reset --reason x",
        "reset --reason x --rebaseline curent",
        "tail -n many",
        "token make --role bot",
        "token create --role boss",
        "token",
        "halt",
        "verify-log now",
    ],
)
def test_a_line_the_program_refuses_is_found(line: str) -> None:
    assert wrong_with(line.split())


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        code = "\n".join([*blocks(document, "sh"), *spans(document)])
        assert set(re.findall(r"(?:^|&& )make (?:-C \S+ )?([a-z-]+)", code, re.MULTILINE)) <= targets, document
    assert re.findall(r"^make (\w+)", blocks(README, "sh")[0], re.MULTILINE) == ["demo", "test"]


# --- links, paths, numbers -------------------------------------------------------------------------


def anchors(document: Path) -> set[str]:
    """What a heading is called in a link: small letters, words joined by hyphens, no other signs."""
    text = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@of_each_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if "://" not in link:
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@of_each_document
def test_paths_lead_somewhere(document: Path) -> None:
    rooms = "risk_daemon|adapters|oms|tests|docs|deploy|examples|benchmarks"
    paths = {span.partition("::")[0] for span in spans(document) if re.match(rf"({rooms})/[^ <]*$", span)}
    installed = re.findall(rf"{INSTALLED}(?!\.venv)([\w./@-]+)", document.read_text())
    for path in {*paths, *installed}:
        assert (ROOT / path).exists(), path


def test_a_heading_that_is_gone_is_found() -> None:
    assert {"after-a-trip", "exit-codes"} <= anchors(OPERATIONS)
    assert "venuesname" in anchors(ROOT / "docs" / "configuration.md")
    assert "guard" not in anchors(OPERATIONS), "a comment in a block is no heading"


@pytest.mark.parametrize("document", [README, OPERATIONS], ids=lambda path: path.name)
def test_the_exit_codes_are_all_there(document: Path) -> None:
    rows = re.findall(r"^\| (\d+) \|", document.read_text(), re.MULTILINE)
    assert [int(code) for code in rows] == [int(code) for code in ExitCode]


def test_the_five_lines_verify_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```python\n(import hashlib.*?)```", OPERATIONS.read_text(), re.DOTALL)
    assert found is not None
    log = EventLog.open(tmp_path / "events.jsonl", max_bytes=300)
    for number in range(5):
        log.append(RiskEvent(EventName.PORTFOLIO_UPDATE, {"equity": str(number)}), 1.0)
    log.close()
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(found[1], names)
    assert names["prev"] == log.head
    piece = tmp_path / "events.000001.jsonl"
    piece.write_text(piece.read_text().replace('"1"', '"7"'))
    with pytest.raises(AssertionError):
        exec(found[1], {})
