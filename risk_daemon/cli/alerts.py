"""`risk-daemon alerts`: who is told and what came of it, with a daemon or without one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli import completion, remote
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, accepted, app, load, run_to_end, show
from risk_daemon.cli.progress import patience
from risk_daemon.config.place import Place, locate
from risk_daemon.errors import ExitCode, RiskDaemonError, StateError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

alerts = typer.Typer(help="Who is told of what, what came of it; acknowledge a trip, send a test.")
app.add_typer(alerts, name="alerts")

_PATH = "/api/v1/alerts"
_TEST_TIMEOUT_S = 60.0
_SHOWN = 20


@alerts.callback(invoke_without_command=True)
def show_alerts(context: typer.Context, config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """The trip that is not over, the channels, and the last attempts to tell anybody."""
    if context.invoked_subcommand is not None:
        return ExitCode.STOPPED
    place = locate(config)
    try:
        document = {"running": True, **accepted(remote.request(place.socket, "GET", _PATH))}
    except remote.DaemonAbsent:
        document = {"running": False, **_left(place.state)}
    show(document, as_json, _render)
    return ExitCode.STOPPED


@alerts.command()
def ack(
    trip: Annotated[str | None, typer.Argument(metavar="TRIP", help="Its id; the one that is not over.")] = None,
    config: ConfigFile = CONFIG,
    as_json: AsJson = False,
) -> ExitCode:
    """Say that you have heard of a trip: it is not repeated any more. Nothing is reset by it."""
    place = locate(config)
    body = {} if trip is None else {"trip_id": trip}
    try:
        answer = accepted(remote.request(place.socket, "POST", f"{_PATH}/ack", body))
    except remote.DaemonAbsent:
        answer = _acknowledge_stopped(config, trip)
    show(answer, as_json, lambda out, _: out.print(f"Acknowledged: {answer.get('trip_id')}.", style="bold green"))
    return ExitCode.STOPPED


@alerts.command("test")
def send_test(
    channel: Annotated[
        str | None, typer.Argument(metavar="CHANNEL", help="Only this one.", autocompletion=completion.channels)
    ] = None,
    config: ConfigFile = CONFIG,
    as_json: AsJson = False,
) -> ExitCode:
    """Send one alert through every channel, or one of them. Ends with 0 only if all of them took it, else with 78."""
    place = locate(config)
    body = {} if channel is None else {"channel": channel}
    try:
        with patience("the channels are tried, each as long as it takes"):
            answer = accepted(remote.request(place.socket, "POST", f"{_PATH}/test", body, timeout_s=_TEST_TIMEOUT_S))
    except remote.DaemonAbsent:
        answer = _test_stopped(config, channel)
    show(answer, as_json, _render_test)
    tried = answer.get("channels") or {}
    arrived = bool(tried) and all(one.get("delivered") is True for one in tried.values())
    return ExitCode.STOPPED if arrived else ExitCode.REFUSED


# --- in `status` -------------------------------------------------------------------------------------


def who_was_told(place: Place, trip_id: str) -> str:
    """Of a trip, by the daemon or by what the last one left; that it is not known, where neither can tell."""
    try:
        document = accepted(remote.request(place.socket, "GET", _PATH))
    except remote.DaemonAbsent:
        try:
            document = _left(place.state)
        except StateError:
            document = {}
    except RiskDaemonError:
        document = {}
    standing, itself = document.get("standing"), "Tell the others yourself."
    if isinstance(standing, Mapping) and standing.get("trip_id") == trip_id:
        who, told = standing.get("acknowledged_by"), standing.get("told")
        times = "TOLD, it is not known how often" if not isinstance(told, int) else f"told {told} times"
        return f"Trip {trip_id}: {times}, " + (f"acknowledged by {who}." if who else "NOBODY HAS ACKNOWLEDGED IT.")
    if standing is None and document.get("channels") == {}:
        return f"NOBODY WAS TOLD of trip {trip_id} by the guard: it has no alert channel. {itself}"
    return f"Who was told of trip {trip_id} is not known: see `risk-daemon alerts`. {itself}"


# --- without a daemon --------------------------------------------------------------------------------


def _left(state: Path) -> Mapping[str, Any]:
    """What the last run left behind. Raises StateError where it can't be read."""
    from risk_daemon.alerts.attempts import FILE_NAME, read_attempts
    from risk_daemon.alerts.manager import FILE_NAME as KEPT

    try:
        kept = json.loads((state / KEPT).read_bytes())
        owed = {name: {"owed": len(ids)} for name, ids in kept["outbox"]["owed"].items()}
        standing = kept["routing"]["standing"]
        told = None if standing is None else _standing(standing)
        return {"standing": told, "channels": owed, "attempts": read_attempts(state / FILE_NAME)}
    except FileNotFoundError:
        return {"standing": None, "channels": {}, "attempts": []}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{state}: what is known of alerts can't be read: {error!r}") from None


