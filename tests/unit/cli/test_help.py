"""The help of every command reads well on a terminal of 80 columns, and its examples are lines the program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from risk_daemon import cli
from risk_daemon.cli.examples import EXAMPLES, PANELS
from risk_daemon.cli.help import made_readable
from risk_daemon.errors import ExitCode

COMMAND: Any = made_readable(typer.main.get_command(cli.app))
# Ready-made for one occasion; what they take is a file of another program.
WITHOUT_EXAMPLE = {"convert-risk-limits", "convert-alert-env"}


def commands(command: Any = COMMAND, name: str = "") -> Iterator[tuple[str, Any]]:
    """Everything that can be typed, by how it is typed."""
    yield name, command
    for inner, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {inner}".strip())


ALL = dict(commands())
each = pytest.mark.parametrize("name", ALL, ids=lambda name: name or "risk-daemon")


@pytest.fixture
def help_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("COLUMNS", "80")

    def asked(name: str) -> str:
        assert cli.main([*name.split(), "--help"]) is ExitCode.STOPPED
        return capsys.readouterr().out

    return asked


@each
def test_no_line_is_wider_than_the_terminal(name: str, help_of: Any) -> None:
    assert [line for line in help_of(name).splitlines() if len(line) > 80] == []


@each
def test_every_option_and_argument_says_what_it_is(name: str) -> None:
    told = {parameter.name: getattr(parameter, "help", None) for parameter in ALL[name].params}
    assert [option for option, text in told.items() if not text or not text.rstrip(")").endswith(".")] == []


@each
def test_no_value_is_called_by_its_type_and_what_is_needed_says_so(name: str, help_of: Any) -> None:
    text = help_of(name)
    assert re.findall(r"<(?:str|bool|int|int range|path|float)>", text) == []
    needed = sum(parameter.required for parameter in ALL[name].params)
    assert " ".join(text.split()).count("[required]") == needed


@each
def test_what_stands_in_brackets_is_no_markup(name: str, help_of: Any) -> None:
    source = " ".join((ALL[name].help or "").replace("\\[", "[").split())
    shown = " ".join(help_of(name).split())
    assert [table for table in re.findall(r"\[\w[\w.]*\]", source) if table not in shown] == []
    assert "``" not in shown


def test_a_table_of_the_configuration_is_shown() -> None:
    told = ALL["convert-alert-env"].help + ALL["warden break-glass"].help
    assert "\\[alerts.channels]" in told
    assert "\\[warden]" in told


# --- examples ------------------------------------------------------------------------------------------


def test_every_command_has_an_example_of_its_own() -> None:
    assert set(EXAMPLES) == set(ALL) - WITHOUT_EXAMPLE
    for name, lines in EXAMPLES.items():
        assert lines
        assert all(line.startswith(name) for line in lines), name


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_is_a_line_that_the_program_takes(line: str) -> None:
    words, command = shlex.split(line), COMMAND
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    command.make_context("x", words)


@pytest.mark.parametrize("name", ["", "halt", "token create"])
def test_examples_stand_below(name: str, help_of: Any) -> None:
    _, _, below = help_of(name).partition("For example:")
    assert [line.strip() for line in below.splitlines() if line.strip()] == [
        f"risk-daemon {line}" for line in EXAMPLES[name]
    ]


# --- groups --------------------------------------------------------------------------------------------


def test_every_command_has_its_place_and_the_daily_ones_come_first(help_of: Any) -> None:
    assert set(PANELS) == set(COMMAND.commands)
    text = help_of("")
    places = [text.index(f"\u2500 {panel} \u2500") for panel in dict.fromkeys(PANELS.values())]
    assert places == sorted(places)
    assert text.index(" run ") < text.index(" init ")
