"""The commands. Each returns its exit code; what it needs is imported when it runs.

Reading and halting need neither the whole configuration nor ccxt, so they answer at once. Errors are raised
as sentences, and `__main__` prints them. A `--json` output is one JSON document on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError

from risk_daemon import control
from risk_daemon.errors import (
    CircuitBreakerError,
    ExitCode,
    StartUnavailable,
    StateError,
    UsageError,
    VenueError,
    VenueUnavailable,
)

T = TypeVar("T")

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.config import Settings
    from risk_daemon.event_log import LogLine

_SWEEP_TIMEOUT_S = 3_600.0  # the daemon's own deadline ends it sooner

app = typer.Typer(
    name="risk-daemon",
    help="Stops everything when trading loses too much: cancels every open order on every venue and proves it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the records.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where there is no terminal.")]
CONFIG = Path("config.toml")


class Rebaseline(StrEnum):
    """What losses are measured from after a reset."""

    KEEP = "keep"
    CURRENT = "current"


class MarketKind(StrEnum):
    """Which orders `cancel-all` cancels."""

    SPOT = "spot"
    PERP = "perp"


def main(arguments: list[str]) -> ExitCode:
    """Run one command. Raises RiskDaemonError; a wrong command line is a UsageError."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("risk-daemon", list(arguments)) as context:
            return cast(ExitCode, command.invoke(context))
    except typer.Exit as stop:  # --help
        return ExitCode.STOPPED if stop.exit_code == 0 else ExitCode.REFUSED
    except typer.Abort:
        raise UsageError("given up, nothing was changed") from None
    except NoArgsIsHelpError as error:
        typer.echo(error.format_message())
        return ExitCode.REFUSED
    except ClickException as error:
        raise UsageError(f"{' '.join(error.format_message().split())} (see `risk-daemon COMMAND --help`)") from None


# --- the guard -------------------------------------------------------------------------------------


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own; the loop's library is loaded only now."""
    from risk_daemon import runner

    return runner.run_to_end(work)


@app.command()
def run(config: ConfigFile = CONFIG) -> ExitCode:
    """Guard the accounts until stopped.

    Exit codes: 0 stopped, 1 triggered and every cancel proven, 4 triggered and not proven, 70 a bug (the lock
    is shut first), 75 a venue could not be reached at the first start ever, 78 refused.
    """
    settings = _load(config)
    from risk_daemon import service

    try:
        return run_to_end(service.run(settings))
    except KeyboardInterrupt:  # past the daemon's own handling: whether it was sweeping is unknown
        return ExitCode.TRIGGERED_UNPROVEN


@app.command()
def init(
    config: ConfigFile = CONFIG,
    yes: Yes = False,
    accept: Annotated[bool, typer.Option("--accept", help="Take an equity far from initial_capital as it is.")] = False,
) -> ExitCode:
    """Set up the state directory of live accounts, once, after showing what they hold."""
    settings = _load(config)
    from risk_daemon import render, service

    try:
        report = run_to_end(service.prepare_init(settings))
    except VenueUnavailable as error:
        raise StartUnavailable(f"a venue could not be reached: {error}") from error
    out = _console()
    render.init_report(out, report)
    difference, limit = report.difference_ratio, settings.circuit_breaker.loss_threshold / 2
    if difference is not None and abs(difference) > limit and not accept:
        raise UsageError(
            f"the equity differs from initial_capital by {render.ratio(float(abs(difference)))}, more than half the"
            " loss limit: mend portfolio.initial_capital, or give --accept if it is meant so"
        )
    _confirm("INIT", yes, f"This makes {report.state_dir} the state of these accounts.")
    run_to_end(service.init(settings, report))
    out.print(f"Done: {report.state_dir} is set up. Start with `risk-daemon run`.", style="bold green")
    return ExitCode.STOPPED


@app.command()
def demo() -> ExitCode:
    """Watch a crash on simulated venues from the first price to exit code 1. No keys, no money."""
    from risk_daemon import demo as stage

    return run_to_end(stage.run(_console()))


