"""`risk-daemon venues`: what can be done on each exchange; `record-venue`: what one really answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.cli import completion
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, load, run_to_end, show
from risk_daemon.cli.progress import patience
from risk_daemon.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console


@app.command()
def venues(
    exchange: Annotated[str | None, typer.Argument(metavar="[EXCHANGE]", help="One of them, in full.")] = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The page docs/venues.md.")] = False,
) -> ExitCode:
    """What can be listed, cancelled, proven and switched on each exchange that ccxt knows. Nobody is asked.

    Provable: a trip there ends with a proof. Provable but for: what is named is not covered by it. Not provable:
    armed only with `allow_unproven = true`.
    """
    from adapters.venue_sheets import sheets
    from risk_daemon.app import venue_list

    found = sheets()
    if markdown:
        typer.echo(venue_list.markdown(found), nl=False)
        return ExitCode.STOPPED
    if exchange is not None:
        found = tuple(sheet for sheet in found if sheet.exchange == exchange)
        if not found:
            raise UsageError(f"{exchange!r} is not an exchange that ccxt knows: `risk-daemon venues` lists them")
    show({"venues": [sheet.document() for sheet in found]}, as_json, _one if exchange else _table)
    return ExitCode.STOPPED


@app.command("record-venue")
def record_venue(
    venue: Annotated[
        str,
        typer.Argument(metavar="VENUE", help="As the configuration names it.", autocompletion=completion.venues),
    ],
    config: ConfigFile = CONFIG,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="VENUE.recording.gz if not given.")] = None,
) -> ExitCode:
    """Take down what a venue answers to everything the guard asks: proof of what differs from what is expected.

    Nothing is placed or cancelled. Keys, ids and amounts are masked, and what they were is kept nowhere; which assets
    and markets are held, and how many orders there are, stays to be seen. Look at it before you send it to anybody.
    """
    settings = load(config)
    from risk_daemon.app import recording

    file = out or Path(f"{venue}.recording.gz")
    with patience(f"asking {venue} everything that the guard asks"):
        told = run_to_end(recording.record(settings, venue, file))
    for line in told.lines:
        typer.echo(line)
    return ExitCode.STOPPED if told.is_whole else ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START


def _table(console: Console, document: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table("exchange", "standing", "markets", "scopes", "switch")
    others = []
    for sheet in document["venues"]:
        if not sheet["scopes"]:
            others.append(sheet)
            continue
        switch = "yes" if sheet["switches"] else "none"
        markets = ", ".join(sheet["markets"])
        table.add_row(sheet["exchange"], str(sheet["standing"]), markets, str(len(sheet["scopes"])), switch)
    console.print(table)
    for standing in dict.fromkeys(str(sheet["standing"]) for sheet in others):
        names = ", ".join(sheet["exchange"] for sheet in others if sheet["standing"] == standing)
        console.print(f"{standing}: {names}", highlight=False)
    console.print("`risk-daemon venues EXCHANGE` tells more of one.", highlight=False)


def _one(console: Console, document: Mapping[str, Any]) -> None:
    from rich.table import Table

    (sheet,) = document["venues"]
    console.print(f"{sheet['exchange']}: {sheet['standing']}", highlight=False)
    for what in sheet["not_covered"]:
        console.print(f"  not covered: {what}", highlight=False)
    if sheet["scopes"]:
        table = Table("scope", "kind", "listed by", "cancelled by")
        for scope in sheet["scopes"]:
            table.add_row(scope["name"], scope["kind"], scope["listing"], " and ".join(scope["cancels"]))
        console.print(table)
    if sheet["fills"]:
        console.print(f"fills: by {sheet['fills']}", highlight=False)
    for switch in sheet["switches"]:
        console.print(f"dead man's switch ({', '.join(switch['markets'])}, {switch['timeout']}):", highlight=False)
        console.print(f"  covers {switch['covers']}; leaves {switch['leaves']}", highlight=False)
