"""`risk-daemon warden`: the people who may resume. They are enrolled with a daemon running or not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli import completion, remote
from risk_daemon.cli.asking import Told, done_or_asked, ended
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, Reason, accepted, app, console, load, run_to_end, show
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from risk_daemon.auth.wardens import Register

warden = typer.Typer(no_args_is_help=True, help="The people who may resume: enrol, list, revoke, and lost keys.")
app.add_typer(warden, name="warden")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the person is called from now on.")]

Known = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Who: a person, see `warden list`.", autocompletion=completion.wardens),
]


@warden.command()
def enroll(name: Name, config: ConfigFile = CONFIG) -> ExitCode:
    """Make somebody a warden: a one-time code in an app, and a passkey on their device.

    The first one needs nobody. From then on, those who are wardens must agree to the next. For root and the daemon's
    own user.
    """
    place = locate(config)
    try:
        answer = remote.request(place.socket, "POST", "/api/v1/wardens/enroll", {"name": name})
        result = done_or_asked(place.socket, answer)
    except remote.DaemonAbsent:
        from risk_daemon.app import override_stopped as stopped

        by = operator_name(os.getuid())
        result = ended(run_to_end(stopped.asked_stopped(load(config), lambda who: who.enroll(name, by), Told())))
    console().print(f"Enrolled: {result['reason']}.", style="bold green")
    return ExitCode.STOPPED


@warden.command("list")
def list_wardens(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """Who may resume, how many must agree, and whether anything is locked or lost. Never a secret."""
    from risk_daemon.auth.wardens import WardenStore

    show(_listed(WardenStore.beside(locate(config).state).read()), as_json, _render)
    return ExitCode.STOPPED


@warden.command()
def revoke(name: Known, reason: Reason, config: ConfigFile = CONFIG) -> ExitCode:
    """Make a warden none, when the wardens agree."""
    place = locate(config)
    try:
        answer = remote.request(place.socket, "POST", "/api/v1/wardens/revoke", {"name": name, "reason": reason})
        result = done_or_asked(place.socket, answer)
    except remote.DaemonAbsent:
        from risk_daemon.app import override_stopped as stopped

        by = operator_name(os.getuid())
        work = stopped.asked_stopped(load(config), lambda who: who.revoke(name, reason, by), Told())
        result = ended(run_to_end(work))
    console().print(f"Revoked: {result['reason']}.", style="bold green")
    return ExitCode.STOPPED


@warden.command("accept-configuration")
def accept_configuration(reason: Reason, config: ConfigFile = CONFIG) -> ExitCode:
    """Have the wardens agree to a configuration that is looser than the one in force before.

    With the daemon stopped. `run` takes it then.
    """
    from risk_daemon.app import accepting

    by = operator_name(os.getuid())
    result = ended(run_to_end(accepting.accept_configuration(load(config), reason, by, Told())))
    console().print(f"Accepted: {result['reason']}. Start with `risk-daemon run`.", style="bold green")
    return ExitCode.STOPPED


@warden.command("break-glass")
def break_glass(
    config: ConfigFile = CONFIG,
    stop: Annotated[bool, typer.Option("--stop", help="Leave it whole: somebody's key works.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """For the day all keys are lost: forget every warden, after a waiting time. Root only.

    It is told at once to whoever hears alerts: with the daemon stopped by this command, where it finds the secrets of
    the channels, and by `watch`. When the waiting time of `[warden]` is over, the same command within a day does it,
    and that is told as well. A warden who agrees to anything meanwhile stops it.
    """
    document = _glass(config, None if stop else _typed_sentence())
    show(document, as_json, _render_glass)
    return ExitCode.STOPPED


def _typed_sentence() -> str:
    from risk_daemon.app.overrides import SENTENCE

    typer.echo("Every warden will be forgotten: whoever may use this machine's socket may resume then.", err=True)
    typer.echo(f"If that is so, type: {SENTENCE}", err=True)
    return str(typer.prompt("", default="", show_default=False, prompt_suffix="> ", err=True)).strip()


def _glass(config: Path, sentence: str | None) -> Mapping[str, Any]:
    place = locate(config)
    body = {"stop": True} if sentence is None else {"sentence": sentence}
    try:
        return accepted(remote.request(place.socket, "POST", "/api/v1/wardens/break-glass", body))
    except remote.DaemonAbsent:
        from risk_daemon.app import override_stopped as stopped

        by, is_root = operator_name(os.getuid()), os.geteuid() == 0
        if sentence is not None and not is_root:
            raise UsageError("only root may break the glass") from None
        return run_to_end(stopped.glass_stopped(load(config), by, sentence, is_root=is_root))


def _listed(register: Register) -> dict[str, Any]:
    from risk_daemon.state.files import utc_text

    glass, rules = register.break_glass, register.rules
    return {
        "wardens": [
            {"name": known.name, "enrolled": utc_text(known.enrolled_wall), "passkey_for": known.passkey.host}
            for known in register.wardens.values()
        ],
        "quorum": None if rules is None else rules.quorum,
        "locked_until": utc_text(register.locked_until_wall) if register.locked_until_wall else None,
        "break_glass_due": None if glass is None else utc_text(glass.due_wall),
    }


def _render(out: Console, document: Mapping[str, Any]) -> None:
    if not document["wardens"]:
        out.print("No warden is enrolled: whoever may use the daemon's socket or its state may resume.")
        return
    for row in document["wardens"]:
        out.print(f"{row['name']}  enrolled {row['enrolled']}, passkey for {row['passkey_for']}")
    out.print(f"At least {document['quorum']} must agree.")
    if document["locked_until"]:
        out.print(f"Too many attempts failed: locked until {document['locked_until']}.", style="bold red")
    if document["break_glass_due"]:
        out.print(f"THE GLASS IS BEING BROKEN, from {document['break_glass_due']} on.", style="bold red")


def _render_glass(out: Console, document: Mapping[str, Any]) -> None:
    if document["done"]:
        out.print("Every warden is forgotten. Enrol new ones: `risk-daemon warden enroll NAME`.", style="bold red")
    elif document["begun"]:
        out.print(
            f"Begun, and in the event log. Give the same command again after {document['due']}.", style="bold red"
        )
    else:
        out.print("The glass stays whole.", style="bold green")
