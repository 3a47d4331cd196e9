"""Commands for the event log: read it, follow it, verify it."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from risk_daemon import control
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, console, show
from risk_daemon.errors import ExitCode, StateError

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.event_log import LogLine


@app.command()
def tail(
    config: ConfigFile = CONFIG,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as events come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many to begin with.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they stand in the log.")] = False,
) -> ExitCode:
    """The event log, for people."""
    from risk_daemon import event_log

    path, is_there = _log(config)
    if not is_there and not follow:
        raise StateError(_no_log(path))
    if not is_there:
        typer.echo(f"risk-daemon: {_no_log(path)}; waiting for it", err=True)
    seen, out = 0, console()
    if is_there:
        last = deque(event_log.read_log(path), maxlen=lines + 1)
        seen = last[-1].seq if last else 0
        print_lines(out, list(last)[-lines:] if lines else [], as_json)
    try:
        for line in event_log.follow(path) if follow else ():
            if line.seq > seen:
                print_lines(out, [line], as_json)
            if out.quiet:  # the reader of the pipe is gone
                return ExitCode.STOPPED
    except KeyboardInterrupt:
        return ExitCode.STOPPED
    return ExitCode.STOPPED


@app.command("verify-log")
def verify_log(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """Recompute the event log's chain of hashes: was a line changed, removed, added or moved?"""
    from risk_daemon import event_log

    path, is_there = _log(config)
    if not is_there:
        raise StateError(_no_log(path))
    found = event_log.verify_log(path)
    if not found.ok and not as_json:
        raise StateError(str(found.problem))
    document = {"ok": found.ok, "lines": found.lines, "problem": found.problem, "torn": found.torn}
    torn = "; the last line is half-written" if found.torn else ""
    show(document, as_json, lambda out, _: out.print(f"{path}: {found.lines} lines, the chain is whole{torn}."))
    return ExitCode.STOPPED if found.ok else ExitCode.REFUSED


def _log(config: Path) -> tuple[Path, bool]:
    """The event log, and whether it is there. Raises ConfigError, and StateError where that can't be seen."""
    path = control.locate(config).state / "events.jsonl"
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path, False
    except OSError as error:
        why = error.strerror
        raise StateError(f"{path}: the event log can't be read ({why}): try as the daemon's user, or root") from None
    return path, True


def _no_log(path: Path) -> str:
    return f"{path}: there is no event log yet: `risk-daemon run` begins it"


def print_lines(out: Console, lines: list[LogLine], as_json: bool) -> None:
    """Some lines of the log."""
    from risk_daemon import render

    for line in lines:
        if as_json:
            whole = {"seq": line.seq, "time": line.time, "event": line.event, **line.fields}
            out.print(json.dumps({**whole, "prev": line.prev, "hash": line.hash}, separators=(",", ":")))
        else:
            render.event(out, line.time, line.event, line.fields)
