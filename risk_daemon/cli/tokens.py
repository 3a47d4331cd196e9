"""`risk-daemon token`: bearer tokens of bots and operators. They work at once, with the daemon running or not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from risk_daemon.cli.common import CONFIG, AsJson, ConfigFile, app, console, show
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, StateError, UsageError

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


Name = Annotated[str | None, typer.Option("--name", help="Who it is for; a bot's name in logs and halts.")]


@token.command()
def create(
    role: Annotated[TokenRole, typer.Option("--role", help="bot: ask and report. operator: read and halt as well.")],
    name: Name = None,
    config: ConfigFile = CONFIG,
    as_json: AsJson = False,
) -> ExitCode:
    """Make a token. It is shown once, alone on the last line, and kept only as a hash."""
    from risk_daemon.auth.tokens import Role

    _make_directory(locate(config).state)
    store = _store(config)
    name = name or _free_name(store, role.value)
    text = store.create(Role(role.value), name)
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
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name, see `token list`.")],
    config: ConfigFile = CONFIG,
) -> ExitCode:
    """Make a token worthless, at once."""
    store = _store(config)
    if name not in {info.name for info in store.list()} or not store.revoke(name):
        raise UsageError(f"there is no token called {name!r}: see `risk-daemon token list`")
    console().print(f"Revoked: {name}.", style="bold green")
    return ExitCode.STOPPED


def _store(config: Path) -> TokenStore:
    """The tokens in the configured state directory."""
    from risk_daemon.auth.tokens import FILE_NAME, TokenStore

    return TokenStore.open(locate(config).state / FILE_NAME)


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
