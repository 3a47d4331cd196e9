"""`risk-daemon convert-risk-limits`: from a `risk_limits.json` to a config.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.common import app
from risk_daemon.errors import ExitCode, UsageError


@app.command("convert-risk-limits")
def convert_risk_limits(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The risk_limits.json.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write; nothing is overwritten.")
    ] = None,
) -> ExitCode:
    """Write a config.toml with the drawdown limit of a risk_limits.json, as a veto on simulated venues.

    What is missing there is disabled, and that is said; so is every key that is not converted.
    """
    from risk_daemon.cli import risk_limits

    limits = risk_limits.load_risk_limits(source)
    text = risk_limits.config_text(limits, source.name)
    if output is None:
        typer.echo(text, nl=False)
    else:
        _write(output, text)
    for sentence in risk_limits.remarks(limits):
        typer.echo(f"risk-daemon: {sentence}", err=True)
    return ExitCode.STOPPED


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path}: it is there already, and nothing is overwritten: choose another name") from None
    except OSError as error:
        raise UsageError(f"{path}: it can't be written ({error.strerror})") from None
