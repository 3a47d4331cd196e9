"""A command stands there once, and whole: the second of a name would hide the first, and one without an exit code
would end as a success.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from risk_daemon.errors import check


def check_whole(application: typer.Typer, prefix: str = "") -> None:
    """Raises InvariantError for a command that is registered twice or half, below groups too."""
    seen: set[str] = set()
    for command in application.registered_commands:
        _check_new(seen, prefix + _name(command.name, command.callback))
        _check_ends(prefix + _name(command.name, command.callback), command.callback)
    for group in application.registered_groups:
        name = prefix + (group.name or "")
        _check_new(seen, name)
        check(bool(group.typer_instance and group.typer_instance.registered_commands), f"{name!r} has no commands")
        if group.typer_instance is not None:
            check_whole(group.typer_instance, f"{name} ")


def _name(given: str | None, callback: Callable[..., Any] | None) -> str:
    return given or getattr(callback, "__name__", "").replace("_", "-")


def _check_new(seen: set[str], name: str) -> None:
    check(name not in seen, f"the command {name!r} is registered twice: which of the two holds?")
    seen.add(name)


def _check_ends(name: str, callback: Callable[..., Any] | None) -> None:
    check(bool(getattr(callback, "__doc__", None)), f"half a command: {name!r} has no sentence for its help")
    ends_with = getattr(callback, "__annotations__", {}).get("return")
    check("ExitCode" in str(ends_with), f"half a command: {name!r} returns no exit code, which would be a success")
