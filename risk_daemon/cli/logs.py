"""Commands for the event log: read it, follow it, verify it."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, console, show
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, StateError

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.state.event_log import LogLine


@app.command()
def tail(
    config: ConfigFile = CONFIG,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as events come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many to begin with.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they stand in the log.")] = False,
) -> ExitCode:
    """The event log, for people."""
    from risk_daemon.state import event_log

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
def verify_log(
    config: ConfigFile = CONFIG,
    explained: Annotated[
        str | None,
        typer.Option("--explained", metavar="WHY", help="Tell no more of the cuts found until now."),
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Recompute the event log's chain of hashes: was a line changed, removed, added or moved?

    That its last lines are missing, or all of it was replaced, is seen by the state beside it, which knows how many
    lines were written and the hash of the last. With or without a running daemon.
    """
    from risk_daemon.state import event_log, log_anchor

    path, is_there = _log(config)
    if not is_there:
        raise StateError(_no_log(path))
    database = path.with_name("state.db")
    if explained is not None:
        log_anchor.explain(database, explained, operator_name(os.getuid()))
    known = log_anchor.witness(database)  # before the log, which only grows
    anchor = None if known is None else known.anchor
    found = event_log.verify_log(path) if anchor is None else event_log.verify_log(path, anchor.seq, anchor.hash)
    cuts = [] if known is None else list(known.cuts)
    problem = found.problem if not found.ok else _cut(cuts)
    if problem is not None and not as_json:
        raise StateError(problem)
    document = {
        "ok": problem is None,
        "lines": found.lines,
        "problem": problem,
        "torn": found.torn,
        "anchor": None if anchor is None else anchor.document(),
        "cuts": cuts,
    }
    torn = "; the last line is half-written" if found.torn else ""
    end = "" if anchor is not None else "; whether lines are missing at its end is not known: no state tells of them"
    show(document, as_json, lambda out, _: out.print(f"{path}: {found.lines} lines, the chain is whole{torn}{end}."))
    return ExitCode.STOPPED if problem is None else ExitCode.REFUSED


def _cut(cuts: list[str]) -> str | None:
    """What earlier starts found; None for nothing."""
    if not cuts:
        return None
    return f"the log was cut before: {'; '.join(cuts)}; if that is explained: `risk-daemon verify-log --explained WHY`"


def _log(config: Path) -> tuple[Path, bool]:
    """The event log, and whether it is there. Raises ConfigError, and StateError where that can't be seen."""
    path = locate(config).state / "events.jsonl"
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
    from risk_daemon.cli import render

    for line in lines:
        if as_json:
            whole = {"seq": line.seq, "time": line.time, "event": line.event, **line.fields}
            out.print(json.dumps({**whole, "prev": line.prev, "hash": line.hash}, separators=(",", ":")))
        else:
            render.event(out, line.time, line.event, line.fields)
