"""Commands for the event log: read it, follow it, verify it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, console, show
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, StateError

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.state.event_log import LogLine, Verification
    from risk_daemon.state.log_anchor import Witness


@app.command()
def tail(
    config: ConfigFile = CONFIG,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as events come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many to begin with.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they stand in the log.")] = False,
) -> ExitCode:
    """The event log, for people."""
    from risk_daemon.state.event_log import Follower
    from risk_daemon.state.event_log import follow as followed

    path, is_there = _log(config)
    if not is_there and not follow:
        raise StateError(_no_log(path))
    if not is_there:
        typer.echo(f"risk-daemon: {_no_log(path)}; waiting for it", err=True)
    out, place = console(), Follower(path)
    print_lines(out, place.last(lines), as_json)
    try:
        for line in followed(path, after=place) if follow else ():
            print_lines(out, [line], as_json)
            if out.quiet:  # the reader of the pipe is gone
                return ExitCode.STOPPED
    except KeyboardInterrupt:
        return ExitCode.STOPPED
    finally:
        place.close()
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

    Over all pieces that it was cut into. That its last lines are missing, or its first, or that all of it was
    replaced, is seen by the state beside it, which knows how many lines were written, the hash of the last, and what
    retention removed. With or without a running daemon.
    """
    from risk_daemon.state import log_anchor

    path, is_there = _log(config)
    database = path.with_name("state.db")
    if explained is not None:
        log_anchor.explain(database, explained, operator_name(os.getuid()))
    known = log_anchor.witness(database)  # before the log, which only grows
    if not is_there:
        raise StateError(_no_log(path, known))
    found = _verified(path, known)
    if not found.ok and known is not None and (now := log_anchor.witness(database)) != known:
        known, found = now, _verified(path, now)  # retention removed a piece meanwhile
    cuts = [] if known is None else list(known.cuts)
    problem = found.problem if not found.ok else _cut(cuts)
    if problem is not None and not as_json:
        raise StateError(problem)
    anchor = None if known is None else known.anchor
    document = {
        "ok": problem is None,
        "lines": found.lines,
        "first": found.first,
        "pieces": found.pieces,
        "problem": problem,
        "problem_piece": found.problem_piece,
        "problem_line": found.problem_line,
        "torn": found.torn,
        "anchor": None if anchor is None else anchor.document(),
        "cuts": cuts,
    }
    show(document, as_json, lambda out, _: out.print(_whole(path, found, has_anchor=anchor is not None)))
    return ExitCode.STOPPED if problem is None else ExitCode.REFUSED


def _verified(path: Path, known: Witness | None) -> Verification:
    from risk_daemon.state.event_log import verify_log

    anchor = None if known is None else known.anchor
    if known is None or anchor is None:
        return verify_log(path, removed=None)
    return verify_log(path, anchor.seq, anchor.hash, known.removed)


def _whole(path: Path, found: Verification, *, has_anchor: bool) -> str:
    """What was verified, as a sentence."""
    pieces = f" in {found.pieces} pieces" if found.pieces > 1 else ""
    removed = f"; retention removed those before line {found.first}" if found.first > 1 and has_anchor else ""
    unknown = "at its end" if found.first == 1 else f"at its end, or before line {found.first},"
    end = "" if has_anchor else f"; whether lines are missing {unknown} is not known: no state tells of them"
    torn = "; the last line is half-written" if found.torn else ""
    return f"{path}: {found.lines} lines{pieces}, the chain is whole{removed}{torn}{end}."


def _cut(cuts: list[str]) -> str | None:
    """What earlier starts found; None for nothing."""
    if not cuts:
        return None
    return f"the log was cut before: {'; '.join(cuts)}; if that is explained: `risk-daemon verify-log --explained WHY`"


def _log(config: Path) -> tuple[Path, bool]:
    """The event log, and whether it is there. Raises ConfigError, and StateError where that can't be seen."""
    from risk_daemon.state.log_pieces import is_begun

    path = locate(config).state / "events.jsonl"
    try:
        return path, is_begun(path)
    except OSError as error:
        why = error.strerror
        raise StateError(f"{path}: the event log can't be read ({why}): try as the daemon's user, or root") from None


def _no_log(path: Path, known: Witness | None = None) -> str:
    if known is not None and known.anchor is not None and known.anchor.seq > 0:
        return f"{path}: the event log is gone, and {known.anchor.seq} lines of it were on disk: where did it go?"
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
