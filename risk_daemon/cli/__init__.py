"""The commands. Each returns its exit code; what it needs is imported when it runs.

Reading and halting need neither the whole configuration nor ccxt, so they answer at once. Errors are raised
as sentences, and `__main__` prints them. A `--json` output is one JSON document on standard output.
"""

from __future__ import annotations

import os
import sys
from typing import cast

import typer
from typer._click.core import Command, Context
from typer._click.exceptions import ClickException, NoArgsIsHelpError

from risk_daemon.cli import (
    alerts,
    broadcasting,
    fund,
    guarding,
    installing,
    logs,
    migrating,
    operating,
    positions,
    reloading,
    replaying,
    tokens,
    top,
    translating,
    venues,
    warden,
    watching,
)
from risk_daemon.cli.common import app
from risk_daemon.cli.help import made_readable
from risk_daemon.cli.whole import check_whole
from risk_daemon.errors import ExitCode, UsageError

__all__ = [
    "alerts",
    "app",
    "broadcasting",
    "fund",
    "guarding",
    "installing",
    "logs",
    "main",
    "migrating",
    "operating",
    "positions",
    "reloading",
    "replaying",
    "tokens",
    "top",
    "translating",
    "venues",
    "warden",
    "watching",
]

check_whole(app)

_NAME = "risk-daemon"
_HELP = "--help"
# What a shell sets when it asks what a line may go on with. It gives no arguments then, so `run` always runs.
_COMPLETE = "_RISK_DAEMON_COMPLETE"


def main(arguments: list[str]) -> ExitCode:
    """Run one command. Raises RiskDaemonError; a wrong command line is a UsageError."""
    command = made_readable(typer.main.get_command(app))
    try:
        with _context(command, arguments) as context:
            return cast(ExitCode, command.invoke(context))
    except typer.Exit as stop:  # --help, --version, completion
        return ExitCode.STOPPED if stop.exit_code == 0 else ExitCode.REFUSED
    except (BrokenPipeError, SystemExit):
        if _HELP not in arguments:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who reads `... --help | head` has seen enough
        return ExitCode.STOPPED
    except typer.Abort:
        raise UsageError("given up, nothing was changed") from None
    except NoArgsIsHelpError as error:
        typer.echo(error.format_message())
        return ExitCode.REFUSED
    except ClickException as error:
        raise UsageError(f"{' '.join(error.format_message().split())} (see `risk-daemon COMMAND --help`)") from None


def _context(command: Command, arguments: list[str]) -> Context:
    """The parsed command line. Raises typer.Exit where Typer's completion answered, which would end the process."""
    try:
        if not arguments and os.environ.get(_COMPLETE):
            command.main([], prog_name=_NAME)
        return command.make_context(_NAME, list(arguments))
    except SystemExit as end:
        raise typer.Exit(1 if end.code else 0) from None
