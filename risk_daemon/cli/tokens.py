"""`risk-daemon token`: bearer tokens of bots and people. They work at once, with the daemon running or not."""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.auth.operators import operator_name
from risk_daemon.cli import completion
from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, console, show
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, RiskDaemonError, StateError, StateOwned, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from risk_daemon.auth.tokens import TokenStore

token = typer.Typer(no_args_is_help=True, help="Bearer tokens for the HTTP interface: make, list, revoke.")
app.add_typer(token, name="token")


class TokenRole(StrEnum):
    """Who gets one. What only a warden may do is done on the local socket, by the daemon's user or root."""

    BOT = "bot"
    OPERATOR = "operator"
    VIEWER = "viewer"


Name = Annotated[str | None, typer.Option("--name", help="Who it is for; a bot's name in logs and halts.")]


@token.command()
def create(
    role: Annotated[
        TokenRole,
        typer.Option("--role", help="bot: ask and report. operator: read and halt. viewer: read, as Prometheus does."),
    ],
    name: Name = None,
    config: ConfigFile = CONFIG,
    as_json: AsJson = False,
) -> ExitCode:
    """Make a token. It is shown once, alone on the last line, and kept only as a hash."""
    from risk_daemon.auth.tokens import Role

    _make_directory(locate(config).state)
    store = _store(config)
    name = name or _free_name(store, role.value)
    text = store.create(Role(role.value), name, operator=operator_name(os.getuid()), source=_source())
    _tell_log(config)
    document = {"name": name, "role": role.value, "token": text}
    show(document, as_json, _created)
    return ExitCode.STOPPED


@token.command("list")
def list_tokens(config: ConfigFile = CONFIG, as_json: AsJson = False) -> ExitCode:
    """Names, roles and ages of the tokens; never a token itself."""
    from risk_daemon.cli import render
    from risk_daemon.state.files import utc_text

    rows = [
        {"name": info.name, "role": info.role.value, "created": utc_text(info.created_wall)}
        for info in _store(config).list()
    ]
    show({"tokens": rows}, as_json, render.tokens)
    return ExitCode.STOPPED


@token.command()
def revoke(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The token's name, see `token list`.", autocompletion=completion.tokens),
    ],
    config: ConfigFile = CONFIG,
) -> ExitCode:
    """Make a token worthless, at once."""
    store = _store(config)
    is_known = name in {info.name for info in store.list()}
    if not is_known or not store.revoke(name, operator=operator_name(os.getuid()), source=_source()):
        raise UsageError(f"there is no token called {name!r}: see `risk-daemon token list`")
    _tell_log(config)
    console().print(f"Revoked: {name}.", style="bold green")
    return ExitCode.STOPPED


def _store(config: Path) -> TokenStore:
    """The tokens in the configured state directory."""
    from risk_daemon.auth.tokens import FILE_NAME, TokenStore

    return TokenStore.open(locate(config).state / FILE_NAME)


def _source() -> str:
    """From where somebody does it, as far as the shell says."""
    return os.environ.get("SSH_CONNECTION", "").partition(" ")[0][:64] or "this machine"


def _tell_log(config: Path) -> None:
    """It is done, whether or not it can be written down now: the next start of the guard writes it then."""
    from risk_daemon.state.log_pieces import is_begun

    state = locate(config).state
    try:
        if not is_begun(state / "events.jsonl"):
            return  # the first start begins it, with this
        from risk_daemon.state.directory import StateDir

        StateDir.take(state).close()  # what follows takes a second to import
        from risk_daemon.app.token_telling import tell_stopped

        asyncio.run(tell_stopped(state))
    except StateOwned:
        return  # the guard that runs sees it within a second, and writes it
    except (RiskDaemonError, OSError) as error:
        typer.echo(f"risk-daemon: the event log could not be written ({error}): the next start does it", err=True)


def _make_directory(state: Path) -> None:
    """A token may be made before the first run. Raises StateError."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{state}: the state directory can't be used ({error.strerror})") from None


def _free_name(store: TokenStore, role: str) -> str:
    """`bot-1`, or the first number that is not taken."""
    taken = {info.name for info in store.list()}
    return next(f"{role}-{number}" for number in range(1, len(taken) + 2) if f"{role}-{number}" not in taken)


def _created(out: Console, document: Mapping[str, Any]) -> None:
    out.print(f"A token for the {document['role']} {document['name']}. It is not shown again:")
    out.print(document["token"])
