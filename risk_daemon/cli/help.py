"""What `--help` shows is Typer's, mended: flags without `<bool>`, values by their names, nothing taken for markup,
paragraphs that break where the terminal ends, examples below, and the commands in groups.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer._click.core import Command
from typer.core import TyperArgument

from risk_daemon.cli.examples import EXAMPLES, OTHERS, PANELS

# What rich takes for markup: in a help it is a table of the configuration.
_MARKUP = re.compile(r"(?<!\\)\[(?=[a-z#/@][^\[\]]*\])")
_NO_NAME = ("<str>", "<int range>", "<int>", "<path>")


def made_readable(command: Command, name: str = "") -> Command:
    """The command with everything below it. name: as it is typed."""
    context = typer.Context(command)
    for parameter in command.get_params(context):
        _name_value(parameter, context)
    command.help = "\n\n".join(map(_unbroken, _plain(command.help or "").split("\n\n")))
    examples = EXAMPLES.get(name, ())
    if examples:
        lines = (f"risk-daemon {line}" for line in examples)
        command.epilog = "\n\n".join(("For example:", "\n".join(f"  {_plain(line)}" for line in lines)))
    if not name:
        _group(command)
    for inner_name, inner in getattr(command, "commands", {}).items():
        made_readable(inner, f"{name} {inner_name}".strip())
    return command


def _group(command: Any) -> None:
    """What is typed every day comes first; what has no place yet, last."""
    order = {name: number for number, name in enumerate(PANELS)}
    command.commands = dict(sorted(command.commands.items(), key=lambda item: order.get(item[0], len(order))))
    for name, inner in command.commands.items():
        inner.rich_help_panel = PANELS.get(name, OTHERS)


def _name_value(parameter: Any, context: typer.Context) -> None:
    """`--venue VENUE`, not `--venue <str>`; a flag takes no value, and an argument's name says it all."""
    if getattr(parameter, "help", None):
        parameter.help = _plain(parameter.help)
    if isinstance(parameter, TyperArgument):
        parameter.display_type_rich = lambda **_: None  # type: ignore[method-assign]
    elif getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    elif parameter.display_type_rich(ctx=context) in _NO_NAME:
        parameter.metavar = str(parameter.opts[0]).lstrip("-").upper()


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\[", text)


def _unbroken(paragraph: str) -> str:
    """One line, whatever the source's width; what is indented is a list and keeps its lines."""
    return paragraph if re.search(r"^ ", paragraph, re.MULTILINE) else " ".join(paragraph.split())
