"""Commands that set up, look and guard, and the drills."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli import completion
from risk_daemon.cli.asking import Told
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, Yes, app, confirm, console, load, run_to_end, show
from risk_daemon.cli.log_format import LogFormat
from risk_daemon.cli.progress import patience, say
from risk_daemon.errors import ConfigError, ExitCode, StartUnavailable, UsageError, VenueUnavailable

if TYPE_CHECKING:
    from adapters.base import VenueAdapter
    from risk_daemon.app.check import OpenVenue
    from risk_daemon.config.load import Settings
    from risk_daemon.rehearsal.history import Crash


@app.command()
def run(
    config: ConfigFile = CONFIG,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Of the lines on standard error; auto: for whoever reads them.")
    ] = LogFormat.AUTO,
) -> ExitCode:
    """Guard the accounts until stopped.

    Exit codes:

      0   stopped; nothing was cancelled
      1   triggered, and every cancel is proven
      4   triggered, and not proven
      70  a bug; the lock is shut first
      75  at the first start ever, a venue could not be reached
      78  refused: configuration, usage, state or credentials
    """
    try:
        return _guard(config, log_format)
    except KeyboardInterrupt:  # past the daemon's own handling: whether it was sweeping is unknown
        return ExitCode.TRIGGERED_UNPROVEN
    except Exception as error:
        _note_refusal(config, error)
        raise


def _guard(config: Path, log_format: LogFormat) -> ExitCode:
    try:
        settings = load(config)
    except ConfigError as error:
        return _finish_all_the_same(config, error)
    from risk_daemon.app import service

    return run_to_end(service.run(settings), log_format)


def _note_refusal(config: Path, error: Exception) -> None:
    """In the log, for `watch`. Whatever is wrong with that: the refusal itself is what is told."""
    with suppress(Exception):
        from risk_daemon.app import last_word, salvage

        last_word.note_refusal(salvage.salvage(config).state_dir, error)


def _finish_all_the_same(config: Path, refusal: ConfigError) -> ExitCode:
    """A trip that is not proven is finished with what can be used of a refused file. Raises ConfigError."""
    from risk_daemon.app import finish, salvage, service

    rest = salvage.salvage(config)
    if rest.settings is not None:
        work = service.finish_unproven(
            rest.settings, refusal, left_out=rest.left_out, channels_left_out=rest.channels_left_out
        )
        return run_to_end(work)
    told = finish.name_the_trip(rest.state_dir, refusal)
    raise refusal if told is None else ConfigError(told)


@app.command()
def init(
    config: ConfigFile = CONFIG,
    yes: Yes = False,
    accept: Annotated[bool, typer.Option("--accept", help="Take an equity far from initial_capital as it is.")] = False,
    from_store: Annotated[
        bool, typer.Option("--from-store", help="On a new machine: out of what the server of [state] store has.")
    ] = False,
) -> ExitCode:
    """Set up the state directory of live accounts, once, after showing what they hold.

    Everything is read several times, `peak_hold` apart, until the readings agree. If they do not, it ends with 75.
    """
    settings = load(config)
    if from_store:
        return _init_from_store(settings, yes)
    from risk_daemon.app import init as initialising
    from risk_daemon.cli import init_tables, words

    try:
        with patience("the venues are reached and read"):
            report = run_to_end(initialising.prepare_init(settings, say=_say))
    except VenueUnavailable as error:
        raise StartUnavailable(f"a venue could not be reached: {error}") from error
    out = console()
    init_tables.init_report(out, report)
    difference, limit = report.difference_ratio, settings.circuit_breaker.loss_threshold / 2
    if difference is not None and abs(difference) > limit and not accept:
        raise UsageError(
            f"the equity differs from initial_capital by {words.ratio(float(abs(difference)))}, more than half the"
            " loss limit: mend portfolio.initial_capital, or give --accept if it is meant so"
        )
    confirm("INIT", yes, f"This makes {report.state_dir} the state of these accounts.")
    run_to_end(initialising.init(settings, report, Told()))
    out.print(f"Done: {report.state_dir} is set up. Start with `risk-daemon run`.", style="bold green")
    return ExitCode.STOPPED


def _init_from_store(settings: Settings, yes: bool) -> ExitCode:
    from risk_daemon.app import init_from_store as moving

    with patience("the server is read"):
        found = run_to_end(moving.fetch(settings, say=_say))
    out = console()
    out.print(
        f"The server has save {found.head.revision} of guard {settings.guard.name}: {len(found.documents)} documents,"
        f" {len(found.samples)} samples of the equity; nobody was there for {found.head.unseen_s:.0f} s."
    )
    if found.samples_left_out is not None:
        out.print(f"Older samples are left out: {found.samples_left_out}.", style="yellow")
    if found.unproven is not None:
        out.print(f"Trip {found.unproven} is not proven: `risk-daemon run` finishes it first.", style="bold red")
    confirm("INIT", yes, f"This makes {settings.state.dir} the state of these accounts: no other guard may run on it.")
    run_to_end(moving.set_up(settings, found, operator_name(os.getuid())))
    lock = "It is locked as it was there, and halted" if found.is_locked else "It is halted"
    ends = (
        "look for open orders on the venues (what happened last may not have reached the server), start with"
        ' `risk-daemon run`, then `risk-daemon release --everything --reason "..."`'
    )
    out.print(f"Done: {settings.state.dir} is set up. {lock}: {ends}.", style="bold green")
    return ExitCode.STOPPED


def _say(sentence: str) -> None:
    """How it goes, beside the result."""
    typer.echo(f"risk-daemon: {sentence}", err=True)


@app.command()
def demo(
    venues: Annotated[
        str, typer.Option("--venues", metavar="IDS", help="Which exchanges, such as binance,okx,bybit.")
    ] = "kraken,krakenfutures",
) -> ExitCode:
    """Watch a crash on simulated venues from the first price to exit code 1. No keys, no money."""
    from risk_daemon.rehearsal import demo as stage

    return run_to_end(stage.run(console(), [name.strip() for name in venues.split(",") if name.strip()]))


@app.command()
def check(
    config: ConfigFile = CONFIG,
    explain: Annotated[bool, typer.Option("--explain", help="Say in sentences what happens when.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Look before it matters: configuration, credentials, venues, prices, and what is switched off.

    With --explain it says in sentences what would happen when: every rule, its limit in money, and what bots
    are told. Nothing is cancelled. Ends with 0 only if the guard would work.
    """
    settings = load(config)
    from risk_daemon.app import check as checking
    from risk_daemon.cli import render

    with patience("waiting for the venues' answers"):
        report = run_to_end(checking.check(settings, explain, open_venue=_telling(checking.open_venue)))
    show(report.document(), as_json, render.check)
    return report.exit_code


