"""What the commands share: the application, its options, how a result is shown and a person asked."""

from __future__ import annotations

import json
import sys
import termios
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from risk_daemon.cli import remote
from risk_daemon.cli.log_format import LogFormat
from risk_daemon.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.config.load import Settings

T = TypeVar("T")
Render = Callable[["Console", Mapping[str, Any]], None]

app = typer.Typer(
    name="risk-daemon",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the records.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where there is no terminal.")]
CONFIG = Path("config.toml")
_REASON_MAX = 1_000  # the daemon takes no longer one


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata

    try:
        version = metadata.version("risk-daemon")
    except metadata.PackageNotFoundError:
        version = "of a source tree, not installed"
    typer.echo(f"risk-daemon {version}")
    raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Stops everything when trading loses too much: cancels every open order on every venue and proves it."""


def load(config: Path) -> Settings:
    """The whole configuration, checked; secrets may follow. Raises ConfigError."""
    from risk_daemon.config.load import load as load_config
    from risk_daemon.config.secrecy import forbid_core_dumps

    forbid_core_dumps()
    return load_config(config)


def run_to_end(work: Coroutine[Any, Any, T], log_format: LogFormat = LogFormat.AUTO) -> T:
    """Run a coroutine on a loop of its own; the loop's library is loaded only now."""
    from risk_daemon.cli import loop

    return loop.run_to_end(work, log_format)


def console() -> Console:
    """A console for standard output."""
    from risk_daemon.cli import render

    return render.console()


def show(document: Mapping[str, Any], as_json: bool, render: Render) -> None:
    """Print a result. What is done is done: an output that can't be written changes no exit code."""
    out = console()
    try:
        if as_json:
            out.print(json.dumps(document, indent=2))
        else:
            render(out, document)
    except OSError as error:
        typer.echo(f"risk-daemon: the output could not be written: {error.strerror}", err=True)


def in_any_words(reason: str) -> str:
    """One line of what was said: nobody's halt fails for how it is worded."""
    printable = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(printable.split())[:_REASON_MAX] or "no reason was given"


def accepted(answer: remote.Answer) -> Mapping[str, Any]:
    """What the daemon answered. Raises UsageError where it refused."""
    if not answer.ok:
        raise UsageError(answer.detail)
    return answer.body


def confirm(word: str, yes: bool, consequence: str, look: Callable[[], object] = lambda: None) -> None:
    """Have a person type `word`. Raises UsageError for anything else, and where nobody can type.

    look: done before a person is asked; what it raises is said in place of the question.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{consequence} There is no terminal to confirm it on: give --yes")
    look()
    typer.echo(consequence)
    _forget_typed_ahead()
    if typer.prompt(f"Type {word} to go on", default="", show_default=False) != word:
        raise UsageError("not confirmed, nothing was changed")


def _forget_typed_ahead() -> None:
    """What was typed before the question was there is no answer to it."""
    with suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
