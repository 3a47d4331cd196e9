"""`risk-daemon broadcast`: what other programs have not heard yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, load, run_to_end, show
from risk_daemon.cli.progress import patience
from risk_daemon.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console


@app.command()
def broadcast(
    config: ConfigFile = CONFIG,
    send: Annotated[bool, typer.Option("--send", help="Send it now; only while no guard runs.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Show which trips other programs have not heard of yet, by [broadcast.kafka]; send them while no guard runs.

    Ends with 0 only if nothing is owed, else with 78.
    """
    settings = load(config)
    from risk_daemon.app import broadcast_stopped

    if send:
        with patience("the broker is asked to take it"):
            document = run_to_end(broadcast_stopped.send_stopped(settings))
    else:
        document = broadcast_stopped.show_broadcast(settings)
    show(document, as_json, _render)
    return ExitCode.REFUSED if document["owed"] else ExitCode.STOPPED


def _render(out: Console, document: Mapping[str, Any]) -> None:
    from risk_daemon.cli.words import safe

    if document["topic"] is None:
        out.print("Nothing is broadcast: there is no table [broadcast.kafka].", style="bold yellow", markup=False)
    else:
        out.print(safe(f"Topic {document['topic']} at {document['bootstrap']}."), markup=False)
    for message in document["owed"]:
        loss = message["equity_loss"] or "unknown"
        told = f"NOT ACKNOWLEDGED: {message['trip_id']}: {message['reason']} (lost: {loss})"
        out.print(safe(told), style="bold red", markup=False)
    count = len(document["acknowledged"])
    if not document["owed"]:
        out.print(f"Nothing is owed; {count} were acknowledged.", style="bold green")
