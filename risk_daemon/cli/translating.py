"""`convert-risk-limits` and `convert-alert-env`: from another program's files to a config.toml."""

from __future__ import annotations

import os
from collections.abc import Mapping
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


@app.command("convert-alert-env")
def convert_alert_env(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The .env with SMTP_HOST, ALERT_EMAIL and the like.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write; nothing is overwritten.")
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option("--credentials", metavar="DIRECTORY", help="Where the secrets go; nothing is overwritten."),
    ] = None,
) -> ExitCode:
    """Turn the alerts of another program's .env into [alerts.channels] and credential files.

    Without --credentials the files are only named, and no secret is written anywhere.
    """
    import secrets

    from risk_daemon.cli import alert_env

    random = secrets.token_bytes(alert_env.SIGNING_KEY_BYTES)
    made = alert_env.converted(alert_env.load_alert_env(source), source.name, random)
    if output is not None and output.exists():
        raise _is_there(output)
    if credentials is not None:
        _write_credentials(credentials, made.credentials)
    if output is None:
        typer.echo(made.text, nl=False)
    else:
        _write(output, made.text)
    for sentence in (*made.remarks, *_where(made.credentials, credentials)):
        typer.echo(f"risk-daemon: {sentence}", err=True)
    return ExitCode.STOPPED


def _where(names: Mapping[str, str], directory: Path | None) -> list[str]:
    if not names:
        return []
    if directory is None:
        return [f"credentials are needed, and written with --credentials DIRECTORY: {', '.join(names)}"]
    return [f"written to {directory}, to be named in the unit by LoadCredential=: {', '.join(names)}"]


def _write_credentials(directory: Path, files: Mapping[str, str]) -> None:
    """Each for its owner's eyes only. All or, where one is there already, none."""
    taken = [name for name in files if (directory / name).exists()]
    if taken:
        raise UsageError(f"{directory}: {', '.join(taken)} is there already, and nothing is overwritten")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"{directory}: it can't be written ({error.strerror})") from None


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        raise UsageError(f"{path}: it can't be written ({error.strerror})") from None


def _is_there(path: Path) -> UsageError:
    return UsageError(f"{path}: it is there already, and nothing is overwritten: choose another name")