def _telling(open_venue: OpenVenue) -> OpenVenue:
    """As it is, with a line before and after each venue."""

    @asynccontextmanager
    async def told(settings: Settings, venue: str) -> AsyncIterator[VenueAdapter]:
        say(f"looking at {venue}: connecting, then everything that the guard will ask there")
        try:
            async with open_venue(settings, venue) as adapter:
                yield adapter
        finally:
            say(f"{venue}: done")

    return told


@app.command("simulate-breach")
def simulate_breach(
    config: ConfigFile = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="On real venues: everything but the cancels.")] = False,
    no_alerts: Annotated[bool, typer.Option("--no-alerts", help="Tell nobody that there is a drill.")] = False,
    history: Annotated[
        str | None, typer.Option("--history", metavar="DAY", help="By a real crash, sped up: a day of `replay`.")
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """A drill: on simulated venues from a breach to exit 1 and the reset; with --dry-run on the real ones.

    Ends with 0 only if every step passed, with 4 if not: also after a day of history on which nothing trips.
    """
    if history is not None and dry_run:
        raise UsageError("--history moves the prices of simulated venues, and --dry-run only looks: give one of them")
    settings = load(config)
    live = [name for name, venue in settings.venues.items() if not venue.simulated]
    if live and not dry_run:
        raise UsageError(f"a full drill would cancel the orders of live venues ({', '.join(live)}): give --dry-run")
    from risk_daemon.cli import render
    from risk_daemon.rehearsal import drill

    told = _told_as_it_goes(as_json)
    crash = None if history is None else _crash(history)
    work = drill.simulate_breach(settings, dry_run=dry_run, with_alerts=not no_alerts, crash=crash, progress=told)
    document = run_to_end(work)
    show(document, as_json, render.facts)
    return ExitCode.STOPPED if document.get("passed") is True else ExitCode.TRIGGERED_UNPROVEN


def _crash(day: str) -> Crash:
    """A day of history by name. Raises UsageError."""
    from risk_daemon.rehearsal.history import crash_of
    from risk_daemon.replay import days

    return crash_of(days.day(day))


def _told_as_it_goes(as_json: bool) -> Callable[[Mapping[str, Any]], None] | None:
    """A drill takes half a minute: each step is a line on standard error, the result is the one on standard output."""
    if as_json:
        return None
    typer.echo("The drill takes about half a minute, with --history a minute ...", err=True)
    return lambda step: typer.echo(f"{step.get('step')}: {step.get('found')}", err=True)


@app.command("simulate-venue")
def simulate_venue(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="A ccxt id, such as kraken.", autocompletion=completion.kinds)
    ],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The loopback port; 0 takes a free one.")],
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", metavar="FILE", help="What to start with: `empty`, or a file with admin requests."),
    ] = None,
    exit_on_stdin_eof: Annotated[
        bool, typer.Option("--exit-on-stdin-eof", help="End when standard input closes: when the parent is gone.")
    ] = False,
) -> ExitCode:
    """Serve a simulated exchange on this machine until stopped. Its admin face is /_sim/ on the same port.

    A scenario is `empty` (no money) or a JSON file, [{"path": "balance", "body": {...}}, ...]: POST requests to the
    admin face, made before anybody else is served.
    """
    from adapters.simulated import API_KEY, API_PASSPHRASE, API_SECRET, server
    from risk_daemon.config.notation import environment_name

    if not exit_on_stdin_eof:  # a parent knows them
        name = environment_name(kind)
        typer.echo(
            f"The keys it takes:\n  export {name}_API_KEY={API_KEY}\n  export {name}_SECRET={API_SECRET}\n"
            f"  export {name}_PASSWORD={API_PASSPHRASE}",
            err=True,
        )
    failed = server.run(kind, port, exit_on_stdin_eof=exit_on_stdin_eof, scenario=scenario)
    return ExitCode.REFUSED if failed else ExitCode.STOPPED
