"""What `--help` shows is Typer's, without `<bool>` behind flags; a paragraph breaks where the terminal ends."""

from __future__ import annotations

import re

import typer
from typer._click.core import Command


def made_readable(command: Command) -> Command:
    """The command with everything below it."""
    for option in command.get_params(typer.Context(command)):
        if getattr(option, "is_flag", False):
            option.metavar = ""  # it takes no value
    command.help = "\n\n".join(map(_unbroken, (command.help or "").split("\n\n")))
    for inner in getattr(command, "commands", {}).values():
        made_readable(inner)
    return command


def _unbroken(paragraph: str) -> str:
    """One line, whatever the source's width; what is indented is a list and keeps its lines."""
    return paragraph if re.search(r"^ ", paragraph, re.MULTILINE) else " ".join(paragraph.split())
