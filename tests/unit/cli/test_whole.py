from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import pytest
import typer

from risk_daemon import cli
from risk_daemon.cli.whole import check_whole
from risk_daemon.errors import ExitCode, InvariantError


def status() -> ExitCode:
    """How things stand."""
    return ExitCode.STOPPED


def silent() -> ExitCode:
    return ExitCode.STOPPED


def endless() -> None:
    """Nobody knows how it ended."""


def application(*commands: tuple[str | None, Callable[..., object]]) -> typer.Typer:
    made = typer.Typer()
    for name, command in commands:
        made.command(name)(command)
    return made


def test_every_module_with_commands_is_named_where_they_are_gathered() -> None:
    before = len(cli.app.registered_commands)
    for found in pkgutil.iter_modules(cli.__path__):
        importlib.import_module(f"risk_daemon.cli.{found.name}")
    assert len(cli.app.registered_commands) == before > 15
    check_whole(cli.app)


@pytest.mark.parametrize("commands", [((None, status), (None, status)), ((None, status), ("status", status))])
def test_a_command_registered_twice_is_refused(commands: tuple[tuple[str | None, Callable[..., object]], ...]) -> None:
    with pytest.raises(InvariantError, match="'status' is registered twice: which of the two holds"):
        check_whole(application(*commands))


@pytest.mark.parametrize(("command", "reason"), [(silent, "no sentence"), (endless, "returns no exit code")])
def test_half_a_command_is_refused(command: Callable[..., object], reason: str) -> None:
    with pytest.raises(InvariantError, match=reason):
        check_whole(application((None, command)))


def test_groups_are_looked_into() -> None:
    whole, empty = application((None, status)), application((None, status))
    whole.add_typer(application((None, status)), name="token")
    check_whole(whole)
    whole.add_typer(application((None, endless)), name="status")
    with pytest.raises(InvariantError, match="'status' is registered twice"):
        check_whole(whole)
    empty.add_typer(application(), name="token")
    with pytest.raises(InvariantError, match="'token' has no commands"):
        check_whole(empty)
    inner = application((None, status))
    inner.add_typer(application((None, endless)), name="token")
    with pytest.raises(InvariantError, match="'token endless' returns no exit code"):
        check_whole(inner)
