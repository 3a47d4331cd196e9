"""What a value may be, for a shell that asks: read from the configuration and the state beside it, and from no network.

A file that can't be read completes nothing, without a word: somebody is typing.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from risk_daemon.config.place import locate
from risk_daemon.config.regular_file import read_regular
from risk_daemon.errors import RiskDaemonError

Completer = Callable[[typer.Context, str], list[str]]


def _completer(names: Callable[[Path], Iterable[Any]]) -> Completer:
    """names: by the configuration file that the line names so far; it may raise whatever a damaged file leads to."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        config = Path(context.params.get("config") or "config.toml")
        try:
            return [name for name in sorted(map(str, names(config))) if name.startswith(incomplete)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RiskDaemonError):
            return []

    return complete


def _table(config: Path, *path: str) -> Iterable[str]:
    found: Any = tomllib.loads(read_regular(config).decode())
    for name in path:
        found = found.get(name, {})
    return list(found)


def _tokens(config: Path, role: str | None = None) -> Iterable[str]:
    """Names only; the file holds nothing secret, and is its owner's all the same."""
    tokens = json.loads((locate(config).state / "tokens.json").read_text())["tokens"]
    return [row["name"] for row in tokens if role in (None, row["role"])]


def _wardens(config: Path) -> Iterable[str]:
    from risk_daemon.auth.wardens import WardenStore

    return list(WardenStore.beside(locate(config).state).read().wardens)


def _kinds(_config: Path) -> Iterable[str]:
    from adapters.simulated.scenarios import KINDS

    return KINDS


venues = _completer(lambda config: _table(config, "venues"))
channels = _completer(lambda config: _table(config, "alerts", "channels"))
bots = _completer(lambda config: _tokens(config, "bot"))
tokens = _completer(_tokens)
wardens = _completer(_wardens)
kinds = _completer(_kinds)
