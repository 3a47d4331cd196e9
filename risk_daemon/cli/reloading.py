"""`reload`: a running daemon reads its configuration again, and takes it whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.cli import remote
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, Yes, accepted, app, confirm, show
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

_TIMEOUT_S = 120.0
_WORD = "reload"
_DOES = {"veto": "refuses new orders", "freeze": "freezes: every order is cancelled", "trip": "trips: all is stopped"}


class _Refused(UsageError):
    """By the daemon, with its reason."""


@app.command()
def reload(
    config: ConfigFile = CONFIG,
    check: Annotated[bool, typer.Option("--check", help="Only say what would change, or why not.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Have a running daemon read its configuration again: it takes all of it at once, or refuses it and says why.

    What is looser takes a warden once one is enrolled, and is taken only while nothing holds against new orders; some
    keys need a restart. A limit that is passed already acts at once: then you are asked first. SIGHUP does the same,
    and asks nobody. Ends with 0 if the file is in force, with 78 if it was refused.
    """
    socket = locate(config).socket
    planned = _planned(socket, is_only_check=check)
    _refuse_another_file(config, planned)
    if not check and planned["changes"] and not planned["taken"]:
        passed = planned["acts_at_once"]
        if passed:
            confirm(_WORD, yes, " ".join(map(_sentence, passed)))
        planned = _asked(socket, {"digest": planned["digest"], "acts": bool(passed)})
    show(planned, as_json, _render)
    return ExitCode.STOPPED


def _planned(socket: Path, *, is_only_check: bool) -> Mapping[str, Any]:
    """What would come of it. What is refused and was meant in earnest is asked so, and the event log has it."""
    try:
        return _asked(socket, {"dry_run": True})
    except _Refused:
        return _asked(socket, {"dry_run": is_only_check})


def _asked(socket: Path, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises UsageError where no daemon runs, and where it refuses."""
    try:
        answer = remote.request(socket, "POST", "/api/v1/reload", body, timeout_s=_TIMEOUT_S)
    except remote.DaemonAbsent as error:
        raise UsageError(f"{error}: nothing was changed, the next start reads the file") from None
    if answer.status == HTTPStatus.CONFLICT:
        raise _Refused(answer.detail)
    return accepted(answer)


def _refuse_another_file(config: Path, planned: Mapping[str, Any]) -> None:
    """Raises UsageError: who edited a file that no daemon reads must not believe that it is in force."""
    theirs = Path(str(planned["file"]))
    if theirs.resolve() != config.resolve():
        raise UsageError(f"the daemon reads {theirs}, not {config}: nothing was changed, give --config {theirs}")


def _sentence(passed: Mapping[str, Any]) -> str:
    return f"{passed['breaker']} is passed already ({passed['reason']}) and {_DOES.get(passed['action'], 'acts')}."


def _render(out: Console, document: Mapping[str, Any]) -> None:
    from rich.table import Table

    if not document["changes"]:
        out.print(f"Nothing to take: {document['file']} says what is in force.")
        return
    taken = document["taken"]
    out.print("Taken, and in force." if taken else "It would be taken:", style="bold green")
    table = Table("key", *(("before", "now") if taken else ("in force", "in the file")))
    for change in document["changes"]:
        table.add_row(change["key"], change["old"], change["new"])
    out.print(table)
    for looser in document["looser"]:
        out.print(f"LOOSER: {looser}", style="bold yellow")
    for passed in document["acts_at_once"]:
        out.print(_sentence(passed), style="bold red")