def _standing(kept: Mapping[str, Any]) -> Mapping[str, Any]:
    alert = kept["alert"]
    facts = {"trip_id": alert["trip_id"], "summary": alert["summary"]}
    return {**facts, "told": kept["number"], "acknowledged_by": kept["who"]}


def _acknowledge_stopped(config: Path, trip: str | None) -> Mapping[str, Any]:
    settings = load(config)
    from risk_daemon.app import acknowledge

    trip_id = run_to_end(acknowledge.acknowledge_stopped(settings, trip, operator_name(os.getuid())))
    return {"accepted": True, "trip_id": trip_id}


def _test_stopped(config: Path, channel: str | None) -> Mapping[str, Any]:
    settings = load(config)
    if channel is not None and channel not in settings.alerts.channels:
        raise UsageError(f"there is no channel {channel!r}: one of {', '.join(settings.alerts.channels) or 'none'}")
    from risk_daemon.app import alerts as sending

    return {"channels": run_to_end(sending.test_alone(settings, channel))}


# --- for people --------------------------------------------------------------------------------------


def _render(out: Console, document: Mapping[str, Any]) -> None:
    from risk_daemon.cli.words import safe

    if not document.get("running"):
        out.print("DAEMON NOT RUNNING: this is what the last run left.", style="bold red")
    standing = document.get("standing")
    if standing:
        who = standing.get("acknowledged_by")
        told = f"acknowledged by {who}" if who else "NOBODY HAS ACKNOWLEDGED IT: `risk-daemon alerts ack`"
        out.print(safe(f"{standing['trip_id']}: {standing['summary']}"), style="bold red", markup=False)
        out.print(safe(f"told {standing.get('told')} times; {told}"), markup=False)
    channels: Mapping[str, Any] = document.get("channels") or {}
    if not channels:
        out.print("No channel is known: nobody is told. See docs/alerts.md.", style="bold yellow")
    for name, channel in channels.items():
        out.print(safe(f"{name}: {_channel_text(channel)}"), markup=False)
    _render_attempts(out, document.get("attempts") or ())


def _channel_text(channel: Mapping[str, Any]) -> str:
    parts = [str(channel["kind"])] if channel.get("kind") else []
    parts += [f"{channel['severity']} and above"] if channel.get("severity") else []
    parts += [f"{channel['owed']} not delivered yet"] if channel.get("owed") else []
    parts += [f"FAILED {channel['failures']} times in a row"] if channel.get("failures") else []
    return ", ".join(parts) or "nothing is owed"


def _render_attempts(out: Console, attempts: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from risk_daemon.cli.words import safe

    if not attempts:
        out.print("Nothing was sent yet.")
        return
    table = Table("Time", "Channel", "Event", "Try", "Status", "Answer", box=None, pad_edge=False)
    for line in attempts[-_SHOWN:]:
        cells = [str(line.get(key, "")) for key in ("time", "channel", "event", "attempt", "status", "answer")]
        style = "" if line.get("delivered") else "red"
        table.add_row(*(Text(safe(cell)[:60]) for cell in cells), style=style)
    out.print(table)


def _render_test(out: Console, document: Mapping[str, Any]) -> None:
    from risk_daemon.cli.words import safe

    for name, tried in (document.get("channels") or {}).items():
        arrived = tried.get("delivered") is True
        told = f"{name}: {'delivered' if arrived else 'NOT DELIVERED'}, {tried.get('status')} {tried.get('answer')}"
        out.print(safe(told).rstrip(), style="bold green" if arrived else "bold red", markup=False)
    if not document.get("channels"):
        out.print("No channel is configured: nobody is told. See docs/alerts.md.", style="bold yellow")
