"""`risk-daemon replay`: the past through a configuration. Nothing is asked of venues or of a running daemon."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, load, show
from risk_daemon.errors import ExitCode, UsageError
from risk_daemon.model.units import parse_money

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.config.load import Settings
    from risk_daemon.replay.outcome import Outcome

ALL = "all"


@app.command()
def replay(
    source: Annotated[str, typer.Argument(metavar="FILE|DAY", help="A log, a CSV, a day of history, or all days.")],
    config: ConfigFile = CONFIG,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="One of examples/profiles instead, or all of them.")
    ] = None,
    holdings: Annotated[
        str | None, typer.Option("--holdings", metavar="ASSETS", help='What is held, such as "FIL=1000,USDT=5000".')
    ] = None,
    capital: Annotated[
        str | None, typer.Option("--capital", metavar="MONEY", help="Initial capital; auto: what there is at first.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="OUT", help="A picture, .png or .svg.")] = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A page, such as docs/history.md.")] = False,
) -> ExitCode:
    """When would a configuration have warned, vetoed, frozen, tripped? The past through the same engine.

    FILE is an event log (or a state directory), or a CSV with the columns time,equity, or time,asset,price beside
    --holdings, or time,symbol,open,high,low,close. DAY is a real one of examples/history, or how its name begins.
    What can't be read ends with 78 and the number of its line.

    Examples:

      risk-daemon replay var/events.jsonl
      risk-daemon replay equity.csv --profile moderate --plot equity.png
      risk-daemon replay prices.csv --holdings "FIL=1000,USDT=5000"
      risk-daemon replay 2025-02 --profile all
    """
    from risk_daemon.replay import plot as plotting

    if plot is not None:
        plotting.check_plot(plot)
    guards = _guards(config, profile)
    if plot is not None and (source == ALL or len(guards) > 1):
        raise UsageError("--plot draws one replay: name one day and one profile")
    outcomes = _outcomes(source, guards, holdings, capital, from_profile=profile is not None)
    if plot is not None:
        plotting.draw(outcomes[0], plot)
    _tell(outcomes, as_json=as_json, markdown=markdown)
    return ExitCode.STOPPED


def _guards(config: Path, profile: str | None) -> Mapping[str, Settings]:
    """The configurations to replay, by name. Raises ConfigError, UsageError."""
    from risk_daemon.replay import days

    if profile is None:
        return {config.name: load(config)}
    if config != CONFIG:
        raise UsageError("give --config or --profile, not both")
    files = days.profiles() if profile == ALL else {profile: days.profile(profile)}
    return {name: load(file) for name, file in (files or {ALL: days.profile(profile)}).items()}


def _outcomes(
    source: str, guards: Mapping[str, Settings], holdings: str | None, capital: str | None, *, from_profile: bool
) -> list[Outcome]:
    """Every source under every configuration."""
    from risk_daemon.replay import book, days, tables
    from risk_daemon.replay import replay as replaying

    held = None if holdings is None else book.holdings_of(holdings)
    given = _capital(capital)
    files = list(days.days().values()) if source == ALL else [_file(source)]
    found = []
    for file in files or [days.day(source)]:
        table = None if replaying.is_log(file) else tables.read_table(file)
        for name, settings in guards.items():
            track = replaying.track_of(file, table, settings, held)
            own = settings.portfolio.initial_capital if not (from_profile or track.is_book) else None
            with _progress(f"{track.name}, {name}") as progress:
                outcome = replaying.replay(
                    settings, track, profile=name, capital=given if capital else own, progress=progress
                )
            _note_capital(outcome, settings)
            found.append(outcome)
    return found


def _file(source: str) -> Path:
    """A file where there is one, else a day. Raises UsageError."""
    from risk_daemon.replay import days

    path = Path(source)
    return path if path.exists() else days.day(source)


def _capital(text: str | None) -> Decimal | None:
    """None: what there is at the start."""
    if text is None or text == "auto":
        return None
    try:
        return parse_money(text)
    except ValueError as error:
        raise UsageError(f"--capital: {error}") from None


def _note_capital(outcome: Outcome, settings: Settings) -> None:
    """A curve of another account than the configured one would tell nonsense."""
    if not outcome.points or not outcome.capital:
        return
    first = outcome.points[0].value
    if abs(first - outcome.capital) > outcome.capital * settings.circuit_breaker.loss_threshold / 2:
        typer.echo(
            f"risk-daemon: {outcome.name} begins with {first:,.2f}, and losses are measured from"
            f" {outcome.capital:,.2f}: `--capital auto` measures them from what there is at first",
            err=True,
        )


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None] | None]:
    """How far it is, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda part: bar.update(task, completed=part)


def _tell(outcomes: Sequence[Outcome], *, as_json: bool, markdown: bool) -> None:
    from risk_daemon.cli import replay_tables
    from risk_daemon.replay import page

    if as_json:
        for outcome in outcomes:
            for line in replay_tables.notes(outcome):
                typer.echo(f"risk-daemon: {outcome.name}: {line}", err=True)
    if markdown:
        typer.echo(page.markdown(outcomes), nl=False)
        return
    show(_document(outcomes), as_json, lambda out, _: _render(out, outcomes))


def _document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One replay as it is; of several, by day and profile."""
    if len(outcomes) == 1:
        return outcomes[0].document()
    days: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        days.setdefault(outcome.name, {})[outcome.profile] = outcome.document()
    return {"replays": days}


def _render(out: Console, outcomes: Sequence[Outcome]) -> None:
    from risk_daemon.cli import replay_tables

    if len(outcomes) == 1:
        replay_tables.one(out, outcomes[0])
    else:
        replay_tables.many(out, outcomes)