@app.command()
def check(
    config: ConfigFile = CONFIG,
    explain: Annotated[bool, typer.Option("--explain", help="Say in sentences what happens when.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Look before it matters: configuration, credentials, venues, prices, and what is switched off."""
    settings = _load(config)
    from risk_daemon import check as checking
    from risk_daemon import render

    report = run_to_end(checking.check(settings, explain, open_venue=checking.open_venue))
    _show(report.document(), as_json, render.check)
    return report.exit_code


# --- a running daemon ------------------------------------------------------------------------------


@app.command()
def status(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """How things stand. Ends with 0 only if a daemon answered."""
    from risk_daemon import render

    return _state(config, as_json, lambda document: document, render.status)


@app.command("check-drawdown")
def check_drawdown(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """The losses now. Ends with 0 only if a daemon answered."""
    from risk_daemon import render

    keys = (
        "state",
        "loss_ratio",
        "drawdown_ratio",
        "portfolio_dd_pct",
        "loss_threshold",
        "circuit_breaker",
        "trusted",
        "time",
    )
    return _state(config, as_json, lambda document: {key: document.get(key) for key in keys}, render.drawdown)


@app.command()
def halt(reason: Reason, config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """Stop all trading now: lock, cancel every order, prove it."""
    place = control.locate(config)
    try:
        answer = _accepted(control.request(place.socket, "POST", "/api/v1/halt", {"reason": reason}))
    except control.DaemonAbsent as error:
        raise UsageError(
            f"{error}, so nobody would hear a halt: to cancel every open order now, run `risk-daemon cancel-all`"
        ) from None
    _show(answer, as_json, lambda out, told: out.print(f"Halted. {_trip(told)}", style="bold red"))
    return ExitCode.STOPPED


@app.command()
def reset(
    reason: Reason,
    rebaseline: Annotated[
        Rebaseline, typer.Option("--rebaseline", help="Keep the baselines, or measure from the current equity.")
    ],
    config: ConfigFile = CONFIG,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Allow trading again after a trip or halt. Refused while any venue is unproven."""
    place = control.locate(config)
    _confirm("RESET", yes, "This opens the gate: bots may send orders again.")
    body = {"reason": reason, "rebaseline": rebaseline.value}
    done = "Reset: trading is allowed again."
    try:
        answer = _accepted(control.request(place.socket, "POST", "/api/v1/reset", body, timeout_s=60.0))
    except control.DaemonAbsent:
        answer = _reset_stopped(config, reason, rebaseline.value)
        done = "Reset: the gate opens when the daemon runs again, start it with `risk-daemon run`."
    _show(answer, as_json, lambda out, _: out.print(done, style="bold green"))
    return ExitCode.STOPPED


@app.command("cancel-all")
def cancel_all(
    config: ConfigFile = CONFIG,
    venue: Annotated[str | None, typer.Option("--venue", help="Only this venue.")] = None,
    market: Annotated[MarketKind | None, typer.Option("--market", help="Only these markets.")] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Cancel every open order and prove it, with or without a running daemon. Trading is not locked.

    Ends with 0 only if it is proven that no order is open, with 4 if not.
    """
    place = control.locate(config)
    body = {"venue": venue, "market": market.value if market else None}
    try:
        document = _swept(control.request(place.socket, "POST", "/api/v1/cancel-all", body, timeout_s=_SWEEP_TIMEOUT_S))
    except control.DaemonAbsent:
        document = _cancel_stopped(config, venue, body["market"], as_json)
    except control.NotConfirmed as error:
        document = {"proven": False, "unproven_reason": str(error), "venues": {}}
    code = ExitCode.STOPPED if document.get("proven") is True else ExitCode.TRIGGERED_UNPROVEN
    from risk_daemon import render

    _show(document, as_json, render.sweep)
    return code


@app.command("simulate-breach")
def simulate_breach(
    config: ConfigFile = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="On real venues: everything but the cancels.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """A drill: on simulated venues from a breach to exit 1 and the reset; with --dry-run on the real ones."""
    settings = _load(config)
    live = [name for name, venue in settings.venues.items() if not venue.simulated]
    if live and not dry_run:
        raise UsageError(f"a full drill would cancel the orders of live venues ({', '.join(live)}): give --dry-run")
    from risk_daemon import drill, render

    document = run_to_end(drill.simulate_breach(settings, dry_run=dry_run))
    _show(document, as_json, render.facts)
    return ExitCode.STOPPED if document.get("passed") is True else ExitCode.TRIGGERED_UNPROVEN


@app.command("simulate-venue")
def simulate_venue(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="A ccxt id, such as kraken.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The loopback port; 0 takes a free one.")],
    scenario: Annotated[
        str | None, typer.Option("--scenario", metavar="FILE", help="Admin requests to start with, or `empty`.")
    ] = None,
    exit_on_stdin_eof: Annotated[
        bool, typer.Option("--exit-on-stdin-eof", help="End when standard input closes: when the parent is gone.")
    ] = False,
) -> ExitCode:
    """Serve a simulated exchange on this machine until stopped."""
    from adapters.simulated import server

    failed = server.run(kind, port, exit_on_stdin_eof=exit_on_stdin_eof, scenario=scenario)
    return ExitCode.REFUSED if failed else ExitCode.STOPPED


# --- the event log ---------------------------------------------------------------------------------


@app.command()
def tail(
    config: ConfigFile = CONFIG,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as events come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many to begin with.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they stand in the log.")] = False,
) -> ExitCode:
    """The event log, for people."""
    from risk_daemon import event_log

    path = control.locate(config).state / "events.jsonl"
    seen, out = 0, _console()
    if not follow or path.exists():
        last = deque(event_log.read_log(path), maxlen=lines + 1)
        seen = last[-1].seq if last else 0
        _print_lines(out, list(last)[-lines:] if lines else [], as_json)
    try:
        for line in event_log.follow(path) if follow else ():
            if line.seq > seen:
                _print_lines(out, [line], as_json)
            if out.quiet:  # the reader of the pipe is gone
                return ExitCode.STOPPED
    except KeyboardInterrupt:
        return ExitCode.STOPPED
    return ExitCode.STOPPED


@app.command("verify-log")
def verify_log(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """Recompute the event log's chain of hashes: was a line changed, removed, added or moved?"""
    from risk_daemon import event_log

    path = control.locate(config).state / "events.jsonl"
    found = event_log.verify_log(path)
    if not found.ok and not as_json:
        raise StateError(str(found.problem))
    document = {"ok": found.ok, "lines": found.lines, "problem": found.problem, "torn": found.torn}
    torn = "; the last line is half-written" if found.torn else ""
    _show(document, as_json, lambda out, _: out.print(f"{path}: {found.lines} lines, the chain is whole{torn}."))
    return ExitCode.STOPPED if found.ok else ExitCode.REFUSED


# --- helpers ---------------------------------------------------------------------------------------


def _load(config: Path) -> Settings:
    from risk_daemon.config import load

    return load(config)


def _console() -> Console:
    from risk_daemon import render

    return render.console()


def _show(document: Mapping[str, Any], as_json: bool, render: Callable[[Console, Mapping[str, Any]], None]) -> None:
    """Print a result. What is done is done: an output that can't be written changes no exit code."""
    out = _console()
    try:
        if as_json:
            out.print(json.dumps(document, indent=2))
        else:
            render(out, document)
    except OSError as error:
        typer.echo(f"risk-daemon: the output could not be written: {error.strerror}", err=True)


def _state(
    config: Path,
    as_json: bool,
    choose: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    render: Callable[[Console, Mapping[str, Any]], None],
) -> ExitCode:
    """Show a running daemon's state, or, clearly apart, the last that is known of one."""
    place = control.locate(config)
    try:
        state = choose(_accepted(control.request(place.socket, "GET", "/api/v1/state")))
    except control.DaemonAbsent as error:
        _last_known(place, str(error), as_json, choose, render)
        return ExitCode.REFUSED
    _show({"running": True, **state} if as_json else state, as_json, render)
    return ExitCode.STOPPED


def _last_known(
    place: control.Place,
    absent: str,
    as_json: bool,
    choose: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    render: Callable[[Console, Mapping[str, Any]], None],
) -> None:
    from risk_daemon.render import age

    known = control.last_known(place.state)
    state, age_s = (choose(known[0]), known[1]) if known else (None, None)
    if as_json:
        _show({"running": False, "last_known": state, "age_s": age_s}, True, render)
        return
    out = _console()
    out.print(f"DAEMON NOT RUNNING: {absent}. Nothing is guarded.", style="bold red")
    if state is None:
        out.print("Nothing is known of an earlier run.")
        return
    out.print(f"Last known values, {age(age_s)} old:\n")
    render(out, state)


def _accepted(answer: control.Answer) -> Mapping[str, Any]:
    if not answer.ok:
        raise UsageError(answer.detail)
    return answer.body


def _swept(answer: control.Answer) -> Mapping[str, Any]:
    """A sweep that the daemon began and could not end is unproven; one it refused was never begun."""
    if answer.status >= 500:
        return {"proven": False, "unproven_reason": answer.detail, "venues": {}}
    return _accepted(answer)


def _trip(answer: Mapping[str, Any]) -> str:
    trip = f"trip {answer['trip_id']}; " if answer.get("trip_id") else ""
    return f"{trip}follow it with `risk-daemon tail -f`."


def _reset_stopped(config: Path, reason: str, rebaseline: str) -> Mapping[str, Any]:
    settings = _load(config)
    from risk_daemon import service

    operator = control.operator_name(os.getuid())
    try:
        answer = run_to_end(service.reset_stopped(settings, reason=reason, rebaseline=rebaseline, operator=operator))
    except (CircuitBreakerError, VenueError) as error:
        raise UsageError(f"not reset: {error}") from error
    if answer.get("accepted") is not True:
        raise UsageError(f"not reset: {answer.get('reason') or 'no reason was given'}")
    return answer


def _cancel_stopped(config: Path, venue: str | None, market: str | None, as_json: bool) -> Mapping[str, Any]:
    settings = _load(config)
    if venue is not None and venue not in settings.venues:
        raise UsageError(f"there is no venue {venue!r}: one of {', '.join(settings.venues)}")
    from risk_daemon import service

    try:
        result = run_to_end(service.cancel_all(settings, venue=venue, market=market, progress=_progress(as_json)))
    except VenueError as error:
        return {"proven": False, "unproven_reason": str(error), "venues": {}}
    return control.sweep_document(result)


def _progress(as_json: bool) -> Callable[[Mapping[str, Any]], None] | None:
    """Shows how the venues of a sweep stand whenever that changed.

    Nothing that goes wrong with the output may reach the sweep.
    """
    if as_json:
        return None
    from risk_daemon import render

    out = _console()
    shown: dict[str, str] = {}

    def show(verdicts: Mapping[str, Any]) -> None:
        try:
            for venue, verdict in verdicts.items():
                line = render.progress(venue, verdict)
                if shown.get(venue) != line:
                    shown[venue] = line
                    out.print(line)
        except (OSError, ValueError):
            out.quiet = True

    return show


def _confirm(word: str, yes: bool, consequence: str) -> None:
    """Have a person type `word`. Raises UsageError for anything else, and where nobody can type."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{consequence} There is no terminal to confirm it on: give --yes")
    typer.echo(consequence)
    if typer.prompt(f"Type {word} to go on", default="", show_default=False) != word:
        raise UsageError("not confirmed, nothing was changed")


def _print_lines(out: Console, lines: list[LogLine], as_json: bool) -> None:
    from risk_daemon import render

    for line in lines:
        if as_json:
            whole = {"seq": line.seq, "time": line.time, "event": line.event, **line.fields}
            out.print(json.dumps({**whole, "prev": line.prev, "hash": line.hash}, separators=(",", ":")))
        else:
            render.event(out, line.time, line.event, line.fields)
