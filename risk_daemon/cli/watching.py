"""The command for a process that watches the guard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.common import CONFIG, ConfigFile, app, run_to_end
from risk_daemon.cli.log_format import LogFormat
from risk_daemon.errors import ExitCode


@app.command()
def watch(
    config: ConfigFile = CONFIG,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", metavar="DIR", help="Where it keeps what it owes; `watch` in the state directory."),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Of the lines on standard error; auto: for whoever reads them.")
    ] = LogFormat.AUTO,
) -> ExitCode:
    """Watch a guard from outside, and tell people when it is dead, silent, restarting, or can't tell them itself.

    It reads the state directory and needs no keys of any exchange; best as a user of its own (docs/operations.md).
    A configuration that is refused is told, and it goes on by the last good one.
    """
    from risk_daemon.app import watch as watching
    from risk_daemon.config.secrecy import forbid_core_dumps

    forbid_core_dumps()
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]  # systemd's
    own = directory or (Path(given) if given else None)
    return run_to_end(watching.watch(config, None if own is None else own.absolute()), log_format)
