"""The commands. Each returns its exit code; what it needs is imported when it runs.

Reading and halting need neither the whole configuration nor ccxt, so they answer at once. Errors are raised
as sentences, and `__main__` prints them. A `--json` output is one JSON document on standard output.
"""

from __future__ import annotations

from typing import cast

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError

from risk_daemon.cli import guarding, logs, migrating, operating, tokens, translating
from risk_daemon.cli.common import app
from risk_daemon.errors import ExitCode, UsageError

__all__ = ["app", "guarding", "logs", "main", "migrating", "operating", "tokens", "translating"]


def main(arguments: list[str]) -> ExitCode:
    """Run one command. Raises RiskDaemonError; a wrong command line is a UsageError."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("risk-daemon", list(arguments)) as context:
            return cast(ExitCode, command.invoke(context))
    except typer.Exit as stop:  # --help, --version
        return ExitCode.STOPPED if stop.exit_code == 0 else ExitCode.REFUSED
    except typer.Abort:
        raise UsageError("given up, nothing was changed") from None
    except NoArgsIsHelpError as error:
        typer.echo(error.format_message())
        return ExitCode.REFUSED
    except ClickException as error:
        raise UsageError(f"{' '.join(error.format_message().split())} (see `risk-daemon COMMAND --help`)") from None
